from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poc_aug.errors import DatasetError, ItemFormatError, MissingDependencyError, ModelError, SettingError
from poc_aug.evaluation.temperature import (
    TEMPERATURES,
    ClusteredTemperatureScaling,
    TemperatureScaling,
    image_statistics,
)
from poc_aug.seeding import generator

Batch = tuple[torch.Tensor, torch.Tensor]


class Scaled(nn.Module):
    """Logits are the images over a temperature: the first channel says which one."""

    def __init__(self, *temperatures: float, stride: int = 1) -> None:
        super().__init__()
        self.temperatures = torch.tensor(temperatures)
        self.stride = stride
        self.modes: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        kind = (images[:, 0].mean(dim=(1, 2)) > 50).long()
        scale = self.temperatures[kind.clamp(max=len(self.temperatures) - 1)][:, None, None, None]
        return images[:, 1:, :: self.stride, :: self.stride] * scale


def batches(
    count: int = 4, size: int = 2, hw: tuple[int, int] = (65, 47), kinds: int = 1, seed: int = 0
) -> list[Batch]:
    """Labels drawn from the softmax of the images' channels but the first; images of the second kind are brighter."""
    rng = generator("temperature test", seed)
    drawn = []
    for _ in range(count):
        true = 2 * torch.randn((size, 5, *hw), generator=rng)
        flat = true.softmax(1).movedim(1, -1).reshape(-1, 5)
        labels = torch.multinomial(flat, 1, generator=rng).view(size, *hw)
        labels[:, :3] = 255
        kind = torch.arange(size) % kinds * 100.0
        first = kind[:, None, None, None] + torch.rand((size, 1, *hw), generator=rng)
        drawn.append((torch.cat([first, true + kind[:, None, None, None]], dim=1), labels))
    return drawn


def nll(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float(F.cross_entropy(logits.double(), labels, ignore_index=255))


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.7])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    model = Scaled(temperature)
    fitted = TemperatureScaling(pixels_per_batch=100_000).fit(model, batches())
    assert float(fitted.temperature) == pytest.approx(temperature, rel=0.02)
    images, labels = batches()[0]
    assert nll(fitted(model(images)), labels) <= nll(model(images), labels) + 1e-4


def test_it_is_the_optimum_of_a_fine_grid() -> None:
    model, data = Scaled(2.5), batches(1, seed=3)
    fitted = TemperatureScaling(pixels_per_batch=10**6).fit(model, data)
    images, labels = data[0]
    best = nll(fitted(model(images)), labels)
    assert all(best <= nll(model(images) / t, labels) + 1e-9 for t in torch.linspace(0.5, 5, 91).tolist())
    assert best <= nll(model(images), labels)


def test_draws_repeat_and_touch_no_global_state() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        TemperatureScaling(pixels_per_batch=200, seed=seed).fit(Scaled(2.0), batches()).temperature
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_memory_is_bounded_and_what_is_kept_is_fair() -> None:
    # The last batches are as likely to be kept as the first: their temperature shows.
    data = batches(8, kinds=2)
    fitted = TemperatureScaling(pixels_per_batch=5000, max_pixels=3000)
    both = float(fitted.fit(Scaled(1.0, 4.0), data).temperature)
    first = fitted.fit(Scaled(1.0, 4.0), [(images[::2], labels[::2]) for images, labels in data]).temperature
    assert float(first) == pytest.approx(1, rel=0.1)
    assert 1.5 < both < 4


def test_logits_are_resized_and_modes_are_kept() -> None:
    model = Scaled(1.0, stride=4)
    frozen = nn.Sequential(model, nn.BatchNorm2d(5).eval())
    frozen.train()
    frozen[1].eval()
    TemperatureScaling().fit(frozen, batches(1))
    assert model.modes == [False]
    assert frozen.training
    assert model.training
    assert not frozen[1].training


def test_logits_without_a_best_temperature() -> None:
    images, labels = batches(1)[0]
    data = [(images * 0, labels)]
    assert float(TemperatureScaling().fit(Scaled(1.0), data).temperature) == 1  # they say nothing
    right = F.one_hot(labels.where(labels != 255, 0), 5).movedim(-1, 1).float()
    fitted = TemperatureScaling().fit(Scaled(1.0), [(torch.cat([images[:, :1], right], 1), labels)])
    assert float(fitted.temperature) == pytest.approx(TEMPERATURES[0])
    wrong = TemperatureScaling().fit(Scaled(1.0), [(torch.cat([images[:, :1], -right], 1), labels)])
    assert float(wrong.temperature) == pytest.approx(TEMPERATURES[1])


def test_scaling_keeps_shapes_and_answers_in_float32() -> None:
    scaling = TemperatureScaling()
    scaling.temperature.fill_(2)
    half = torch.randn((1, 3, 17, 11), generator=generator("half")).half()
    assert scaling(half).dtype == torch.float32
    assert torch.equal(scaling(half), half.float() / 2)
    again = TemperatureScaling()
    again.load_state_dict(scaling.state_dict())
    assert float(again.temperature) == 2


