"""Pictures of a `Trace`: every stage of an insertion, to be looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.camera.posts import DISTANCES_M, HEIGHT_M, posts
from poc_aug.camera_model import Camera
from poc_aug.inspection.contact_sheet import PALETTE, overlay, to_pil
from poc_aug.inspection.trace import Attempt, Trace
from poc_aug.reading.compose import compose
from poc_aug.types import Box, Filled, Region

_BOX, _CROP = (255, 214, 10), (255, 255, 255)
_VALID = (0, 158, 115)
_HORIZON = (255, 64, 64)
_POSTS_WIDTH = 1600


def stage_pictures(trace: Trace, *, sigma_px: float = 1.0) -> Iterator[tuple[str, Image.Image]]:
    """Name and picture of each stage, in the order in which they happened.

    ``valid_area``; ``posts`` of 1.7 m on the ground, and the horizon, if the camera is known; for each attempt
    ``attempt0_region`` (the box to fill and the crop), ``_crop``, ``_filled``, ``_detections`` (what was looked for,
    with scores) and ``_mask``; finally ``result`` and ``result_mask``. A stage that was not reached has no picture.

    Args:
        trace: what `poc_aug.inspection.trace.trace_variant` returned.
        sigma_px: feather of the result's edges, in pixels.

    Example:
        >>> from poc_aug import LabelSchema, Recipe, RenderedInserter
        >>> from poc_aug.generation.pipeline import InsertionPipeline
        >>> from poc_aug.inspection.trace import trace_variant
        >>> from poc_aug.types import Sample
        >>> recipe = Recipe.from_dict({"objects": ["traffic cone"], "objects_per_variant": [1, 1]})
        >>> schema = LabelSchema("street", {"road": 0, "sky": 1}, ground=("road",))
        >>> pipeline = InsertionPipeline(recipe, RenderedInserter(), schema=schema)
        >>> image, labels = torch.full((3, 48, 64), 128, dtype=torch.uint8), torch.ones(48, 64, dtype=torch.uint8)
        >>> only_sky = trace_variant(pipeline, Sample(image, labels, key="sky"))
        >>> [(name, picture.size) for name, picture in stage_pictures(only_sky)]
        [('valid_area', (64, 48))]
    """
    frame = trace.sample.image
    yield "valid_area", _tinted(frame, trace.valid_area)
    if trace.camera is not None:
        yield "posts", with_posts(frame, trace.camera)
    for attempt in trace.attempts:
        yield from ((f"attempt{attempt.number}_{name}", picture) for name, picture in _attempt_pictures(trace, attempt))
    if trace.variant.insertions:
        names = {part.name for insertion in trace.variant.insertions for part in insertion.parts}
        # The label ids do not matter here: only the composed image is shown.
        after = compose(trace.sample, trace.variant.insertions, dict.fromkeys(names, 0), sigma_px=sigma_px)
        yield "result", to_pil(after.image)
        yield "result_mask", overlay(after.image, trace.variant.insertions)


def with_posts(image: torch.Tensor, camera: Camera) -> Image.Image:
    """The frame with posts of a person's height on the ground, and the horizon's row and what it is known from.

    People and cars next to a post should be as high as it says; the picture is enlarged to at least 1600 columns.

    Args:
        image: uint8 ``[3, H, W]``.
        camera: its camera.

    Example:
        >>> camera = Camera(horizon_row=40.0, camera_height_m=1.4, focal_px=220.0, centre_col=99.5)
        >>> with_posts(torch.full((3, 100, 200), 128, dtype=torch.uint8), camera).size
        (1600, 800)
    """
    shown = to_pil(image)
    scale = max(1, math.ceil(_POSTS_WIDTH / shown.width))
    shown = shown.resize((shown.width * scale, shown.height * scale), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(shown)
    font = ImageFont.load_default(max(12, min(shown.width // 100, shown.height // 20)))
    thin = max(1, min(shown.width // 1000, shown.height // 200))
    horizon = (camera.horizon_row + 0.5) * scale
    draw.line((0, horizon, shown.width, horizon), _HORIZON, thin)
    caption = f"horizon: row {camera.horizon_row:.0f} of {image.shape[1]} (from: {camera.horizon_from})"
    _write(draw, shown, (4, horizon), caption, _HORIZON, font)
    for post in posts(camera):
        col, foot, top = ((value + 0.5) * scale for value in (post.col, post.foot_row, post.top_row))
        colour = PALETTE[DISTANCES_M.index(post.distance_m) % len(PALETTE)]
        bar = (foot - top) / 12
        draw.line((col, foot, col, top), colour, thin)
        for row in (foot, top):
            draw.line((col - bar, row, col + bar, row), colour, thin)
        if post.offset_m == 0:
            _write(draw, shown, (col + bar + 2, foot), f"{post.distance_m:g} m, {HEIGHT_M:g} m high", colour, font)
    return shown


def _attempt_pictures(trace: Trace, attempt: Attempt) -> Iterator[tuple[str, Image.Image]]:
    if isinstance(attempt.region, Region):
        yield "region", _with_region(trace, attempt.region)
    if attempt.crop is None:
        return
    yield "crop", _boxed(to_pil(attempt.crop.image), [attempt.crop.box_yxhw], [""], _BOX)
    if not isinstance(attempt.filled, Filled):
        return
    yield "filled", to_pil(attempt.filled.image)
    if attempt.masks:
        texts = attempt.crop.detect or attempt.crop.parts
        yield "detections", _detections(attempt.filled.image, attempt.masks, texts)
        yield "mask", _masks(attempt.filled.image, attempt.masks)
    elif attempt.filled.annotation is not None:
        masks = [part.mask for part in attempt.filled.annotation.parts]
        yield "mask", _coloured(attempt.filled.image, masks)


def _with_region(trace: Trace, region: Region) -> Image.Image:
    picture = _tinted(trace.sample.image, trace.valid_area, strength=0.25)
    picture = _boxed(picture, [region.crop_yxhw], [""], _CROP)
    return _boxed(picture, [region.box_yxhw], [f"rung {region.rung}"], _BOX)


def _tinted(image: torch.Tensor, mask: torch.Tensor, strength: float = 0.5) -> Image.Image:
    shown = image.clone()
    for channel, colour in zip(shown, _VALID, strict=True):
        # By a table: floats of a frame of 20,000 by 5,000 pixels would take gigabytes.
        mixed = ((1 - strength) * np.arange(256) + strength * colour).round().astype(np.uint8)
        channel[mask] = torch.from_numpy(mixed[channel[mask].numpy()])
    return to_pil(shown)


def _coloured(image: torch.Tensor, masks: Sequence[torch.Tensor]) -> Image.Image:
    shown = image.float() * 0.55 + 40
    for number, mask in enumerate(masks):
        colour = torch.tensor(PALETTE[number % len(PALETTE)], dtype=torch.float32)[:, None]
        shown[:, mask] = 0.35 * image.float()[:, mask] + 0.65 * colour
    return to_pil(shown.clamp(0, 255).round().to(torch.uint8))


def _masks(image: torch.Tensor, masks_per_text: Sequence[Masks]) -> Image.Image:
    """The union of the masks of each text, as they were found: before cleaning and before any is dropped."""
    return _coloured(image, [masks.masks.any(dim=0) for masks in masks_per_text if len(masks.scores)])


def _detections(image: torch.Tensor, masks_per_text: Sequence[Masks], texts: Sequence[str]) -> Image.Image:
    picture = to_pil(image)
    for number, (masks, text) in enumerate(zip(masks_per_text, texts, strict=True)):
        boxes = [_whole_pixels(box, picture.size) for box in masks.boxes_xyxy.tolist()]
        names = [f"{text} {score:.2f}" for score in masks.scores.tolist()]
        picture = _boxed(picture, boxes, names, PALETTE[number % len(PALETTE)])
    return picture


def _whole_pixels(box_xyxy: Sequence[float], size_wh: tuple[int, int]) -> Box:
    """A detector's box as it is drawn: of at least one pixel, which it may be smaller than, inside the picture."""
    finite = [value if math.isfinite(value) else 0.0 for value in box_xyxy]
    left, top, right, bottom = (int(min(max(0.0, one), most)) for one, most in zip(finite, size_wh * 2, strict=True))
    left, top = min(left, size_wh[0] - 1), min(top, size_wh[1] - 1)
    return top, left, max(1, bottom - top), max(1, right - left)


def _boxed(
    picture: Image.Image, boxes: Sequence[Box], names: Sequence[str], colour: tuple[int, int, int]
) -> Image.Image:
    shown = picture.copy()
    draw = ImageDraw.Draw(shown)
    font = ImageFont.load_default(max(12, max(shown.size) // 80))
    width = max(1, round(max(shown.size) / 400))
    for (y, x, h, w), name in zip(boxes, names, strict=True):
        draw.rectangle((x, y, x + w - 1, y + h - 1), outline=colour, width=width)
        if name:
            _write(draw, shown, (x, y), name, colour, font)
    return shown


def _write(
    draw: ImageDraw.ImageDraw,
    shown: Image.Image,
    above_xy: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Text on black, its lower left corner at a point, wholly inside the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font)
    x = min(max(0, above_xy[0]), max(0, shown.width - right))
    y = min(max(0, above_xy[1] - bottom - 4), max(0, shown.height - bottom - 6))
    draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 6), fill=(0, 0, 0))
    draw.text((x + 2, y + 2 - top), text, colour, font)
