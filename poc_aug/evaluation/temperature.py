"""Temperature scaling of logits, so that softmax confidence matches accuracy: one temperature, or one per cluster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from poc_aug.errors import DatasetError, ItemFormatError, ModelError, SettingError
from poc_aug.evaluation.inference import evaluating, logits_of, resize_logits
from poc_aug.number_settings import checked_integer, checked_integers
from poc_aug.optional_imports import require
from poc_aug.scores import checked_logits
from poc_aug.seeding import derive_seed, generator
from poc_aug.tensor_inputs import INTEGERS, check_tensors, ids_in, signed

TEMPERATURES = (0.01, 100.0)
"""Range in which a temperature is searched; without it, the best one would be 0 if every pixel is right."""

_CLUSTER_BUFFERS = ("centres", "temperatures", "shift", "scale")


class TemperatureScaling(nn.Module):
    """Divide logits by one temperature, so that softmax confidence matches accuracy (Guo et al., ICML 2017, 4.2).

    The temperature is 1 until it is fitted. It is a buffer, so ``state_dict`` holds it.

    Args:
        pixels_per_batch: labelled pixels drawn from each batch, with replacement if there are more.
        max_pixels: drawn pixels kept over all batches, a uniform sample, so that memory is bounded.
        seed: seed of the draws; no global random state is touched.

    Example:
        Logits that are 98% sure of class 0, where three of four pixels are class 0:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.temperature import TemperatureScaling
        >>> logits = torch.tensor([4.0, 0.0])[None, :, None, None].expand(1, 2, 2, 2)
        >>> labels = torch.tensor([[[0, 0], [0, 1]]])
        >>> scaling = TemperatureScaling().fit(nn.Identity(), [(logits, labels)])
        >>> scaling.temperature
        tensor(3.6410)
        >>> scaling(logits).softmax(dim=1)[0, :, 0, 0]
        tensor([0.7500, 0.2500])
    """

    temperature: torch.Tensor

    def __init__(self, *, pixels_per_batch: int = 10_000, max_pixels: int = 200_000, seed: int = 0) -> None:
        super().__init__()
        self.pixels_per_batch = checked_integer("pixels_per_batch", pixels_per_batch, least=1)
        self.max_pixels, self.seed = checked_integer("max_pixels", max_pixels, least=1), seed
        self.register_buffer("temperature", torch.ones(()))

    def fit(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        ignore: int | Sequence[int] = 255,
        device: str | torch.device | None = None,
    ) -> Self:
        """Fit the temperature, within `TEMPERATURES`, that maximises the likelihood of the labelled pixels.

        Args:
            model: maps images to logits ``[B, C, h, w]``, which are resized (bilinear) to the labels' size; it is in
                eval mode during the fit.
            loader: batches of (images, integer labels ``[B, H, W]``: classes 0 to C - 1, or ignored).
            ignore: label id, or ids, of pixels that do not count; with inserted objects: ``(254, 255)``.
            device: device to which the model is moved; ``None``: it stays where it is.

        Returns:
            The module itself.

        Raises:
            ItemFormatError: batches of another form, label ids that are no class, logits that are not finite.
            ModelError: the model does not return a map of logits.
            DatasetError: no labelled pixel.
        """
        pixels = _draw_pixels(model, loader, ignore, device, self.pixels_per_batch, self.max_pixels, self.seed)
        self.temperature.fill_(_best_temperature(pixels.logits, pixels.labels))
        return self

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """``logits / temperature``, ``[B, C, H, W]``, float32 at least."""
        logits = checked_logits(logits)
        return logits / self.temperature.to(logits)


def image_statistics(images: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of each channel, in the images' units: ``[B, C, H, W]`` to float32 ``[B, 2 C]``.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.temperature import image_statistics
        >>> image_statistics(torch.tensor([[[[0.0, 1.0]], [[3.0, 3.0]]]]))
        tensor([[0.5000, 3.0000, 0.5000, 0.0000]])
    """
    flat = images.float().flatten(2)
    return torch.cat([flat.mean(dim=2), flat.std(dim=2, correction=0)], dim=1)


