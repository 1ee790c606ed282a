from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from poc_aug.errors import ItemFormatError, RecipeError
from poc_aug.losses import energy_margin, entropy_maximisation, outlier_exposure, rba_hinge
from poc_aug.scores import SCORES, energy, entropy, known_logits, max_logit, msp, rba, score_named, void_probability
from poc_aug.seeding import generator

sharp_energy = partial(energy_margin, margin_in=-20.0, margin_out=20.0)  # no pixel is beyond its margin
LOSSES = [outlier_exposure, entropy_maximisation, sharp_energy, rba_hinge]


def logits(seed: int = 0, shape: tuple[int, ...] = (2, 5, 17, 11), scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=generator("scores", seed), dtype=torch.float64)


@pytest.mark.parametrize("name", [*SCORES, "void"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_shapes_dtypes_and_extreme_logits(name: str, dtype: torch.dtype) -> None:
    score = score_named(name, void_index=4)
    found = score(logits().to(dtype))
    assert found.shape == (2, 17, 11)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
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
    with pytest.raises(RecipeError, match=r"'margin'(?s:.*)max-logit"):
        score_named("margin")
    with pytest.raises(RecipeError, match="void_index"):
        score_named("void")
    with pytest.raises(RecipeError, match=r"void_index=9(?s:.*)0 to 4"):
        void_probability(logits(), 9)
    with pytest.raises(RecipeError, match="temperature=0"):
        energy(logits(), 0)
    for bad in (torch.zeros(5, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 5, 4, 4, dtype=torch.long)):
        with pytest.raises(ItemFormatError, match=r"\[B, C, H, W\]"):
            msp(bad)


def labels(shape: tuple[int, ...] = (2, 3, 4)) -> torch.Tensor:
    found = torch.randint(0, 5, shape, generator=generator("scores", "labels"))
    found[0, 0] = 254
    found[1, 1] = 255
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_the_losses(loss: object) -> None:
    x = logits(2, (2, 5, 3, 4), 1.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss(values, labels()), (x,))  # type: ignore[operator]


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_get_no_gradient_and_half_precision_is_safe(loss: object) -> None:
    x = logits(3, (2, 5, 3, 4)).requires_grad_()
    loss(x, labels()).backward()  # type: ignore[operator]
    assert (x.grad[1, :, 1] == 0).all()
    assert (x.grad[0, :, 0] != 0).any()
    half = logits(3, (2, 5, 3, 4)).half()
    assert loss(half, labels()).dtype == torch.float32  # type: ignore[operator]
    assert loss(half, labels().to(torch.uint8)).isfinite()  # type: ignore[operator]


@pytest.mark.parametrize("loss", LOSSES)
def test_without_a_pixel_it_is_a_zero_of_the_graph(loss: object) -> None:
    x = logits(4, (1, 5, 2, 2)).requires_grad_()
    value = loss(x, torch.full((1, 2, 2), 255))  # type: ignore[operator]
    assert float(value.detach()) == 0
    value.backward()
    assert (x.grad == 0).all()


@pytest.mark.parametrize(("loss", "score"), [(outlier_exposure, entropy), (entropy_maximisation, entropy),
                                             (sharp_energy, energy), (rba_hinge, rba)])  # fmt: skip
def test_descent_makes_inserted_pixels_more_anomalous(loss: object, score: object) -> None:
    x = logits(5, (2, 5, 3, 4)).requires_grad_()
    ood = labels() == 254
    before = score(x.detach())[ood].mean()  # type: ignore[operator]
    for _ in range(50):
        (gradient,) = torch.autograd.grad(loss(x, labels()), x)  # type: ignore[operator]
        x = (x - 0.5 * gradient).detach().requires_grad_()
    assert score(x.detach())[ood].mean() > before  # type: ignore[operator]


def test_bad_input_of_losses_is_named() -> None:
    for loss in LOSSES:
        with pytest.raises(ItemFormatError, match=r"\[2, 3, 5\]"):
            loss(logits(0, (2, 5, 3, 4)), labels((2, 3, 5)))
        with pytest.raises(ItemFormatError, match="float32"):
            loss(logits(0, (2, 5, 3, 4)), labels().float())
