"""Pictures of what is reviewed: before, after, masks and close-ups, as JPEG of the width that a page asks for."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.errors import CacheMissError, SettingError
from poc_aug.inspection.contact_sheet import PALETTE, overlay, to_pil
from poc_aug.items.tensor_canvas import TensorImageCanvas
from poc_aug.reading.compose import compose_image
from poc_aug.recipe import IGNORED
from poc_aug.review.base_frames import BaseFrames
from poc_aug.review.recent_items import RecentItems
from poc_aug.review.rejected_attempts import AttemptPictures
from poc_aug.review.review_index import ATTEMPTS
from poc_aug.review.review_things import Thing
from poc_aug.review.shown_text import shown_key
from poc_aug.types import Box, Insertion, Sample, Variant

View: TypeAlias = Literal[
    "before", "after", "mask", "shape", "close", "close-before", "close-mask", "close-shape", "thumb"
]
"""Pictures of a thing; "shape" is the mask alone, in its box, and "close-shape" in the close-up's pixels."""
VIEWS: tuple[View, ...] = get_args(View)
MIN_WIDTH, MAX_WIDTH = 16, 8192

_THUMB_PX = 192
_GREY = 128
_CLOSE_LEAST_PX = 224
_CLOSE_MARGIN = 0.35  # of the box's longer side, on each side
_FRAME_CLOSE_PX = 720
_MOST_ENCODED_NBYTES = 64 << 20
_MOST_COMPOSED_NBYTES = 128 << 20
_NEEDS_DATASET = ("before", "after", "close-before")


class EncodedPicture(NamedTuple):
    """A picture as it is sent."""

    data: bytes
    media_type: str


class ReviewPictures:
    """Makes pictures of things; the last ones stay in memory.

    Args:
        caches: the caches, members counted, opened with everything that they store.
        frames: the dataset's frames; ``None``: patches are shown on grey.
        attempts: pictures of rejected attempts.
        sigma_px: feather of insertions.
    """

    def __init__(
        self, caches: Sequence[Cache], frames: BaseFrames | None, attempts: AttemptPictures, *, sigma_px: float = 1.0
    ) -> None:
        self._caches, self._frames, self._attempts, self._sigma_px = caches, frames, attempts, sigma_px
        self._encoded: RecentItems[str, EncodedPicture] = RecentItems(_MOST_ENCODED_NBYTES, lambda made: len(made.data))
        self._composed: RecentItems[tuple[int, str, int], torch.Tensor] = RecentItems(
            _MOST_COMPOSED_NBYTES, lambda image: image.nbytes
        )

    def etag(self, thing: Thing, view: str, width: int | None) -> str:
        """What stands for a picture: another one has another."""
        text = f"{thing.id} {thing.mark.hex()} {view} {width} {self._sigma_px} {self._frames is not None}"
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def picture(self, thing: Thing, view: View, width: int | None = None) -> EncodedPicture:
        """One picture of a thing.

        Args:
            thing: the thing.
            view: what it shows. Close-ups have the frame's own pixels.
            width: most pixels across; ``None``: the frame's own, and `_THUMB_PX` for "thumb".

        Raises:
            PocAugError: it cannot be made: the record, or the dataset's sample, cannot be read.
        """
        name = self.etag(thing, view, width)
        if (kept := self._encoded.get(name)) is not None:
            return kept
        if view in ("shape", "close-shape"):
            encoded = self._shape(thing, close=view == "close-shape")
        else:
            drawn = self._draw(thing, view)
            encoded = _encode(
                drawn, _THUMB_PX if view == "thumb" and width is None else width, is_small=view == "thumb"
            )
        self._encoded.put(name, encoded)
        return encoded

    def prepare(self, thing: Thing) -> None:
        """Read what pictures of a thing need, so that the next one is there at once."""
        if self._frames is not None and thing.kind != ATTEMPTS:
            self._after(thing, self._stored(thing))

    def _draw(self, thing: Thing, view: View) -> Image.Image:
        if thing.kind == ATTEMPTS:
            return self._attempts.picture(thing)
        stored = self._stored(thing)
        if self._frames is None:
            if thing.kind == "frames":
                return _frame_alone(stored, view)
            return _on_grey(stored.insertions[thing.insertion], view, self._sigma_px)
        base = self._frames.frame(thing.source, thing.key, stored.digest)
        image = base.image if view in ("before", "close-before") else self._after(thing, stored)
        if view in ("before", "after"):
            return to_pil(image)
        if thing.kind == "frames":
            shown = _with_borders(image, base.labels) if view in ("mask", "close-mask") else image
            return to_pil(shown if view in ("mask", "thumb") else _crop(shown, _middle(base.size_hw)))
        insertion = stored.insertions[thing.insertion]
        if view == "mask":
            return overlay(image, [insertion])
        window = close_window(insertion.box_yxhw, base.size_hw)
        cut = _crop(image, window)
        return overlay(cut, [_moved(insertion, window)]) if view == "close-mask" else to_pil(cut)

    def _shape(self, thing: Thing, *, close: bool) -> EncodedPicture:
        """The mask of an insertion, white on black, of its own pixels."""
        if thing.kind != "insertions":
            raise SettingError(f"no mask of one of the {thing.kind}", expected="an insertion: the others have none")
        stored = self._stored(thing)
        insertion = stored.insertions[thing.insertion]
        mask = torch.zeros(insertion.box_yxhw[2:], dtype=torch.bool)
        for part in insertion.parts:
            if part.name != IGNORED:
                mask |= part.mask
        if close and self._frames is None:
            mask = torch.nn.functional.pad(mask, [_grey_margin(insertion)] * 4)
        elif close and self._frames is not None:
            size_hw = self._frames.frame(thing.source, thing.key, stored.digest).size_hw
            top, left, height, width = close_window(insertion.box_yxhw, size_hw)
            y, x, h, w = insertion.box_yxhw
            whole = torch.zeros(height, width, dtype=torch.bool)
            whole[y - top : y - top + h, x - left : x - left + w] = mask
            mask = whole
        data = io.BytesIO()
        Image.fromarray(mask.numpy()).save(data, "PNG", compress_level=1)
        return EncodedPicture(data.getvalue(), "image/png")

    def _stored(self, thing: Thing) -> Variant:
        stored = self._caches[thing.source].get(thing.key, thing.variant)
        there = stored is not None and (
            stored.frame is not None if thing.kind == "frames" else thing.insertion < len(stored.insertions)
        )
        if stored is None or not there:
            raise CacheMissError(
                f"variant {thing.variant} of {shown_key(thing.key)!r} is no longer what it was",
                expected="a cache that is not replaced while it is reviewed",
                hint="start the review again",
            )
        return stored

    def _after(self, thing: Thing, stored: Variant) -> torch.Tensor:
        """The frame with all insertions of the variant."""
        if stored.frame is not None:
            return stored.frame.image
        name = thing.source, thing.key, thing.variant
        if (kept := self._composed.get(name)) is not None:
            return kept
        assert self._frames is not None
        base = self._frames.frame(thing.source, thing.key, stored.digest)
        image = _composed(base, stored.insertions, self._sigma_px)
        self._composed.put(name, image)
        return image


