"""Arms that take turns, ratios round by round, and spreads."""

from __future__ import annotations

import pytest

from poc_aug.benchmarking.timing import Spread, interleaved, ratios, significant


def test_arms_take_turns_forward_and_back_after_the_warm_up() -> None:
    calls: list[str] = []

    def arm(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    results = interleaved({"a": lambda: arm("a"), "b": lambda: arm("b")}, repeats=3)
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert results == {"a": [3, 6, 7], "b": [4, 5, 8]}


def test_ratios_are_taken_round_by_round() -> None:
    # The machine is ten times slower in the second round, the ratio is not.
    assert ratios([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]).median == 2.0


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [5.0, 1.0, 3.0, 2.0, 4.0]])
def test_spread_is_ordered_and_counts_its_runs(values: list[float]) -> None:
    spread = Spread.of(values)
    assert min(values) <= spread.low <= spread.median <= spread.high <= max(values)
    assert spread.runs == len(values)
    assert spread.to_dict()["median"] == significant(spread.median)
