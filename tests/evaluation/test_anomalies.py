"""Evaluation of anomaly scores on rendered streets with inserted objects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from poc_aug.errors import DatasetError, ModelError, SettingError
from poc_aug.evaluation.anomalies import Frame, evaluate
from tests.helpers.evaluation_cases import Brightness, Streets


class Nothing(nn.Module):
    def forward(self, images: torch.Tensor) -> Any:
        return {"out": images}


class Across(Brightness):
    """Logits of an image that lies on its side."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).transpose(-1, -2)


def test_a_model_that_sees_anomalies_scores_one() -> None:
    frames: list[Frame] = []
    model = Brightness().train()
    result = evaluate(model, Streets(), ("msp", "max-logit"), components="obstacle", on_frame=frames.append)
    assert (result.frames, result.left_out, len(frames)) == (4, 0, 4)
    for score in result.scores.values():
        assert score.pixels["AuPRC"] == pytest.approx(1)
        assert score.pixels["FPR95"] == pytest.approx(0)
        assert score.components["sIoU"] == pytest.approx(1)
        assert score.components["component F1"] == pytest.approx(1)
        assert score.quantiles["known"][-1] <= score.quantiles["anomalous"][0]
        assert score.quantiles["known"] == sorted(score.quantiles["known"])
    assert model.training  # left as it was
    assert set(torch.cat([frame.labels.flatten() for frame in frames]).tolist()) == {0, 1, 255}


def test_sizes_limits_and_frames_without_anomalies() -> None:
    small = evaluate(Brightness(2), Streets(), size_hw=(24, 33), anomalous_only=True)
    assert (small.frames, small.left_out) == (3, 1)
    assert small.scores["msp"].pixels["AuPRC"] > 0.9
    assert evaluate(Brightness(), Streets(), limit=2).frames == 2
    nothing = evaluate(Brightness(), Streets(1)).scores["msp"].pixels
    assert nothing["AuPRC"] != nothing["AuPRC"]  # NaN: no pixel is anomalous


def test_frames_that_leave_nothing_to_evaluate_are_named() -> None:
    with pytest.raises(
        DatasetError, match=r"no pixel of 4 frames of Streets is anomalous at size_hw=\(1, 1\)"
    ) as caught:
        evaluate(Brightness(), Streets(), size_hw=(1, 1))
    assert "--size" in caught.value.command
    void = [(image, labels.point(lambda value: 255)) for image, labels in (Streets()[i] for i in range(2))]
    with pytest.raises(DatasetError, match="no pixel of 2 frames of list is evaluated"):
        evaluate(Brightness(), void, schema=Streets.schema)


def test_bad_models_and_sets_are_named() -> None:
    with pytest.raises(ModelError, match=r"dict(?s:.*)\['out'\]"):
        evaluate(Nothing(), Streets())
    with pytest.raises(ModelError, match=r"\[1, 3, 65, 48\] for images of 48x65"):
        evaluate(Across(), Streets())
    with pytest.raises(DatasetError, match="left of 1"):
        evaluate(Brightness(), Streets(1), anomalous_only=True)
    with pytest.raises(SettingError, match="scores="):
        evaluate(Brightness(), Streets(), ())
