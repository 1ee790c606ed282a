"""Rejected attempts of a cache: the pictures that were kept, as a sheet, and why nothing was accepted."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from poc_aug.cache import Cache
from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.errors import CacheError, CacheFormatError, SettingError
from poc_aug.files.pictures import open_picture
from poc_aug.generation.rejected_pictures import DESCRIPTION, most_different
from poc_aug.generation.warm_report import rejections_by_object
from poc_aug.types import Variant

_GAP_PX = 6
_ROW_PX = 300
_BACKGROUND = (24, 26, 30)
_TEXT = (235, 235, 235)
_MAX_TEXT = 100_000


@dataclass(frozen=True)
class RejectedPicture:
    """The picture of a rejected attempt: crop, filled crop and masks, or the frame if there was no room.

    Attributes:
        path: its file.
        picture: RGB.
        about: sample's key, variant, object, attempt, reason, detail; prompt and seed if there was a crop, or the
            size that was wanted.
    """

    path: Path
    picture: Image.Image
    about: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What it shows, in one line."""
        about = {name: " ".join(str(value).split()) for name, value in self.about.items()}
        text = f"{about['reason']}: {about['object']}  {about['key']}  variant {about['variant']}"
        text += f"  attempt {about['attempt']}"
        detail = shown_detail(about.get("detail", ""))
        return "   ".join(filter(None, (text, about.get("wanted"), detail)))


def rejected_of(cache: Cache, count: int) -> list[RejectedPicture]:
    """The pictures of rejected attempts that a cache holds, of as many different reasons, then objects, as possible.

    Args:
        cache: an opened cache.
        count: how many at most.

    Raises:
        SettingError: none were kept.
        CacheFormatError: one of them is damaged, or another picture.
    """
    check_entries(cache.path, rejected=True)
    names: dict[str, list[str]] = defaultdict(list)
    for path in sorted((cache.path / REJECTED).glob("*/*.png")):
        names[path.parent.name].append(path.name)
    kinds = {
        kind: [cache.path / REJECTED / kind / name for name in most_different(kept)] for kind, kept in names.items()
    }
    if not kinds:
        raise SettingError(
            f"cache {str(cache.path)!r} holds no pictures of rejected attempts",
            expected="a cache that was filled with pictures of them",
            hint="fill another cache with warm_cache(..., keep_rejected=5): what is stored is not made again",
            command="run the warm-cache command again with --keep-rejected 5 and another --out: what is stored is not "
            "made again",
        )
    most = max(map(len, kinds.values()))
    chosen = [paths[turn] for turn in range(most) for paths in kinds.values() if turn < len(paths)]
    return [_read_picture(path) for path in chosen[:count]]


