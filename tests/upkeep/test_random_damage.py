"""Shards with random damage: `repair` ends, keeps only what is sound, and what is missing is made again."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from poc_aug.upkeep import repair, verify_cache
from tests.helpers.cache_cases import RECORDS, Records, contents, in_child
from tests.helpers.upkeep_cases import filled, folder_in_memory

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
_PAGE = 4096


def damaged(data: bytearray, rng: random.Random) -> bytes:
    """The bytes of a shard after an accident."""
    first, second = sorted(rng.randrange(len(data)) for _ in range(2))
    one, other = (rng.randrange(len(data) // _PAGE) * _PAGE for _ in range(2))
    what = rng.choice(["flipped", "noise", "cut off", "zeros", "swapped", "meta", "longer"])
    if what == "flipped":
        for _ in range(rng.randrange(1, 40)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif what == "noise":
        data[one : one + _PAGE] = rng.randbytes(_PAGE)
    elif what == "cut off":
        del data[second:]
    elif what == "zeros":
        data[first : first + 20_000] = bytes(len(data[first : first + 20_000]))
    elif what == "swapped":
        data[one : one + _PAGE], data[other : other + _PAGE] = data[other : other + _PAGE], data[one : one + _PAGE]
    elif what == "meta":
        for _ in range(5):
            data[rng.randrange(2 * _PAGE)] = rng.randrange(256)
    else:
        data += data[:second]
    return bytes(data)


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_random_damage_is_repaired(records: Records) -> None:
    with folder_in_memory() as memory:
        whole = filled(filled(memory / "whole.cache", records, range(20)), records, range(15, 35))
        before = contents(whole)
        path = memory / "a.cache"

        def work() -> dict[int, str]:
            # In a process of its own: whatever maps a damaged file may die of it.
            wrong = {}
            for seed in range(12):
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(whole, path)
                rng = random.Random(seed)
                for shard in sorted((path / "shards").glob("*.lmdb")):
                    shard.write_bytes(damaged(bytearray(shard.read_bytes()), rng))
                wrong[seed] = what_is_wrong(path, records, before)
            return wrong

        found = in_child(work)
        assert len(found) == 12
        assert not {seed: problem for seed, problem in found.items() if problem}


def what_is_wrong(path: Path, records: Records, before: dict[tuple[str, int], bytes | None]) -> str:
    expected = [(one.path, one.kept) for one in repair(path, dry_run=True).set_aside]
    if expected != [(one.path, one.kept) for one in repair(path).set_aside]:
        return "a dry run says something else"
    if problems := verify_cache(path).problems:
        return str(problems[0])
    if not contents(path).items() <= before.items():
        return "another content"
    filled(path, records, range(35))
    return "" if contents(path) == before else "not filled again"
