"""Sheets of shifted frames: the original and what it was shifted to, side by side, per domain and severity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from poc_aug.cache import Cache
from poc_aug.cache.key_matching import check_held, stored_keys
from poc_aug.errors import SettingError
from poc_aug.inspection.contact_sheet import to_pil
from poc_aug.inspection.rejected_sheet import nothing_accepted
from poc_aug.items.image_digest import check_match, digest_of
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import Keys, dataset_keys, first_of_each, key_advice
from poc_aug.scenes.scene_recipe import shifted_key, split_key
from poc_aug.types import Sample, ShiftedFrame, Variant

_GAP_PX = 6
_BACKGROUND = (24, 26, 30)
_TEXT = (235, 235, 235)
_DIM = (150, 150, 150)


@dataclass(frozen=True)
class FrameRow:
    """One row of a sheet: a sample and its frames in one domain.

    Attributes:
        sample: the sample as it is.
        domain: the domain.
        variants: its frames by severity; those whose attempts were all rejected have none.
    """

    sample: Sample
    domain: str
    variants: Mapping[int, Variant]

    @property
    def title(self) -> str:
        """The line above the row: the sample's key, the domain, and what was rejected."""
        rejected = sum(len(variant.rejections) for variant in self.variants.values())
        return f"{self.sample.key}  {self.domain}" + (f"   rejected: {rejected}" if rejected else "")


