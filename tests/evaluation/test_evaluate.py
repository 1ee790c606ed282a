"""`poc-aug evaluate` and the function behind it, on rendered streets with inserted objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from poc_aug.errors import DatasetError, ModelError, RecipeError
from poc_aug.evaluation.anomalies import Frame, evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.labels.schema import LabelSchema
from tests.helpers.command_line import run
from tests.helpers.fakes import SCHEMA, make_sample

HERE = __name__


class Streets(Dataset[Any]):
    """Frames with a bright square that is an anomaly; the last one has none."""

    schema = LabelSchema("test", {**SCHEMA.ids, "anomaly": 3}, ignore=(255,), ood=("anomaly",))

    def __init__(self, length: int = 4) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        return [f"frame-{i}" for i in range(self.length)]

    def __getitem__(self, index: int) -> Any:
        sample = make_sample(index)
        if index < self.length - 1:
            sample.image[:, 20:30, 10:25] = 255
            sample.labels[20:30, 10:25] = 3
        return Image.fromarray(sample.image.permute(1, 2, 0).numpy()), Image.fromarray(sample.labels.numpy())


class Brightness(nn.Module):
    """Sure of class 0, but where it is bright; counts nothing else."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean(dim=1, keepdim=True)[..., :: self.stride, :: self.stride]
        return torch.cat([10 * (1 - grey), torch.zeros_like(grey), torch.full_like(grey, -5)], dim=1)


class Nothing(nn.Module):
    def forward(self, images: torch.Tensor) -> Any:
        return {"out": images}


class Across(Brightness):
    """Logits of an image that lies on its side."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).transpose(-1, -2)


def test_a_model_that_sees_anomalies_scores_one() -> None:
    seen: list[Frame] = []
    model = Brightness().train()
    result = evaluate(model, Streets(), ("msp", "max-logit"), components="obstacle", on_frame=seen.append)
    assert (result.frames, result.left_out, len(seen)) == (4, 0, 4)
    for score in result.scores.values():
        assert score.pixels["AuPRC"] == pytest.approx(1)
        assert score.pixels["FPR95"] == pytest.approx(0)
        assert score.components["sIoU"] == pytest.approx(1)
        assert score.components["component F1"] == pytest.approx(1)
        assert score.quantiles["known"][-1] <= score.quantiles["anomalous"][0]
        assert score.quantiles["known"] == sorted(score.quantiles["known"])
    assert model.training  # left as it was
    assert set(torch.cat([frame.labels.flatten() for frame in seen]).tolist()) == {0, 1, 255}


def test_sizes_limits_and_frames_without_anomalies() -> None:
    small = evaluate(Brightness(2), Streets(), size_hw=(24, 33), anomalous_only=True)
    assert (small.frames, small.left_out) == (3, 1)
    assert small.scores["msp"].pixels["AuPRC"] > 0.9
    assert evaluate(Brightness(), Streets(), limit=2).frames == 2
    nothing = evaluate(Brightness(), Streets(1)).scores["msp"].pixels
    assert nothing["AuPRC"] != nothing["AuPRC"]  # NaN: no pixel is anomalous


def test_bad_models_and_sets_are_named() -> None:
    with pytest.raises(ModelError, match=r"dict(?s:.*)\['out'\]"):
        evaluate(Nothing(), Streets())
    with pytest.raises(ModelError, match=r"\[1, 3, 65, 48\] for an image of 48x65"):
        evaluate(Across(), Streets())
    with pytest.raises(DatasetError, match="left of 1"):
        evaluate(Brightness(), Streets(1), anomalous_only=True)
    with pytest.raises(RecipeError, match="scores="):
        evaluate(Brightness(), Streets(), ())


def test_the_command_writes_a_report_and_pictures(tmp_path: Path) -> None:
    out = tmp_path / "report"
    output = run(
        *("evaluate", "--model", f"{HERE}:Brightness stride=1"),
        *(
            "--dataset",
            f"{HERE}:Streets",
            "--dataset",
            f"{HERE}:Streets length=2",
        ),
        *("--score", "msp", "--score", "entropy", "--components", "obstacle", "--maps", "2", "--out", str(out)),
    )
    for part in ("AuPRC", "FPR95", "Streets-1", "Streets-2", "entropy", "100.00"):
        assert part in output
    report = json.loads((out / "report.json").read_text())
    assert [result["dataset"] for result in report["results"]] == ["Streets-1", "Streets-2"]
    assert report["results"][0]["scores"]["msp"]["AuPRC"] == pytest.approx(1)
    assert report["environment"]["torch"]
    for picture in ("precision_recall.png", "scores.png", "maps/Streets-1/frame-0.png"):
        with Image.open(out / picture) as image:
            assert min(image.size) > 100
    assert len(list((out / "maps" / "Streets-1").iterdir())) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (("--model", f"{HERE}:Missing"), "Missing"),
        (("--model", f"{HERE}:Brightness depth=3"), "depth"),
        (("--model", f"{HERE}:Streets"), "torch.nn.Module"),
        (("--score", "margin"), "margin"),
        (("--size", "512"), "--size 512"),
        (("--components", "road"), "road"),
    ],
)
def test_bad_options_are_named(changes: tuple[str, ...], named: str) -> None:
    defaults = (
        "--model",
        f"{HERE}:Brightness",
        "--dataset",
        f"{HERE}:Streets",
    )
    assert named in run("evaluate", *defaults, *changes, fails=True)


def test_known_classes_are_evaluated_beside(tmp_path: Path) -> None:
    names = list(SCHEMA.ids)
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(names[:3])) + "}\n")
    streets = f"{HERE}:Streets length=2"
    model = (
        "--model",
        f"{HERE}:Brightness",
        "--dataset",
        streets,
        "--out",
        str(tmp_path / "out"),
    )
    output = run("evaluate", *model, "--labelled", streets, "--classes", str(classes))
    assert "mIoU" in output
    found = json.loads((tmp_path / "out" / "report.json").read_text())["classes"]
    direct = evaluate_classes(Brightness(), Streets(2), names[:3])
    assert found[0]["mIoU"] == pytest.approx(direct.mean_iou)
    assert f"{100 * direct.mean_iou:.2f}" in output
    assert "--labelled without --classes" in run("evaluate", *model, "--labelled", streets, fails=True)
    classes.write_text("ids: {road: 3}\n")
    assert "without a gap" in run("evaluate", *model, "--labelled", streets, "--classes", str(classes), fails=True)
