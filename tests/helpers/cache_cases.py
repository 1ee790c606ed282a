"""Variants for the cache's tests: made from numbers alone, so that every process makes the same ones."""

from __future__ import annotations

import multiprocessing
import struct
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.seeding import generator
from poc_aug.types import Insertion, Part, Rejection, ShiftedFrame, Variant

PARTS = ["part 0", "part 1", "part 2"]


def make_insertion(
    seed: int, size_hw: tuple[int, int] = (17, 11), parts: int = 1, alpha: bool = False, shade: bool = False
) -> Insertion:
    """Noise inside a disc, zero outside; the disc is cut into ``parts`` vertical stripes."""
    rng = generator("cache-case", seed)
    height, width = size_hw
    rows = torch.linspace(-1, 1, height)[:, None] if height > 1 else torch.zeros(1, 1)
    columns = torch.linspace(-1, 1, width)[None] if width > 1 else torch.zeros(1, 1)
    disc = rows**2 + columns**2 <= 0.8
    noise = torch.randint(1, 256, (3, height, width), generator=rng, dtype=torch.uint8)
    stripe = (torch.arange(width) * parts // width)[None].expand(height, width)
    soft = ((1 - rows**2 - columns**2).clamp(0, 1) * 255).to(torch.uint8)
    return Insertion(
        box_yxhw=(seed % 7, seed % 5, height, width),
        patch=noise * disc,
        parts=tuple(Part(f"part {i}", disc & (stripe == i), 0.25 + 0.5 / (i + 1)) for i in range(parts)),
        alpha=soft if alpha else None,
        shade=soft // 2 if shade else None,
        object_name="gnu",
        max_sigma_px=3.0,
        provenance={"prompt": "a gnu – größer", "seed": seed, "region": [1, 2, {"rung": None}], "score": 0.1},
    )


def stored_variant(cache: Cache, key: str, index: int) -> Variant:
    """A variant that has to be in the cache."""
    variant = cache.get(key, index)
    assert variant is not None, (key, index)
    return variant


def stored_insertions(cache: Cache) -> list[Insertion]:
    """The insertions of all variants of a cache."""
    return [insertion for name in cache for insertion in stored_variant(cache, *name).insertions]


def make_variant(number: int, size_hw: tuple[int, int] = (17, 11)) -> Variant:
    """Variant ``number % 3`` of sample ``number // 3``: with 0, 1 or 2 insertions, in all forms."""
    forms: tuple[dict[str, Any], ...]
    forms = ({}, {"alpha": True}, {"shade": True}, {"parts": 2}, {"parts": 3, "alpha": True, "shade": True})
    return Variant(
        key=f"street/{number // 3:04d}",
        index=number % 3,
        digest=struct.pack("<II", 512, 512) + bytes([number % 256] * 768),  # that of a frame of one colour
        insertions=tuple(make_insertion(number + i, size_hw, **forms[number % 5]) for i in range(number % 4 % 3)),
        rejections=(Rejection("not detected", "gnu", 1, "score 0.1"),) if number % 4 == 0 else (),
    )


def make_frame_variant(number: int, size_hw: tuple[int, int] = (17, 11)) -> Variant:
    """Variant ``number % 3`` of a shifted frame of sample ``number // 3``; some were rejected."""
    rejected = number % 4 == 2
    rng = generator("cache-case", number)
    image = torch.randint(0, 256, (3, *size_hw), generator=rng, dtype=torch.uint8)
    return Variant(
        key=f"street/{number // 3:04d}@dusk-2",
        index=number % 3,
        digest=struct.pack("<II", *size_hw) + bytes([number % 256] * 768),
        insertions=(),
        rejections=(Rejection("labels do not hold", "dusk", 0, "agreement 0.1"),) if rejected else (),
        frame=None if rejected else ShiftedFrame(image, "dusk", 2, {"seed": number, "caption": "a street – größer"}),
    )


def make_frame_manifest() -> Manifest:
    recipe = {"kind": "frames", "domains": ["dusk"], "severities": [2], "seed": 0}
    return Manifest.create(recipe, {"shifters": {"dusk": {"name": "noise"}}}, {"length": 7})


@dataclass(frozen=True)
class Records:
    """One kind of record, and the manifest of its caches."""

    name: str
    make: Callable[[int], Variant]
    manifest: Callable[[], Manifest]

    def cache(self, path: Path, count: int = 7, writers: int = 1) -> Path:
        """A sealed cache of ``count`` variants, dealt out to ``writers`` shards."""
        for n in range(writers):
            with CacheWriter(path, self.manifest(), writer=f"local-{n}") as writer:
                writer.put_many([self.make(i) for i in range(n, count, writers)])
        return path


RECORDS = (
    Records("insertions", lambda number: make_variant(number), lambda: make_manifest()),
    Records("frames", make_frame_variant, make_frame_manifest),
)
"""Both kinds: the same tests run over both."""


def make_manifest(**changes: object) -> Manifest:
    recipe = {"objects": [{"name": "gnu", "prompts": ["a gnu"], "parts": PARTS}], "seed": 0, "max_sigma_px": 3.0}
    return Manifest.create(recipe | changes, {"inserter": {"name": "noise"}}, {"length": 7})


def make_cache(path: Path, count: int = 7, writers: int = 1) -> Path:
    """A sealed cache of ``count`` variants, dealt out to ``writers`` shards."""
    for n in range(writers):
        with CacheWriter(path, make_manifest(), writer=f"local-{n}") as writer:
            writer.put_many([make_variant(i) for i in range(n, count, writers)])
    return path


def contents(path: Path) -> dict[tuple[str, int], bytes | None]:
    """All records of a cache, as bytes."""
    with Cache.open(path) as cache:
        return {item: cache.raw(*item) for item in cache.items()}


def in_child(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a forked child; what it returns or raises comes back."""

    def run(to_parent: Connection) -> None:
        try:
            to_parent.send((work(), None))
        except Exception as error:
            to_parent.send((None, error))

    context = multiprocessing.get_context("fork")
    from_child, to_parent = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(to_parent,))
    process.start()
    to_parent.close()
    try:
        result, error = from_child.recv()
    except EOFError:
        result, error = None, AssertionError("the child died")
    process.join()
    assert process.exitcode == 0
    if error is not None:
        raise error
    return result


def long_name(folder: Path) -> Path:
    return folder / ("x" * 256)


def below_a_long_name(folder: Path) -> Path:
    return long_name(folder) / "a.cache"


def long_path(folder: Path) -> Path:
    return folder.joinpath(*["y" * 200] * 30)


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("no folder")
    return folder / "file" / "deep" / "a.cache"


def link_to_nothing(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "unmounted")
    return folder / "link"


def below_a_link_to_nothing(folder: Path) -> Path:
    return link_to_nothing(folder) / "a.cache"


def link_to_itself(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "link")
    return folder / "link"


def with_a_nul(folder: Path) -> Path:
    return folder / "a\0b.cache"


def no_letters(folder: Path) -> Path:
    return folder / "\ud800.cache"


PLACES: dict[Callable[[Path], Path], str] = {
    long_name: "too long",
    below_a_long_name: "too long",
    long_path: "too long",
    below_a_file: "file' is a file",
    link_to_nothing: "is a link to '.*unmounted', which is not there",
    below_a_link_to_nothing: "is a link to '.*unmounted', which is not there",
    link_to_itself: "is a link to ",
    with_a_nul: "no file can have the path",
    no_letters: "no file can have the path",
}
