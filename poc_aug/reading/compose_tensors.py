"""Composing on tensors where they lie, GPUs included: the same picture as `poc_aug.reading.compose` within 1/255.

All that a batch needs goes to its device in one copy; masks of similar sizes are feathered together, by kornia's
`gaussian_blur2d`, and nothing is read back, so the host never waits for the device. Colours are float32 and rounded to
whole levels of 255 where `poc_aug.reading.compose` rounds them: the two differ only if the two Gaussians, whose sums
have another order, round an opacity to another level, and then by one level at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from kornia.filters import gaussian_blur2d

from poc_aug.errors import LabelPolicyError
from poc_aug.items.canvas import check_box
from poc_aug.masks import dilate, feather_radius_px, window, with_margin
from poc_aug.reading.compose_opacity import check_feather
from poc_aug.types import Insertion

# torch computes little with these; the same bits as signed integers can be filled.
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
# Masks that take no more than this together are not worth a convolution of their own.
_FEW_PIXELS = 128 * 128


def blend_into(
    images: torch.Tensor,
    insertions: Sequence[Sequence[Insertion]],
    sigma_px: float,
    *,
    bgr: bool = False,
) -> None:
    """Blend insertions into a batch of images, in place and on its device.

    Args:
        images: ``[B, 3, H, W]``, uint8, or floating point in [0, 1] as kornia has it; those come out on the levels of
            uint8 wherever an insertion shows or casts a shadow, and unchanged elsewhere.
        insertions: those of each image, in their order (far to near).
        sigma_px: feather in pixels.
        bgr: whether the channels of the images are blue, green, red.

    Raises:
        ItemFormatError: an insertion that is not inside its image.
        SettingError: a feather wider than a patch holds pixels for.
    """
    jobs = [(number, insertion) for number, several in enumerate(insertions) for insertion in several]
    for _, insertion in jobs:
        check_box(insertion.box_yxhw, (images.shape[-2], images.shape[-1]))
        if insertion.alpha is None:
            check_feather(insertion, sigma_px)
    if not jobs:
        return
    masks = [insertion.mask for _, insertion in jobs if insertion.alpha is None]
    groups = _groups([(mask.shape[0], mask.shape[1]) for mask in masks])
    stacks = [_stacked([masks[number] for number in group]) for group in groups]
    fields = [field for _, insertion in jobs for field in (insertion.patch, insertion.alpha, insertion.shade)]
    moved = _moved([*stacks, *(field for field in fields if field is not None)], images.device)
    covers: dict[int, torch.Tensor] = {}
    for group, stack in zip(groups, moved[: len(groups)], strict=True):
        covers.update(zip(group, _feathered(stack, sigma_px), strict=True))
    feathered, sent = (covers[number] for number in range(len(masks))), iter(moved[len(groups) :])
    for number, insertion in jobs:
        patch = next(sent).flip(0) if bgr else next(sent)
        h, w = insertion.box_yxhw[2:]
        cover = next(feathered)[:h, :w] if insertion.alpha is None else next(sent).float()
        shade = None if insertion.shade is None else next(sent).float()
        _blend_patch(images[number][:, *window(insertion.box_yxhw)], patch.float(), cover, shade)


def _blend_patch(pixels: torch.Tensor, patch: torch.Tensor, cover: torch.Tensor, shade: torch.Tensor | None) -> None:
    """Darken ``pixels`` by ``shade``, then put ``patch`` over it by ``cover``; all but the pixels in levels of 255."""
    is_float = pixels.is_floating_point()
    under = pixels.float() * 255 if is_float else pixels.float()
    touched = cover > 0
    if shade is not None:
        under = (under * (255 - shade) / 255).round_()
        touched = touched | (shade > 0)
    mixed = ((under * (255 - cover) + patch * cover) / 255).round_()
    pixels.copy_(torch.where(touched, mixed / 255, pixels) if is_float else mixed)


def _groups(sizes_hw: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Masks, by number, that are padded to one size together: at most to twice their own pixels, or to a few."""
    groups: list[list[int]] = []
    for number in sorted(range(len(sizes_hw)), key=lambda number: -math.prod(sizes_hw[number])):
        for group in groups:
            sizes = [sizes_hw[other] for other in (*group, number)]
            height, width = (max(sides) for sides in zip(*sizes, strict=True))
            if len(sizes) * height * width <= max(2 * sum(map(math.prod, sizes)), _FEW_PIXELS):
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _stacked(masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Masks ``[h, w]`` of different sizes as one bool ``[n, 1, H, W]``; what is beyond a mask is false."""
    height, width = (max(mask.shape[dim] for mask in masks) for dim in (0, 1))
    stack = torch.zeros((len(masks), 1, height, width), dtype=torch.bool)
    for plane, mask in zip(stack, masks, strict=True):
        plane[0, : mask.shape[0], : mask.shape[1]] = mask
    return stack


def _feathered(masks: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """``max(mask, G_sigma(mask))`` in whole levels of 255: bool ``[n, 1, H, W]`` to float32 ``[n, H, W]``."""
    hard = masks.float()
    if sigma_px > 0:
        size = 2 * feather_radius_px(sigma_px) + 1
        # In half precision, which autocast would choose for its convolutions, opacities are off by a level and more.
        with torch.autocast(masks.device.type, enabled=False):
            blurred = gaussian_blur2d(hard, (size, size), (sigma_px, sigma_px), border_type="constant")
        hard = torch.maximum(hard, blurred)
    return (hard[:, 0] * 255).round_()


def paint_into(
    labels: torch.Tensor,
    insertions: Sequence[Sequence[Insertion]],
    ids: Mapping[str, int],
    *,
    ring_px: int = 0,
    ring_id: int = 255,
) -> None:
    """Write the label ids of insertions' parts into a batch of labels, in place and on its device.

    Args:
        labels: integer ``[B, H, W]``.
        insertions: those of each map; see `poc_aug.reading.compose.paint_labels`, also for the others.
        ids: label id of each part's class name.
        ring_px: width of the rings in pixels; 0: none.
        ring_id: label id of the rings.

    Raises:
        ItemFormatError: an insertion that is not inside its map.
        LabelPolicyError: an id that the dtype of the labels cannot hold.
    """
    size_hw = (labels.shape[-2], labels.shape[-1])
    fills = []
    for number, several in enumerate(insertions):
        for insertion in several if ring_px else ():
            check_box(insertion.box_yxhw, size_hw)
            box, mask = with_margin(insertion.box_yxhw, insertion.mask, ring_px, size_hw)
            fills.append((number, box, dilate(mask, ring_px), ring_id))
        for insertion in several:
            box = check_box(insertion.box_yxhw, size_hw)
            fills += [(number, box, part.mask, ids[part.name]) for part in insertion.parts]
    limits = torch.iinfo(labels.dtype)
    for *_, label_id in fills:
        if not limits.min <= label_id <= limits.max:
            raise LabelPolicyError(
                f"label id {label_id} does not fit labels of {labels.dtype}",
                expected=f"ids from {limits.min} to {limits.max}",
                hint="choose a smaller id in the label policy, or give the labels a wider dtype",
            )
    if not fills:
        return
    signed = labels.view(_SIGNED.get(labels.dtype, labels.dtype))
    largest = torch.iinfo(signed.dtype).max
    masks = _moved([mask for _, _, mask, _ in fills], labels.device)
    for (number, box, _, label_id), mask in zip(fills, masks, strict=True):
        value = label_id if label_id <= largest else label_id - 2**limits.bits
        signed[number][window(box)].masked_fill_(mask, value)


def _moved(tensors: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """Tensors of uint8 or bool on the CPU, on another device: in one copy that nobody waits for."""
    sizes = [tensor.numel() for tensor in tensors]
    flat = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors], out=flat)
    pieces = torch.split_with_sizes(flat.to(device, non_blocking=True), sizes)
    return [piece.view(tensor.shape).view(tensor.dtype) for piece, tensor in zip(pieces, tensors, strict=True)]
