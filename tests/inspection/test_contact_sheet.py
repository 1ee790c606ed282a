"""Contact sheets: what stands above their rows."""

from __future__ import annotations

from dataclasses import replace

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.inspection.contact_sheet import Tile, free_place, row_title
from poc_aug.types import Rejection
from tests.helpers.fakes import SCHEMA, EllipseInserter, make_recipe, make_sample


def test_the_title_of_a_row_counts_objects_and_rejections() -> None:
    sample = make_sample()
    recipe = make_recipe(objects=["dog"], objects_per_variant=[1, 1])
    variant = InsertionPipeline(recipe, EllipseInserter(), schema=SCHEMA).generate(sample)
    assert row_title(Tile(sample, variant)) == f"{sample.key}  variant 0: 1 object"
    for count, ending in ((0, "0 objects"), (2, "2 objects")):
        other = replace(variant, insertions=variant.insertions * count)
        assert row_title(Tile(sample, other)).endswith(ending)
    rejected = replace(variant, rejections=(Rejection("black"), Rejection("black"), Rejection("no room")))
    assert row_title(Tile(sample, rejected)).endswith("1 object   rejected: 2 x black, 1 x no room")


def test_tags_do_not_hide_each_other() -> None:
    taken: list[tuple[float, float, float, float]] = []
    for left, top in ((10, 50), (20, 45), (15, 52), (200, 50), (10, 2), (12, 0), (11, 4)):
        tag = free_place((left, top, left + 40, top + 12), taken)
        assert (tag[0], tag[2] - tag[0], tag[3] - tag[1]) == (left, 40, 12)
        assert tag[1] >= 0
        for other in taken:
            assert tag[2] < other[0] or tag[0] > other[2] or tag[3] < other[1] or tag[1] > other[3]
        taken.append(tag)
    assert list(taken[0]) == [10, 50, 50, 62]  # where it was wanted
    assert taken[1][3] < 50  # above what is there already
    assert taken[3] == (200, 50, 240, 62)
