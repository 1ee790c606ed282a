"""The example that compares weather without weights with real shifted frames: classes, frames, networks, tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from poc_aug.cli.arguments import load_callable
from poc_aug.evaluation.temperature import TemperatureScaling
from poc_aug.labels.schema import SCHEMAS


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))
    load_callable("examples.reliability:main")
    return sys.modules["examples.reliability"]


def test_every_class_of_every_dataset_has_one_place(example: Any) -> None:
    named = [name for names in example.COMMON.values() for name in names]
    assert len(named) == len(set(named))
    for schema in ("cityscapes-trainIds", "camvid", "idd-lite"):
        ids = {SCHEMAS[schema].id_of(name) for name in named if name in SCHEMAS[schema]}
        assert ids == set(SCHEMAS[schema].ids.values())


def test_a_common_class_has_the_probability_of_its_parts(example: Any) -> None:
    logits = torch.randn(1, 20, 32, 48)

    class Network(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[-2:] == (32, 48)
            return logits

    common = example.CommonClasses(Network())(torch.rand(1, 3, 16, 24))
    assert common.shape == (1, 7, 16, 24)
    whole = torch.stack([logits[:, [13, 14, 15, 16, 17, 18]].logsumexp(1), logits[:, [8, 2]].logsumexp(1)], dim=1)
    small = nn.functional.interpolate(whole, (16, 24), mode="bilinear", align_corners=False)
    places = [example.CLASSES.index(name) for name in ("vehicle", "far")]
    torch.testing.assert_close(common[:, places], small)


def pairs(example: Any, labels: Sequence[int], predicted: Sequence[int], sure: float) -> Any:
    both = torch.zeros(1, 10, 1, len(labels))
    both[0, list(predicted), 0, range(len(labels))] = sure
    return [(both, torch.tensor([[list(labels)]], dtype=torch.uint8).reshape(1, 1, -1))]


def test_figures_of_known_maps(example: Any) -> None:
    found = pairs(example, [0, 0, 0, 6, 255], [0, 0, 6, 6, 3], 50.0)
    assert example.mean_iou(found) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert example.calibration_error(found, None) == pytest.approx(0.25, abs=1e-4)
    fitted = TemperatureScaling().fit(example.Stored(), found, ignore=255)
    assert example.calibration_error(found, fitted) < 0.01


def test_too_few_models_are_said_in_the_table(example: Any) -> None:
    ece = dict(zip(example.ECES, (0.2, 0.15, 0.1, 0.12), strict=True))

    def result(number: int) -> dict[str, Any]:
        figures = {"clean": 0.5 + 0.01 * number, "fog": 0.3 + 0.02 * number, "KITTI": 0.4 + 0.001 * number**2}
        return {"mIoU": figures, "ECE": {"KITTI": ece}}

    four, nine = ({f"m{number}": result(number) for number in range(count)} for count in (4, 9))
    table = example.markdown(four, ("fog",), {"KITTI": [None] * 5})
    assert "too few models (4; at least 5)" in table
    assert "1.00 to 1.00" not in table
    assert "| KITTI (5 frames) | 20.0 | 15.0 | 10.0 | 12.0 |" in table
    assert "| KITTI | 4 of 4 | 4 of 4 | 4 of 4 |" in table
    table = example.markdown(nine, ("fog",), {"KITTI": [None] * 5})
    assert "n = 9 models" in table
    assert "1.00 (none: equal in all resamples)" in table
    assert "1.00 to 1.00" not in table


def test_without_frames_it_says_so(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POC_AUG_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["reliability.py"])
    example.main()
    assert "not run: no frames in" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["reliability.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="no folder"):
        example.main()


def test_frames_are_held_out_and_dusk_is_not_trained_on(example: Any, real_data: Path) -> None:
    frames = example.camvid(real_data / "scenes" / "camvid")
    by_day, dusk = example.day(frames), example.day(frames, dusk=True)
    assert (len(by_day), len(dusk)) == (102, 21)
    assert not set(by_day.indices) & set(dusk.indices)
    assert not set(example.TRAINED) & set(example.HELD_OUT)
    image, labels = example.common_frames(dusk, "camvid", 1)[0]
    assert image.shape == (3, 256, 344)
    assert labels.shape == (256, 344)
    assert set(labels.unique().tolist()) <= {*range(7), 255}
    for frame in example.training_frames(real_data / "scenes", 1):
        assert min(frame[1].shape[0] - example.CROP_HW[0], frame[1].shape[1] - example.CROP_HW[1]) >= 0


def test_seeds_give_networks_that_learn(example: Any, real_data: Path) -> None:
    frames = example.training_frames(real_data / "scenes", 2)
    small = example.Small(width=4, steps=20, seed=3, jitter=True)
    first, again = (example.train(small, frames, 2).state_dict() for _ in range(2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    before, after = (example.train(small, frames, steps) for steps in (0, 20))
    figures = [example.mean_iou(example.run_network(network, frames[:2])) for network in (before, after)]
    assert figures[1] > figures[0] + 0.05
