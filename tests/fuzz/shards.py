"""Damaged shard files: opened and verified, and read if `Cache.verify` finds nothing."""

from __future__ import annotations

import random
import struct
from functools import cache
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.errors import PocAugError
from tests.fuzz.children import run_cases
from tests.fuzz.mutations import sealed_template, templates
from tests.fuzz.outcome import Outcome, watched
from tests.helpers.stranger_cache import write_cache

PAGE = 4096
_NUMBERS = (0, 1, 2, 3, 16, 255, 4096, 65_535, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


@cache
def sound_shard(folder: Path) -> tuple[Path, bytes]:
    """A cache with several levels of pages, and the bytes of its shard."""
    path = folder / "damaged.cache"
    records = {
        f"street/{number:05d}@dusk-2": sealed_template(number, f"street/{number:05d}@dusk-2") for number in range(150)
    }
    write_cache(path, records)
    return path, (path / "shards" / "a.lmdb").read_bytes()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes of a shard after one of several kinds of damage."""
    broken = bytearray(data)
    page = rng.randrange(len(data) // PAGE) if rng.random() < 0.7 else rng.randrange(2)
    kind = rng.randrange(6)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:  # a field of a page's header or of the meta pages
        at = page * PAGE + rng.randrange(0, 152, 2)
        value = struct.pack("<Q", rng.choice(_NUMBERS))[: rng.choice((2, 4, 8))]
        broken[at : at + len(value)] = value
    elif kind == 2:
        other = rng.randrange(len(data) // PAGE)
        broken[page * PAGE : (page + 1) * PAGE] = data[other * PAGE : (other + 1) * PAGE]
    elif kind == 3:
        broken[page * PAGE : (page + 1) * PAGE] = rng.choice((bytes(PAGE), b"\xff" * PAGE, rng.randbytes(PAGE)))
    else:
        for _ in range(rng.choice((1, 4, 40))):
            broken[rng.randrange(page * PAGE, (page + 1) * PAGE)] ^= 1 << rng.randrange(8)
    return bytes(broken[: len(data)])


def damage_shard(outcome: Outcome, seed: int, number: int, folder: Path) -> None:
    """Verify a cache whose shard has damage ``number`` of a seed, and read it if nothing is found."""
    path, data = sound_shard(folder)
    (path / "shards" / "a.lmdb").write_bytes(damaged(data, random.Random(f"shard {seed}/{number}")))
    with watched(outcome, number, "shard"):
        try:
            with Cache.open(path) as opened:
                if problems := opened.verify().problems:
                    outcome.counts["found by verify"] += 1
                    assert all(str(problem).isprintable() for problem in problems), problems
                    return
                for item in opened:
                    opened.get(*item)
                outcome.counts["read"] += 1
        except PocAugError:
            outcome.counts["refused"] += 1
        except Exception as error:
            outcome.counts["escaped"] += 1
            text = f"damage {number} of seed {seed} to a shard: {type(error).__name__}: {error}"
            outcome.failures.append(text[:500])


def fuzz_shards(count: int, seed: int, processes: int = 1, progress: float = 0.0) -> Outcome:
    """Run damages 0 to ``count`` of a seed."""
    templates()  # once for all children
    return run_cases(damage_shard, count, seed, processes, progress)
