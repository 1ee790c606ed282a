"""Pictures of rejected attempts, kept in a cache on request: what the inserter made, and why it was not taken."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import torch
import xxhash
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from poc_aug.cache.entries import REJECTED
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
    """What an attempt came to, stage by stage; ``None`` for what it did not reach.

    ``wanted`` is the size that there was no room for, with its unit; ``shifted`` a frame in another domain, uint8
    ``[3, H, W]``.
    """

    crop: Crop | None = None
    filled: Filled | None = None
    annotation: Annotation | None = None
    wanted: str = ""
    shifted: torch.Tensor | None = None


@dataclass(frozen=True)
class RejectedAttempt:
    """An attempt that placed no object, or gave no frame.

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
            check_outputs(folder, "picture.png", inside_cache=True)


class RejectedPictures:
    """Keeps pictures of rejected attempts per reason, as different as possible, in the folder ``rejected`` of a cache.

    Which ones are kept depends on what is rejected, not on the order: those that come first in `most_different`; one
    that comes later takes the place of the last of them. So a run that continues another one ends with the pictures of
    an uninterrupted run. Each file is written at once or not at all and says itself what it shows. Neither records nor
    fingerprint depend on them. Several processes may keep pictures in one folder.

    Args:
        cache: the ``NAME.cache`` directory.
        keep: pictures per reason; more than these that an earlier run kept stay.

    Raises:
        OutputError: pictures cannot be written there.
    """

    def __init__(self, cache: Path, keep: int) -> None:
        self._folder = cache / REJECTED
        self._keep = keep
        check_rejected(cache)
        with writing(self._folder / "*"):
            for left in self._folder.glob("*/.*.tmp"):  # by a run that was killed
                left.unlink(missing_ok=True)
        kept = Counter(path.parent.name for path in self._folder.glob("*/*.png"))
        self._most = {kind: max(keep, count) for kind, count in kept.items()}

    def add(self, rejected: RejectedAttempt) -> None:
        """Keep the picture of an attempt, if it is one of the ``keep`` most different ones of its reason so far.

        Raises:
            OutputError: it cannot be written.
        """
        kind = _folder_name(rejected.rejection.reason)
        name = _file_name(rejected)
        kept = {path.name for path in (self._folder / kind).glob("*.png")}  # also those of processes alongside
        # A run that was killed may have kept it before the variant was stored.
        if name in kept:
            return
        path = self._folder / kind / name
        surplus = most_different({*kept, name})[self._most.get(kind, self._keep) :]
        # Removed first: a run that is killed in between makes the new one again, as its variant is not stored.
        with writing(path):
            for last in surplus:
                (self._folder / kind / last).unlink(missing_ok=True)
        if name in surplus:
            return
        make_folder(path.parent)
        text = PngInfo()
        text.add_itxt(DESCRIPTION, json.dumps(_description(rejected), ensure_ascii=False))
        temporary = path.with_name(f".{name}.tmp")
        with writing(path):
            picture = _picture(rejected)
            picture.save(temporary, format="PNG", pnginfo=text)
            try:
                temporary.replace(path)
            except FileNotFoundError:  # a process that has just begun took it for one of a killed run
                picture.save(path, format="PNG", pnginfo=text)


def most_different(names: Iterable[str]) -> list[str]:
    """File names of pictures in an order in which the first ones differ most: by object, then by sample, then by place.

    Each object comes once before any comes again, then in another sample if there is one; a second attempt at the same
    place comes last.

    Example:
        >>> most_different(["cone-1-aa-0-0-0.png", "cone-1-aa-0-0-1.png", "cone-1-bb-0-0-4.png", "dog-2-aa-0-1-0.png"])
        ['cone-1-aa-0-0-0.png', 'dog-2-aa-0-1-0.png', 'cone-1-bb-0-0-4.png', 'cone-1-aa-0-0-1.png']
    """
    parts = {name: _parts(name) for name in names}
    ordered = sorted(parts, key=lambda name: (parts[name], name))
    # From the innermost group outwards: members of each take turns.
    for depth in (4, 2, 1):  # (object, sample, variant, slot), (object, sample), object
        seen: Counter[tuple[Any, ...]] = Counter()
        turn: dict[str, int] = {}
        for name in ordered:
            group = parts[name][:depth]
            turn[name] = seen[group]
            seen[group] += 1
        ordered.sort(key=lambda name: (turn[name], parts[name], name))
    return ordered


def _parts(name: str) -> tuple[str, str, int, int, int]:
    """Object, sample, variant, slot and attempt that a file name holds; a name of another form is one more object."""
    found = re.fullmatch(r"(?:(.*)-)?([0-9a-f]+)-([0-9]{1,20})-([0-9]{1,20})-([0-9]{1,20})\.png", name, re.ASCII)
    if found is None:
        return "", "", 0, 0, 0
    return found[1] or "", found[2], int(found[3]), int(found[4]), int(found[5])


def _file_name(rejected: RejectedAttempt) -> str:
    spec, attempt = rejected.rejection.object_name, rejected.rejection.attempt
    key = xxhash.xxh3_64_hexdigest(rejected.sample.key.encode())
    named = f"{_slug(spec, 40)}-{xxhash.xxh32_hexdigest(spec.encode())}".lstrip("-")
    return f"{named}-{key}-{rejected.index}-{rejected.slot}-{attempt}.png"


def _slug(text: str, longest: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest]


def _folder_name(reason: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:60] or "other"


def _description(rejected: RejectedAttempt) -> dict[str, str | int]:
    rejection, crop, wanted = rejected.rejection, rejected.stages.crop, rejected.stages.wanted
    return {
        "key": rejected.sample.key,
        "variant": rejected.index,
        "object": rejection.object_name,
        "attempt": rejection.attempt,
        "reason": rejection.reason,
        "detail": rejection.detail,
        **({"wanted": wanted} if wanted else {}),
        **({} if crop is None else {"prompt": crop.prompt, "seed": crop.seed}),
    }


def _picture(rejected: RejectedAttempt) -> Image.Image:
    """Crop, what it was filled with and its masks side by side; the frame with its valid area if there was no crop.

    Of a shifted frame, the frame before and after.
    """
    stages = rejected.stages
    if stages.shifted is not None:
        return _side_by_side([_frame(rejected.sample.image, None), _frame(stages.shifted, None)])
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
    return _side_by_side(cells)


def _side_by_side(cells: Sequence[Image.Image]) -> Image.Image:
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
