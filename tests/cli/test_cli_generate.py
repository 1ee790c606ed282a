"""``try``, ``models``, ``doctor`` and ``warm-cache --backend`` with small models, loaded from disk as a user would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from poc_aug.backends.known_models import default_model, known_models
from poc_aug.cache import Cache
from poc_aug.cli.doctor_command import examine
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import camvid
from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.labels.policies import OodLabels
from tests.helpers.command_line import run
from tests.helpers.tiny_diffusion import sd_inpaint_path, sd_text_to_image_path  # noqa: F401
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast.*:FutureWarning")
# Random weights find something everywhere: the limits would reject it.
LAX = ["--set", "min_inside_box=0", "--set", "min_area_of_crop=0"]
QUICK = ["--backend-arg", "steps=2", "--device", "cpu"]


@pytest.fixture(scope="module")
def painter(sd_inpaint_path: Path) -> list[Any]:  # noqa: F811
    return ["--model", sd_inpaint_path, *QUICK]


@pytest.fixture(scope="module")
def annotator(grounding_dino_files: tuple[Path, Path, Path], segment_anything_path: Path) -> list[Any]:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    settings: dict[str, Any] = {
        "detector_config": config,
        "text_encoder": text_encoder,
        "box_threshold": 0,
        "text_threshold": 0,
    }
    settings["size_px"] = 96  # with the 800 of the paper these tests would take minutes
    arguments = [part for name, value in settings.items() for part in ("--annotator-arg", f"{name}={value}")]
    return [
        *("--annotator", "grounded-sam", "--detector", checkpoint, "--segmenter", segment_anything_path),
        *arguments,
    ]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    image, labels = SyntheticStreet(size=(192, 256), length=1)[0]
    image.save(tmp_path / "street.png")
    labels.save(tmp_path / "labels.png")
    return tmp_path / "street.png"


def test_try_draws_every_stage(street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = run("try", street, "--object", "a sheep", "--on", "the road", "--out", out, *painter, *annotator, *LAX)
    assert "accepted" in output
    stages = ["valid_area", "attempt0_region", "crop", "filled", "detections", "mask", "result", "result_mask"]
    names = [path.stem[3:].removeprefix("attempt0_") for path in sorted(out.glob("*.png"))]
    assert names == [stage.removeprefix("attempt0_") for stage in stages]
    report = json.loads((out / "report.json").read_text())
    (attempt,) = report["attempts"]
    y, x, h, w = attempt["crop_yxhw"]
    pictures = {path.stem[3:]: np.asarray(Image.open(path)) for path in out.glob("*.png")}
    before = np.asarray(Image.open(street))
    assert pictures["attempt0_crop"].shape == pictures["attempt0_filled"].shape == (h, w, 3)
    changed = (pictures["result"] != before).any(axis=2)
    assert changed.any()
    changed[y : y + h, x : x + w] = False
    assert not changed.any()
    assert attempt["prompt"] == "A good photo of a sheep"
    assert len(attempt["detections"][0]["scores"]) > 0
    assert report["statistics"]["classes"]["sheep"]["accepted"] == 1


def test_try_shows_why_it_was_rejected(street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [*painter, *annotator, "--set", "min_inside_box=1.0", "--set", "attempts=2"]
    output = run("try", street, "--object", "a sheep", "--out", out, *arguments, fails=True)
    assert output.count("rejected, outside the box") == 2
    assert len(list(out.glob("*_filled.png"))) == 2
    assert not list(out.glob("*result*"))
    assert len({attempt["seed"] for attempt in json.loads((out / "report.json").read_text())["attempts"]}) == 2


def test_try_takes_places_and_metres_from_labels(
    street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    labels: list[Any] = ["--labels", street.with_name("labels.png"), "--schema", "cityscapes-trainIds"]
    arguments = [*painter, *annotator, *LAX, "--out", out, "--set", "attempts=9"]
    output = run("try", street, "--object", "a cow", "--on", "the road", *labels, *arguments)
    assert "m (height), by the horizon" in output
    road = np.asarray(Image.open(labels[1])) == 0
    assert json.loads((out / "report.json").read_text())["valid_share"] == pytest.approx(road.mean(), abs=1e-4)
    for bad, message in (
        (["--labels", tmp_path / "none.png", "--schema", "cityscapes-trainIds"], "none.png: there is no such file"),
        (["--labels", labels[1]], "without --schema"),
    ):
        assert message in run("try", street, "--object", "a cow", *bad, *arguments, fails=True)


def test_try_draws_posts_and_says_what_the_horizon_is_known_from(
    street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path
) -> None:
    labels = ["--labels", street.with_name("labels.png"), "--schema", "cityscapes-trainIds"]
    cow = ["--object", "a cow", *painter, *annotator, *LAX, "--set", "attempts=9"]
    for number, (arguments, row, source) in enumerate(
        (
            (["--camera", "cityscapes", "--horizon", 0.4, *labels], 0.4 * 192, "given"),
            (["--camera", "kitti", "--horizon", 0.45, "--on", "anywhere"], 0.45 * 192, "given"),
            (labels, None, None),
        )
    ):
        out = tmp_path / f"out{number}"
        output = run("try", street, *arguments, *cow, "--out", out)
        camera = json.loads((out / "report.json").read_text())["camera"]
        if source is not None:
            assert camera["horizon_row"] == pytest.approx(row)
            assert camera["horizon_from"] == source
        assert f"(from: {camera['horizon_from']})" in output
        with Image.open(out / "01_posts.png") as picture:
            assert picture.size == (256 * 7, 192 * 7)
    # The picture's own file: a picture in Cityscapes' folders.
    frame = tmp_path / "leftImg8bit" / "val" / "x" / "a_1_2_leftImg8bit.png"
    frame.parent.mkdir(parents=True)
    Image.open(street).resize((256, 128)).save(frame)
    file = ["--camera", "file", "--on", "anywhere"]
    assert "a_1_2_camera.json" in run("try", frame, *file, *cow, "--out", tmp_path / "none", fails=True)
    calibration = {"intrinsic": {"fx": 2262.52, "fy": 2265.3, "u0": 1096.98, "v0": 513.137}}
    calibration["extrinsic"] = {"z": 1.22, "pitch": 0.038}
    path = tmp_path / "camera" / "val" / "x" / "a_1_2_camera.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(calibration))
    assert "(from: calibration file)" in run("try", frame, *file, *cow, "--out", tmp_path / "file")
    assert "--horizon 0.4" in run("try", frame, *file, "--horizon", 0.4, *cow, "--out", tmp_path / "file", fails=True)
    assert "or file" in run("try", frame, "--camera", "x", *cow, "--out", tmp_path / "file", fails=True)


def test_try_takes_sizes_in_pixels_and_keeps_a_horizon(
    street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--on", "anywhere", "--out", out, *painter, *annotator, *LAX]
    run("try", street, "--object", "a gizmo", "--sizes", "30:40px", *arguments)
    (attempt, *_) = json.loads((out / "report.json").read_text())["attempts"]
    assert all(30 <= side <= 40 for side in attempt["box_yxhw"][2:])
    run("try", street, "--object", "a cow", "--horizon", "0.3", "--camera", "cityscapes", *arguments)
    camera = json.loads((out / "report.json").read_text())["recipe"]["camera"]
    assert (camera["horizon"], camera["height_m"]) == (0.3, 1.22)


def test_try_names_its_own_option_for_a_place(street: Path, painter: list[Any], tmp_path: Path) -> None:
    labels = ["--labels", street.with_name("labels.png"), "--schema", "cityscapes-trainIds", "--annotator", "none"]
    asked = ["--on", "the rode", "--sizes", "20:30px", "--set", "locate_by=labels"]
    output = run("try", street, "--object", "a cow", *labels, *asked, *painter, "--out", tmp_path / "out", fails=True)
    assert '--on "road"' in output
    assert "--on anywhere" in output
    assert "--location" not in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sizes", "30:40"], "30:40px"),
        (["--sizes", "30:40px", "--size-m", "1"], "--sizes with --size-m"),
        (["--sizes", "metres"], "--size-m 0.5"),
        (["--schema", "cityscapes-trainIds"], "--schema cityscapes-trainIds without --labels"),
        (["--camera", "generic"], "camera={horizon: 0.4}"),
        (["--set", "size={kind: frame}"], "--sizes 40:120px"),
        (["--set", "colour=red"], "no such field"),
        (["--annotator", "none", "--detector", "x"], "--annotator transformers"),
    ],
)
def test_try_refuses_what_would_change_nothing(
    arguments: list[str], expected: str, street: Path, tmp_path: Path
) -> None:
    assert expected in run("try", street, "--object", "a gizmo", "--out", tmp_path / "out", *arguments, fails=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("paste", ["crop", "full"])
def test_try_with_a_text_to_image_model(
    paste: str,
    street: Path,
    sd_text_to_image_path: Path,  # noqa: F811
    annotator: list[Any],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    arguments = ["--backend", "text-to-image", "--model", sd_text_to_image_path, *QUICK, *annotator, *LAX]
    arguments += ["--backend-arg", f"paste={paste}", "--backend-arg", "size_px=64"]
    run("try", street, "--object", "a sheep", "--on", "anywhere", "--out", out, *arguments)
    assert json.loads((out / "report.json").read_text())["attempts"][0]["box_yxhw"][2:] == [64, 64]


def test_a_cache_of_real_frames_opens_like_any_other(
    real_data: Path, painter: list[Any], annotator: list[Any], tmp_path: Path
) -> None:
    root = real_data / "scenes" / "camvid"
    dataset = ["--dataset", "poc_aug.datasets:camvid", f"root={root}", "split=val"]
    cache = tmp_path / "camvid.cache"
    arguments = [*dataset, "--objects", "poc-animals", "--backend", "diffusion", *painter, *annotator, *LAX]
    output = run("warm-cache", *arguments, "--num-variants", 2, "--limit", 2, "--workers", 0, "--out", cache)
    assert "4 variants" in output
    assert "nothing to do" in run("warm-cache", *arguments, "--num-variants", 2, "--limit", 2, "--out", cache)
    base = camvid(root, "val")
    augmented = POCAugmentedDataset(base, cache, label_policy=OodLabels(254), p=1.0)
    with Cache.open(cache) as opened:
        assert opened.manifest.backends["inserter"]["inserter"] == "diffusion"
        assert opened.manifest.backends["annotator"]["annotator"] == "prompt"
        holding = [key for key, _ in opened]
        assert not opened.verify().problems
    assert len(holding) == 4
    changed = 0
    for index in range(4):
        image, labels = augmented[index]
        before, _ = base[index // 2] if len(augmented) == 2 * len(base) else base[index]
        changed += int((np.asarray(image) != np.asarray(before)).any() and (np.asarray(labels) == 254).any())
    assert changed >= 1
    picture = tmp_path / "sheet.png"
    run("preview", cache, *dataset, "--out", picture, "--count", 2)
    with Image.open(picture) as sheet:
        assert sheet.width == 1800


def test_options_come_from_yaml_too(street: Path, painter: list[Any], annotator: list[Any], tmp_path: Path) -> None:
    config = {
        "dataset": {"type": "poc_aug:SyntheticStreet", "args": {"size": [128, 192], "length": 1}},
        "objects": "poc-animals",
        "backend": "diffusion",
        "model": str(painter[1]),
        "device": "cpu",
        "backend_args": {"steps": 2},
        "annotator": "grounded-sam",
        "detector": str(annotator[3]),
        "segmenter": str(annotator[5]),
        "annotator_args": dict(pair.split("=") for pair in annotator[7::2])
        | {"box_threshold": 0, "text_threshold": 0, "size_px": 96},
        "set": {"min_inside_box": 0, "min_area_of_crop": 0},
        "num_variants": 1,
        "workers": 0,
        "out": str(tmp_path / "yaml.cache"),
    }
    path = tmp_path / "warm.yaml"
    path.write_text(yaml.safe_dump(config))
    assert "1 variant with" in run("warm-cache", "--config", path)


def test_a_user_defined_backend_is_used(tmp_path: Path) -> None:
    recipe = tmp_path / "triangle.yaml"
    recipe.write_text(
        yaml.safe_dump(
            {"objects": ["warning triangle"], "size": {"kind": "perspective", "min_px": 12}, "min_area_of_crop": 0.001}
        )
    )
    own = ["--backend", "examples.own_backend:TriangleInserter", "--annotator", "examples.own_backend:RedAnnotator"]
    output = run(
        *("warm-cache", "--dataset", "poc_aug:SyntheticStreet", "size=160,320", "length=2", "--objects", recipe),
        *(*own, "--backend-arg", "thickness=0.3", "--num-variants", 1, "--workers", 0, "--out", tmp_path / "own.cache"),
    )
    assert "2 variants" in output
    with Cache.open(tmp_path / "own.cache") as opened:
        assert opened.manifest.backends["inserter"] == {"inserter": "triangle", "version": 1, "thickness": 0.3}


STREET = ["--dataset", "poc_aug:SyntheticStreet", "size=128,192", "length=1", "--out", "unused.cache"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objects", "poc-alt"], "--backend diffusion"),
        (["--objects", "rendered", "--model", "x"], "without a backend"),
        (["--objects", "rendered", "--annotator-arg", "a=1"], "without a backend"),
        (["--objects", "poc-alt", "--backend", "paint"], "--backend paint"),
        (["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "sam9"], "--annotator sam9"),
        (["--objects", "poc-alt", "--backend", "diffusion", "--locator", "eye"], "--locator eye"),
        (["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "grounded-sam"], "without --detector"),
        (["--objects", "poc-alt", "--backend", "diffusion", "--batch-size", "0"], "batch_size = 0"),
        (
            ["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "none", "--locator", "prompt"],
            "--locator prompt with --annotator none",
        ),
        (
            ["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "none", "--model", "no/such/folder"],
            "no model at 'no/such/folder'",
        ),
        (
            ["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "none", "--backend-arg", "colour=red"],
            "colour",
        ),
        (
            ["--objects", "poc-alt", "--backend", "diffusion", "--annotator", "none", "--device", "tpu"],
            "device 'tpu'",
        ),
    ],
)
def test_mistakes_are_reported_before_any_work(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = run("warm-cache", *STREET, *arguments, fails=True)
    assert message in output
    assert not (tmp_path / "unused.cache").exists()


def test_try_names_bad_pictures_and_objects(street: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert "none.png: there is no such file" in run("try", tmp_path / "none.png", "--object", "a cat", fails=True)
    assert "cannot read picture" in run("try", tmp_path / "text.png", "--object", "a cat", fails=True)
    assert "what to insert" in run("try", street, "--object", "  ", fails=True)


def test_models_are_listed_with_their_licences() -> None:
    output = run("models")
    for model in known_models():
        line = next(line for line in output.splitlines() if line.split()[:1] == [model.id])
        assert model.licence in line
        assert ("NON-COMMERCIAL" in line) == model.non_commercial
        assert ("default" in line) == model.default
    assert default_model("inpaint") == "stable-diffusion-v1-5/stable-diffusion-inpainting"
    tasks = {model.task for model in known_models()}
    assert all(sum(model.default for model in known_models() if model.task == task) == 1 for task in tasks)


def test_the_doctor_examines_local_weights(sd_inpaint_path: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "bare").mkdir()
    shutil.copytree(sd_inpaint_path, tmp_path / "index-only", ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    (tmp_path / "empty.pth").touch()
    (tmp_path / "some.pth").write_bytes(b"x" * 1000)
    names = [sd_inpaint_path, tmp_path / "bare", tmp_path / "index-only", tmp_path / "empty.pth", tmp_path / "some.pth"]
    findings = {finding.what: finding for finding in examine([*map(str, names), "/no/such"], tmp_path)}
    assert [findings[str(name)].status for name in names] == ["ok", "fail", "fail", "fail", "ok"]
    assert findings["/no/such"].status == "fail"
    assert all(finding.advice for finding in findings.values() if finding.status == "fail")
    assert findings["diffusers"].status == findings["groundingdino-py"].status == "ok"
    assert findings["disk for the cache"].result.endswith(str(tmp_path))


def test_the_doctor_fails_where_something_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    output = run("doctor", "some/model", "--out", tmp_path, fails=True)
    assert "HF_HUB_OFFLINE" in output
    assert "hf download some/model" in output
    assert "1 problem" in output
    assert "problem" not in run("doctor", Path(__file__), "--out", tmp_path)


def test_the_doctor_names_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    (finding,) = [finding for finding in examine([], tmp_path) if finding.what == "diffusers"]
    assert finding.status == "fail"
    assert finding.advice == "pip install 'poc_aug[generate]'"
