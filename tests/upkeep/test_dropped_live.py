"""What was dropped is not shown either if it is generated while it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from poc_aug.cache import Cache
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.items.open_item import open_item
from poc_aug.reading.outcomes import Outcome
from poc_aug.reading.schedule import Schedule
from poc_aug.reading.variant_source import Reading, VariantSource
from poc_aug.types import Sample, Variant
from tests.helpers.cache_cases import make_cache, make_insertion, make_variant


class Generates:
    """Gives a gnu in the first variant, and a gnu and a yak in the others."""

    def generate(self, requests: Sequence[tuple[Sample, int]]) -> list[Variant | None]:
        yak = replace(make_insertion(5), object_name="yak")
        return [
            replace(
                make_variant(1), key=sample.key, index=index, insertions=(make_insertion(4), *([yak] * (index > 0)))
            )
            for sample, index in requests
        ]

    def offer(self, make_sample: Callable[[], Sample], key: str, index: int) -> bool:
        return True


def test_what_is_generated_is_held_to_the_journal(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 0)
    with JournalWriter(path) as writer:
        writer.append("drop", Selection(class_name="gnu"))
    item = torch.zeros(3, 40, 60, dtype=torch.uint8), torch.zeros(40, 60, dtype=torch.uint8)
    with Cache.open(path) as cache:
        source = VariantSource(cache, Generates(), Schedule(2, 0.0, 0), "random", "generate", 0)
        seen = set()
        for index in range(20):
            reading = Reading(index, 0, "street/0000", open_item(item, None, key="street/0000"))
            source.draw(reading, 0, 1.0)
            source.fetch_missing([reading])
            seen.add(reading.outcome)
            assert reading.variant is not None
            assert reading.variant.index == 1
            assert [one.object_name for one in reading.variant.insertions] == ["yak"]
        assert seen == {Outcome.GENERATED}