class ClusteredTemperatureScaling(nn.Module):
    """One temperature per cluster of images; an image gets that of the nearest cluster (Gong et al., ICCV 2021).

    A model tends to be equally over-confident on similar images (night, fog). Images are clustered by k-means on their
    features, each scaled to unit standard deviation over the images of `fit`. Centres and temperatures are buffers, so
    ``state_dict`` holds them; loading one sets the number of clusters.

    Args:
        clusters: number of clusters.
        features: maps images ``[B, ...]`` to ``[B, F]``; by default brightness and contrast per channel.
        pixels_per_batch: as for `TemperatureScaling`.
        max_pixels: as for `TemperatureScaling`, over all clusters.
        seed: seed of the draws and of k-means.

    Example:
        Two kinds of images, on which the model is right at three of four pixels but not equally sure of it:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.temperature import ClusteredTemperatureScaling
        >>> logits = torch.tensor([[4.0, 0.0], [8.0, 0.0]])[:, :, None, None].expand(2, 2, 2, 2)
        >>> labels = torch.tensor([[[0, 0], [0, 1]]]).expand(2, 2, 2)
        >>> scaling = ClusteredTemperatureScaling(clusters=2).fit(nn.Identity(), [(logits, labels)])
        >>> scaling.temperatures[scaling.cluster_of(logits)]
        tensor([3.6410, 7.2819])
        >>> scaling(logits, images=logits).softmax(dim=1)[:, 0, 0, 0]
        tensor([0.7500, 0.7500])
    """

    centres: torch.Tensor
    temperatures: torch.Tensor
    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        clusters: int = 8,
        features: Callable[[torch.Tensor], torch.Tensor] = image_statistics,
        *,
        pixels_per_batch: int = 10_000,
        max_pixels: int = 500_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not callable(features):
            raise SettingError(f"features={features!r}", expected="a function of images [B, ...] that returns [B, F]")
        self.clusters, self.features, self.seed = checked_integer("clusters", clusters, least=1), features, seed
        self.pixels_per_batch = checked_integer("pixels_per_batch", pixels_per_batch, least=1)
        self.max_pixels = checked_integer("max_pixels", max_pixels, least=1)
        for name in _CLUSTER_BUFFERS:
            self.register_buffer(name, torch.empty(0))
        self.register_load_state_dict_pre_hook(_take_shapes)  # type: ignore[no-untyped-call]

    def fit(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        ignore: int | Sequence[int] = 255,
        device: str | torch.device | None = None,
    ) -> Self:
        """Cluster the loader's images and fit a temperature per cluster; arguments as for `TemperatureScaling.fit`.

        A cluster without a labelled pixel gets the temperature of all pixels together.

        Returns:
            The module itself.

        Raises:
            SettingError: fewer different images than clusters.
            MissingDependencyError: scikit-learn is not installed.
            ItemFormatError, ModelError, DatasetError: as `TemperatureScaling.fit`; features that are not ``[B, F]``.
        """
        kmeans = require("sklearn.cluster", extra="metrics", purpose="clusters of images").KMeans
        pixels = _draw_pixels(
            model, loader, ignore, device, self.pixels_per_batch, self.max_pixels, self.seed, self.features
        )
        distinct = len(torch.unique(pixels.features, dim=0))
        if distinct < self.clusters:
            raise SettingError(
                f"clusters={self.clusters} for {distinct} images of different features",
                expected="at least one image per cluster",
                hint="use fewer clusters, or more images",
            )
        shift, scale = pixels.features.mean(dim=0), pixels.features.std(dim=0, correction=0)
        # Rounding leaves a constant feature with a tiny deviation, and dividing by it would blow the feature up.
        scale = torch.where(scale > 1e-6 * pixels.features.abs().amax(dim=0), scale, torch.ones_like(scale))
        fitted = kmeans(n_clusters=self.clusters, n_init=10, random_state=derive_seed("clusters", self.seed) % 2**32)
        cluster_of_image = torch.from_numpy(fitted.fit_predict(((pixels.features - shift) / scale).numpy())).long()
        cluster = cluster_of_image[pixels.image]
        everywhere = _best_temperature(pixels.logits, pixels.labels)
        temperatures = []
        for number in range(self.clusters):
            inside = cluster == number
            labelled = bool(inside.any())
            temperatures.append(
                _best_temperature(pixels.logits[inside], pixels.labels[inside]) if labelled else everywhere
            )
        own_device = self.centres.device
        self.centres = torch.from_numpy(fitted.cluster_centers_).float().to(own_device)
        self.temperatures = torch.tensor(temperatures, device=own_device)
        self.shift, self.scale = shift.to(own_device), scale.to(own_device)
        return self

    def cluster_of(self, images: torch.Tensor) -> torch.Tensor:
        """Index of each image's cluster, int64 ``[B]``.

        Raises:
            SettingError: nothing was fitted or loaded.
            ItemFormatError: another number of features than were fitted.
        """
        if not len(self.temperatures):
            raise SettingError("no temperatures", expected="fit or load_state_dict first", hint="fit(model, loader)")
        features = _features_of(images, self.features).to(self.centres)
        if features.shape[1] != self.centres.shape[1]:
            raise ItemFormatError(
                f"{features.shape[1]} features per image", expected=f"{self.centres.shape[1]}, as were fitted"
            )
        return torch.cdist((features - self.shift) / self.scale, self.centres).argmin(dim=1)

    def forward(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits divided by the temperatures of their images' clusters, ``[B, C, H, W]``, float32 at least.

        Raises:
            SettingError, ItemFormatError: as `cluster_of`; another number of images than of logits.
        """
        logits = checked_logits(logits)
        check_tensors(images=images)
        if len(images) != len(logits):
            raise ItemFormatError(f"{len(images)} images with logits of {len(logits)}", expected="the same number")
        scale = self.temperatures[self.cluster_of(images)]
        return logits / scale.to(logits)[:, None, None, None]


def _take_shapes(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: object) -> None:
    for name in _CLUSTER_BUFFERS:
        if prefix + name in state:
            setattr(module, name, torch.empty_like(state[prefix + name], device=getattr(module, name).device))


@dataclass(frozen=True)
class _Pixels:
    """Drawn pixels on the CPU: ``logits [N, C]``, ``labels [N]``, ``image [N]`` (a row of ``features [images, F]``)."""

    logits: torch.Tensor
    labels: torch.Tensor
    image: torch.Tensor
    features: torch.Tensor


@torch.no_grad()
def _draw_pixels(
    model: nn.Module,
    loader: Iterable[Any],
    ignore: int | Sequence[int],
    device: str | torch.device | None,
    per_batch: int,
    max_pixels: int,
    seed: int,
    features: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> _Pixels:
    if not isinstance(model, nn.Module):
        raise ModelError(f"a model of type {type(model).__name__}", expected="a torch.nn.Module")
    if not isinstance(loader, Iterable):
        raise ItemFormatError(f"a loader of type {type(loader).__name__}", expected="batches of (images, labels)")
    if device is None:
        device = next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    model = model.to(device)
    ignored = checked_integers("ignore", ignore)
    rng = generator("temperature", seed)
    sample: list[torch.Tensor] = []  # sort key, logits, label and image index of each drawn pixel
    features_by_batch: list[torch.Tensor] = []
    images_before = 0
    with evaluating(model):
        for batch in loader:
            images, labels = _pair(batch)
            images = images.to(device)
            logits = resize_logits(checked_logits(logits_of(model, images)), labels.shape[1:])
            places = _labelled(labels, ignored, logits.shape[1])
            if len(places) > per_batch:
                places = places[torch.randint(len(places), (per_batch,), generator=rng)]
            image = places // labels[0].numel()
            pixel = (places % labels[0].numel()).to(logits.device)
            chosen = logits.flatten(2)[image.to(logits.device), :, pixel].float().cpu()
            if not bool(chosen.isfinite().all()):
                raise ItemFormatError("logits that are not finite", expected="numbers", hint="run the model in float32")
            label = labels.flatten()[places].to(torch.int64)
            # Each pixel gets a random key; those with the smallest keys are a uniform sample of all drawn so far.
            key = torch.rand(len(places), generator=rng, dtype=torch.float64)
            drawn = [key, chosen, label, image + images_before]
            sample = [torch.cat(pair) for pair in zip(sample, drawn, strict=True)] if sample else drawn
            if len(sample[0]) > max_pixels:
                smallest = sample[0].topk(max_pixels, largest=False).indices
                sample = [column[smallest] for column in sample]
            if features is not None:
                features_by_batch.append(_features_of(images, features).cpu())
            images_before += len(images)
    if not sample or not len(sample[0]):
        problem = f"no labelled pixel in {images_before} images"
        raise DatasetError(problem, expected="at least one", hint=f"is ignore={ignore} right?")
    features_of_images = torch.cat(features_by_batch) if features_by_batch else torch.empty(images_before, 0)
    return _Pixels(sample[1], sample[2], sample[3], features_of_images)


def _pair(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    pair = batch if isinstance(batch, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(part, torch.Tensor) for part in pair):
        raise ItemFormatError(f"a batch that is a {type(batch).__name__}", expected="a pair of tensors: images, labels")
    images, labels = pair
    check_tensors(images=images)
    if labels.ndim != 3 or labels.dtype not in INTEGERS or len(labels) != len(images):
        raise ItemFormatError(
            f"labels of {labels.dtype} {list(labels.shape)} with images of {list(images.shape)}",
            expected="integer [B, H, W]",
        )
    check_tensors(labels=labels)
    return images, signed(labels).cpu()


def _labelled(labels: torch.Tensor, ignored: Sequence[int], classes: int) -> torch.Tensor:
    """Indices of the labelled pixels in the flattened labels."""
    counted = torch.ones_like(labels, dtype=torch.bool)
    for label_id in ignored:
        counted &= labels != label_id
    unknown = labels[counted & ((labels < 0) | (labels >= classes))]
    if len(unknown):
        raise ItemFormatError(
            f"labels hold ids {ids_in(unknown)}",
            expected=f"classes 0 to {classes - 1}, or one of {list(ignored)}",
            hint="name the ids that do not count: ignore=(254, 255)",
        )
    return counted.flatten().nonzero()[:, 0]


def _features_of(images: torch.Tensor, features: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    values = features(images)
    if not isinstance(values, torch.Tensor):
        raise ItemFormatError(f"features of type {type(values).__name__}", expected="a tensor [B, F]")
    values = values.detach().float()
    if values.ndim != 2 or len(values) != len(images) or not bool(values.isfinite().all()):
        raise ItemFormatError(
            f"features of shape {list(values.shape)} for {len(images)} images", expected="[B, F], finite numbers"
        )
    return values


def _best_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature with the smallest mean cross-entropy of ``logits [N, C]``.

    Cross-entropy is convex in ``1 / T``, so its slope changes sign once, and bisection is certain to find where.
    """
    logits = logits - logits.amax(dim=1, keepdim=True)
    own = logits.gather(1, labels[:, None])[:, 0].double().mean()

    def slope(inverse: float) -> float:
        return float(((logits * inverse).softmax(dim=1) * logits).sum(dim=1).double().mean() - own)

    if slope(1.0) == 0:  # uniform logits: every temperature is equally good
        return 1.0
    low, high = (-math.log(bound) for bound in reversed(TEMPERATURES))
    for _ in range(36):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)
