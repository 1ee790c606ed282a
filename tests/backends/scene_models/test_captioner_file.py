"""Captions on disk: each frame once, half lines ignored, by hand before models."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.captioner_file import CachedCaptioner, CaptionFile, captioner_name, pixel_digest
from poc_aug.errors import OutputError, SettingError
from poc_aug.types import Json
from tests.helpers.waiting import WATCHDOG_S

FRAMES = [torch.full((3, 4, 8), value, dtype=torch.uint8) for value in range(4)]


class Counting:
    """Names the grey value of a frame, and remembers how many it was given."""

    def __init__(self, words: str = "grey") -> None:
        self.words, self.given = words, 0

    def describe(self) -> dict[str, Json]:
        return {"captioner": "counting", "words": self.words}

    def caption(self, images: Sequence[torch.Tensor]) -> list[str]:
        self.given += len(images)
        return [f"{self.words} {int(image[0, 0, 0])}" for image in images]


def test_a_frame_is_captioned_once_over_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "captions.jsonl"
    for expected in (4, 0):
        captioner = Counting()
        cached = CachedCaptioner(captioner, CaptionFile(path))
        assert cached.describe() == captioner.describe()
        twice = [*FRAMES, FRAMES[1]]
        assert cached.caption(twice, list("abcdb")) == ["grey 0", "grey 1", "grey 2", "grey 3", "grey 1"]
        assert cached.caption(FRAMES[2:]) == ["grey 2", "grey 3"]  # whatever its key is
        assert captioner.given == expected
    assert len(path.read_text().splitlines()) == 4


def test_another_captioner_and_another_frame_are_captioned(tmp_path: Path) -> None:
    file = CaptionFile(tmp_path / "captions.jsonl")
    CachedCaptioner(Counting(), file).caption(FRAMES[:1], ["a"])
    other = Counting("dark")
    assert CachedCaptioner(other, file).caption(FRAMES[:2], ["a", "a"]) == ["dark 0", "dark 1"]
    assert other.given == 2


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_line_that_a_killed_process_left_is_ignored(tmp_path: Path, left: int) -> None:
    path = tmp_path / "captions.jsonl"
    CachedCaptioner(Counting(), CaptionFile(path)).caption(FRAMES[:2], ["a", "b"])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[:first] + whole[first:][:left])
    captioner = Counting()
    file = CaptionFile(path)
    assert CachedCaptioner(captioner, file).caption(FRAMES[:3], ["a", "b", "c"]) == ["grey 0", "grey 1", "grey 2"]
    assert captioner.given == 2
    assert CaptionFile(path).by_key("abc") == {"a": "grey 0", "b": "grey 1", "c": "grey 2"}
    assert path.read_bytes().startswith(whole[:first])  # only ever appended to


def test_a_file_that_ends_in_half_a_line_alone_is_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"key": "a", "ima')
    file = CaptionFile(path)
    file.add("b", "0", "blip", "a road")
    assert CaptionFile(path).by_key(["a", "b"]) == {"b": "a road"}


def test_captions_by_hand_take_precedence(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    file = CaptionFile(path)
    captioner = Counting()
    CachedCaptioner(captioner, file).caption(FRAMES[:1], ["a"])
    with path.open("a") as stream:
        stream.write(json.dumps({"key": "a", "caption": "a narrow street"}) + "\n")
        stream.write(json.dumps({"key": "b", "caption": "an avenue"}) + "\n")
    assert file.by_key(["a", "b", "c"]) == {"a": "a narrow street", "b": "an avenue"}
    assert CachedCaptioner(captioner, file).caption(FRAMES[:3], ["a", "b", "c"]) == [
        "a narrow street",
        "an avenue",
        "grey 2",
    ]


def test_one_of_several_captioners_has_to_be_named(tmp_path: Path) -> None:
    file = CaptionFile(tmp_path / "captions.jsonl")
    for words in ("grey", "dark"):
        CachedCaptioner(Counting(words), file).caption(FRAMES[:1], ["a"])
    with pytest.raises(SettingError, match=r"captions of 'a' by 2 captioners: counting#\w+, counting#\w+"):
        file.by_key(["a"])
    assert file.by_key(["a"], captioner_name(Counting("dark").describe())) == {"a": "dark 0"}


def _append(path: Path, name: str) -> None:
    file = CaptionFile(path)
    for number in range(50):
        file.add(f"{name}{number}", f"{name}{number}", "blip", "x" * 500)


def test_two_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    file = CaptionFile(path)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(WATCHDOG_S)
        assert writer.exitcode == 0
    assert len(file.by_key(f"{name}{number}" for name in "ab" for number in range(50))) == 100


def test_errors_name_the_file(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not captions\n")
    with pytest.raises(SettingError, match=r"notes.txt' holds no captions"):
        CaptionFile(other)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        CaptionFile(tmp_path / "file" / "x.jsonl").add("a", "0", "blip", "x")
    with pytest.raises(SettingError, match="cannot be read: Is a directory"):
        CaptionFile(tmp_path)


def test_a_digest_is_of_all_pixels() -> None:
    changed = FRAMES[0].clone()
    changed[2, 3, 7] = 1
    assert pixel_digest(changed) != pixel_digest(FRAMES[0])
    assert pixel_digest(FRAMES[0].flip(1)) == pixel_digest(FRAMES[0])
