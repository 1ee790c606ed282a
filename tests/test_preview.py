"""Contact sheets: what stands above their rows."""

from __future__ import annotations

from dataclasses import replace

from poc_aug.pipeline import InsertionPipeline
from poc_aug.preview import Tile, row_title
from poc_aug.types import Rejection
from tests.fakes import SCHEMA, EllipseInserter, make_recipe, make_sample


def test_the_title_of_a_row_counts_objects_and_rejections() -> None:
    sample = make_sample()
    recipe = make_recipe(objects=["dog"], objects_per_variant=[1, 1])
    variant = InsertionPipeline(recipe, EllipseInserter(), schema=SCHEMA).generate(sample)
    assert row_title(Tile(sample, variant)) == f"{sample.key}  variant 0: 1 object"
    for count, told in ((0, "0 objects"), (2, "2 objects")):
        other = replace(variant, insertions=variant.insertions * count)
        assert row_title(Tile(sample, other)).endswith(told)
    rejected = replace(variant, rejections=(Rejection("black"), Rejection("black"), Rejection("no region")))
    assert row_title(Tile(sample, rejected)).endswith("1 object   rejected: 2 x black, 1 x no region")
