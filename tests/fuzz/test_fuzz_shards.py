"""A few hundred damaged shards in CI; ``python -m tests.fuzz --shards 10000`` runs more of them."""

from __future__ import annotations

from tests.fuzz.shards import fuzz_shards


def test_no_damaged_shard_ends_the_process_that_verifies_first() -> None:
    done = fuzz_shards(400, seed=1)
    assert not done.failures, "\n".join(done.failures)
    assert done.counts["found by verify"] > 40
    assert done.counts["refused"] > 40
    assert done.counts["read"] > 4  # damage that does not matter
