from __future__ import annotations

import math

import pytest
import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.scores import SCORES, energy, entropy, known_logits, max_logit, msp, rba, score_named, void_probability
from poc_aug.seeding import generator


def logits(seed: int = 0, shape: tuple[int, ...] = (2, 5, 17, 11), scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=generator("scores", seed), dtype=torch.float64)


@pytest.mark.parametrize("name", [*SCORES, "void"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_shapes_dtypes_and_extreme_logits(name: str, dtype: torch.dtype) -> None:
    score = score_named(name, void_index=4)
    values = score(logits().to(dtype))
    assert values.shape == (2, 17, 11)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    extreme = torch.tensor([5e4, -5e4, 0.0, 1.0, 2.0]).view(1, 5, 1, 1).to(dtype)
    assert score(extreme).isfinite().all()


def test_scores_equal_their_formulas() -> None:
    x = logits()
    p = x.softmax(1)
    assert torch.allclose(msp(x), 1 - p.amax(1))
    assert torch.equal(max_logit(x), -x.amax(1))
    assert torch.allclose(entropy(x), -(p * p.log()).sum(1))
    assert torch.allclose(energy(x, 2.0), -2 * (x / 2).exp().sum(1).log())
    assert torch.allclose(rba(x), -x.tanh().sum(1))
    assert torch.allclose(void_probability(x, -1), p[:, 4])
    assert torch.allclose(score_named("msp", void_index=1)(x), msp(known_logits(x, 1)))
    assert known_logits(x, 1).shape[1] == 4


def test_adding_a_constant_changes_no_softmax() -> None:
    x = logits(1)
    for score in (msp, entropy):
        assert torch.allclose(score(x), score(x + 7))
    uniform = torch.zeros(1, 5, 1, 1)
    assert float(entropy(uniform)) == pytest.approx(math.log(5))
    assert float(msp(uniform)) == pytest.approx(0.8)


def test_msp_keeps_its_digits_where_the_model_is_sure() -> None:
    # 1 - p is 0 in float32 for both; their order is not.
    sure = torch.tensor([[25.0, 0.0], [30.0, 0.0]]).view(2, 2, 1, 1)
    less, more = msp(sure).flatten().tolist()
    assert less == pytest.approx(math.exp(-25), rel=1e-4)
    assert more == pytest.approx(math.exp(-30), rel=1e-4)


def test_bad_scores_are_named() -> None:
    with pytest.raises(SettingError, match=r"'margin'(?s:.*)max-logit"):
        score_named("margin")
    with pytest.raises(SettingError, match="void_index"):
        score_named("void")
    with pytest.raises(SettingError, match=r"void_index=9(?s:.*)0 to 4"):
        void_probability(logits(), 9)
    with pytest.raises(SettingError, match="temperature=0"):
        energy(logits(), 0)
    for bad in (torch.zeros(5, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 5, 4, 4, dtype=torch.long)):
        with pytest.raises(ItemFormatError, match=r"\[B, C, H, W\]"):
            msp(bad)


def test_entropy_keeps_its_digits_where_the_model_is_sure() -> None:
    x = torch.tensor([[25.0, 0.0, -1.0], [0.0, 20.0, 3.0], [2.0, 1.0, 2.0]]).view(3, 3, 1, 1)
    logs = x.double().log_softmax(1)
    exact = -(logs.exp() * logs).sum(1)
    assert torch.allclose(entropy(x).double(), exact, rtol=1e-5, atol=0)
    gap = torch.tensor([40.0, 0.0]).view(1, 2, 1, 1)  # float64's log_softmax has no digits left here either
    assert entropy(gap).item() == pytest.approx(41 * math.exp(-40), rel=1e-5)
    assert entropy(torch.tensor([0.0, 0.0, -math.inf]).view(1, 3, 1, 1)).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", SCORES)
def test_float32_agrees_with_float64_over_a_wide_range(name: str) -> None:
    for scale in (1e-3, 1.0, 30.0):
        x = logits(6, scale=scale).float()
        assert torch.allclose(SCORES[name](x).double(), SCORES[name](x.double()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_order_of_classes_does_not_matter(name: str) -> None:
    x = logits(7)
    assert torch.allclose(SCORES[name](x), SCORES[name](x[:, [3, 0, 4, 2, 1]]))


def test_monotone_relations() -> None:
    x = logits(8)
    surer = x.clone().scatter_add_(1, x.argmax(1, keepdim=True), torch.ones(2, 1, 17, 11, dtype=x.dtype))
    for score in SCORES.values():
        assert (score(surer) < score(x)).all()
    assert (energy(x) < max_logit(x)).all()
    assert (max_logit(x) - math.log(5) <= energy(x)).all()
    assert torch.allclose(energy(x, 1e-4), max_logit(x), atol=1e-3)
    assert torch.allclose(energy(x + 7), energy(x) - 7)
    two = logits(8, (1, 2, 17, 11))
    assert torch.equal(msp(two).flatten().argsort(), entropy(two).flatten().argsort())  # two classes: one order
    assert (rba(x).abs() <= 5).all()


@pytest.mark.parametrize("name", [*SCORES, "void"])
def test_nan_is_named_outside_of_training(name: str) -> None:
    x = logits().float()
    x[1, 2, 3, 4] = math.nan
    score = score_named(name, void_index=4)
    with pytest.raises(ItemFormatError, match=r"at 1 of 374 pixels, the first \[1, 3, 4\](?s:.*)half-precision"):
        score(x)
    assert score(x.requires_grad_()).isnan().sum() == 1
