from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.losses import energy_margin, entropy_maximisation, outlier_exposure, rba_hinge
from poc_aug.scores import energy, entropy, rba
from poc_aug.seeding import generator

Loss = Callable[..., torch.Tensor]

sharp_energy = partial(energy_margin, margin_in=-20.0, margin_out=20.0)  # no pixel is beyond its margin
LOSSES: list[Loss] = [outlier_exposure, entropy_maximisation, sharp_energy, rba_hinge]


def logits(seed: int = 0, shape: tuple[int, ...] = (2, 5, 17, 11), scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=generator("losses", seed), dtype=torch.float64)


def labels(shape: tuple[int, ...] = (2, 3, 4)) -> torch.Tensor:
    ids = torch.randint(0, 5, shape, generator=generator("losses", "labels"))
    ids[0, 0] = 254
    ids[1, 1] = 255
    return ids


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_the_losses(loss: Loss) -> None:
    x = logits(2, (2, 5, 3, 4), 1.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss(values, labels()), (x,))


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_get_no_gradient_and_half_precision_is_safe(loss: Loss) -> None:
    x = logits(3, (2, 5, 3, 4)).requires_grad_()
    loss(x, labels()).backward()
    assert x.grad is not None
    assert (x.grad[1, :, 1] == 0).all()
    assert (x.grad[0, :, 0] != 0).any()
    half = logits(3, (2, 5, 3, 4)).half()
    assert loss(half, labels()).dtype == torch.float32
    assert loss(half, labels().to(torch.uint8)).isfinite()


@pytest.mark.parametrize("loss", LOSSES)
def test_without_a_pixel_it_is_a_zero_of_the_graph(loss: Loss) -> None:
    x = logits(4, (1, 5, 2, 2)).requires_grad_()
    value = loss(x, torch.full((1, 2, 2), 255))
    assert float(value.detach()) == 0
    value.backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


@pytest.mark.parametrize(("loss", "score"), [(outlier_exposure, entropy), (entropy_maximisation, entropy),
                                             (sharp_energy, energy), (rba_hinge, rba)])  # fmt: skip
def test_descent_makes_inserted_pixels_more_anomalous(loss: Loss, score: Loss) -> None:
    x = logits(5, (2, 5, 3, 4)).requires_grad_()
    ood = labels() == 254
    before = score(x.detach())[ood].mean()
    for _ in range(50):
        (gradient,) = torch.autograd.grad(loss(x, labels()), x)
        x = (x - 0.5 * gradient).detach().requires_grad_()
    assert score(x.detach())[ood].mean() > before


def test_bad_input_of_losses_is_named() -> None:
    for loss in LOSSES:
        with pytest.raises(ItemFormatError, match=r"\[2, 3, 5\]"):
            loss(logits(0, (2, 5, 3, 4)), labels((2, 3, 5)))
        with pytest.raises(ItemFormatError, match="float32"):
            loss(logits(0, (2, 5, 3, 4)), labels().float())
        with pytest.raises(ItemFormatError, match=r"torch\.bool"):
            loss(logits(0, (2, 5, 3, 4)), labels() == 254)
        with pytest.raises(ItemFormatError, match="int64"):
            loss(torch.zeros(2, 5, 3, 4, dtype=torch.long), labels())
        with pytest.raises(ItemFormatError, match="two classes"):
            loss(logits(0, (2, 1, 3, 4)), labels())
        with pytest.raises(SettingError, match=r"ood_id=254 is one of ignore=\(254, 255\)"):
            loss(logits(0, (2, 5, 3, 4)), labels(), ignore=(254, 255))
    with pytest.raises(SettingError, match="temperature=0"):
        energy_margin(logits(0, (2, 5, 3, 4)), labels(), temperature=0)


def test_losses_equal_their_formulas() -> None:
    x, ids = logits(6), labels((2, 17, 11))
    ood, known = ids == 254, ids < 254
    logs = x.log_softmax(1)
    assert torch.allclose(outlier_exposure(x, ids), (-logs.mean(1))[ood].mean())
    assert torch.allclose(entropy_maximisation(x, ids), -entropy(x)[ood].mean() / math.log(5))
    assert torch.allclose(rba_hinge(x, ids, margin=2.0), (2.0 - rba(x))[ood].clamp(min=0).square().mean())
    values = energy(x, 2.0)
    hinges = (values + 7)[known].clamp(min=0).square().mean() + (-3 - values)[ood].clamp(min=0).square().mean()
    assert torch.allclose(energy_margin(x, ids, margin_in=-7, margin_out=-3, temperature=2.0), hinges)


def test_bounds_at_uniform_and_at_sure_pixels() -> None:
    ids = torch.full((1, 2, 2), 254)
    uniform, sure = torch.zeros(1, 5, 2, 2), torch.zeros(1, 5, 2, 2)
    sure[:, 0] = 1000
    assert float(outlier_exposure(uniform, ids)) == pytest.approx(math.log(5))
    assert float(outlier_exposure(sure, ids)) > float(outlier_exposure(uniform, ids))
    assert float(entropy_maximisation(uniform, ids)) == pytest.approx(-1)
    assert float(entropy_maximisation(sure, ids)) == 0
    assert float(energy_margin(uniform, ids, margin_out=-6)) == 0  # beyond its margin already
    assert float(rba_hinge(-sure, ids, margin=1.0)) == 0


def test_a_class_of_no_probability_is_no_nan() -> None:
    x = torch.tensor([0.0, 1.0, -math.inf]).view(1, 3, 1, 1).requires_grad_()
    value = entropy_maximisation(x, torch.full((1, 1, 1), 254))
    value.backward()
    assert value.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("loss", [outlier_exposure, entropy_maximisation, rba_hinge])
def test_in_distribution_pixels_get_no_gradient_from_losses_of_ood_pixels(loss: Loss) -> None:
    x, ids = logits(7, (2, 5, 3, 4)).requires_grad_(), labels()
    loss(x, ids).backward()
    assert x.grad is not None
    assert (x.grad.movedim(1, -1)[ids != 254] == 0).all()


@pytest.mark.parametrize("missing", ["ood", "known"])
def test_either_kind_may_be_missing(missing: str) -> None:
    x = logits(8, (1, 5, 2, 2)).requires_grad_()
    ids = torch.full((1, 2, 2), 3 if missing == "ood" else 254)
    for loss in LOSSES:
        (gradient,) = torch.autograd.grad(loss(x, ids), x)
        assert gradient.isfinite().all()
        wanted = missing == "known" or loss is sharp_energy
        assert bool((gradient != 0).any()) == wanted


def test_signs_of_the_gradients() -> None:
    x = torch.tensor([2.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    ood, known = torch.full((1, 1, 1), 254), torch.zeros(1, 1, 1, dtype=torch.uint8)
    for loss in (outlier_exposure, entropy_maximisation, sharp_energy, rba_hinge):
        (gradient,) = torch.autograd.grad(loss(x, ood), x)
        assert gradient[0, 0] > 0  # descent lowers the logit of the class that is claimed
    (gradient,) = torch.autograd.grad(sharp_energy(x, known), x)
    assert (gradient < 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_autocast_changes_nothing(loss: Loss) -> None:
    x = logits(9).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(x, labels((2, 17, 11)))
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(x.float(), labels((2, 17, 11))))
