"""``poc-aug sets`` and ``warm-cache --set``: what is listed, what contradicts a set, and what a dry run says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.members import member_path
from poc_aug.cli.set_options import name_of_set, with_paper_set
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from poc_aug.paper_sets import load_set, set_names
from poc_aug.paper_sets.measured_rates import OBJECT_BYTES, RATES
from tests.helpers.command_line import run
from tests.helpers.set_trees import acdc_tree, cityscapes_tree, idd_tree


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cityscapes_tree(tmp_path_factory.mktemp("city"))


def files_below(*folders: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders for path in sorted(folder.rglob("*"))}


def test_sets_are_listed_and_shown() -> None:
    listed = run("sets")
    assert [line for line in listed.splitlines() if line in set_names()] == set_names()
    assert "200 frames of ACDC val, 3 variants each; 25 new classes" in listed
    for name in set_names():
        shown = run("sets", name)
        paper_set = load_set(name)
        texts = [paper_set.title, paper_set.source, paper_set.models.model, *paper_set.differs, *paper_set.unknown]
        assert [text for text in texts if text not in shown] == []
    assert "The authors' draw of 200 images is not published" in run("sets", "acdc-poc")


def test_an_unknown_set_lists_the_known_ones(city: Path) -> None:
    for arguments in (["sets", "cs-pox"], ["warm-cache", "--set", "cs-pox", "--data", city, "--dry-run"]):
        message = run(*arguments, fails=True)
        assert "no set 'cs-pox'" in message
        assert "genval" in message
        assert "did you mean cs-poc" in message


def test_a_dry_run_counts_and_writes_nothing(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_below(city, tmp_path)
    shown = run("warm-cache", "--set", "poc-a", "--data", city, "--dry-run", "--out", tmp_path / "a.cache")
    assert files_below(city, tmp_path) == before
    assert "4 (3475 in the official train and val)" in shown
    assert "3 per frame: 12" in shown
    assert "bird flying 19, cat 20, cow 21, dog 22, horse 23, sheep 24" in shown
    assert "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png" in shown
    assert "nothing was written" in shown
    # 12 attempts of 1 / 1.45926 s, and three times as many
    assert f"{RATES[1].device}: 0.14 min if each first attempt is accepted, 0.41 min" in shown
    assert f"{12 * OBJECT_BYTES['delta-zstd'] / 1e6:.3g} MB" in shown
    assert "† not known" in shown
    half = run("warm-cache", "--set", "poc-a", "--data", city, "--dry-run", "--limit", 2, "--num-variants", 1)
    assert "2 of 4 (--limit)" in half
    assert "1 per frame: 2" in half


def test_a_dry_run_of_whole_sets(tmp_path: Path) -> None:
    acdc_tree(tmp_path, frames=60, size_hw=(12, 16))
    shown = run("warm-cache", "--set", "acdc-poc", "--data", tmp_path, "--dry-run", "--rate", 2.0)
    assert "200 (406 in the official val, of which 200 are drawn)" in shown
    assert "stroller 100" in shown
    assert "monkey 124" in shown
    assert "rider 25, motorcycle 32, bicycle 33, train 31, bus 28, person 24, car 26, truck 27" in shown
    assert "your device: 20 min if each first attempt is accepted, 1 h if all attempts are needed" in shown
    assert f"{600 * OBJECT_BYTES['delta-zstd'] / 1e6:.3g} MB" in shown


@pytest.mark.parametrize("name", ["poc-a-t2i-full", "genval"])
def test_what_was_never_measured_is_not_estimated(name: str, city: Path) -> None:
    shown = run("warm-cache", "--set", name, "--data", city, "--dry-run")
    assert "never measured" in shown
    assert "NVIDIA" not in shown
    assert "your device: 12 min" in run(
        "warm-cache", "--set", name, "--data", city, "--dry-run", "--rate", 60 if "t2i" in name else 360
    )


def test_a_dry_run_needs_no_set(city: Path, tmp_path: Path) -> None:
    dataset = ["--dataset", "poc_aug.datasets:cityscapes", f"root={city}", "split=val"]
    shown = run("warm-cache", *dataset, "--objects", "rendered", "--dry-run")
    assert "3 per frame: 6" in shown
    assert "none is needed" in shown
    for wrong, message in (
        (["--rate", 2.0], "no model paints"),
        (["--report", tmp_path / "report.json"], "a dry run writes nothing"),
        (["--paper-set", "cs-poc"], "--dataset with --set cs-poc"),
    ):
        assert message in run("warm-cache", *dataset, "--objects", "rendered", "--dry-run", *wrong, fails=True)
    assert not (tmp_path / "report.json").exists()
    out = ["--out", tmp_path / "a.cache", "--rate", 2.0]
    assert "without --dry-run" in run("warm-cache", *dataset, "--objects", "rendered", *out, fails=True)


CONTRADICTIONS: list[tuple[list[Any], str, str]] = [
    (["--dataset", "poc_aug:SyntheticStreet"], "--dataset with --set cs-poc", "--data ROOT"),
    (["--keys", "names"], "--keys with --set cs-poc", "leave it out"),
    (["--schema", "camvid"], "--schema with --set cs-poc", "leave it out"),
    (["split=train"], "split=train with --set cs-poc", "leave it out"),
    (["--objects", "poc-coco"], "--objects poc-coco with --set cs-poc", "leave --objects out"),
    (["--objects", "rendered", "--backend", "diffusion"], "with --set cs-poc", "leave --set out"),
    (["--objects", "rendered", "--model", "a/b"], "--model 'a/b' without a backend", "leave it out"),
    (["--objects", "rendered", "--paper-sizes"], "cannot be rendered|no paper sizes", ""),
    (["--backend", "text-to-image"], "--backend text-to-image with --set cs-poc", "sets of their own"),
    (["--set", "poc-alt"], "--set cs-poc --set poc-alt", "one cache for each set"),
    (["--paper-set", "poc-alt"], "--set cs-poc --set poc-alt", "one cache for each set"),
    (["--seed", "1", "--set", "seed=2"], "seed", "one of the two"),
    (["--objects", "no/such.json"], "no/such.json", ""),
]


@pytest.mark.parametrize(("arguments", "problem", "step"), CONTRADICTIONS, ids=lambda value: str(value)[:40])
def test_contradictions_are_errors(arguments: list[Any], problem: str, step: str, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.cache"
    message = run("warm-cache", "--set", "cs-poc", "--data", city, "--out", out, *arguments, fails=True)
    assert any(one in message for one in problem.split("|")), message
    assert step in message
    assert not out.exists()


def test_new_classes_need_objects_of_these_classes(city: Path, tmp_path: Path) -> None:
    coco = tmp_path / "instances.json"
    coco.write_text(json.dumps({"images": [], "categories": [], "annotations": []}))
    for objects in (["rendered"], [coco], [coco, "--include", "dog,toaster"], ["rendered", "--include", "dog"]):
        message = run("warm-cache", "--set", "poc-a", "--data", city, "--objects", *objects, "--dry-run", fails=True)
        assert "each class has a label id" in message
        assert "--include cat,cow,dog,horse,sheep" in message


def test_data_and_set_need_each_other(tmp_path: Path, city: Path) -> None:
    message = run("warm-cache", "--set", "idd-poc", "--out", tmp_path / "a.cache", fails=True)
    assert "--data is missing" in message
    assert "https://idd.insaan.iiit.ac.in" in message
    assert "--data without --set NAME" in run("warm-cache", "--data", city, "--objects", "rendered", fails=True)
    assert "--out is missing" in run("warm-cache", "--set", "cs-poc", "--data", city, fails=True)
    wrong = idd_tree(tmp_path / "idd")
    message = run("warm-cache", "--set", "cs-poc", "--data", wrong, "--out", tmp_path / "a.cache", fails=True)
    assert "this folder holds IDD" in message
    assert not (tmp_path / "a.cache").exists()


def test_a_set_can_be_named_in_yaml(city: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump({"paper_set": "poc-coco", "data": str(city), "limit": 1, "dry_run": True}))
    shown = run("warm-cache", "--config", config)
    assert "1 of 2 (--limit)" in shown
    assert "zebra 90" in shown


def job_of(**own: Any) -> WarmCacheOptions:
    values = with_paper_set({"paper_set": "cs-poc", "data": "city", **own}, None)
    return WarmCacheOptions.from_values(values, "options")


def test_options_that_take_the_place_of_a_sets() -> None:
    job = job_of()
    assert (job.objects, job.paper_sizes, job.num_variants, job.seed) == ("poc-alt", True, 3, 0)
    assert job.changes == {"locate_by": "locator"}
    assert job.backend_args == {"steps": 50, "guidance": 7.5}
    job = job_of(backend_args={"steps": 4}, annotator_args={"nms_iou": 0.5}, set={"attempts": 9}, device="cpu")
    assert job.backend_args == {"steps": 4, "guidance": 7.5}
    assert job.annotator_args == {"box_threshold": 0.3, "text_threshold": 0.25, "nms_iou": 0.5}
    assert job.changes == {"locate_by": "locator", "attempts": 9}
    job = job_of(seed=7, locator="labels", sizes="metres", num_variants=1, workers=0)
    assert (job.seed, job.changes, job.paper_sizes, job.num_variants) == (7, {}, False, 1)
    job = job_of(annotator="sam3", segmenter="my/sam3")
    assert (job.detector, job.segmenter, job.annotator_args) == (None, "my/sam3", {})
    job = job_of(backend="mine:Inserter")
    assert (job.model, job.detector, job.segmenter, job.backend_args) == (None, None, None, {})


def test_a_name_among_changes_is_a_set() -> None:
    assert name_of_set({"set": ["a=1"], "paper_set": None}) == {"set": ["a=1"], "paper_set": None}
    assert name_of_set({"set": ["cs-poc"], "paper_set": None}) == {"set": None, "paper_set": "cs-poc"}
    with pytest.raises(SettingError, match="--set a --set b"):
        name_of_set({"set": ["a", "b"]})


def test_a_cache_of_stand_ins_does_not_claim_to_be_the_set(city: Path, tmp_path: Path) -> None:
    out = tmp_path / "alt.cache"
    common = ["warm-cache", "--set", "poc-alt", "--data", city, "--objects", "rendered", "--camera", "cityscapes"]
    shown = run(*common, "--out", out, "--workers", 0, "--limit", 1, "--set", "attempts=9")
    assert "note: this cache will not be poc-alt, these differ:" in shown
    assert "objects: from 'rendered', not from diffusion" in shown
    assert "frames: 2, not 2975" in shown
    assert "frames: only the first 1" in shown
    with Cache.open(out) as cache:
        assert len(cache) == 3
        assert load_set("poc-alt").differences(cache.manifest)
    told = run("sets", "poc-alt", "--cache", out, fails=True)
    assert f"{out} is not poc-alt" in told
    assert "recipe: attempts, " in told
    assert "--cache without the name" in run("sets", "--cache", out, fails=True)


@pytest.mark.parametrize(
    "root", ["", "gone", "loop", "file", "/dev/null", "a" * 300, "~no_such_user/x", "1,2", "[a", "empty"]
)
def test_hostile_folders_of_data_are_named(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    message = run("warm-cache", "--set", "cs-poc", "--data", root, "--out", "a.cache", fails=True)
    assert "Next step" in message
    assert root[:40] in message or repr(root)[1:-1] in message
    assert not (tmp_path / "a.cache").exists()


def test_a_folder_whose_name_looks_like_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cityscapes_tree(tmp_path / "1,2", ("val",), frames=1)
    assert "1 (500 in" in run("warm-cache", "--set", "cs-poc", "--data", "1,2", "--dry-run")


def test_each_recipe_of_a_cache_is_compared(tmp_path: Path) -> None:
    paper_set, out = load_set("cs-poc"), tmp_path / "cs.cache"
    models, recipe = paper_set.models, paper_set.recipe()
    finder = {
        "detector": {"model": models.detector, **models.annotator_args},
        "segmenter": {"model": models.segmenter},
    }
    backends = {
        "inserter": {"inserter": models.backend, "model": models.model, **models.backend_args},
        "annotator": {"annotator": "prompt", "finder": finder},
    }
    written = [recipe, recipe.with_changes(attempts=9)]
    manifests = [Manifest.create(one.to_dict(), backends, {"schema": "cityscapes-trainIds"}) for one in written]
    for manifest, path in zip(manifests, (out, member_path(out, manifests[1].fingerprint)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        CacheWriter(path, manifest).close()
    shown = run("sets", "cs-poc", "--cache", out)
    assert f"recipe {manifests[0].fingerprint}: made as cs-poc, 0 variants of 1500" in shown
    assert f"recipe {manifests[1].fingerprint} is not cs-poc, these differ:" in shown
    assert "recipe: attempts" in shown
    alone = run("sets", "cs-poc", "--cache", member_path(out, manifests[1].fingerprint), fails=True)
    assert "made as" not in alone
    assert "recipe: locate_by" in run("sets", "acdc-poc", "--cache", out, fails=True)