def close_window(box_yxhw: Box, size_hw: tuple[int, int]) -> Box:
    """The part of a frame that a close-up shows: the box with a margin, at least 224 pixels, inside the frame.

    Example:
        >>> close_window((100, 200, 50, 40), (512, 1024))
        (13, 108, 224, 224)
    """
    y, x, h, w = box_yxhw
    margin = math.ceil(_CLOSE_MARGIN * max(h, w))
    height, width = (
        min(side, max(_CLOSE_LEAST_PX, own + 2 * margin)) for own, side in zip((h, w), size_hw, strict=True)
    )
    top = min(max(0, y + h // 2 - height // 2), size_hw[0] - height)
    left = min(max(0, x + w // 2 - width // 2), size_hw[1] - width)
    return top, left, height, width


def _composed(base: Sample, insertions: Sequence[Insertion], sigma_px: float) -> torch.Tensor:
    canvas = TensorImageCanvas(base.image, base.key, "the image")
    # A patch holds pixels for so much feather, and no more.
    sigma_px = min([sigma_px, *(each.max_sigma_px for each in insertions)])
    compose_image(canvas, insertions, sigma_px)
    return canvas.value


def _on_grey(insertion: Insertion, view: View, sigma_px: float) -> Image.Image:
    if view in _NEEDS_DATASET:
        raise SettingError(
            f"no picture {view!r} without the dataset",
            expected="the dataset that the cache was made from",
            hint="end the review and start it with --dataset",
        )
    h, w = insertion.box_yxhw[2:]
    margin = _grey_margin(insertion)
    window = 0, 0, h + 2 * margin, w + 2 * margin
    placed = replace(insertion, box_yxhw=(margin, margin, h, w))
    grey = Sample(torch.full((3, *window[2:]), _GREY, dtype=torch.uint8), torch.zeros(window[2:]), "grey")
    image = _composed(grey, [placed], sigma_px)
    return overlay(image, [placed]) if view in ("mask", "close-mask") else to_pil(image)


def _frame_alone(stored: Variant, view: View) -> Image.Image:
    assert stored.frame is not None
    if view in (*_NEEDS_DATASET[::2], "mask", "close-mask"):
        raise SettingError(
            f"no picture {view!r} of a frame without the dataset",
            expected="the dataset that the cache was made from",
            hint="end the review and start it with --dataset",
        )
    image = stored.frame.image
    return to_pil(_crop(image, _middle((image.shape[1], image.shape[2]))) if view == "close" else image)


def _grey_margin(insertion: Insertion) -> int:
    return math.ceil(_CLOSE_MARGIN * max(insertion.box_yxhw[2:]))


def _with_borders(image: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """A frame with the borders between its labels drawn in: do they still follow what it shows?"""
    border = torch.zeros(labels.shape, dtype=torch.bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[1:] |= down
    shown = image.clone()
    for channel, level in zip(shown, PALETTE[0], strict=True):
        channel[border] = level
    return shown


def _moved(insertion: Insertion, window: Box) -> Insertion:
    """An insertion in the pixels of a part of the frame that holds all of it."""
    y, x, h, w = insertion.box_yxhw
    return replace(insertion, box_yxhw=(y - window[0], x - window[1], h, w))


def _middle(size_hw: tuple[int, int]) -> Box:
    h, w = (min(side, _FRAME_CLOSE_PX) for side in size_hw)
    return (size_hw[0] - h) // 2, (size_hw[1] - w) // 2, h, w


def _crop(image: torch.Tensor, window: Box) -> torch.Tensor:
    y, x, h, w = window
    return image[:, y : y + h, x : x + w].contiguous()


def _encode(picture: Image.Image, width: int | None, *, is_small: bool) -> EncodedPicture:
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    if width is not None and width < picture.width:
        size = width, max(1, round(picture.height * width / picture.width))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    data = io.BytesIO()
    if max(picture.size) > 65_000:  # JPEG's limit
        picture.save(data, "PNG", compress_level=1)
        return EncodedPicture(data.getvalue(), "image/png")
    # Colours in full: what a JPEG smears must not be taken for a fault of an insertion.
    picture.save(data, "JPEG", quality=88 if is_small else 95, subsampling=2 if is_small else 0)
    return EncodedPicture(data.getvalue(), "image/jpeg")