def frame_sheet(rows: Sequence[FrameRow], *, width_px: int = 1800) -> Image.Image:
    """Draw one row per sample and domain: the original, then the frame of each severity.

    Args:
        rows: what to show; at least one.
        width_px: width of the sheet.

    Returns:
        An RGB picture.

    Raises:
        SettingError: no row.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 32, 64, dtype=torch.uint8)
        >>> shifted = Variant("a@dusk-3", 0, b"", (), frame=ShiftedFrame(image, "dusk", 3, {}))
        >>> row = FrameRow(Sample(image, torch.zeros(32, 64, dtype=torch.uint8), "a"), "dusk", {3: shifted})
        >>> row.title, frame_sheet([row], width_px=400).width
        ('a  dusk', 400)
    """
    if not rows:
        raise SettingError(
            "no frame to show", expected="at least one", hint="rows_of(dataset, cache, count) gives them"
        )
    columns = 1 + max(len(row.variants) for row in rows)
    tile_w = (width_px - _GAP_PX * (columns + 1)) // columns
    font = ImageFont.load_default(size=max(11, min(22, tile_w // 20)))
    line = int(font.size) + 8 if isinstance(font, ImageFont.FreeTypeFont) else 19
    heights = [max(1, round(tile_w * row.sample.size_hw[0] / row.sample.size_hw[1])) for row in rows]
    sheet = Image.new("RGB", (width_px, sum(heights) + len(rows) * (2 * line + _GAP_PX) + _GAP_PX), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    top = _GAP_PX
    for row, tile_h in zip(rows, heights, strict=True):
        draw.text((_GAP_PX, top), row.title, _TEXT, font)
        for column, (caption, picture) in enumerate(_cells(row)):
            left = _GAP_PX + column * (tile_w + _GAP_PX)
            draw.text((left, top + line), caption, _DIM, font)
            if picture is not None:
                resample = Image.Resampling.LANCZOS if tile_w < picture.width else Image.Resampling.BICUBIC
                sheet.paste(picture.resize((tile_w, tile_h), resample), (left, top + 2 * line))
        top += 2 * line + tile_h + _GAP_PX
    return sheet


def _cells(row: FrameRow) -> Iterator[tuple[str, Image.Image | None]]:
    yield "original", to_pil(row.sample.image)
    for severity, variant in sorted(row.variants.items()):
        frame = variant.frame
        yield _caption(row.domain, severity, frame), None if frame is None else to_pil(frame.image)


def _caption(domain: str, severity: int, frame: ShiftedFrame | None) -> str:
    if frame is None:
        return f"severity {severity}: all attempts rejected"
    agreement = frame.provenance.get("agreement")
    shown = isinstance(agreement, int | float) and not isinstance(agreement, bool)
    return f"severity {severity}" + (f", agreement {agreement:.2f}" if shown else "")


def rows_of(
    dataset: Any, cache: Cache, count: int, *, keys: Keys | None = None, adapt: Adapt | None = None
) -> list[FrameRow]:
    """Rows with ``count`` frames in all, of as many different domains and samples as possible.

    Args:
        dataset: the dataset that the cache was made from.
        cache: an opened cache of frames.
        count: how many frames at most; a row shows all severities of its sample and domain.
        keys: see `POCAugmentedDataset`.
        adapt: see `POCAugmentedDataset`.

    Raises:
        CacheDatasetMismatchError: none of the dataset's samples is in the cache, or one has another content.
        CacheError: the cache holds no frame; says how many attempts were rejected, and why.
    """
    shifts: dict[str, list[int]] = {}
    held = set(cache.keys())
    for key in held:
        _, domain, severity = split_key(key)
        levels = shifts.setdefault(domain, [])
        if severity not in levels:
            levels.append(severity)
    own_keys = dataset_keys(dataset, keys)
    names = stored_keys(own_keys, {split_key(key)[0] for key in held}, dataset)
    domains = _in_order(cache, shifts)
    pairs = [(domain, severity) for domain in domains for severity in sorted(shifts[domain])]
    wanted, own = ([shifted_key(key, *pair) for key in some for pair in pairs] for some in (names, own_keys))
    check_held(wanted, own, cache, dataset, misses_allowed=True)
    samples = list(first_of_each(names).items())
    chosen = [
        (samples[(turn + place) % len(samples)], domain)
        for turn in range(len(samples))
        for place, domain in enumerate(domains)
    ]
    rows: list[FrameRow] = []
    for (key, number), domain in chosen:
        left = count - sum(len(row.variants) for row in rows)
        if left <= 0:
            break
        variants = _stored(cache, key, domain, sorted(shifts[domain])[:left])
        if any(variant.frame is not None for variant in variants.values()):
            rows.append(FrameRow(_sample(dataset, cache, number, key, adapt, variants), domain, variants))
    if count and not rows:
        empty = (cache.get(key, index) for key in sorted(held) for index in cache.variants(key))
        raise nothing_accepted(cache.path, [variant for variant in empty if variant is not None], frames=True)
    return rows


def _in_order(cache: Cache, shifts: Mapping[str, Sequence[int]]) -> list[str]:
    """The domains that a cache holds, in the order of its recipe."""
    recipe = cache.manifest.recipe.get("domains", [])
    order = list(recipe) if isinstance(recipe, list | tuple) else []
    return sorted(shifts, key=lambda domain: (order.index(domain) if domain in order else len(order), domain))


def _stored(cache: Cache, key: str, domain: str, severities: Sequence[int]) -> dict[int, Variant]:
    """The first stored frame of each severity; if all of its variants were rejected, the first of them."""
    found: dict[int, Variant] = {}
    for severity in severities:
        name = shifted_key(key, domain, severity)
        for index in cache.variants(name):
            variant = cache.get(name, index)
            if variant is None:
                continue
            found.setdefault(severity, variant)
            if variant.frame is not None:
                found[severity] = variant
                break
    return found


def _sample(
    dataset: Any, cache: Cache, number: int, key: str, adapt: Adapt | None, variants: Mapping[int, Variant]
) -> Sample:
    with naming_sample(key):
        item = open_item(dataset[number], adapt, key=key)
    digest = digest_of(item.image)
    for variant in variants.values():
        check_match(variant.digest, digest, key, cache.path, cache.manifest.dataset, key_advice(dataset))
    return item.sample(key)
