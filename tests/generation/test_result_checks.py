"""Backends whose results have another size, dtype or value than the contract says: one error that names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.errors import GenerationError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.types import Annotation, Crop, Filled, Part, Rejection
from tests.helpers.fakes import EllipseAnnotator, EllipseInserter, Frames, make_recipe, make_sample

SMALL, FLOAT = torch.zeros(5, 6, dtype=torch.uint8), torch.zeros(3, 4)

IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "size": ({"image": torch.zeros(3, 5, 6, dtype=torch.uint8)}, r"an image of torch\.uint8 \[3, 5, 6\]"),
    "grey": ({"image": SMALL}, r"an image of torch\.uint8 \[5, 6\]"),
    "nan": ({"image": torch.full((3, 5, 6), torch.nan)}, r"an image of torch\.float32 \[3, 5, 6\]"),
    "array": ({"image": SMALL.numpy()}, "an image of ndarray"),
    "alpha": ({"alpha": SMALL}, r"an alpha of torch\.uint8 \[5, 6\]"),
    "shade": ({"shade": FLOAT}, r"a shade of torch\.float32 \[3, 4\]"),
    "masks": ({"annotation": (SMALL,)}, "an annotation of type tuple"),
}
MASK = torch.ones(5, 6, dtype=torch.bool)


def parts_of(kind: str, crop: Crop) -> Any:
    whole = torch.ones(crop.image.shape[1:], dtype=torch.bool)
    name = crop.parts[0]
    return {
        "size": (Part(name, MASK),),
        "dtype": (Part(name, whole.float() * torch.nan),),
        "score": (Part(name, whole, float("nan")),),
        "text": (Part(name, whole, "high"),),  # type: ignore[arg-type]
        "mask": (whole,),
        "one": Part(name, whole),
    }[kind]


PARTS = {
    "size": r"a mask of part '(dog|cat|car)' of torch\.bool \[5, 6\]",
    "dtype": r"a mask of part '(dog|cat|car)' of torch\.float32",
    "score": "the score nan of part",
    "text": "the score 'high' of part",
    "mask": "a part of type Tensor",
    "one": "parts of type Part",
}


class Odd(EllipseInserter):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def _one(self, crop: Crop) -> Filled | Rejection:
        filled = super()._one(crop)
        assert isinstance(filled, Filled)
        if self.kind.startswith("parts "):
            return replace(filled, annotation=Annotation(parts_of(self.kind.removeprefix("parts "), crop)))
        return replace(filled, **IMAGES[self.kind][0])


class OddAnnotator(EllipseAnnotator):
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        return [Annotation(parts_of(self.kind, crop)) for crop in crops]


def check(error: GenerationError, backend: str, what: str) -> None:
    assert re.match(
        rf"{backend} returned {what}.* for object '(dog|cat|car)', whose crop is \d+x\d+ pixels", error.problem
    )
    assert error.__cause__ is None
    assert "correct the backend" in error.hint


@pytest.mark.parametrize("kind", [*IMAGES, *(f"parts {kind}" for kind in PARTS)])
def test_what_an_inserter_returns_is_named(kind: str) -> None:
    odd = InsertionPipeline(make_recipe(location=[]), Odd(kind), batch_size=2)
    with pytest.raises(GenerationError) as caught:
        list(odd.run((make_sample(number), 0) for number in range(3)))
    check(caught.value, "Odd", IMAGES[kind][1] if kind in IMAGES else PARTS[kind.removeprefix("parts ")])


@pytest.mark.parametrize("kind", PARTS)
def test_what_an_annotator_returns_is_named(kind: str) -> None:
    odd = InsertionPipeline(make_recipe(location=[]), EllipseInserter(exact=False), OddAnnotator(kind))
    with pytest.raises(GenerationError) as caught:
        list(odd.run([(make_sample(), 0)]))
    check(caught.value, "OddAnnotator", PARTS[kind])


def test_a_picture_of_another_size_says_both_sizes_and_is_not_skipped(tmp_path: Path) -> None:
    odd = InsertionPipeline(make_recipe(location=[]), Odd("size"))
    with pytest.raises(GenerationError, match=r"\[3, 5, 6\] for object") as caught:
        warm_cache(Frames(2), tmp_path / "a.cache", odd, num_variants=1, workers=0, on_error="skip")
    crop = re.search(r"crop is (\d+)x(\d+) pixels", caught.value.problem)
    assert crop is not None
    assert caught.value.expected == f"torch.uint8 [3, {crop[1]}, {crop[2]}], the crop's size"
