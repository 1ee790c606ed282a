"""What every inserter has to keep: subclass `InserterContract` and give it an inserter and crops."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence

import pytest
import torch

from poc_aug.protocols import Inserter
from poc_aug.types import Crop, Extent, Filled, Rejection


class InserterContract:
    """Fixtures to give: ``inserter`` and ``crops`` (three or more, of different sizes, seeds and objects).

    ``tolerance`` is the largest difference of levels between a crop filled alone and in a batch: 0 where nothing
    is computed in batches, 2 for models (the order of floating-point sums depends on the batch).
    """

    tolerance = 0

    @pytest.fixture(scope="class")
    @classmethod
    def kept(cls) -> dict[str, list[Filled | Rejection]]:
        """What each inserter of the class made of the crops, once a test has asked for it."""
        return {}

    @pytest.fixture
    def filled(
        self, kept: dict[str, list[Filled | Rejection]], inserter: Inserter, crops: Sequence[Crop]
    ) -> list[Filled | Rejection]:
        described = json.dumps(inserter.describe())
        if described not in kept:
            kept[described] = inserter.insert(crops)
        return copy.deepcopy(kept[described])

    def test_it_keeps_the_protocol(self, inserter: Inserter, crops: Sequence[Crop]) -> None:
        assert isinstance(inserter, Inserter)
        assert isinstance(inserter.needs_camera, bool)
        for crop in crops:
            extent = inserter.extent(crop.object_name, crop.seed)
            assert extent is None or isinstance(extent, Rejection) or (isinstance(extent, Extent) and extent.aspect > 0)
            assert extent == inserter.extent(crop.object_name, crop.seed)

    def test_it_describes_itself_in_json(self, inserter: Inserter) -> None:
        told = inserter.describe()
        assert json.loads(json.dumps(told, allow_nan=False)) == told == inserter.describe()
        assert isinstance(told["inserter"], str)

    def test_one_result_a_crop_of_the_crops_size(self, crops: Sequence[Crop], filled: list[Filled | Rejection]) -> None:
        assert len(filled) == len(crops)
        for crop, result in zip(crops, filled, strict=True):
            if isinstance(result, Rejection):
                assert result.object_name in ("", crop.object_name)
                continue
            size = crop.image.shape[-2:]
            assert result.image.dtype == torch.uint8
            assert result.image.shape == crop.image.shape
            assert result.image.device.type == "cpu"
            for soft in (result.alpha, result.shade):
                assert soft is None or (soft.dtype == torch.uint8 and soft.shape == size)
            if result.annotation is not None:
                for part in result.annotation.parts:
                    assert part.name in crop.parts
                    assert part.mask.dtype == torch.bool
                    assert part.mask.shape == size
                    assert 0 <= part.score <= 1
            json.dumps(dict(result.provenance), allow_nan=False)

    def test_something_is_filled(self, crops: Sequence[Crop], filled: list[Filled | Rejection]) -> None:
        pairs = [(c, f) for c, f in zip(crops, filled, strict=True) if isinstance(f, Filled)]
        assert pairs
        assert any(not torch.equal(crop.image, picture.image) for crop, picture in pairs)

    def test_crops_are_left_alone(self, inserter: Inserter, crops: Sequence[Crop]) -> None:
        before = [crop.image.clone() for crop in crops]
        for result in inserter.insert(crops):
            if isinstance(result, Filled):
                result.image.fill_(7)  # what comes back is the caller's own
        assert all(torch.equal(crop.image, image) for crop, image in zip(crops, before, strict=True))

    def test_a_batch_changes_nothing(
        self, inserter: Inserter, crops: Sequence[Crop], filled: list[Filled | Rejection]
    ) -> None:
        alone = [inserter.insert([crop])[0] for crop in crops]
        backwards = inserter.insert(list(crops)[::-1])[::-1]
        for results in (alone, backwards):
            for one, other in zip(results, filled, strict=True):
                self.assert_same(one, other)

    def assert_same(self, one: Filled | Rejection, other: Filled | Rejection) -> None:
        assert type(one) is type(other)
        if isinstance(one, Rejection) or isinstance(other, Rejection):
            assert one == other
            return
        for a, b in ((one.image, other.image), (one.alpha, other.alpha), (one.shade, other.shade)):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert int((a.int() - b.int()).abs().max()) <= self.tolerance
        assert one.provenance == other.provenance

    def test_different_seeds_give_different_objects(self, inserter: Inserter, crops: Sequence[Crop]) -> None:
        from dataclasses import replace

        results = inserter.insert([replace(crops[0], seed=seed) for seed in range(1, 6)])
        pictures = [result.image for result in results if isinstance(result, Filled)]
        assert len(pictures) >= 2
        assert any(not torch.equal(pictures[0], picture) for picture in pictures[1:])

    def test_the_global_random_state_is_not_touched(self, inserter: Inserter, crops: Sequence[Crop]) -> None:
        torch.manual_seed(3)
        before = torch.get_rng_state()
        first = inserter.insert(crops)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(4)
        for one, other in zip(first, inserter.insert(crops), strict=True):
            self.assert_same(one, other)

    def test_an_empty_batch_is_empty(self, inserter: Inserter) -> None:
        assert inserter.insert([]) == []
