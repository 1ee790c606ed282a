"""Where exported frames go: split, group and file name of each sample, from its key."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import xxhash
from torch.utils.data import ConcatDataset, Subset

from poc_aug.errors import ExportError, SettingError
from poc_aug.files.safe_names import file_name
from poc_aug.keys.dataset_wrappers import wrapped

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_IS_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_PICTURE_FOLDERS = frozenset(("leftimg8bit", "images", "image", "imgs", "img", "rgb_anon", "rgb", "frames", "original"))
_ENDING = re.compile(r"\.(?:png|jpe?g|webp|tiff?|bmp|npz|npy)$", re.IGNORECASE)
_KIND = re.compile(r"_(?:leftImg8bit|rgb_anon|image)$")
_SHIFTS = re.compile(r"(?s)(.*?)((?:@[A-Za-z0-9][A-Za-z0-9_.:+-]*-[1-5])*)")
# What readers look for in a path, to replace it or to cut the name there.
_RESERVED = re.compile(r"leftImg8bit|gtFine", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Where the frames of a sample go.

    Attributes:
        split: "train", "val" or "test", or the name that was given.
        group: folder within the split; "" if the key has none.
        name: name of its files, without variant and extension.
    """

    split: str
    group: str
    name: str


def frame_places(keys: Sequence[str], dataset: Any, split: str | None) -> list[FramePlace]:
    """The place of each sample.

    The split is the first folder of a key that names one (train/..., leftImg8bit/val/...), otherwise the attribute
    ``split`` of the dataset. The folders below it are the group, such as a city. The name begins with the group, so
    that it is unique where a layout has no folders for groups.

    Args:
        keys: key of each sample.
        dataset: the dataset, for its attribute ``split``.
        split: the split of all samples, instead of their own.

    Raises:
        ExportError: the split is not known, or another one than the keys say.
        SettingError: ``split`` cannot be the name of a folder.

    Example:
        >>> key = "leftImg8bit/train/ulm/ulm_000004_000019_leftImg8bit.png"
        >>> frame_places([key, "train/0/024541_image.jpg"], None, None)
        [FramePlace(split='train', group='ulm', name='ulm_000004_000019'), FramePlace(split='train', ...'0_024541')]
    """
    if split is not None and not _IS_SPLIT.fullmatch(split):
        raise SettingError(f"split={split!r}", expected="the name of a folder, such as train, val or test")
    told = _declared_splits(dataset, len(keys))
    parsed = [_parsed(key) for key in keys]
    places = [replace(place, split=place.split or own or "") for place, own in zip(parsed, told, strict=True)]
    if split is None:
        unknown = [key for key, place in zip(keys, places, strict=True) if not place.split]
        if unknown:
            raise ExportError(
                f"the split of {len(unknown)} of {len(keys)} samples is not known: key {unknown[0]!r}",
                expected="keys with a folder train, val or test, or a dataset with an attribute `split`",
                hint='name it: split="train"',
                command="name it: --split train",
            )
        return places
    other = Counter(place.split for place in places if place.split and split in _SPLITS and place.split != split)
    if other:
        found, count = other.most_common(1)[0]
        raise ExportError(
            f"split={split!r}, but {count} of {len(keys)} samples are of {found!r}",
            expected="samples of one split, or no split=",
            hint="leave split= out: each sample is then written to its own",
            command="leave --split out: each sample is then written to its own",
        )
    return [replace(place, split=split) for place in places]


def telling_key(stored: str, own: str) -> str:
    """Of two keys of one sample, the one in a cache and the dataset's own, the one that names its split.

    Example:
        >>> telling_key("00000004", "train/ulm/a.png"), telling_key("train/ulm/a.png", "ulm/a.png")
        ('train/ulm/a.png', 'train/ulm/a.png')
    """
    return stored if _parsed(stored).split or not _parsed(own).split else own


def frame_name(place: FramePlace, variant: int | None, shift: str = "") -> str:
    """The name of one frame's files.

    Args:
        place: the place of its sample.
        variant: number of the variant; ``None`` for the base frame.
        shift: domain and severity of a shifted frame: "fog-3".

    Example:
        >>> frame_name(FramePlace("train", "ulm", "ulm_000004_000019"), 0, "fog-3")
        'ulm_000004_000019_fog-3_v0'
    """
    shifted = f"{place.name}_{shift}" if shift else place.name
    return file_name(shifted) + ("" if variant is None else f"_v{variant}")


def told_apart(names: Sequence[tuple[str, str]], keys: Sequence[str]) -> list[str]:
    """Frame names of which no two are equal in a split, also where case does not count.

    Args:
        names: split and name of each frame.
        keys: what tells frames of one name apart: the sample's key.

    Example:
        >>> told_apart([("train", "a_v0"), ("train", "b_v0"), ("val", "a_v0")], ["a", "b", "a"])
        ['a_v0', 'b_v0', 'a_v0']
        >>> told_apart([("train", "a_v0"), ("train", "A_v0")], ["x/a", "y/A"])
        ['a~97be6f32bcdaab8c_v0', 'A~8d2822b7f03b3430_v0']
    """
    counts = Counter((split, name.casefold()) for split, name in names)
    apart = []
    for (split, name), key in zip(names, keys, strict=True):
        if counts[split, name.casefold()] > 1:
            digest = xxhash.xxh3_64_hexdigest(key.encode("utf-8", "surrogatepass"))
            stem, variant = re.fullmatch(r"(?s)(.*?)((?:_v\d+)?)", name).groups()  # type: ignore[union-attr]
            name = f"{stem}~{digest}{variant}"
        apart.append(name)
    return apart


def _parsed(key: str) -> FramePlace:
    *folders, last = re.split(r"[/\\]", key)
    at = next((number for number, folder in enumerate(folders) if folder.casefold() in _SPLITS), None)
    if at is None:
        split, below = "", [folder for folder in folders if folder.casefold() not in _PICTURE_FOLDERS]
    else:
        split, below = _SPLITS[folders[at].casefold()], folders[at + 1 :]
    group = _plain("_".join(below))
    file, shifts = _SHIFTS.fullmatch(last).groups()  # type: ignore[union-attr]  # it matches anything
    stem = _plain(_KIND.sub("", _ENDING.sub("", file)) + shifts.replace("@", "_")) or "frame"
    name = stem if not group or f"{stem}_".startswith(f"{group}_") else f"{group}_{stem}"
    return FramePlace(split, file_name(group) if group else "", name)


def _plain(name: str) -> str:
    return _RESERVED.sub("image", name)


def _declared_splits(dataset: Any, length: int) -> list[str | None]:
    """The attribute ``split`` of each sample's dataset, if it is the name of one."""
    if isinstance(dataset, ConcatDataset):
        return [split for part in dataset.datasets for split in _declared_splits(part, len(part))]  # type: ignore[arg-type]
    own = getattr(dataset, "split", None)
    if isinstance(own, str) and own.casefold() in _SPLITS:
        return [_SPLITS[own.casefold()]] * length
    if isinstance(dataset, Subset):
        inner = _declared_splits(dataset.dataset, len(dataset.dataset))  # type: ignore[arg-type]
        return [inner[int(index)] for index in dataset.indices]
    held = None if dataset is None else wrapped(dataset)
    found = [] if held is None else sorted({split or "" for split in _declared_splits(held, len(held))})
    return [found[0] if len(found) == 1 and found[0] else None] * length
