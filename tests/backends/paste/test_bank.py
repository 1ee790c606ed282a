"""A bank of cut-outs: what is drawn from it, its fingerprint, and real banks."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.errors import ObjectBankError, RecipeError
from tests.helpers.bank_cases import disc, folder, write  # noqa: F401


def test_truncated_file_is_found_when_it_is_drawn(folder: Path) -> None:  # noqa: F811
    path = folder / "cone" / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 4), dtype=np.uint8)
    write(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    bank = ObjectBank.from_folder(folder)
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.cutout(0)


def test_vanished_file(folder: Path) -> None:  # noqa: F811
    bank = ObjectBank.from_folder(folder)
    (folder / "cone" / "a.png").unlink()
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.cutout(0)
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.describe()


def test_transparent_cutout_is_an_error(folder: Path) -> None:  # noqa: F811
    write(folder / "cone" / "a.png", np.zeros((40, 40, 4), dtype=np.uint8))
    with pytest.raises(ObjectBankError, match=r"a\.png' is empty"):
        ObjectBank.from_folder(folder).cutout(0)


def test_unknown_class_lists_the_known(folder: Path) -> None:  # noqa: F811
    with pytest.raises(RecipeError, match="cone, potted plant"):
        ObjectBank.from_folder(folder).by_class("dragon")


def test_pickles_without_pixels_and_reads_alike(folder: Path) -> None:  # noqa: F811
    bank = ObjectBank.from_folder(folder)
    first = bank.cutout(1)
    data = pickle.dumps(bank)
    assert len(data) < 3500
    again = pickle.loads(data).cutout(1)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.alpha, again.alpha)
    assert bank.cutout(1) is first


def test_fingerprint_follows_content_not_place(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    here, there = ObjectBank.from_folder(folder), ObjectBank.from_folder(moved)
    assert here.describe() == there.describe()
    assert json.loads(json.dumps(here.describe())) == here.describe()
    write(moved / "cone" / "a.png", disc(60, 41, (251, 120, 20)))
    assert ObjectBank.from_folder(moved).describe() != here.describe()


def test_hard_mask_is_pulled_in_and_no_background_colour_is_left(folder: Path) -> None:  # noqa: F811
    cutout = ObjectBank.from_folder(folder).cutout(0)
    raw = disc(60, 41, (250, 120, 20))[..., 3] > 0
    assert not cutout.soft
    assert set(cutout.alpha.unique().tolist()) == {0, 255}
    assert cutout.alpha.shape == (int(raw.any(1).sum()) - 2, int(raw.any(0).sum()) - 2)
    # The object is of one colour: so is the whole rectangle, where magenta was around it.
    assert int((cutout.image.int() - torch.tensor([250, 120, 20])[:, None, None]).abs().max()) <= 1


def test_two_threads_read_one_bank(tmp_path: Path) -> None:
    for i in range(24):
        write(tmp_path / "dog" / f"{i:02d}.png", disc(40, 33, (i * 10, 50, 50)))
    bank = ObjectBank.from_folder(tmp_path)
    expected = [bank.cutout(i).image.clone() for i in range(24)]

    def read(seed: int) -> bool:
        order = np.random.default_rng(seed).integers(0, 24, 300)
        return all(torch.equal(bank.cutout(int(i)).image, expected[i]) for i in order)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


def test_real_banks(real_data: Path) -> None:
    bank = ObjectBank.from_folder(real_data / "objects")
    assert len(bank) == 66
    for i in range(len(bank)):
        cutout = bank.cutout(i)
        assert not cutout.soft
        assert cutout.alpha.shape == cutout.image.shape[1:]
        assert bool((cutout.alpha > 0).any(0).all())
    soft = ObjectBank.from_folder(real_data / "objects" / "soft_alpha")
    assert all(soft.cutout(i).soft for i in range(len(soft)))
    coco = ObjectBank.from_coco(
        real_data / "objects/coco_mini/instances.json",
        real_data / "objects/coco_mini/images",
        exclude=CITYSCAPES_COCO_CLASSES,
    )
    assert not set(coco.classes()) & set(CITYSCAPES_COCO_CLASSES)
    for i in range(len(coco)):
        assert int((coco.cutout(i).alpha > 0).sum()) > 300
