"""`compose_batch` gives the images and labels that `POCAugmentedDataset` gives, composed where the batch is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from poc_aug import compose_batch
from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheDatasetMismatchError, ItemFormatError, LabelPolicyError, SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Variant
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

LENGTH, VARIANTS = 4, 2
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="composes on a GPU")


class Tensors(Frames):
    """The frames as tensors, on a device."""

    device = "cpu"

    def __getitem__(self, index: int) -> Any:
        image, labels = (np.array(picture) for picture in super().__getitem__(index))
        return torch.from_numpy(image).permute(2, 0, 1).to(self.device), torch.from_numpy(labels).to(self.device)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    path = tmp_path_factory.mktemp("batch") / "frames.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Frames(LENGTH), path, pipeline, num_variants=VARIANTS, workers=0)
    return Cache.open(path)


def batch(device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    items = [Tensors(LENGTH)[index] for index in range(LENGTH)]
    images, labels = (torch.stack(part).to(device) for part in zip(*items, strict=True))
    return images, labels


def variants_of(cache: Cache, index: int) -> list[Variant | None]:
    variants = [cache.get(key, index) for key in Frames(LENGTH).keys()]
    assert any(variant is not None and variant.insertions for variant in variants)
    return variants


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
@pytest.mark.parametrize("policy", [OodLabels(254), OodLabels(200, ring_px=3), AnomalyLabels()], ids=str)
def test_a_batch_is_what_the_dataset_gives(cache: Cache, device: str, policy: Any) -> None:
    for index in range(VARIANTS):
        dataset = POCAugmentedDataset(Tensors(LENGTH), cache, policy, p=1.0, variant=index, sigma_px=1.5, schema=SCHEMA)
        wanted = [dataset[number] for number in range(LENGTH)]
        images, labels = batch(device)
        before = images.clone(), labels.clone()
        variants = variants_of(cache, index)
        done = compose_batch(images, labels, variants, policy, schema=SCHEMA, sigma_px=1.5)
        assert torch.equal(images, before[0])
        assert torch.equal(labels, before[1])
        assert done[0].device == images.device
        whole = torch.stack([image for image, _ in wanted])
        assert (done[0].cpu().int() - whole.int()).abs().max() <= 1
        assert (whole != before[0].cpu()).any()
        assert torch.equal(done[1].cpu(), torch.stack([ids for _, ids in wanted]))
        floats, _ = compose_batch(images / 255, labels, variants, policy, schema=SCHEMA, sigma_px=1.5)
        assert floats.dtype == torch.float32
        assert (floats.cpu() - whole / 255).abs().max() <= 1 / 255 + 1e-6


@CUDA
def test_items_on_a_gpu_are_composed_there(cache: Cache) -> None:
    class OnGpu(Tensors):
        device = "cuda"

    for index in range(VARIANTS):
        here, there = (
            POCAugmentedDataset(base, cache, OodLabels(254, ring_px=2), p=1.0, variant=index, schema=SCHEMA)
            for base in (Tensors(LENGTH), OnGpu(LENGTH))
        )
        for number in range(LENGTH):
            (image, ids), (image_there, ids_there) = here[number], there[number]
            assert image_there.device.type == ids_there.device.type == "cuda"
            assert (image_there.cpu().int() - image.int()).abs().max() <= 1
            assert torch.equal(ids_there.cpu(), ids)


def test_an_image_without_a_variant_stays_and_a_single_image_needs_no_batch(cache: Cache) -> None:
    images, labels = batch()
    variants = variants_of(cache, 0)
    number = next(n for n, variant in enumerate(variants) if variant is not None and variant.insertions)
    chosen = [variant if n == number else None for n, variant in enumerate(variants)]
    done, ids = compose_batch(images, labels, chosen, schema=SCHEMA)
    others = [n for n in range(LENGTH) if n != number]
    assert torch.equal(done[others], images[others])
    assert torch.equal(ids[others], labels[others])
    assert not torch.equal(done[number], images[number])
    alone, own_ids = compose_batch(images[number], labels[number], [variants[number]], schema=SCHEMA)
    assert torch.equal(alone, done[number])
    assert torch.equal(own_ids, ids[number])


def test_gradients_reach_the_pixels_that_no_object_covers(cache: Cache) -> None:
    images, labels = batch()
    floats = (images / 255).requires_grad_()
    done, ids = compose_batch(floats, labels, variants_of(cache, 0), schema=SCHEMA)
    done.sum().backward()
    assert floats.grad is not None
    inserted = (ids == 254)[:, None].expand_as(floats)
    assert (floats.grad[inserted] == 0).all()
    assert (floats.grad[done == floats] == 1).float().mean() > 0.9


def test_a_variant_of_another_frame_is_refused(cache: Cache) -> None:
    images, labels = batch()
    swapped = variants_of(cache, 0)[::-1]
    with pytest.raises(CacheDatasetMismatchError, match="image 0 of the batch is 48x65 pixels"):
        compose_batch(images, labels, swapped, schema=SCHEMA)
    with pytest.raises(CacheDatasetMismatchError, match="but variant 0 of sample"):
        compose_batch(images.flip(-1) / 255, labels.flip(-1), variants_of(cache, 0), schema=SCHEMA)
    done, _ = compose_batch(images, labels, swapped, schema=SCHEMA, check_images=False)
    assert not torch.equal(done, images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floats_outside_0_to_1_are_refused_by_their_range(cache: Cache, dtype: torch.dtype) -> None:
    images, labels = batch()
    variants = variants_of(cache, 0)
    with pytest.raises(ItemFormatError, match=r"values from \d+ to \d+\n.*\[0, 1\], or uint8\n.*images / 255"):
        compose_batch(images.to(dtype), labels, variants, schema=SCHEMA)
    normalised = ((images / 255 - 0.45) / 0.225).to(dtype)
    for shown in (variants, [None] * LENGTH):
        with pytest.raises(
            ItemFormatError, match=r"values from -\d\.\d+ to \d\.\d+\n(.|\n)*compose before normalising"
        ):
            compose_batch(normalised, labels, shown, schema=SCHEMA)
    compose_batch(normalised, labels, variants, schema=SCHEMA, check_images=False)
    broken = torch.full_like(normalised, torch.nan)
    with pytest.raises(ItemFormatError, match="values from nan to nan"):
        compose_batch(broken, labels, variants, schema=SCHEMA)


@pytest.mark.parametrize(("black", "white"), [(-0.4, 255.0), (0.0, 255.4)])
def test_floats_that_round_to_a_level_are_in_range(black: float, white: float) -> None:
    images = torch.full((2, 3, 16, 20), black / 255)
    images[1] = white / 255
    labels = torch.zeros(2, 16, 20, dtype=torch.uint8)
    assert torch.equal(compose_batch(images, labels, [None, None], schema=SCHEMA)[0], images)
    with pytest.raises(ItemFormatError, match=r"compose_batch: images of floating point hold values from"):
        compose_batch((images - 0.5) * 1.01 + 0.5, labels, [None, None], schema=SCHEMA)
    assert compose_batch(images[:0], labels[:0], [], schema=SCHEMA)[0].shape == (0, 3, 16, 20)


def test_variants_of_other_forms_are_refused(cache: Cache) -> None:
    images, labels = batch()
    variants = variants_of(cache, 0)
    variant = next(variant for variant in variants if variant is not None and variant.insertions)
    with pytest.raises(ItemFormatError, match=r"variants is a Variant, not a list(.|\n)*one variant or None per image"):
        compose_batch(images[0], labels[0], variant, schema=SCHEMA)  # type: ignore[arg-type]
    with pytest.raises(ItemFormatError, match=r"variants is a NoneType(.|\n)*one variant or None per image"):
        compose_batch(images[0], labels[0], None, schema=SCHEMA)  # type: ignore[arg-type]
    for wrong, name in (([variant], "list"), (variant.insertions[0], "Insertion")):
        with pytest.raises(ItemFormatError, match=rf"variants\[1\] is a {name}\n(.|\n)*one variant or None per image"):
            compose_batch(images[:2], labels[:2], [variant, wrong], schema=SCHEMA)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("images", "labels", "count", "message"),
    [
        (torch.zeros(2, 3, 4, 5, dtype=torch.int64), torch.zeros(2, 4, 5, dtype=torch.uint8), 2, "images are a"),
        (torch.zeros(2, 3, 4, 5).to(torch.float8_e5m2), torch.zeros(2, 4, 5, dtype=torch.uint8), 2, "float8_e5m2"),
        (torch.zeros(2, 4, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8), 2, "images are a"),
        (torch.zeros(4, 5), torch.zeros(4, 5, dtype=torch.uint8), 1, "images are a"),
        (torch.zeros(2, 3, 4, 5), torch.zeros(2, 1, 4, 5, dtype=torch.uint8), 2, r"labels\[:, 0\]"),
        (torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5), 2, "labels are a torch.float32"),
        (torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8), 3, "3 variants for 2 images"),
        (torch.zeros(3, 4, 5), torch.zeros(4, 5, dtype=torch.uint8), 2, "2 variants for 1 image"),
        (torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8, device="meta"), 2, "labels on meta"),
    ],
)
def test_other_forms_are_refused(images: torch.Tensor, labels: torch.Tensor, count: int, message: str) -> None:
    with pytest.raises(ItemFormatError, match=message):
        compose_batch(images, labels, [None] * count, schema=SCHEMA)


def test_a_policy_that_knows_no_classes_is_refused(cache: Cache) -> None:
    with pytest.raises(LabelPolicyError, match="the dataset's schema is not known"):
        compose_batch(*batch(), variants_of(cache, 0))


def test_labels_of_another_schema_are_found_out(cache: Cache) -> None:
    images, labels = batch()
    variants = variants_of(cache, 0)
    first, second, *_ = [name for name, label_id in SCHEMA.ids.items() if (labels == label_id).any()]
    swapped = {**SCHEMA.ids, first: SCHEMA.ids[second], second: SCHEMA.ids[first]}
    wrong = LabelSchema("wrong", swapped, SCHEMA.ignore)
    for policy in (OodLabels(200), AnomalyLabels()):
        with pytest.raises(SchemaError, match=r"'wrong'.*other classes than when the variant was made"):
            compose_batch(images, labels, variants, policy, schema=wrong)
        unchecked = compose_batch(images, labels, variants, policy, schema=wrong, check_labels=False)
        assert unchecked[0].shape == images.shape
    with pytest.raises(SchemaError, match="99"):
        compose_batch(images, torch.full_like(labels, 99), variants, OodLabels(200), schema=SCHEMA)
    known = {first: SCHEMA.ids[second]}
    with pytest.raises(SchemaError, match="other classes"):
        compose_batch(images, labels, variants, OodLabels(200, known=known))
    compose_batch(images, labels, variants, OodLabels(200, known={}))  # nothing to compare with


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64])
def test_labels_of_every_dtype_are_compared(cache: Cache, dtype: torch.dtype) -> None:
    images, labels = batch()
    _, composed = compose_batch(images, labels.to(dtype), variants_of(cache, 0), OodLabels(200), schema=SCHEMA)
    assert composed.dtype == dtype
