"""The folder of a run: what is in it is whole, and another run is refused."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from poc_aug.errors import OutputError, SettingError
from poc_aug.finetuning.run_folder import RunFolder


def test_another_run_is_refused_and_what_differs_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.check({"seed": 0}) is False
    folder.begin({"seed": 0, "size": 512, "captions": "ab"})
    assert folder.check({"seed": 0, "size": 512}, later=("captions",)) is True
    with pytest.raises(SettingError) as caught:
        folder.begin({"seed": 1, "size": 512, "captions": "ab", "lora_rank": 4})
    assert "lora_rank: None there, 4 now" in str(caught.value)
    assert "seed: 0 there, 1 now" in str(caught.value)
    assert "size" not in caught.value.problem.partition("\n")[2]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'notes.txt', and is no folder of a fine-tuning"):
        RunFolder(tmp_path).begin({})
    with pytest.raises(OutputError, match="is a file"):
        RunFolder(tmp_path / "notes.txt").check({})
    assert os.listdir(tmp_path) == ["notes.txt"]
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(OutputError, match=r"run\.json.* cannot be read"):
        RunFolder(tmp_path).check({})


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.load_checkpoint() is None
    for step in (2, 4, 10, 12):
        folder.save_checkpoint(step, {"at": torch.tensor(step)}, keep=2)
    assert sorted(os.listdir(folder.path / "checkpoints")) == ["step-00000010", "step-00000012"]
    assert folder.load_checkpoint() == (12, {"at": torch.tensor(12)})


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({})
    folder.save_checkpoint(2, {"at": 2}, keep=2)
    with ExitStack() as killed:
        half = killed.enter_context(folder.new_folder("checkpoints/step-00000004"))
        (half / "state.pt").write_bytes(b"half")
        killed.pop_all()  # never ended, as if the process were gone
    assert folder.load_checkpoint() == (2, {"at": 2})
    folder.begin({})
    assert os.listdir(folder.path / "checkpoints") == ["step-00000002"]


def test_a_checkpoint_with_changed_bytes_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.save_checkpoint(2, {"at": 2}, keep=2)
    (tmp_path / "checkpoints/step-00000002/state.pt").write_bytes(b"PK")
    with pytest.raises(OutputError, match="step-00000002' cannot be read"):
        folder.load_checkpoint()


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("old", "new"):
        with folder.new_folder("controlnet") as made:
            (made / name).write_text(name)
    assert os.listdir(folder.model) == ["new"]
    assert os.listdir(tmp_path) == ["controlnet"]


def test_one_process_trains_into_a_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked():
        with pytest.raises(OutputError, match="another process trains into"), RunFolder(tmp_path).locked():
            pass
    with RunFolder(tmp_path).locked():
        pass
