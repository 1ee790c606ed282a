"""Whose an export's folder is: no two exports in one, none in a cache, and nothing else overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from poc_aug.errors import ExportError, OutputError, PocAugError, SettingError
from poc_aug.exporting.export_folder import ExportFolder
from poc_aug.exporting.exporter import export
from poc_aug.exporting.layouts.ood_seg import OodSegLayout
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from tests.helpers.export_cases import LENGTH, SPLIT, LicensedInserter, contents, warm_halos
from tests.helpers.fakes import Frames, make_recipe
from tests.helpers.kinds import INSERTIONS


def run(halos: Path, out: Path, **changes: Any) -> Any:
    settings = {"layout": "pebal", "workers": 0, **SPLIT, **changes}
    return export(Frames(LENGTH), halos, settings.pop("layout"), out, **settings)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"layout": "cs-synth"}, 'layout: there "pebal", now "cs-synth"'),
        ({"labels": OodLabels(253)}, "labels: there .*254.*now .*253"),
        ({"labels": OodLabels(254, ring_px=2)}, "ring_px=2"),
        ({"labels": AnomalyLabels()}, "AnomalyLabels"),
        ({"sigma_px": 2.0}, r"sigma_px: there 1\.0, now 2\.0"),
        ({"keep_ids": True}, 'schema: there "cityscapes-trainIds", now "test"'),
    ],
    ids=str,
)
def test_another_export_is_refused(change: dict[str, Any], named: str, halos: Path, tmp_path: Path) -> None:
    run(halos, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=f"holds another export: .*{named}"):
        run(halos, tmp_path, **change)
    assert contents(tmp_path) == before


def test_another_recipe_or_quality_is_refused(halos: Path, tmp_path: Path) -> None:
    other = warm_halos(tmp_path / "other.cache", num_variants=1, seed=9)
    run(halos, tmp_path / "a")
    with pytest.raises(ExportError, match="recipes"):
        run(other, tmp_path / "a")
    run(halos, tmp_path / "b", layout="ood-seg")
    with pytest.raises(ExportError, match="layout_settings"):
        run(halos, tmp_path / "b", layout=OodSegLayout(quality=80))


@pytest.mark.parametrize(
    ("there", "now", "said"),
    [
        (
            {"dog": 1},
            {"dog": 1, "horse": 6},
            'no frame there has the class "horse" (id 6), which something was relabelled',
        ),
        (
            {"dog": 1, "horse": 6},
            {"dog": 1},
            'there is the class "horse" (id 6), which nothing is relabelled to any more',
        ),
        ({"dog": 1}, {"dog": 2, "horse": 6}, 'label_ids: there {"dog": 1}, now {"dog": 2, "horse": 6}'),
    ],
)
def test_classes_that_are_new_or_gone_are_named(
    there: dict[str, int], now: dict[str, int], said: str, tmp_path: Path
) -> None:
    with ExportFolder(tmp_path, {"label_ids": there}) as folder:
        folder.begin({})
    with pytest.raises(ExportError) as caught:
        ExportFolder(tmp_path, {"label_ids": now})
    assert f"holds another export: {said}" in str(caught.value)
    assert "Next step: give another folder: all frames are written there" in str(caught.value)
    assert "give another folder with --out: all frames" in caught.value.on_command_line()
    with pytest.raises(ExportError) as caught:
        ExportFolder(tmp_path, {"label_ids": now, "recipes": ["other"]})
    assert "relabelled" not in str(caught.value)


def test_two_at_once_are_refused(halos: Path, tmp_path: Path) -> None:
    with ExportFolder(tmp_path, {"layout": "pebal"}) as _, pytest.raises(ExportError) as caught:
        run(halos, tmp_path)
    assert caught.value.problem == f"process {os.getpid()} on {os.uname().nodename} is exporting into {str(tmp_path)!r}"
    assert caught.value.expected == "one export into a folder at a time"
    run(halos, tmp_path)  # the first one has ended


def test_a_folder_with_other_files_is_refused(halos: Path, tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ExportError, match=r"holds leftImg8bit, notes\.txt, and no export"):
        run(halos, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["leftImg8bit", "notes.txt"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "x", "identity": {}}', '{"identity": 5}', "[" * 99_999])
def test_a_manifest_that_is_none_is_refused(content: str, halos: Path, tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(content)
    with pytest.raises(ExportError, match="is not the manifest of an export"):
        run(halos, tmp_path)
    assert (tmp_path / "export.json").read_text() == content


def test_places_that_cannot_be_written(halos: Path, tmp_path: Path) -> None:
    for out in (halos, halos / "shards" / "out"):
        with pytest.raises(OutputError, match="is a cache"):
            run(halos, out)
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        with pytest.raises(OutputError):
            run(halos, out)


def test_val_joins_train_in_one_tree(halos: Path, tmp_path: Path) -> None:
    run(halos, tmp_path)
    train = json.loads((tmp_path / "export.json").read_bytes())
    assert train["splits"] == {"train": 3 * LENGTH}
    run(halos, tmp_path, split="val", variants=0)
    both = json.loads((tmp_path / "export.json").read_bytes())
    assert both["splits"] == {"train": 3 * LENGTH, "val": LENGTH}
    assert len(both["caches"]) == 1
    assert both["ood_px"] > train["ood_px"]
    assert len(list(tmp_path.glob("images/city_gt_fine/*/*.png"))) == 4 * LENGTH
    assert len((tmp_path / "export.frames.jsonl").read_bytes().splitlines()) == 4 * LENGTH


def test_the_manifest_says_what_it_was_made_of(halos: Path, tmp_path: Path) -> None:
    report = run(halos, tmp_path, labels=NewClassLabels({"dog": 19, "cat": 20}))
    manifest = json.loads((tmp_path / "export.json").read_bytes())
    (cache,) = manifest["caches"]
    assert cache["fingerprint"] == json.loads((halos / "manifest.json").read_bytes())["fingerprint"]
    assert cache["backends"]["inserter"]["inserter"] == "ellipse"
    assert [spec["name"] for spec in cache["recipe"]["objects"]] == ["dog", "cat", "car"]
    assert manifest["labels"]["ids"] == {"dog": 19, "cat": 20, "car": 13}
    assert manifest["labels"]["base_schema"] == "test"
    assert (manifest["layout"], manifest["complete"]) == ("pebal", True)
    assert manifest["frames"] == report.total == 3 * LENGTH
    assert manifest["objects"] == report.objects
    assert sum(manifest["objects"].values()) > 0
    assert set(manifest["versions"]) == {"poc_aug", "torch", "numpy", "pillow"}
    lines = [json.loads(line) for line in (tmp_path / "export.frames.jsonl").read_bytes().splitlines()]
    assert sum(line["ood_px"] for line in lines) == manifest["ood_px"]
    assert lines[1]["key"] == "frame-000"
    assert lines[1]["variant"] == 1


def test_the_manifest_names_licences_of_objects_and_models(tmp_path: Path) -> None:
    cache = tmp_path / "licensed.cache"
    pipeline = InsertionPipeline(make_recipe(), LicensedInserter())
    INSERTIONS.warm(cache, LENGTH, num_variants=3, pipeline=pipeline)
    report = run(cache, tmp_path / "out", base_frames=True)
    manifest = json.loads((tmp_path / "out" / "export.json").read_bytes())
    assert set(manifest["licences"]) == {"CC-BY-2.0", "unknown"}
    assert sum(manifest["licences"].values()) == sum(report.objects.values())
    (model,) = manifest["caches"][0]["models"]
    assert (model["model"], model["licence"]) == ("IDEA-Research/grounding-dino-tiny", "Apache-2.0")


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        ({"layout": "cs_synth"}, ExportError, "no layout 'cs_synth'"),
        ({"variants": -1}, SettingError, "variants=-1"),
        ({"variants": "0"}, SettingError, "variants='0'"),
        ({"variants": []}, SettingError, r"variants=\[\]"),
        ({"variants": 9}, ExportError, "no frame to export: 4 x variant not in the cache"),
        ({"sigma_px": 2.5}, SettingError, r"sigma_px=2\.5"),
        ({"sigma_px": float("nan")}, SettingError, "sigma_px=nan"),
        ({"split": "a/b"}, SettingError, "split='a/b'"),
        ({"split": None}, ExportError, "the split of 4 of 4 samples is not known: key 'frame-000'"),
        ({"labels": NewClassLabels({"dog": 300, "cat": 20})}, ExportError, "class 'dog' has label id 300"),
        ({"labels": NewClassLabels({"dog": 30})}, PocAugError, "no label id for the inserted classes"),
        ({"layout": "ood-seg", "labels": AnomalyLabels()}, ExportError, "layout 'ood-seg' with AnomalyLabels"),
        ({"layout": "cityscapes"}, ExportError, "needs instance ids"),
    ],
    ids=str,
)
def test_bad_input_is_an_error_before_any_work(
    change: dict[str, Any], kind: type[PocAugError], named: str, halos: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=named):
        run(halos, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()
