"""``warm-cache`` runs that fail: at their first sample, or late; what is said, and what ``--report`` holds of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poc_aug.cache import Cache
from tests.helpers.command_line import run
from tests.helpers.fakes import Frames


class OneBad(Frames):
    """One of the frames cannot be read."""

    def __init__(self, length: int = 2, bad: int = 0, kind: str = "empty") -> None:
        super().__init__(length, (60, 120))
        self.bad, self.kind = bad, kind

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        if index != self.bad:
            return image, labels
        if self.kind == "exit":
            sys.exit(3)
        return Image.new("RGB", (160, 0)), Image.new("L", (160, 0))


ONE_BAD: list[Any] = ["--dataset", f"{__name__}:OneBad", "--num-variants", 1, "--workers", 0]


@pytest.mark.parametrize("objects", ["rendered", "cutouts"])
@pytest.mark.parametrize(("kind", "named"), [("empty", "0x160 pixels"), ("exit", "sys.exit(3)")])
def test_a_bad_first_sample_is_reported_and_skipped_as_any_other(
    objects: str, kind: str, named: str, tmp_path: Path
) -> None:
    command = ["warm-cache", *ONE_BAD, f"kind={kind}", "--camera", "cityscapes", "--out", tmp_path / "a.cache"]
    if objects == "cutouts":  # their horizon is only known from the camera, whose frames have one shape
        (tmp_path / "dog").mkdir()
        picture = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (10, 10, 70, 50))
        picture.save(tmp_path / "dog" / "one.png")
        (tmp_path / "schema.yaml").write_text("ids: {road: 0, sky: 1, car: 2}")
        command += ["--schema", tmp_path / "schema.yaml", "--location", "anywhere", "--sizes", "10:20px"]
    command += ["--objects", tmp_path if objects == "cutouts" else objects]
    errors = [run(*command, f"bad={bad}", fails=True) for bad in (0, 1)]
    assert all("sample 'frame-00" in text and named in text and "--on-error skip" in text for text in errors)
    assert errors[0] == errors[1].replace("frame-001", "frame-000")
    output = run(*command, "bad=0", "--on-error", "skip")
    assert "unreadable: frame-000" in output
    with Cache.open(tmp_path / "a.cache") as cache:
        assert set(cache) == {("frame-001", 0)}
