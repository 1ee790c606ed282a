"""The fine-tuning examples on real frames: weights, known score maps, crops, two steps of training, classes kept."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from poc_aug import OodLabels, POCAugmentedDataset, warm_cache
from poc_aug.cli.arguments import load_callable
from poc_aug.scores import SCORES


def _module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as a command line names it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    load_callable(f"examples.{name}:main")
    return sys.modules[f"examples.{name}"]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    return _module("finetune_ood", monkeypatch)


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> Any:
    return _module("ood_proof", monkeypatch)


@pytest.fixture
def weights(real_data: Path) -> Path:
    return real_data / "weights" / "erfnet_cityscapes_fp16.pth"


def test_weights_fit_and_are_float32_from_half(example: Any, weights: Path) -> None:
    model = example.load_model(weights)
    assert not model.training
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    stored = torch.load(weights, map_location="cpu", weights_only=True)
    assert len(model.network.state_dict()) == len(stored) == 345
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 96, 160)).shape == (1, 19, 512, 1024)


def test_stem_and_head_are_the_whole_network(example: Any, weights: Path) -> None:
    network = example.load_erfnet(weights)
    images = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        by_parts = network.head(network.encoder.stem(images))
        assert torch.equal(by_parts, network(images))
        assert torch.equal(by_parts, network.decoder(network.encoder(images)))


def test_scores_of_the_original_network_are_those_of_others(
    example: Any, proof: Any, weights: Path, real_data: Path
) -> None:
    image, _ = proof.anomaly_sets(real_data)["fs_static"][0]
    with np.load(real_data / "metric_refs" / "scores" / "fs_static_00_msp.npz") as data:
        expected = torch.from_numpy(data["score"].astype(np.float32))
    small = np.array(image.resize((1024, 512), Image.Resampling.BILINEAR))
    with torch.inference_mode():
        logits = example.load_model(weights)(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255)
    assert float((SCORES["msp"](logits)[0] - expected).abs().mean()) < 1e-3


def test_crops_hold_objects_and_keep_labels_aligned(example: Any) -> None:
    torch.manual_seed(0)
    labels = torch.zeros(300, 600, dtype=torch.uint8)
    labels[100:140, 500:560] = example.OOD_ID
    picture = (labels == example.OOD_ID).to(torch.uint8)[..., None].expand(-1, -1, 3) * 255
    crop = example.ObjectCrop(on_object=1.0)
    for _ in range(10):
        pixels, ids = crop(Image.fromarray(picture.numpy()), Image.fromarray(labels.numpy()))
        assert pixels.shape == (3, *example.CROP_HW)
        assert ids.shape == example.CROP_HW
        inserted = ids == example.OOD_ID
        assert inserted.any()
        assert ((pixels[0] > 0.5) == inserted).float().mean() > 0.98


def test_agreement_is_zero_for_the_teacher_and_hears_small_classes(example: Any) -> None:
    teacher = torch.randn(1, 20, 40, 50)
    teacher[:, 0] += 20
    teacher[:, 11, :8, :8] += 60  # 64 pixels of another class
    known = torch.ones(1, 40, 50, dtype=torch.bool)
    assert float(example.agreement(teacher, teacher, known)) == pytest.approx(0, abs=1e-6)
    forgotten = teacher.clone()
    forgotten[:, 11, :8, :8] -= 60
    # Of 2000 pixels 64 differ: a mean over pixels alone would be 64/2000 of what the class alone gives.
    apart = example.agreement(forgotten, teacher, known)
    small = torch.zeros_like(known)
    small[:, :8, :8] = True
    of_class = example.agreement(forgotten, teacher, small)
    assert float(apart / of_class) == pytest.approx((64 / 2000 + 1 / 2) / 2, rel=0.01)
    assert float(example.agreement(forgotten, teacher, ~small)) == pytest.approx(0, abs=1e-6)


def test_classes_of_the_original_and_scores_of_the_tuned(example: Any) -> None:
    tuned, original = torch.randn(2, 19, 7, 11, dtype=torch.float64), torch.randn(2, 19, 7, 11, dtype=torch.float64)
    mixed = example.with_classes_of(tuned, original)
    assert torch.equal(mixed.argmax(dim=1), original.argmax(dim=1))
    assert torch.equal(mixed.sort(dim=1).values, tuned.sort(dim=1).values)
    for score in ("msp", "max-logit", "entropy", "energy", "rba"):
        assert torch.allclose(SCORES[score](mixed), SCORES[score](tuned), atol=1e-12)


def test_arms_show_the_same_objects_each_in_its_own_way(proof: Any, real_data: Path) -> None:
    recipes = [proof.pipeline_of(arm, real_data / "objects").recipe for arm in ("naive", "real", "any")]
    naive, real, anything = recipes
    names = [[spec.name for spec in recipe.objects] for recipe in recipes]
    assert names[0] == names[1] == names[2]
    assert [recipe.objects[0].size.kind for recipe in recipes] == ["frame", "perspective", "perspective"]
    assert [recipe.location for recipe in recipes] == [(), ("road",), ("road",)]
    assert len({spec.size for spec in naive.objects}) == len({spec.size for spec in anything.objects}) == 1
    assert len({spec.size.size_m for spec in real.objects}) > 5  # real sizes
    assert {part for parts in proof.PARTS.values() for part in parts} == set(get_args(proof.Part))
    assert all(sum(parts.values()) == pytest.approx(1) for parts in proof.PARTS.values())


class Numbered(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Items that say which dataset, epoch and frame they are of."""

    def __init__(self, number: int, length: int = 5) -> None:
        self.number, self.length = number, length
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([self.number, index, int(self.epoch)]), torch.tensor(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_from_each_cache_as_often_as_asked(example: Any, workers: int) -> None:
    torch.manual_seed(0)
    steps = 61
    frames = [Numbered(number) for number in range(3)]
    drawn = list(example.batches(frames, steps, [0.7, 0.3, 0.0], [0.5, 0.5, 0, 0, 0], workers))
    assert len(drawn) == steps
    number, index, epoch = torch.stack([images for images, _ in drawn]).unbind(dim=2)
    assert number.shape == (steps, example.BATCH)
    share = float((number == 0).float().mean())
    assert share == pytest.approx(0.7, abs=4 * (0.21 / number.numel()) ** 0.5)
    assert set(number.flatten().tolist()) == {0, 1}
    assert set(index.flatten().tolist()) == {0, 1}
    # A new draw of the variants for each batch, or for those that workers have fetched ahead.
    assert epoch.tolist() == [[step // max(1, 2 * workers)] * example.BATCH for step in range(steps)]


class Crops(Numbered):
    """Crops with an object; counts how often it was read."""

    read = 0

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.read += 1
        labels = torch.zeros((64, 96), dtype=torch.int64)
        labels[20:40, 30:60] = 254
        return torch.rand(3, 64, 96), labels


def test_a_cache_of_share_zero_is_not_trained_on(example: Any, weights: Path) -> None:
    frames = [Crops(number) for number in range(3)]
    _, told = example.finetune(weights, frames, steps=2, seed=0, shares=[0.5, 0.0, 0.5], tell=lambda _: None)
    assert [part.read > 0 for part in frames] == [True, False, True]
    assert sum(part.read for part in frames) == 2 * example.BATCH
    assert told["steps"] == 2
    assert told["inserted_share"] == pytest.approx(20 * 30 / (64 * 96))


def test_results_of_other_steps_are_not_taken_for_these(proof: Any, tmp_path: Path) -> None:
    (tmp_path / "naive-0.json").write_text(json.dumps({"training": {"steps": 150}, "anomalies": {}}))
    options = argparse.Namespace(out=tmp_path, steps=150)
    assert proof.run_arm("naive", 0, options)["training"]["steps"] == 150
    options.steps = 700
    with pytest.raises(SystemExit, match="is of 150 steps, --steps is 700: give another --out"):
        proof.run_arm("naive", 0, options)


def test_two_steps_change_the_head_alone_and_the_stem_is_shared(
    example: Any, proof: Any, weights: Path, real_data: Path, tmp_path: Path
) -> None:
    base = proof.StreetFrames(real_data)
    assert base.keys()[0].startswith("cityscapes/")
    assert len(base.weights) == len(base) == len(base.keys())
    cache = tmp_path / "ours.cache"
    warm_cache(base, cache, proof.pipeline_of("real", real_data / "objects"), num_variants=1, limit=3, workers=0)
    frames = POCAugmentedDataset(
        base, cache, OodLabels(example.OOD_ID), p=1.0, redraw="epoch", transforms=example.ObjectCrop()
    )
    sampling = [1.0] * 3 + [0.0] * (len(base) - 3)
    model, told = example.finetune(weights, [frames], steps=2, seed=0, sampling=sampling, tell=lambda _: None)
    assert told["loss"] > 0
    assert 0 < told["inserted_share"] < 1
    before = example.load_erfnet(weights).state_dict()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("decoder.") for name in changed)
    assert not any("running" in name for name in changed)
    stem = tuple(f"encoder.layers.{i}." for i in range(7))
    assert not any(name.startswith(("encoder.initial_block", *stem)) for name in changed)

    example.save(model, tmp_path / "tuned.pth")
    both = example.load_model(tmp_path / "tuned.pth", original=weights)
    image = torch.rand(1, 3, 512, 1024)
    with torch.inference_mode():
        assert torch.equal(both(image).argmax(dim=1), example.load_model(weights)(image).argmax(dim=1))
    torch.nn.init.zeros_(model.encoder.initial_block.conv.weight)
    example.save(model, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not fine-tuned from"):
        example.load_model(tmp_path / "other.pth", original=weights)


def test_no_frame_of_the_evaluation_is_trained_on(proof: Any, real_data: Path) -> None:
    assert not set(proof.TRAINED) & set(proof.HELD_OUT)
    keys = proof.StreetFrames(real_data).keys()
    assert all(key.startswith(("cityscapes/", "camvid/train/")) for key in keys)
    assert not any(name in key for key in keys for name in proof.HELD_OUT)


def test_table_tells_median_and_spread(proof: Any) -> None:
    def run(value: float) -> dict[str, Any]:
        figures = {score: {"AuPRC": value, "FPR95": value, "F1": value} for score in proof.SCORES}
        return {"anomalies": {"set": figures}, "mIoU": {"frames": value}, "mIoU alone": {"frames": value}}

    table = proof.markdown({"before": [run(1)], "ours": [run(2), run(4), run(3)]})
    assert "| set | msp | AuPRC | 1.0 | 3.0 (2.0–4.0) |" in table
    assert "| frames | mIoU | 1.00 | 3.00 (2.00–4.00) |" in table


def test_the_new_class_is_learnt_on_its_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    example = _module("learn_new_class", monkeypatch)
    logits = torch.zeros(1, 20, 4, 4, requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    assert example.named(logits, labels).item() == 0
    labels[0, 1, 2] = example.ANIMAL
    loss = example.named(logits, labels)
    assert loss.item() == pytest.approx(float(torch.tensor(20.0).log()))
    loss.backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1)[0].nonzero().tolist()
    assert touched == [[1, 2]]
    assert logits.grad[0, example.ANIMAL, 1, 2] < 0
