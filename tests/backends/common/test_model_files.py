from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.backends.common.model_files import hub_file, model_identity
from poc_aug.errors import ModelError


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) + 7, (9 << 20) + 3])
def test_files_of_one_name_and_size_are_told_apart(size: int, tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "model.pth", tmp_path / "b" / "model.pth"
    for path in (one, other):
        path.parent.mkdir()
        path.write_bytes(bytes(size))
    assert model_identity(one) == model_identity(other)
    assert model_identity(one).startswith("model.pth#")
    if size:
        for place in {0, size // 2, size - 1} if size < 8 << 20 else {0, size - 1}:
            changed = bytearray(size)
            changed[place] = 1
            other.write_bytes(bytes(changed))
            assert model_identity(one) != model_identity(other)
    other.write_bytes(bytes(size + 1))
    assert model_identity(one) != model_identity(other)


def test_folders_are_told_apart_by_every_file_and_not_by_their_place(tmp_path: Path) -> None:
    def make(parent: str, files: dict[str, str]) -> Path:
        folder = tmp_path / parent / "model"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    files = {"model_index.json": "{}", "unet/weights.safetensors": "ab", "tokenizer/vocab.txt": "a b"}
    one = model_identity(make("one", files))
    assert one == model_identity(make("same", files))
    assert str(tmp_path) not in one
    for name in files:
        assert model_identity(make(f"other-{name[:4]}", {**files, name: "xy"})) != one


def test_a_hub_id_is_itself() -> None:
    assert model_identity("someone/some-model") == "someone/some-model"


def test_what_cannot_be_fetched_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"detector .no/such.(.|\n)*Expected: a detector(.|\n)*hf download no/such"):
        hub_file("no/such", "config.json", what="detector", expected="a detector")
