"""What is shown of an insertion, a shifted frame and a variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import SettingError
from poc_aug.inspection.contact_sheet import PALETTE, overlay, to_pil
from poc_aug.inspection.label_colours import vivid
from poc_aug.inspection.notebook_view import LegendEntry, NotebookView, Panel, PanelRow, plain_line
from poc_aug.items.image_digest import DIGEST_BYTES, frame_size_of
from poc_aug.masks import window
from poc_aug.reading.compose import compose
from poc_aug.reading.compose_opacity import opacity
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion, Part, Sample, ShiftedFrame, Variant

_GREY = 128
_ENLARGED = 4
_LONGEST_PX = 900
_MOST_ROWS = 6
_MOST_FACTS = 8
_AROUND = 0.6
_SIGMA_PX = 1.0


def view_of_record(thing: Insertion | ShiftedFrame | Variant, frame: Sample | None = None) -> NotebookView:
    """What is shown of one of them.

    Args:
        thing: the thing.
        frame: the frame that it was made for; ``None``: objects are shown on grey.

    Raises:
        SettingError: the object lies outside of the frame.
    """
    if isinstance(thing, Insertion):
        return _insertion_view(thing, frame)
    return _frame_view(thing) if isinstance(thing, ShiftedFrame) else _variant_view(thing, frame)


def described_insertion(insertion: Insertion) -> str:
    """Facts about an insertion in a line.

    Example:
        >>> mask = torch.ones(2, 4, dtype=torch.bool)
        >>> patch = torch.zeros(3, 2, 4, dtype=torch.uint8)
        >>> described_insertion(Insertion((6, 2, 2, 4), patch, (Part("cup", mask, 0.9),), None, None, "cup", 0.0))
        'cup 0.90, 2×4 px (h×w) at y 6, x 2'
    """
    y, x, h, w = insertion.box_yxhw
    parts = ", ".join(f"{plain_line(part.name, 60)} {part.score:.2f}" for part in classes_of(insertion))
    return f"{parts or plain_line(insertion.object_name, 60)}, {h}×{w} px (h×w) at y {y}, x {x}"


def classes_of(insertion: Insertion) -> list[Part]:
    """The parts of an insertion that have a class."""
    return [part for part in insertion.parts if part.name != IGNORED]


def on_grey(insertion: Insertion, sigma_px: float = _SIGMA_PX) -> torch.Tensor:
    """An insertion on grey ground, without its shadow: uint8 ``[3, h, w]``.

    Args:
        insertion: the insertion.
        sigma_px: feather, as far as the patch holds pixels for it.

    Example:
        >>> patch = torch.full((3, 1, 2), 255, dtype=torch.uint8)
        >>> part = Part("cup", torch.tensor([[True, False]]))
        >>> on_grey(Insertion((0, 0, 1, 2), patch, (part,), None, None, "cup", max_sigma_px=0.0))[0]
        tensor([[255, 128]], dtype=torch.uint8)
    """
    share = opacity(insertion, min(sigma_px, insertion.max_sigma_px)).float() / 255
    return (insertion.patch.float() * share + _GREY * (1 - share)).round().to(torch.uint8)


def framed(frame: Sample, insertions: Sequence[Insertion]) -> torch.Tensor:
    """The image of a frame with insertions in it, uint8 ``[3, H, W]``.

    Raises:
        SettingError: an object lies outside of the frame.
    """
    height, width = frame.size_hw
    for insertion in insertions:
        y, x, h, w = insertion.box_yxhw
        if not (0 <= y and y + h <= height and 0 <= x and x + w <= width):
            raise SettingError(
                f"frame={frame.key!r} of {height}×{width} pixels (h×w) for an object at y {y}, x {x} of {h}×{w}",
                expected="the frame that it was made for",
                hint="look up its key in the dataset",
            )
    names = {part.name for insertion in insertions for part in insertion.parts}
    sigma_px = min([_SIGMA_PX, *(insertion.max_sigma_px for insertion in insertions)])
    return compose(frame, insertions, dict.fromkeys(names, 0), sigma_px=sigma_px).image


def _insertion_view(insertion: Insertion, frame: Sample | None) -> NotebookView:
    view = NotebookView(f"Insertion of {plain_line(insertion.object_name)}")
    y, x, h, w = insertion.box_yxhw
    view.facts = [
        (
            "classes",
            ", ".join(f"{plain_line(part.name, 60)} (score {part.score:.2f})" for part in classes_of(insertion)),
        ),
        ("box", f"y {y}, x {x}, {h} × {w} pixels (height × width)"),
        ("mask", f"{int(insertion.mask.sum()):,} pixels"),
        *_provenance(insertion.provenance),
    ]
    view.rows = [_close_up(insertion, frame, caption="")]
    view.legend = _part_legend([insertion])
    return view


def _close_up(insertion: Insertion, frame: Sample | None, caption: str) -> PanelRow:
    if frame is None:
        image, here, title = on_grey(insertion), replace(insertion, box_yxhw=(0, 0, *insertion.box_yxhw[2:])), "patch"
    else:
        top, left, height, width = surroundings(insertion, frame.size_hw)
        image = framed(frame, [insertion])[:, *window((top, left, height, width))].contiguous()
        y, x, h, w = insertion.box_yxhw
        here, title = replace(insertion, box_yxhw=(y - top, x - left, h, w)), "in its frame"
    return PanelRow((Panel(title, to_pil(image)), Panel("masks", overlay(image, [here]))), caption, _ENLARGED)


def surroundings(insertion: Insertion, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of an insertion with a margin, within its frame.

    Example:
        >>> patch, mask = torch.zeros(3, 10, 10, dtype=torch.uint8), torch.ones(10, 10, dtype=torch.bool)
        >>> surroundings(Insertion((0, 50, 10, 10), patch, (Part("cup", mask),), None, None, "cup", 0.0), (64, 64))
        (0, 34, 26, 30)
    """
    y, x, h, w = insertion.box_yxhw
    margin = max(16, round(_AROUND * max(h, w)))
    top, left = max(0, y - margin), max(0, x - margin)
    return top, left, min(size_hw[0], y + h + margin) - top, min(size_hw[1], x + w + margin) - left