def test_each_cluster_gets_its_own_temperature() -> None:
    model, data = Scaled(0.5, 3.0), batches(6, kinds=2)
    fitted = ClusteredTemperatureScaling(2, pixels_per_batch=100_000).fit(model, data)
    assert sorted(fitted.temperatures.tolist()) == pytest.approx([0.5, 3.0], rel=0.02)
    images, labels = data[0]
    one = TemperatureScaling(pixels_per_batch=100_000).fit(model, data)
    assert nll(fitted(model(images), images), labels) < nll(one(model(images)), labels)
    # Night and day of a new batch, in another order.
    unseen = batches(1, kinds=2, seed=9)[0][0].flip(0)
    assert fitted.temperatures[fitted.cluster_of(unseen)].tolist() == pytest.approx([3.0, 0.5], rel=0.02)


def test_clusters_are_saved_and_loaded_by_a_module_of_another_size() -> None:
    model, data = Scaled(0.5, 3.0), batches(2, kinds=2)
    fitted = ClusteredTemperatureScaling(2).fit(model, data)
    loaded = ClusteredTemperatureScaling()
    loaded.load_state_dict(fitted.state_dict())
    images = data[0][0]
    assert torch.equal(loaded(model(images), images), fitted(model(images), images))
    inside = nn.Sequential(ClusteredTemperatureScaling())
    inside.load_state_dict(nn.Sequential(fitted).state_dict())


def test_own_features_and_features_that_do_not_vary() -> None:
    def brightness(images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0].mean((1, 2)), torch.full((len(images),), 0.1)], dim=1)

    fitted = ClusteredTemperatureScaling(2, brightness).fit(Scaled(1.0, 3.0), batches(3, kinds=2))
    assert fitted.centres.shape == (2, 2)
    assert fitted.centres.abs().max() < 2
    assert image_statistics(torch.full((2, 3, 17, 11), 7, dtype=torch.uint8)).tolist() == [[7, 7, 7, 0, 0, 0]] * 2


def test_a_cluster_without_labels_gets_the_temperature_of_all() -> None:
    data = batches(3, kinds=2)
    for _, labels in data:
        labels[1] = 255
    fitted = ClusteredTemperatureScaling(2).fit(Scaled(2.0, 2.0), data)
    assert fitted.temperatures[0] == fitted.temperatures[1]


def with_labels(labels: torch.Tensor) -> list[Any]:
    return [(batches(1)[0][0], labels)]


LABELS = batches(1)[0][1]


@pytest.mark.parametrize(
    ("data", "error", "named"),
    [
        (with_labels(LABELS + 250), ItemFormatError, r"\[250, 251(?s:.*)0 to 4(?s:.*)ignore="),
        (with_labels(LABELS * 0 + 255), DatasetError, "no labelled pixel in 2 images"),
        ([], DatasetError, "no labelled pixel in 0 images"),
        (with_labels(LABELS.float()), ItemFormatError, "float32"),
        (with_labels(LABELS[:1]), ItemFormatError, r"\[1, 65, 47\]"),
        ([batches(1)[0][0]], ItemFormatError, "a batch that is a Tensor"),
        ([(batches(1)[0][0] * math.inf, LABELS)], ItemFormatError, "not finite"),
    ],
)
def test_bad_batches_are_named(data: list[Any], error: type[Exception], named: str) -> None:
    for scaling in (TemperatureScaling(), ClusteredTemperatureScaling(1)):
        with pytest.raises(error, match=named):
            scaling.fit(Scaled(1.0), data)


def test_other_errors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = batches(1)
    with pytest.raises(ModelError, match=r"Flatten returned shape \[2, 18330\]"):
        TemperatureScaling().fit(nn.Flatten(), data)
    with pytest.raises(SettingError, match="pixels_per_batch=0"):
        TemperatureScaling(pixels_per_batch=0)
    with pytest.raises(SettingError, match="clusters=0"):
        ClusteredTemperatureScaling(0)
    with pytest.raises(SettingError, match="clusters=3 for 2 images"):
        ClusteredTemperatureScaling(3).fit(Scaled(1.0), data)
    with pytest.raises(ItemFormatError, match=r"features of shape \[2, 6, 65, 47\]"):
        ClusteredTemperatureScaling(1, lambda images: images).fit(Scaled(1.0), data)
    images = data[0][0]
    with pytest.raises(SettingError, match="no temperatures"):
        ClusteredTemperatureScaling()(images, images)
    fitted = ClusteredTemperatureScaling(1).fit(Scaled(1.0), data)
    with pytest.raises(ItemFormatError, match="1 images with logits of 2"):
        fitted(images, images[:1])
    with pytest.raises(ItemFormatError, match=r"6 features per image(?s:.*)12"):
        fitted(images, images[:, :3])
    with pytest.raises(ItemFormatError, match=r"\[B, C, H, W\]"):
        TemperatureScaling()(images[0])
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingDependencyError, match=r"poc_aug\[metrics\]"):
        ClusteredTemperatureScaling(1).fit(Scaled(1.0), data)
