"""A batch with inserted objects, composed where the batch is: on the GPU, in the training loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from poc_aug.counting import count_of
from poc_aug.errors import CacheDatasetMismatchError, ItemFormatError
from poc_aug.items.image_digest import describe, digest_of_pixels, grid_of, matches
from poc_aug.labels.detect import find_schema
from poc_aug.labels.label_digest import check_labels as compare_labels
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.compose_tensors import blend_into, paint_into
from poc_aug.types import Variant

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def compose_batch(
    images: torch.Tensor,
    labels: torch.Tensor,
    variants: Sequence[Variant | None],
    label_policy: LabelPolicy | None = None,
    *,
    schema: LabelSchema | str | Path | None = None,
    sigma_px: float = 1.0,
    check_images: bool = True,
    check_labels: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compose variants of a cache onto a batch, on the batch's own device.

    For loops whose frames are on the GPU already, or are decoded there; elsewhere
    `poc_aug.POCAugmentedDataset` does more: it draws the variants, checks label ids and applies transforms. Call this
    before anything that moves or recolours pixels: insertions fit the frames that the cache was made from. The
    images are those that the dataset would give, within 1/255; the labels are the same. It works under autocast, and
    the host waits for the device only to check images and labels.

    Args:
        images: uint8, or float16, bfloat16, float32 or float64 in [0, 1]: ``[B, 3, H, W]`` RGB, or ``[3, H, W]`` with
            one variant. Not modified.
        labels: integer ``[B, H, W]`` or ``[H, W]``, on the same device. Not modified.
        variants: one per image, as `poc_aug.Cache.get` returns them; ``None``: that image shows no object.
        label_policy: turns class names into label ids; default ``OodLabels(254)``. Without a schema, whether the
            labels hold its ids already is not checked, because that would mean reading all of them.
        schema: schema of the labels, its name, or a YAML file; ``None``: not known.
        sigma_px: feather of the objects' edges in pixels, at most the recipe's ``max_sigma_px``.
        check_images: check at 256 pixels of each image that floating point is in [0, 1], and compare them with those of
            the frame that its variant was made for. With ``False`` neither is checked: images of another range, or
            normalised ones, come out wrong without an error.
        check_labels: with a schema, compare the classes at the same pixels with those of the labels that each variant
            was made for; ``False`` for another annotation of the same images, such as predictions.

    Returns:
        New images and labels of the same shapes and dtypes.

    Raises:
        CacheDatasetMismatchError: an image is not the one that its variant was made for.
        ItemFormatError: tensors of other shapes, dtypes or ranges, or not one variant (or ``None``) per image.
        LabelPolicyError: an inserted class without a label id, or an id that the labels cannot hold.
        SchemaError: labels hold ids that the schema does not know at these pixels, or show other classes than when the
            variant was made, so that it is not their schema.
        SettingError: a feather wider than the patches hold pixels for.

    Example:
        >>> from poc_aug.types import Insertion, Part
        >>> box = Insertion(
        ...     box_yxhw=(2, 3, 1, 2),
        ...     patch=torch.full((3, 1, 2), 200, dtype=torch.uint8),
        ...     parts=(Part("box", torch.ones(1, 2, dtype=torch.bool)),),
        ...     alpha=None,
        ...     shade=None,
        ...     object_name="box",
        ...     max_sigma_px=0.0,
        ... )
        >>> images, labels = torch.zeros(2, 3, 4, 6), torch.zeros(2, 4, 6, dtype=torch.int64)
        >>> variants = [Variant("a", 0, b"", insertions=(box,)), None]  # cache.get(key, 0) for each key of the batch
        >>> images, labels = compose_batch(
        ...     images, labels, variants, OodLabels(254, known={}), sigma_px=0, check_images=False
        ... )
        >>> labels[:, 2]
        tensor([[  0,   0,   0, 254, 254,   0],
                [  0,   0,   0,   0,   0,   0]])
        >>> images[0, 0, 2]
        tensor([0.0000, 0.0000, 0.0000, 0.7843, 0.7843, 0.0000])
    """
    _check_form(images, labels)
    _check_variants(variants, len(images) if images.ndim == 4 else 1)
    policy = OodLabels() if label_policy is None else label_policy
    known = find_schema(None, schema)
    insertions = [() if variant is None else variant.insertions for variant in variants]
    names = {part.name for several in insertions for insertion in several for part in insertion.parts}
    ids = policy.resolve(sorted(names), known)
    ring_id = policy.ring_id(known) if policy.ring_px else 0
    batched = images if images.ndim == 4 else images[None]
    if check_images:
        _check_images(batched, variants)
    if check_labels:
        _check_labels(labels if labels.ndim == 3 else labels[None], variants, known, policy)
    if policy.rewrites_base:  # policies know labels on the CPU only
        labels = policy.rewrite(labels.cpu(), known).to(labels.device)
    images, labels = images.clone(), labels.clone()
    blend_into(images if images.ndim == 4 else images[None], insertions, sigma_px)
    maps = labels if labels.ndim == 3 else labels[None]
    paint_into(maps, insertions, ids, ring_px=policy.ring_px, ring_id=ring_id)
    return images, labels


