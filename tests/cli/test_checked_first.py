"""``evaluate`` checks outputs, device, scores, model and every label map before the first frame is evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poc_aug.environment import write_json
from poc_aug.errors import OutputError
from poc_aug.evaluation import anomalies
from poc_aug.files.safe_names import file_name
from tests.helpers import hostile_callables
from tests.helpers.command_line import run
from tests.helpers.evaluation_cases import Streets

HERE = __name__
OTHERS = hostile_callables.__name__
MODEL = ("--model", "tests.helpers.evaluation_cases:Brightness")
STREETS = "tests.helpers.evaluation_cases:Streets"


class Known(Streets):
    """Streets whose labels have a file, one of them with an id that the schema does not know."""

    def __init__(self, unknown: int = -1, length: int = 4) -> None:
        super().__init__(length)
        self.labels = [f"/frames/{number}_labels.png" for number in range(length)]
        self.unknown = unknown

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, labels.point(lambda value: 77 if value == 0 and index == self.unknown else value)


class Void(Streets):
    """Streets of which no pixel counts."""

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, labels.point(lambda value: 255)


class Slashes(Streets):
    def keys(self) -> list[str]:
        return ["a/b", "a_b", "a%2Fb", "x" * 300, "none"]


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: object, **__: object) -> None:
        pytest.fail("a frame was evaluated")

    monkeypatch.setattr(anomalies, "evaluate", evaluate)


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (("--dataset", f"{HERE}:Known unknown=2"), ("[77]", "Known", "/frames/2_labels.png")),
        (("--dataset", "tests.helpers.fakes:Frames"), ("Frames", "out of distribution")),
        (("--dataset", f"{STREETS} length=1"), ("Streets", "anomalous")),
        (("--dataset", f"{OTHERS}:Odd"), ("Odd", "frame-0")),
        (("--dataset", f"{OTHERS}:ExitsOnItem"), ("ExitsOnItem", "frame-0", "SystemExit")),
        (("--components", "road"), ("road", "anomaly, obstacle")),
        (("--device", "cuda:9"), ("cuda:9",)),
        (("--device", "tpu"), ("--device", "tpu")),
        (("--device", "meta"), ("--device", "'meta'", "holds no values")),
        (("--device", "vulkan"), ("--device", "'vulkan'", "cannot be used")),
        (("--size", "1,1"), ("Streets", "anomalous", "1x1", "--size")),
        (("--dataset", f"{HERE}:Void"), ("Void", "anomalous")),
        (("--void-index", "3"), ("void_index=3", "0 to 2")),
        (("--model", f"{OTHERS}:takes_vectors"), ("Linear failed on images of [1, 3, 48, 65]",)),
        (("--model", f"{OTHERS}:Exits"), ("Exits failed", "SystemExit")),
        (("--model", f"{OTHERS}:returns_none"), ("NoneType",)),
        (("--model", f"{OTHERS}:returns_no_pixel"), ("[1, 3, 0, 0]",)),
        (("--model", f"{OTHERS}:returns_complex"), ("complex64",)),
        (("--model", f"{OTHERS}:returns_one_channel"), ("[1, 1, 48, 65]",)),
        (("--model", ""), ("--model '' is empty",)),
        (("--dataset", "'unbalanced"), ("--dataset", "No closing quotation")),
        (("--labelled", STREETS, "--classes", "cityscapes-trainIds"), ("3 channels for 19 classes",)),
    ],
)
def test_what_is_wrong_is_said_before_the_first_frame(changes: tuple[str, ...], named: tuple[str, ...]) -> None:
    defaults = () if "--model" in changes else MODEL
    output = run("evaluate", *defaults, "--dataset", STREETS, *changes, fails=True)
    assert all(part in output for part in named), output


@pytest.mark.usefixtures("never")
def test_a_labelled_dataset_is_checked_too(tmp_path: Path) -> None:
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {road: 0, sky: 1, car: 2}\n")
    line = ("evaluate", *MODEL, "--dataset", STREETS, "--labelled", f"{HERE}:Known unknown=1", "--classes", classes)
    output = run(*line, fails=True)
    assert "[77]" in output
    assert "/frames/1_labels.png" in output
    classes.write_text("ids: {lava: 0, ice: 1}\n")
    assert "no class of schema" in run(*line[:-3], STREETS, *line[-2:], fails=True)


class Unknown(Streets):
    """Streets whose schema has to be given."""

    schema = None  # type: ignore[assignment]


def test_labelled_datasets_have_a_schema_option_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("ids: {road: 0, sky: 1, car: 2, anomaly: 3}\nignore: [255]\n")
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {road: 0, sky: 1, car: 2}\n")
    line = ("evaluate", *MODEL, "--dataset", STREETS, "--limit", 2, "--classes", classes)
    unknown = ("--labelled", f"{HERE}:Unknown")
    message = run(*line, *unknown, fails=True)
    assert "Unknown" in message
    assert "--labelled-schema" in message
    assert "--schema" not in message
    assert "Unknown" in run(*line, *unknown, "--labelled-schema", own)
    message = run(*line, *unknown, "--labelled-schema", "voc", fails=True)
    assert "labels of car" in message
    assert "--labelled-schema without --labelled" in run(
        "evaluate", *MODEL, "--dataset", STREETS, "--labelled-schema", own, fails=True
    )


@pytest.mark.parametrize("device", ["meta", "xpu:9", "no such device"])
def test_the_device_is_checked_before_anything_is_loaded(device: str, tmp_path: Path) -> None:
    nothing = "tests.helpers.no_such_module:Nothing"
    models = ["--backend", "diffusion", "--objects", "poc-alt", "--model", tmp_path / "none"]
    lines: list[list[Any]] = [
        ["warm-cache", *models, "--dataset", nothing, "--out", tmp_path / "a.cache"],
        ["try", tmp_path / "none.png", "--object", "a cat", "--out", tmp_path / "tried"],
        ["evaluate", "--model", nothing, "--dataset", nothing],
    ]
    for line in lines:
        message = run(*line, "--device", device, fails=True)
        assert "--device" in message
        assert repr(device) in message


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("taken", ["report.json", "scores.png"])
def test_files_of_the_report_that_cannot_be_written(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).mkdir()
    assert taken in run("evaluate", *MODEL, "--dataset", STREETS, "--out", tmp_path, fails=True)


def test_one_picture_per_key(tmp_path: Path) -> None:
    run("evaluate", *MODEL, "--dataset", f"{HERE}:Slashes length=5", "--limit", 4, "--out", tmp_path, "--maps", 4)
    names = {path.name for path in (tmp_path / "maps" / "Slashes").iterdir()}
    assert {"a%2Fb.png", "a_b.png", "a%252Fb.png"} < names
    assert len(names) == 4
    assert max(map(len, names)) <= 204


def test_names_of_files_are_different_for_different_keys() -> None:
    keys = [
        "a/b",
        "a_b",
        "a%2Fb",
        "",
        "%",
        ".",
        "..",
        "...",
        "~",
        "a~b",
        "\udcff",
        "é",
        "x" * 201,
        "x" * 202,
        "x" * 999,
    ]
    names = [file_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all(name.isascii() and "/" not in name and not name.startswith(".") for name in names)
    assert max(map(len, names)) == 200


def test_undefined_figures_are_null_with_a_reason(tmp_path: Path) -> None:
    figures = {"AuPRC": 0.5, "PPV": float("nan")}
    score = anomalies.ScoreResult(figures, quantiles={"known": [0.1], "anomalous": []})
    report = anomalies.EvaluationResult("streets", 1, 0, {"msp": score}, 1.0).to_dict()
    write_json(tmp_path / "report.json", report)
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text
    (msp,) = json.loads(text)["scores"].values()
    assert (msp["AuPRC"], msp["PPV"]) == (0.5, None)
    assert msp["undefined"] == {"PPV": "no evaluated pixel is anomalous"}


def test_no_report_holds_a_bare_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "report.json", {"value": float("nan")})
    with pytest.raises(OutputError):
        write_json(tmp_path / ("a" * 300), {"value": 1})
