"""Temperatures for logits, so that a softmax is as sure as it is right: one for all, or one for each kind of image."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from poc_aug.errors import DatasetError, ItemFormatError, MissingDependencyError, ModelError, SettingError
from poc_aug.scores import checked_logits
from poc_aug.seeding import derive_seed, generator

TEMPERATURES = (0.01, 100.0)
"""Between these a temperature is searched: where every pixel is right the best one is 0."""

_CLUSTER_BUFFERS = ("centres", "temperatures", "shift", "scale")


class TemperatureScaling(nn.Module):
    """Logits over one temperature, so that their softmax is as sure as it is right (Guo et al., ICML 2017, 4.2).

    The temperature, 1 until it is fitted, is a buffer: ``state_dict`` holds it.

    Args:
        pixels_per_batch: labelled pixels drawn from each batch, with replacement where there are more.
        max_pixels: drawn pixels that are kept over all batches, uniformly: memory is bounded.
        seed: of the draws; no global random state is touched.
    """

    temperature: torch.Tensor

    def __init__(self, *, pixels_per_batch: int = 10_000, max_pixels: int = 200_000, seed: int = 0) -> None:
        super().__init__()
        _check_counts(pixels_per_batch=pixels_per_batch, max_pixels=max_pixels)
        self.pixels_per_batch, self.max_pixels, self.seed = pixels_per_batch, max_pixels, seed
        self.register_buffer("temperature", torch.ones(()))

    def fit(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        ignore: int | Sequence[int] = 255,
        device: str | torch.device | None = None,
    ) -> Self:
        """Take the temperature, within `TEMPERATURES`, at which the labelled pixels' likelihood is largest.

        Args:
            model: images to logits ``[B, C, h, w]``, resized (bilinear) to the labels' size; in eval mode meanwhile.
            loader: batches of (images, integer labels ``[B, H, W]``: classes 0 to C - 1, or ignored).
            ignore: label id, or ids, of pixels that do not count; inserted objects' too: ``(254, 255)``.
            device: where the model is moved to and runs; ``None``: where it is.

        Raises:
            ItemFormatError: batches of another form, label ids that are no class, logits that are not finite.
            ModelError: what the model returns is no map of logits.
            DatasetError: no labelled pixel.
        """
        pixels = _draw(model, loader, ignore, device, self.pixels_per_batch, self.max_pixels, self.seed)
        self.temperature.fill_(_best_temperature(pixels.logits, pixels.labels))
        return self

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """``logits / temperature``, ``[B, C, H, W]``, float32 at least."""
        logits = checked_logits(logits)
        return logits / self.temperature.to(logits)


def image_statistics(images: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of each channel, in the images' units: ``[B, C, H, W]`` to float32 ``[B, 2 C]``."""
    flat = images.float().flatten(2)
    return torch.cat([flat.mean(dim=2), flat.std(dim=2, correction=0)], dim=1)


