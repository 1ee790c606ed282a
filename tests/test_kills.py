"""A few of the kills of ``python -m tests.kills``, which has the same checks for as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.kinds import KINDS, Kind
from tests.kills.live_kills import kill_live
from tests.kills.warm_kills import kill_warm

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_warm_cache_killed_at_random_moments(kind: Kind, tmp_path: Path) -> None:
    counts = kill_warm(6, tmp_path, seed=2, kind=kind)
    assert counts["kills"] == 6
    assert counts["caches completed, equal to the bit"] >= 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_generation_process_killed_at_random_moments(kind: Kind, tmp_path: Path) -> None:
    counts = kill_live(2, tmp_path, seed=2, num_variants=30 // kind.per_sample, kind=kind)
    assert counts["kills"] == 2
    assert counts["caches completed, equal to the bit"] == 1