def _frame_view(frame: ShiftedFrame) -> NotebookView:
    height, width = frame.image.shape[-2:]
    facts = [
        ("domain", f"{plain_line(frame.domain)}, severity {frame.severity}"),
        ("size", f"{height} × {width} pixels"),
    ]
    row = PanelRow((Panel("", to_pil(frame.image)),), "", _ENLARGED)
    return NotebookView("Shifted frame", [*facts, *_provenance(frame.provenance)], [row])


def _variant_view(variant: Variant, frame: Sample | None) -> NotebookView:
    view = NotebookView(f"Variant {variant.index} of {plain_line(variant.key)}")
    rejected = Counter(rejection.reason for rejection in variant.rejections)
    if rejected:
        view.facts.append(("rejected", ", ".join(f"{plain_line(reason)}: {n}" for reason, n in rejected.most_common())))
    if variant.frame is not None:
        shown = _frame_view(variant.frame)
        before = [] if frame is None else [Panel("before", to_pil(frame.image))]
        after = Panel("after" if before else "", to_pil(variant.frame.image))
        view.facts = [*shown.facts, *view.facts]
        view.rows = [PanelRow((*before, after), "", _ENLARGED)]
        return view
    view.facts = [("objects", str(len(variant.insertions))), *view.facts]
    if not variant.insertions:
        view.notes.append("Nothing was inserted: every attempt was rejected.")
        view.rows = [] if frame is None else [PanelRow((Panel("frame", to_pil(frame.image)),), "", _ENLARGED)]
        return view
    if frame is None:
        view.rows = [PanelRow(placed_on_grey(variant))]
    else:
        after_image = framed(frame, variant.insertions)
        panels = (("before", to_pil(frame.image)), ("after", to_pil(after_image)))
        masks = Panel("masks", overlay(after_image, variant.insertions))
        view.rows = [PanelRow((*(Panel(*panel) for panel in panels), masks), "", _ENLARGED)]
    shown_ones = variant.insertions[:_MOST_ROWS]
    view.rows += [_close_up(each, frame, described_insertion(each)) for each in shown_ones]
    if len(variant.insertions) > _MOST_ROWS:
        view.notes.append(f"and {len(variant.insertions) - _MOST_ROWS} more objects")
    return view


def placed_on_grey(variant: Variant) -> tuple[Panel, Panel]:
    """Where the objects of a variant stand in their frame, and their masks, on grey: for a frame of any size."""
    height, width = _size_of(variant)
    scale = min(1.0, _LONGEST_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    objects, masks = Image.new("RGB", size, (_GREY,) * 3), Image.new("RGB", size, (_GREY // 2,) * 3)
    for number, insertion in enumerate(variant.insertions):
        y, x, h, w = insertion.box_yxhw
        small = max(1, round(w * scale)), max(1, round(h * scale))
        at = round(x * scale), round(y * scale)
        alpha = Image.fromarray(opacity(insertion, min(_SIGMA_PX, insertion.max_sigma_px)).numpy()).resize(small)
        objects.paste(to_pil(insertion.patch).resize(small), at, alpha)
        for part_number, part in enumerate(classes_of(insertion)):
            shape = Image.fromarray(part.mask.numpy().astype(np.uint8) * 255).resize(small)
            masks.paste(
                PALETTE[(number + part_number) % len(PALETTE)], (*at, at[0] + small[0], at[1] + small[1]), shape
            )
    return Panel("objects, without their frame", objects), Panel("masks", masks)


def _size_of(variant: Variant) -> tuple[int, int]:
    """Size of the frame; if the digest does not say, the part of it that the objects take."""
    bottom = max(y + h for y, _, h, _ in (each.box_yxhw for each in variant.insertions))
    right = max(x + w for _, x, _, w in (each.box_yxhw for each in variant.insertions))
    if len(variant.digest) == DIGEST_BYTES:
        height, width = frame_size_of(variant.digest)
        if height >= bottom and width >= right:
            return height, width
    return bottom, right


def _part_legend(insertions: Sequence[Insertion]) -> list[LegendEntry]:
    # As `overlay` colours them.
    names: dict[str, LegendEntry] = {}
    for number, insertion in enumerate(insertions):
        for part_number, part in enumerate(classes_of(insertion)):
            names.setdefault(part.name, LegendEntry(vivid(number + part_number), plain_line(part.name, 60)))
    return list(names.values())


def _provenance(provenance: object) -> Iterator[tuple[str, str]]:
    """What is recorded of how a thing was made, as far as it is one value."""
    values = provenance.items() if hasattr(provenance, "items") else ()
    shown = [(name, value) for name, value in values if isinstance(value, str | int | float)]
    for name, value in shown[:_MOST_FACTS]:
        yield plain_line(name, 40), f"{value:.4g}" if isinstance(value, float) else plain_line(value)
