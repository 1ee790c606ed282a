"""``poc-aug export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.labels.policies import AnomalyLabels
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401
from tests.helpers.export_cases import as_arrays, read_picture
from tests.helpers.fakes import Frames

_EXPORT = ["--split", "train", "--workers", 0]


def export(cache: Path, out: Path, *options: Any, layout: str = "cs-synth", fails: bool = False) -> str:
    return run("export", cache, *FRAMES, "--out", out, "--layout", layout, *_EXPORT, *options, fails=fails)


def test_export_writes_what_the_dataset_shows_and_continues(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    out, report = tmp_path / "out", tmp_path / "run.json"
    printed = export(cache_path, out, "--labels", "anomaly", "--ring", 2, "--report", report)
    dataset = POCAugmentedDataset(Frames(3, (60, 81)), cache_path, AnomalyLabels(ring_px=2), variants="all")
    ood_px = 0
    for index in range(6):
        image, labels = as_arrays(dataset[index])
        name = f"train/frames/frame-{index // 2:03d}_v{index % 2}.png"
        assert np.array_equal(read_picture(out / "leftImg8bit" / name), image)
        assert np.array_equal(read_picture(out / "gtFine" / name), labels)
        ood_px += int((labels == 1).sum())
    assert "6 frames written" in printed
    assert f"{ood_px} OOD pixels" in " ".join(printed.split())
    values = json.loads(report.read_bytes())
    assert (values["written"], values["ood_px"], values["exit_code"]) == (6, ood_px, 0)
    again = " ".join(export(cache_path, out, "--labels", "anomaly", "--ring", 2).split())
    assert "0 frames written" in again
    assert "6 were there before" in again


def test_new_classes_are_numbered_in_the_recipes_order(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    export(cache_path, tmp_path / "out", "--labels", "ids", "--variants", 0)
    ids = json.loads((tmp_path / "out" / "export.json").read_bytes())["labels"]["ids"]
    recipe = json.loads((cache_path / "manifest.json").read_bytes())["recipe"]
    names = [spec["parts"][-1] for spec in recipe["objects"]]
    assert [name for name, _ in sorted(ids.items(), key=lambda item: item[1])] == names
    assert min(ids.values()) == 19  # after trainIds, which the layout's readers expect
    run(
        "export", cache_path, *FRAMES, "--out", tmp_path / "kept", "--layout", "pebal", *_EXPORT, "--labels", "ids",
        "--keep-ids", "--base-frames", "--skip-empty",
    )  # fmt: skip
    kept = json.loads((tmp_path / "kept" / "export.json").read_bytes())
    assert min(kept["labels"]["ids"].values()) == 3  # after the dataset's own
    assert (tmp_path / "kept/images/city_gt_fine/train/frame-001_leftImg8bit.png").exists()


@pytest.mark.parametrize(
    ("options", "layout", "named"),
    [
        ([], "city", "no layout 'city'"),
        (["--labels", "ood:300"], "pebal", "label id 300"),
        (["--labels", "void"], "pebal", "--labels void"),
        (["--ids", "dog=19"], "pebal", "--ids dog=19 with --labels ood:254"),
        (["--variants", "0-2"], "pebal", "--variants 0-2"),
        (["--variants", "7"], "pebal", "no frame to export"),
        (["--sigma", "99"], "pebal", "sigma_px=99"),
        (["--instance-ids", "all"], "pebal", "instance_ids='all' for the layout 'pebal'"),
        ([], "cityscapes", "needs instance ids"),
        (["--instance-ids", "some"], "cityscapes", "instance_ids='some'"),
        (["--schema", "nothing"], "pebal", "no label schema 'nothing'"),
    ],
    ids=str,
)
def test_bad_options_are_errors_before_any_file(
    options: list[str],
    layout: str,
    named: str,
    cache_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    assert named in export(cache_path, tmp_path / "out", *options, layout=layout, fails=True)
    assert not (tmp_path / "out").exists()


def test_what_has_to_be_given(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    given = ["--out", tmp_path / "out", "--layout", "pebal"]
    assert "--dataset is missing" in run("export", cache_path, *given, fails=True)
    assert "--layout is missing" in run("export", cache_path, *FRAMES, "--out", tmp_path, fails=True)
    assert "--out is missing" in run("export", cache_path, *FRAMES, "--layout", "pebal", fails=True)
    assert "no cache is given" in run("export", *FRAMES, *given, fails=True)
    assert "the split of 3 of 3 samples is not known" in run("export", cache_path, *FRAMES, *given, fails=True)
    assert "is given twice" in run("export", cache_path, cache_path, *FRAMES, *given, fails=True)
