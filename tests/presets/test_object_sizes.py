"""Real sizes of objects: which are known, and how to give one that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES
from poc_aug.errors import SettingError
from poc_aug.presets.object_sizes import known_sizes, real_size


def test_sizes_cover_coco_and_the_papers_lists() -> None:
    sizes = known_sizes()
    assert all(0.05 <= metres <= 15 for metres, _ in sizes.values())
    for name in (*CITYSCAPES_COCO_CLASSES, "zebra", "toaster", "bird flying", "wheelie bin", "arcade machine"):
        assert name in sizes
    assert real_size("Potted_Plant") == real_size("potted plant")
    assert real_size("knife").measure == "longest"


def test_unknown_size_says_how_to_give_it() -> None:
    with pytest.raises(SettingError, match=r"'unicorn' is not known(.|\n)*sizes=\{'unicorn': 0.5\}") as caught:
        real_size("unicorn")
    assert "--sizes-file FILE.yaml" in caught.value.on_command_line()
    assert "sizes=" not in caught.value.on_command_line()


def test_real_sizes_are_known_for_the_whole_bank(real_data: Path) -> None:
    data = json.loads((real_data / "objects/coco_mini/instances.json").read_text())
    for row in data["categories"]:
        assert real_size(row["name"]).size_m is not None
