"""Cut-outs from the components of a labelled dataset."""

from __future__ import annotations

import pickle

import pytest
import torch

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.errors import ItemFormatError, ObjectBankError, SampleReadError, SchemaError
from poc_aug.labels.schema import LabelSchema


class Frames:
    """Two frames with three boxes each; one of them touches the border."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.zeros((71, 97), dtype=torch.int64)
        labels[10 + i : 50, 10:45] = 2
        labels[20:60, 50:90] = 2
        labels[40:71, 0:8] = 2
        labels[62:66, 60:64] = 1
        image = torch.full((3, 71, 97), 30, dtype=torch.uint8)
        image[0, labels == 2] = 150 + self.shift
        return image, labels


FRAMES_SCHEMA = LabelSchema("frames", {"road": 0, "cone": 1, "box": 2})


def test_dataset_components() -> None:
    bank = ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box", "cone"], min_size_px=16)
    assert bank.classes() == ("box",)
    assert len(bank) == 4
    assert bank.dropped == {"smaller than 16 px": 2, "smaller than 512 px of area": 2}
    assert bank.cutout(0).alpha.shape == (36, 31)
    assert int((bank.cutout(3).image[0].int() - 150).abs().max()) <= 1
    again = pickle.loads(pickle.dumps(bank))
    assert again.describe() == bank.describe()
    assert torch.equal(again.cutout(2).image, bank.cutout(2).image)
    kept = ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box"], min_size_px=9, min_area_px=1, drop_truncated=False)
    assert len(kept) == 6


def test_dataset_errors() -> None:
    with pytest.raises(SchemaError, match="'unicorn' is not in label schema"):
        ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["unicorn"])
    with pytest.raises(ObjectBankError, match="4 smaller than 9000 px of area"):
        ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box"], min_area_px=9000)
    with pytest.raises(ItemFormatError, match="00000000"):
        ObjectBank.from_dataset([3], FRAMES_SCHEMA, ["box"])
    frames = Frames()
    bank = ObjectBank.from_dataset(frames, FRAMES_SCHEMA, ["box"])
    frames.shift = 9
    with pytest.raises(ObjectBankError, match="has changed since"):
        bank.cutout(0)


def test_a_dataset_whose_items_change_their_size() -> None:
    frames = Frames()
    bank = ObjectBank.from_dataset(frames, FRAMES_SCHEMA, ["box"])

    class Smaller(Frames):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            image, labels = super().__getitem__(i)
            return image[:, :30, :40], labels[:30, :40]

    frames.__class__ = Smaller
    with pytest.raises(ObjectBankError, match="has changed since"):
        bank.cutout(0)


def test_a_dataset_that_raises_is_named_with_its_key() -> None:
    class Broken(Frames):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            raise OSError("no disk")

    with pytest.raises(SampleReadError, match="'00000000' could not be read: OSError: no disk"):
        ObjectBank.from_dataset(Broken(), FRAMES_SCHEMA, ["box"])