def _check_form(images: torch.Tensor, labels: torch.Tensor) -> None:
    if images.ndim not in (3, 4) or images.shape[-3] != 3 or images.dtype not in (torch.uint8, *_FLOATS):
        raise ItemFormatError(
            f"compose_batch: images are a {images.dtype} tensor of shape {list(images.shape)}",
            expected="uint8, or float16, bfloat16, float32 or float64 in [0, 1]: [B, 3, H, W] or [3, H, W]",
        )
    wanted = (*images.shape[:-3], *images.shape[-2:])
    if labels.shape != wanted or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ItemFormatError(
            f"compose_batch: labels are a {labels.dtype} tensor of shape {list(labels.shape)}, images of "
            f"{list(images.shape)}",
            expected=f"label ids: an integer tensor of shape {list(wanted)}",
            hint="leave out the labels' channel: labels[:, 0]" if labels.ndim == images.ndim else "",
        )
    if labels.device != images.device:
        raise ItemFormatError(
            f"compose_batch: images are on {images.device}, labels on {labels.device}", expected="one device for both"
        )


def _check_variants(variants: object, count: int) -> None:
    expected = "one variant or None per image; None for an image without objects"
    if not isinstance(variants, Collection):
        raise ItemFormatError(
            f"compose_batch: variants is a {type(variants).__name__}, not a list",
            expected=expected,
            hint="for a single image, pass a list of one: [variant]",
        )
    if len(variants) != count:
        raise ItemFormatError(
            f"compose_batch: {count_of(len(variants), 'variant')} for {count_of(count, 'image')}", expected=expected
        )
    for number, variant in enumerate(variants):
        if not isinstance(variant, Variant | None):
            raise ItemFormatError(
                f"compose_batch: variants[{number}] is a {type(variant).__name__}",
                expected=expected,
                hint="pass what cache.get(key, index) returns for each image; a variant holds all objects of its image",
            )


def _check_images(images: torch.Tensor, variants: Sequence[Variant | None]) -> None:
    height, width = images.shape[-2:]
    rows, cols = (torch.tensor(grid_of(side), device=images.device) for side in (height, width))
    grids = images[:, :, rows[:, None], cols]
    grids = grids.detach().permute(0, 2, 3, 1).cpu()  # the host waits here, once per batch
    if grids.is_floating_point():
        grids = _levels(grids.float())
    for number, (variant, grid) in enumerate(zip(variants, grids, strict=True)):
        if variant is None or not variant.insertions:
            continue
        seen = digest_of_pixels((height, width), grid)
        if not matches(variant.digest, seen):
            raise CacheDatasetMismatchError(
                f"image {number} of the batch is {describe(seen)}, but variant {variant.index} of sample "
                f"{variant.key!r} was made for {describe(variant.digest)}",
                expected="for each image a variant of the same sample, before any transform",
                hint="take the variant with the key of the image; transform after compose_batch; "
                "check_images=False skips this check",
            )


@dataclass(frozen=True, slots=True)
class _GridIds:
    """The ids of a label map at the pixels of its digest, read already."""

    size_hw: tuple[int, int]
    ids: list[int]

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        return self.ids


def _check_labels(
    labels: torch.Tensor, variants: Sequence[Variant | None], schema: LabelSchema | None, policy: LabelPolicy
) -> None:
    partial = policy.known_schema if isinstance(policy, OodLabels) else None
    read_by = schema or partial
    if read_by is None:
        return
    height, width = labels.shape[-2:]
    rows, cols = (torch.tensor(grid_of(side), device=labels.device) for side in (height, width))
    grids = labels[:, rows[:, None], cols].flatten(1).tolist()  # the host waits here, once per batch
    for variant, ids in zip(variants, grids, strict=True):
        if variant is not None and variant.insertions:
            points = _GridIds((height, width), ids)
            compare_labels(variant.label_digest, points, read_by, variant.key, None, partial=schema is None)


def _levels(pixels: torch.Tensor) -> torch.Tensor:
    """Floating point in [0, 1] as uint8; what rounds to no level of 255 is refused, NaN too."""
    levels = (pixels * 255).round()
    if not ((levels >= 0) & (levels <= 255)).all():
        raise ItemFormatError(
            f"compose_batch: images of floating point hold values from {pixels.min():.4g} to {pixels.max():.4g}",
            expected="values in [0, 1], or uint8",
            hint="compose before normalising; divide values of 0 to 255 by 255: compose_batch(images / 255, ...)",
        )
    return levels.to(torch.uint8)