class ClusteredTemperatureScaling(nn.Module):
    """A temperature for each cluster of images; an image takes that of the nearest (Gong et al., ICCV 2021).

    Images of one kind (night, fog) are over-confident alike. They are clustered by k-means of their features, each
    feature scaled to unit deviation over the images of `fit`. Centres and temperatures are buffers: ``state_dict``
    holds them, and loading one takes its number of clusters.

    Args:
        clusters: number of clusters.
        features: images ``[B, ...]`` to ``[B, F]``; by default brightness and contrast by channel.
        pixels_per_batch: as for `TemperatureScaling`.
        max_pixels: as for `TemperatureScaling`, over all clusters.
        seed: of the draws and of k-means.
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
        _check_counts(clusters=clusters, pixels_per_batch=pixels_per_batch, max_pixels=max_pixels)
        self.clusters, self.features, self.seed = clusters, features, seed
        self.pixels_per_batch, self.max_pixels = pixels_per_batch, max_pixels
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
        """Cluster the loader's images, and fit each cluster's temperature; arguments of `TemperatureScaling.fit`.

        A cluster without a labelled pixel gets the temperature of all.

        Raises:
            SettingError: fewer different images than clusters.
            MissingDependencyError: scikit-learn is not installed.
            ItemFormatError, ModelError, DatasetError: as `TemperatureScaling.fit`; features that are not ``[B, F]``.
        """
        kmeans = _kmeans()
        pixels = _draw(model, loader, ignore, device, self.pixels_per_batch, self.max_pixels, self.seed, self.features)
        different = len(torch.unique(pixels.features, dim=0))
        if different < self.clusters:
            raise SettingError(
                f"clusters={self.clusters} for {different} images of different features",
                expected="at least one image a cluster",
                hint="fewer clusters, or more images",
            )
        shift, scale = pixels.features.mean(dim=0), pixels.features.std(dim=0, correction=0)
        # Rounding leaves a constant feature with a tiny deviation, which would be blown up.
        scale = torch.where(scale > 1e-6 * pixels.features.abs().amax(dim=0), scale, torch.ones_like(scale))
        found = kmeans(n_clusters=self.clusters, n_init=10, random_state=derive_seed("clusters", self.seed) % 2**32)
        cluster = torch.from_numpy(found.fit_predict(((pixels.features - shift) / scale).numpy())).long()[pixels.image]
        everywhere = _best_temperature(pixels.logits, pixels.labels)
        temperatures = []
        for number in range(self.clusters):
            own = cluster == number
            enough = bool(own.any())
            temperatures.append(_best_temperature(pixels.logits[own], pixels.labels[own]) if enough else everywhere)
        at = self.centres.device
        self.centres = torch.from_numpy(found.cluster_centers_).float().to(at)
        self.temperatures = torch.tensor(temperatures, device=at)
        self.shift, self.scale = shift.to(at), scale.to(at)
        return self

    def cluster_of(self, images: torch.Tensor) -> torch.Tensor:
        """Number of each image's cluster, int64 ``[B]``.

        Raises:
            SettingError: nothing was fitted or loaded.
            ItemFormatError: features of another number than fitted.
        """
        if not len(self.temperatures):
            raise SettingError("no temperatures", expected="fit or load_state_dict first", hint="fit(model, loader)")
        features = _features_of(images, self.features).to(self.centres)
        if features.shape[1] != self.centres.shape[1]:
            raise ItemFormatError(
                f"{features.shape[1]} features an image", expected=f"{self.centres.shape[1]}, as they were fitted"
            )
        return torch.cdist((features - self.shift) / self.scale, self.centres).argmin(dim=1)

    def forward(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits over the temperatures of their images' clusters, ``[B, C, H, W]``, float32 at least.

        Raises:
            RecipeError, ItemFormatError: as `cluster_of`; images of another number than logits.
        """
        logits = checked_logits(logits)
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
def _draw(
    model: nn.Module,
    loader: Iterable[Any],
    ignore: int | Sequence[int],
    device: str | torch.device | None,
    per_batch: int,
    most: int,
    seed: int,
    features: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> _Pixels:
    if device is None:
        device = next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    model = model.to(device)
    ignored = (ignore,) if isinstance(ignore, int) else tuple(ignore)
    rng = generator("temperature", seed)
    kept: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []
    images_before = 0
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for batch in loader:
            images, labels = _pair(batch)
            images = images.to(device)
            logits = _resized_logits(model, images, labels)
            places = _labelled(labels, ignored, logits.shape[1])
            if len(places) > per_batch:
                places = places[torch.randint(len(places), (per_batch,), generator=rng)]
            image = places // labels[0].numel()
            pixel = (places % labels[0].numel()).to(logits.device)
            chosen = logits.flatten(2)[image.to(logits.device), :, pixel].float().cpu()
            if not bool(chosen.isfinite().all()):
                raise ItemFormatError("logits that are not finite", expected="numbers", hint="run the model in float32")
            label = labels.flatten()[places].to(torch.int64)
            # A random key beside each pixel: those of the smallest keys are a uniform draw from all that came.
            key = torch.rand(len(places), generator=rng, dtype=torch.float64)
            new = [key, chosen, label, image + images_before]
            kept = [torch.cat(pair) for pair in zip(kept, new, strict=True)] if kept else new
            if len(kept[0]) > most:
                smallest = kept[0].topk(most, largest=False).indices
                kept = [each[smallest] for each in kept]
            if features is not None:
                seen.append(_features_of(images, features).cpu())
            images_before += len(images)
    finally:
        for module, training in modes:
            module.training = training
    if not kept or not len(kept[0]):
        problem = f"no labelled pixel in {images_before} images"
        raise DatasetError(problem, expected="at least one", hint=f"is ignore={ignore} right?")
    return _Pixels(kept[1], kept[2], kept[3], torch.cat(seen) if seen else torch.empty(images_before, 0))


def _pair(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    pair = batch if isinstance(batch, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(each, torch.Tensor) for each in pair):
        raise ItemFormatError(f"a batch that is a {type(batch).__name__}", expected="a pair of tensors: images, labels")
    images, labels = pair
    if labels.ndim != 3 or labels.dtype.is_floating_point or labels.dtype == torch.bool or len(labels) != len(images):
        raise ItemFormatError(
            f"labels of {labels.dtype} {list(labels.shape)} with images of {list(images.shape)}",
            expected="integer [B, H, W]",
        )
    return images, labels.cpu()


def _resized_logits(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits = model(images)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 4 or len(logits) != len(images):
        told = f"shape {list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"{type(model).__name__} returned {told} for images of {list(images.shape)}",
            expected="logits [B, C, h, w]",
            hint="wrap it: a module whose forward returns the logits alone (of torchvision's models: ['out'])",
        )
    logits = checked_logits(logits)
    if logits.shape[2:] == labels.shape[1:]:
        return logits
    return F.interpolate(logits, tuple(labels.shape[1:]), mode="bilinear", align_corners=False)


def _labelled(labels: torch.Tensor, ignored: Sequence[int], classes: int) -> torch.Tensor:
    counted = torch.ones_like(labels, dtype=torch.bool)
    for label_id in ignored:
        counted &= labels != label_id
    strange = labels[counted & ((labels < 0) | (labels >= classes))]
    if len(strange):
        raise ItemFormatError(
            f"labels hold ids {sorted(set(strange.tolist()))[:8]}",
            expected=f"classes 0 to {classes - 1}, or one of {list(ignored)}",
            hint="name ids that do not count: ignore=(254, 255)",
        )
    return counted.flatten().nonzero()[:, 0]


def _features_of(images: torch.Tensor, features: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    found = features(images).detach().float()
    if found.ndim != 2 or len(found) != len(images) or not bool(found.isfinite().all()):
        raise ItemFormatError(
            f"features of shape {list(found.shape)} for {len(images)} images", expected="[B, F], finite numbers"
        )
    return found


def _best_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature of the least mean cross-entropy of ``logits [N, C]``.

    That is convex in ``1 / T``: its slope there changes sign once, and halving the interval is certain to find where.
    """
    logits = logits - logits.amax(dim=1, keepdim=True)
    own = logits.gather(1, labels[:, None])[:, 0].double().mean()

    def slope(inverse: float) -> float:
        return float(((logits * inverse).softmax(dim=1) * logits).sum(dim=1).double().mean() - own)

    if slope(1.0) == 0:  # logits that say nothing: any temperature is the best
        return 1.0
    low, high = (-math.log(bound) for bound in reversed(TEMPERATURES))
    for _ in range(36):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def _kmeans() -> Any:
    try:
        return importlib.import_module("sklearn.cluster").KMeans
    except ImportError as error:
        raise MissingDependencyError(
            "clusters of images need scikit-learn, which is not installed", hint="pip install 'poc_aug[metrics]'"
        ) from error


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise SettingError(f"{name}={count}", expected="1 or more")
