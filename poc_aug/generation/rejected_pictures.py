"""Pictures of rejected attempts, kept in a cache on request: what the inserter made, and why it was not taken."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import torch
import xxhash
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from poc_aug.cache.beginning import REJECTED
from poc_aug.errors import OutputError
from poc_aug.files.outputs import check_outputs, make_folder, writing
from poc_aug.types import Annotation, Box, Crop, Filled, Rejection, RejectionReason, Sample

DESCRIPTION = "poc_aug"
"""Name of the text in each picture that says, as JSON, what it shows: it cannot be separated from the picture."""

_CROP_PX = 512
_FRAME_PX = 1024
_GAP_PX = 4
_MASK = np.array((230, 159, 0), dtype=np.float32)


@dataclass
class AttemptStages:
    """What an attempt came to, stage by stage; ``None`` for what it did not reach."""

    crop: Crop | None = None
    filled: Filled | None = None
    annotation: Annotation | None = None


@dataclass(frozen=True)
class RejectedAttempt:
    """An attempt that placed no object.

    Attributes:
        sample: the frame.
        index: number of the variant.
        slot: number of the object in the variant.
        rejection: why, with the object's name and the number of the attempt.
        stages: what it came to.
        area: bool ``[H, W]``, where the object may stand; ``None``: anywhere.
    """

    sample: Sample
    index: int
    slot: int
    rejection: Rejection
    stages: AttemptStages
    area: torch.Tensor | None


OnRejected: TypeAlias = Callable[[RejectedAttempt], None]


def check_rejected(cache: Path) -> None:
    """Check that pictures of rejected attempts can be kept in a cache, and only there.

    Args:
        cache: the ``NAME.cache`` directory.

    Raises:
        OutputError: names what is in the way.
    """
    kinds = [_folder_name(reason) for reason in get_args(RejectionReason)]
    for folder in (cache / REJECTED, *(cache / REJECTED / kind for kind in kinds)):
        if folder.is_symlink():
            raise OutputError(
                f"cannot write {str(folder)!r}: it is a link, and files outside the cache would be written and removed",
                expected="a folder, or nothing yet",
                hint="remove the link, or keep no pictures of rejected attempts",
            )
        with writing(folder):
            exists = folder.exists()
        if exists:
            check_outputs(folder, "picture.png")


class RejectedPictures:
    """Keeps the first pictures of rejected attempts per reason, in the folder ``rejected`` of a cache.

    Each file is written at once or not at all and says itself what it shows; a run that continues another one counts
    those that are there. Neither records nor fingerprint depend on them. Used by whoever holds the writer's lock.

    Args:
        cache: the ``NAME.cache`` directory.
        keep: pictures per reason.

    Raises:
        OutputError: pictures cannot be written there.
    """

    def __init__(self, cache: Path, keep: int) -> None:
        self._folder = cache / REJECTED
        self._keep = keep
        check_rejected(cache)
        with writing(self._folder / "*"):
            for left in self._folder.glob("*/.*.tmp"):  # by a run that was killed
                left.unlink()
        self._counts = Counter(path.parent.name for path in self._folder.glob("*/*.png"))

    def add(self, rejected: RejectedAttempt) -> None:
        """Keep the picture of an attempt, if there are fewer than ``keep`` of its reason.

        Raises:
            OutputError: it cannot be written.
        """
        kind = _folder_name(rejected.rejection.reason)
        key = xxhash.xxh3_64_hexdigest(rejected.sample.key.encode())
        name = f"{key}-{rejected.index}-{rejected.slot}-{rejected.rejection.attempt}.png"
        path = self._folder / kind / name
        # A run that was killed may have kept it before the variant was stored.
        if self._counts[kind] >= self._keep or path.exists():
            return
        make_folder(path.parent)
        text = PngInfo()
        text.add_itxt(DESCRIPTION, json.dumps(_description(rejected), ensure_ascii=False))
        temporary = path.with_name(f".{name}.tmp")
        with writing(path):
            _picture(rejected).save(temporary, format="PNG", pnginfo=text)
            temporary.replace(path)
        self._counts[kind] += 1


def _folder_name(reason: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:60] or "other"


def _description(rejected: RejectedAttempt) -> dict[str, str | int]:
    rejection, crop = rejected.rejection, rejected.stages.crop
    return {
        "key": rejected.sample.key,
        "variant": rejected.index,
        "object": rejection.object_name,
        "attempt": rejection.attempt,
        "reason": rejection.reason,
        "detail": rejection.detail,
        **({} if crop is None else {"prompt": crop.prompt, "seed": crop.seed}),
    }


def _picture(rejected: RejectedAttempt) -> Image.Image:
    """Crop, what it was filled with and its masks side by side; the frame with its valid area if there was no crop."""
    stages = rejected.stages
    if stages.crop is None:
        return _frame(rejected.sample.image, rejected.area)
    box = stages.crop.box_yxhw
    cells = [_cell(_array(stages.crop.image), box)]
    if stages.filled is not None:
        filled = _array(stages.filled.image)
        cells.append(_cell(filled, box))
        if stages.annotation is not None and stages.annotation.parts:
            mask = torch.stack([part.mask for part in stages.annotation.parts]).any(dim=0).cpu().numpy()
            masked = filled.astype(np.float32)
            masked[mask] = 0.35 * masked[mask] + 0.65 * _MASK
            cells.append(_cell(masked.astype(np.uint8), box))
    sheet = Image.new("RGB", (sum(cell.width + _GAP_PX for cell in cells) - _GAP_PX, cells[0].height))
    left = 0
    for cell in cells:
        sheet.paste(cell, (left, 0))
        left += cell.width + _GAP_PX
    return sheet


def _frame(image: torch.Tensor, area: torch.Tensor | None) -> Image.Image:
    step = -(-max(image.shape[1:]) // _FRAME_PX)
    shown = _array(image[:, ::step, ::step])
    if area is not None:
        inside = area[::step, ::step].cpu().numpy()
        shown = np.where(inside[..., None], shown, shown // 3)
    return Image.fromarray(shown)


def _cell(image: np.ndarray[Any, Any], box_yxhw: Box) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(image))
    y, x, h, w = box_yxhw
    ImageDraw.Draw(picture).rectangle((x, y, x + w - 1, y + h - 1), outline=(255, 255, 255))
    picture.thumbnail((_CROP_PX, _CROP_PX))
    return picture


def _array(image: torch.Tensor) -> np.ndarray[Any, Any]:
    """uint8 ``[3, h, w]`` to ``[h, w, 3]``."""
    return np.ascontiguousarray(image.detach().cpu().permute(1, 2, 0).numpy())