def rejected_sheet(pictures: Sequence[RejectedPicture], *, width_px: int = 1800) -> Image.Image:
    """Draw one row per rejected attempt: what it shows, and the picture.

    Args:
        pictures: what to show; at least one.
        width_px: width of the sheet.

    Returns:
        An RGB picture.

    Example:
        >>> about = {"reason": "no room", "object": "cone", "key": "a", "variant": 0, "attempt": 2, "detail": ""}
        >>> picture = RejectedPicture(Path("a.png"), Image.new("RGB", (64, 32)), about)
        >>> picture.title, rejected_sheet([picture], width_px=400).width
        ('no room: cone  a  variant 0  attempt 2', 400)
    """
    if not pictures:
        raise SettingError("no picture to show", expected="at least one", hint="rejected_of(cache, count) gives them")
    font = ImageFont.load_default(size=max(11, width_px // 120))
    line = max(11, width_px // 120) + 8
    cells = []
    for shown in pictures:
        cell = shown.picture.convert("RGB")
        scale = min(_ROW_PX / cell.height, (width_px - 2 * _GAP_PX) / cell.width)
        size = max(1, round(cell.width * scale)), max(1, round(cell.height * scale))
        cells.append(cell.resize(size, Image.Resampling.BICUBIC))
    height = sum(cell.height + line + _GAP_PX for cell in cells) + _GAP_PX
    sheet = Image.new("RGB", (width_px, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    y = _GAP_PX
    for shown, cell in zip(pictures, cells, strict=True):
        draw.text((_GAP_PX, y), shown.title, _TEXT, font)
        sheet.paste(cell, (_GAP_PX, y + line))
        y += line + cell.height + _GAP_PX
    return sheet


def nothing_accepted(path: Path, variants: Sequence[Variant], *, frames: bool = False) -> CacheError:
    """The error if none of a cache's variants has an object: why, by object and reason.

    Args:
        path: the cache.
        variants: all that it holds.
        frames: it is a cache of shifted frames, and none was accepted: why, by domain and reason.

    Example:
        >>> from poc_aug.types import Rejection
        >>> variant = Variant("a", 0, b"", (), (Rejection("no room", "cone"),))
        >>> print(nothing_accepted(Path("a.cache"), [variant]).problem)
        the only variant of cache 'a.cache' has no object: the only attempt was rejected:
          cone: 1 no room
    """
    rejected: Counter[tuple[str, str]] = Counter(
        (rejection.object_name, rejection.reason) for variant in variants for rejection in variant.rejections
    )
    lines = [
        f"  {name}: {', '.join(f'{count} {reason}' for reason, count in reasons.items())}"
        for name, reasons in rejections_by_object(rejected).items()
    ]
    if next((path / REJECTED).glob("*/*.png"), None) is None:
        look = "--keep-rejected 5 keeps pictures of what is rejected, for `poc-aug preview CACHE --rejected`"
    else:
        look = f"`poc-aug preview {path} --rejected` shows the pictures that --keep-rejected kept"
    why = "\n".join([f"{all_attempts(rejected.total())} rejected:", *lines]) if lines else "none was tried"
    if frames:
        return CacheError(
            f"the only frame of cache {str(path)!r} was not accepted: {why}"
            if len(variants) == 1
            else f"none of the {len(variants)} frames of cache {str(path)!r} was accepted: {why}",
            expected="at least one that was accepted",
            hint="change the pipeline (agreement, attempts, strength) and fill another cache; keep_rejected=5 keeps "
            "pictures of what is rejected",
            command="change what rejects them (--min-agreement, --attempts, --strength) and fill another cache "
            f"(--out); {look}",
        )
    return CacheError(
        f"the only variant of cache {str(path)!r} has no object: {why}"
        if len(variants) == 1
        else f"none of the {len(variants)} variants of cache {str(path)!r} has an object: {why}",
        expected="at least one that was accepted",
        hint="change the recipe (sizes, location, attempts, limits) and fill another cache; keep_rejected=5 keeps "
        "pictures of what is rejected",
        command="change what rejects them (--sizes, --location, --set attempts=10) and fill another cache (--out); "
        + look,
    )


def all_attempts(count: int) -> str:
    """The subject and the verb of a text that says that all attempts were rejected.

    Example:
        >>> all_attempts(3), all_attempts(1)
        ('all 3 attempts were', 'the only attempt was')
    """
    return "the only attempt was" if count == 1 else f"all {count} attempts were"


def shown_detail(detail: str) -> str:
    """The detail of a rejection as it is shown: as it is stored, which stays what it is, but for its grammar.

    Example:
        >>> shown_detail("no place on any of 1 rungs"), shown_detail("no place on any of 3 rungs")
        ("no place on the ladder's only rung", 'no place on any of 3 rungs')
    """
    return detail.replace("any of 1 rungs", "the ladder's only rung")


def _read_picture(path: Path) -> RejectedPicture:
    picture = open_picture(path, what="picture of a rejected attempt", error=CacheFormatError, hint="remove it")
    text = picture.info.get(DESCRIPTION, "")
    try:
        about = json.loads(text) if isinstance(text, str) and len(text) <= _MAX_TEXT else None
    except (ValueError, RecursionError):
        about = None
    needed = {"key", "variant", "object", "attempt", "reason"}
    if not isinstance(about, dict) or not needed <= about.keys():
        raise CacheFormatError(
            f"{str(path)!r} does not say what it shows",
            expected="a picture that warm_cache kept: each holds its sample, variant, object and reason",
            hint="remove it; the records of the cache do not depend on it",
        )
    return RejectedPicture(path, picture, about)
