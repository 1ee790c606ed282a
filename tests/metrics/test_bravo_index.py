"""The BRAVO index equals harmonic means of figures, those of which lower is better as one minus them."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hmean

from poc_aug.errors import SettingError
from poc_aug.metrics import BravoIndex, bravo_index
from poc_aug.metrics.bravo import OOD, SEMANTIC

SHARE = st.floats(0.001, 0.999)
LABELLED = st.fixed_dictionaries({name: SHARE for name in SEMANTIC})
ANOMALOUS = st.fixed_dictionaries({name: SHARE for name in OOD})


@settings(max_examples=80, deadline=None)
@given(st.lists(LABELLED, min_size=1, max_size=4), st.lists(ANOMALOUS, min_size=1, max_size=4))
def test_the_index_equals_harmonic_means_by_scipy(labelled: list[Any], anomalous: list[Any]) -> None:
    # As the challenge's toolkit computes it: all subsets' figures in one mean, 1 - ECE and 1 - FPR95.
    semantic = hmean([1 - v if k in ("ECE", "FPR95") else v for figures in labelled for k, v in figures.items()])
    ood = hmean([1 - v if k == "FPR95" else v for figures in anomalous for k, v in figures.items()])
    result = bravo_index(labelled, anomalous)
    assert astuple(result) == pytest.approx((semantic, ood, hmean([semantic, ood])), rel=1e-9)
    assert min(result.semantic, result.ood) - 1e-12 <= result.index <= max(result.semantic, result.ood) + 1e-12


GOOD: dict[str, Any] = {"mIoU": 0.5, "ECE": 0.1, "AUROC": 0.9, "FPR95": 0.4, "AUPR-Success": 0.98, "AUPR-Error": 0.45}
TRIO: dict[str, Any] = {"AuPRC": 0.4, "AUROC": 0.9, "FPR95": 0.4}


def test_the_best_the_worst_and_the_undefined() -> None:
    best = {"mIoU": 1, "ECE": 0, "AUROC": 1, "FPR95": 0, "AUPR-Success": 1, "AUPR-Error": 1}
    assert bravo_index([best], [{"AuPRC": 1, "AUROC": 1, "FPR95": 0}]) == BravoIndex(1, 1, 1)
    worst = bravo_index([{**GOOD, "FPR95": 1.0}], [TRIO])
    assert (worst.semantic, worst.index) == (0, 0)
    undefined = bravo_index([{**GOOD, "AUPR-Error": math.nan}], [TRIO])
    assert math.isnan(undefined.semantic)
    assert math.isnan(undefined.index)
    assert undefined.ood == bravo_index([GOOD], [TRIO]).ood
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in {**GOOD, "accuracy": 0.8}.items()}
    assert math.isnan(bravo_index([{**GOOD, "mIoU": torch.tensor(math.nan)}], [TRIO]).semantic)
    assert bravo_index([tensors], [TRIO]) == bravo_index([GOOD], [TRIO])


@pytest.mark.parametrize(
    ("semantic", "ood", "named"),
    [
        ([], [TRIO], r"semantic=\[\]"),
        ([GOOD], [], r"ood=\[\]"),
        ([GOOD], TRIO, "ood="),
        ([GOOD], ["AuPRC"], "ood: figures of type str"),
        ([TRIO], [TRIO], "no mIoU among AuPRC"),
        ([GOOD], [{"AUROC": 0.9, "FPR95": 0.4}], "no AuPRC"),
        ([{**GOOD, "mIoU": 50.0}], [TRIO], "semantic mIoU=50.0"),
        ([{**GOOD, "ECE": -0.1}], [TRIO], "semantic ECE=-0.1"),
        ([GOOD], [{**TRIO, "AUROC": "0.9"}], "ood AUROC='0.9'"),
        ([GOOD], [{**TRIO, "AUROC": None}], "ood AUROC=None"),
        ([GOOD], [{**TRIO, "AUROC": torch.tensor([0.1, 0.2])}], "ood AUROC=tensor"),
        ([{**GOOD, "mIoU": np.array([0.1, math.nan])}], [TRIO], "semantic mIoU=array"),
    ],
)
def test_figures_that_do_not_fit_are_named(semantic: Any, ood: Any, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        bravo_index(semantic, ood)
