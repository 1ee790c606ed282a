"""Captions of a training: found, made, or missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.captioner_file import CaptionFile
from poc_aug.errors import SampleReadError, SettingError
from poc_aug.finetuning.training_captions import known_captions, make_captions
from poc_aug.types import Json
from tests.helpers.finetune_cases import CAPTIONS, Streets


class Tiring:
    """Captions so many frames, then fails."""

    def __init__(self, most: int = 1000) -> None:
        self.left, self.sizes = most, list[int]()

    def describe(self) -> dict[str, Json]:
        return {"captioner": "tiring"}

    def caption(self, images: Sequence[torch.Tensor]) -> list[str]:
        self.left -= len(images)
        if self.left < 0:
            raise RuntimeError("tired")
        self.sizes.append(len(images))
        return [f"mean {float(image.float().mean()):.3f}" for image in images]


def test_missing_captions_are_counted_and_named() -> None:
    some = {key: text for key, text in CAPTIONS.items() if not key.endswith(("1.png", "4.png"))}
    with pytest.raises(
        SettingError, match=r"2 of 6 frames have no caption: 'street/1\.png', 'street/4\.png'"
    ) as caught:
        known_captions(list(CAPTIONS), some, None, "")
    assert "TransformersCaptioner" in caught.value.hint
    assert "--captioner" in caught.value.command
    assert known_captions(list(CAPTIONS), some, None, "a street")["street/4.png"] == "a street"
    assert known_captions(list(CAPTIONS), some, Tiring(), "a street") == some  # the captioner makes the rest


def test_captioning_continues_where_it_ended(tmp_path: Path) -> None:
    streets = Streets(20)
    file = CaptionFile(tmp_path / "captions.jsonl")
    with pytest.raises(RuntimeError, match="tired"):
        make_captions(streets, streets.keys(), {}, Tiring(8), file)
    rest = Tiring()
    known = known_captions(streets.keys(), file, rest, "")
    assert len(known) == 8
    shown = list[tuple[int, int]]()
    captions = make_captions(
        streets, streets.keys(), known, rest, file, on_progress=lambda done, total: shown.append((done, total))
    )
    assert rest.sizes == [8, 4]
    assert shown == [(8, 12), (12, 12)]
    assert captions == make_captions(streets, streets.keys(), {}, Tiring(), None)
    assert list(captions) == streets.keys()
    assert make_captions(streets, streets.keys(), captions, Tiring(0), file) == captions  # nothing to do


def test_repeated_frames_are_captioned_once() -> None:
    streets = Streets(4)
    captioner = Tiring()
    captions = make_captions(streets, ["a", "b", "a", "b"], {}, captioner, None)
    assert captioner.sizes == [2]
    assert list(captions) == ["a", "b"]


def test_a_frame_that_cannot_be_read_is_named() -> None:
    class Broken(Streets):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            if index == 2:
                raise OSError("cut off")
            return super().__getitem__(index)

    broken = Broken()
    with pytest.raises(SampleReadError, match=r"street/2\.png.*cut off"):
        make_captions(broken, broken.keys(), {}, Tiring(), None)
