"""What every annotator has to keep: subclass `AnnotatorContract` and give it an annotator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from poc_aug.protocols import Annotator
from poc_aug.types import Annotation, Crop, Filled, Rejection

Pairs = Sequence[tuple[Crop, Filled]]


def picture(h: int, w: int, seed: int) -> torch.Tensor:
    """Noise in blocks of four pixels, so that there are shapes to find."""
    rng = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (3, h // 4 + 1, w // 4 + 1), dtype=torch.uint8, generator=rng)
    return blocks.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)[:, :h, :w].contiguous()


def pair(h: int, w: int, seed: int, parts: tuple[str, ...] = ("dog",)) -> tuple[Crop, Filled]:
    """A crop and what it was filled with."""
    box = (h // 8, w // 8, h - h // 4, w - w // 4)
    texts = tuple(f"a {part}" for part in parts)
    crop = Crop(picture(h, w, seed), box, "-".join(parts), f"a photo of a {parts[0]}", parts, seed, detect=texts)
    return crop, Filled(picture(h, w, seed + 100))


class AnnotatorContract:
    """Fixtures to give: ``annotator``, with thresholds under which it finds something in noise, too.

    ``agreement`` is the least share of equal pixels, and ``tolerance`` the largest difference of scores, between a
    crop annotated alone and in a batch: the order of floating-point sums depends on the batch. ``most_parts`` is how
    many parts it can tell apart.
    """

    agreement = 0.99
    most_parts = 2
    tolerance = 1e-3

    @pytest.fixture
    def pairs(self) -> Pairs:
        """Crops of odd sizes, two of one size with texts of different lengths, and objects of two parts."""
        return [
            pair(64, 64, 1),
            pair(48, 71, 2, ("rider", "bicycle")),
            pair(64, 64, 3, ("cat",)),
            pair(17, 11, 4),
            pair(97, 131, 5, ("rider", "cat")),
        ]

    @pytest.fixture(scope="class")
    @classmethod
    def kept(cls) -> list[list[Annotation | Rejection]]:
        """What was found in the pairs, once a test has asked for it."""
        return []

    @pytest.fixture
    def found(
        self, kept: list[list[Annotation | Rejection]], annotator: Annotator, pairs: Pairs
    ) -> list[Annotation | Rejection]:
        if not kept:
            kept.append(self.annotate(annotator, pairs))
        return copy.deepcopy(kept[0])

    def annotate(self, annotator: Annotator, pairs: Pairs) -> list[Annotation | Rejection]:
        return annotator.annotate([crop for crop, _ in pairs], [filled for _, filled in pairs])

    def assert_same(self, one: Annotation | Rejection, other: Annotation | Rejection) -> None:
        assert type(one) is type(other)
        if isinstance(one, Rejection) or isinstance(other, Rejection):
            assert one == other
            return
        assert [part.name for part in one.parts] == [part.name for part in other.parts]
        for part, like in zip(one.parts, other.parts, strict=True):
            assert abs(part.score - like.score) <= self.tolerance
            assert float((part.mask == like.mask).float().mean()) >= self.agreement

    def test_it_keeps_the_protocol(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Annotator)

    def test_it_describes_itself_in_json(self, annotator: Annotator, pairs: Pairs) -> None:
        told = annotator.describe()
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert isinstance(told["annotator"], str)
        self.annotate(annotator, pairs[:1])
        assert annotator.describe() == told

    def test_one_result_a_crop_of_the_crops_size(self, pairs: Pairs, found: list[Annotation | Rejection]) -> None:
        assert len(found) == len(pairs)
        for (crop, _), result in zip(pairs, found, strict=True):
            if isinstance(result, Rejection):
                assert result.object_name in ("", crop.object_name)
                assert result.detail
                continue
            names = [part.name for part in result.parts]
            assert names
            assert len(set(names)) == len(names)
            assert set(names) <= set(crop.parts)
            for part in result.parts:
                assert part.mask.dtype == torch.bool
                assert part.mask.device.type == "cpu"
                assert part.mask.shape == crop.image.shape[-2:]
                assert bool(part.mask.any())
                assert 0 <= part.score <= 1

    def test_something_is_found_part_by_part(self, pairs: Pairs, found: list[Annotation | Rejection]) -> None:
        counts = [len(result.parts) for result in found if isinstance(result, Annotation)]
        assert counts
        assert max(counts) == self.most_parts
        masks = [part.mask for result in found if isinstance(result, Annotation) for part in result.parts]
        assert any(not bool(mask.all()) for mask in masks)

    def test_a_batch_changes_nothing(
        self, annotator: Annotator, pairs: Pairs, found: list[Annotation | Rejection]
    ) -> None:
        alone = [self.annotate(annotator, [each])[0] for each in pairs]
        backwards = self.annotate(annotator, pairs[::-1])[::-1]
        for results in (alone, backwards):
            for one, other in zip(results, found, strict=True):
                self.assert_same(one, other)

    def test_the_same_input_gives_the_same(self, annotator: Annotator, pairs: Pairs) -> None:
        found = self.annotate(annotator, pairs)
        kept = [
            replace(result, parts=tuple(replace(part, mask=part.mask.clone()) for part in result.parts))
            if isinstance(result, Annotation)
            else result
            for result in found
        ]
        for result in found:
            if isinstance(result, Annotation):
                for part in result.parts:
                    part.mask.fill_(True)  # what comes back is the caller's own
        for one, other in zip(self.annotate(annotator, pairs), kept, strict=True):
            self.assert_same(one, other)

    def test_it_looks_at_the_filled_picture_only(
        self, annotator: Annotator, pairs: Pairs, found: list[Annotation | Rejection]
    ) -> None:
        bare = [(replace(crop, image=torch.zeros_like(crop.image)), filled) for crop, filled in pairs]
        for one, other in zip(self.annotate(annotator, bare), found, strict=True):
            self.assert_same(one, other)
        others = self.annotate(annotator, [(crop, Filled(255 - filled.image)) for crop, filled in pairs])
        assert any(_differs(one, other) for one, other in zip(others, found, strict=True))

    def test_inputs_are_left_alone(self, annotator: Annotator, pairs: Pairs) -> None:
        before = [(crop.image.clone(), filled.image.clone()) for crop, filled in pairs]
        self.annotate(annotator, pairs)
        for (crop, filled), (image, painted) in zip(pairs, before, strict=True):
            assert torch.equal(crop.image, image)
            assert torch.equal(filled.image, painted)

    def test_the_global_random_state_is_not_touched(self, annotator: Annotator, pairs: Pairs) -> None:
        results = []
        for seed in (3, 4):
            torch.manual_seed(seed)
            random.seed(seed)
            # It is the global state that is looked at.
            np.random.seed(seed)  # noqa: NPY002
            before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
            results.append(self.annotate(annotator, pairs))
            assert torch.equal(torch.get_rng_state(), before[0])
            assert random.getstate() == before[1]
            assert str(np.random.get_state()) == before[2]  # noqa: NPY002
        for one, other in zip(*results, strict=True):
            self.assert_same(one, other)

    def test_an_empty_batch_is_empty(self, annotator: Annotator) -> None:
        assert annotator.annotate([], []) == []


def _differs(one: Annotation | Rejection, other: Annotation | Rejection) -> bool:
    if isinstance(one, Rejection) or isinstance(other, Rejection):
        return one != other
    return any(
        not torch.equal(part.mask, like.mask) or abs(part.score - like.score) > 1e-6
        for part, like in zip(one.parts, other.parts, strict=False)
    )
