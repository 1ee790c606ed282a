"""Images of more than three bands: what becomes of the others under an object has to be said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import ItemFormatError, SampleReadError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.reading.compose_opacity import covered
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe, make_sample

LENGTH = 3
H, W = 48, 65
RNG = np.random.default_rng(0)


class Bands(Frames):
    """`Frames` with near infrared, 1 to 255, after the colours: ``[C, H, W]`` tensors or ``[H, W, C]`` arrays."""

    def __init__(self, form: str = "tensor", further: int = 1) -> None:
        super().__init__(LENGTH, (H, W))
        self.form, self.further = form, further

    def __getitem__(self, index: int) -> Any:
        sample = make_sample(index, self.size_hw)
        more = torch.from_numpy(np.random.default_rng(index).integers(1, 256, (self.further, H, W), dtype=np.uint8))
        image = torch.cat([sample.image, more])
        if self.form == "tensor":
            return image, sample.labels
        return np.ascontiguousarray(image.permute(1, 2, 0).numpy()), sample.labels.numpy()


class Colours(Bands):
    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return (image[:3] if self.form == "tensor" else image[..., :3]), labels


def get_view(item: Any) -> Any:
    return (item[0][:3] if isinstance(item[0], torch.Tensor) else item[0][..., :3]), item[1]


def get_copy(item: Any) -> Any:
    image, labels = get_view(item)
    return (image.clone() if isinstance(image, torch.Tensor) else image.copy()), labels


def put_back(item: Any, image: Any, labels: Any) -> Any:
    if isinstance(image, torch.Tensor):
        return torch.cat([image, item[0][3:]]), labels
    return np.concatenate([image, item[0][..., 3:]], axis=-1), labels


def blank(item: Any, where: Any) -> Any:
    """Zero the further bands where an object stands."""
    image, labels = item
    if isinstance(image, torch.Tensor):
        assert isinstance(where, torch.Tensor)
        return torch.cat([image[:3], image[3:] * ~where]), labels
    assert isinstance(where, np.ndarray)
    return np.concatenate([image[..., :3], image[..., 3:] * ~where[..., None]], axis=-1), labels


def warm(path: Path, base: Bands, adapt: Adapt | None) -> Path:
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(base, path, pipeline, num_variants=1, workers=0, adapt=adapt)
    return path


def planes(image: Any) -> np.ndarray:
    """``[C, H, W]``"""
    return image.numpy() if isinstance(image, torch.Tensor) else image.transpose(2, 0, 1)


@pytest.mark.parametrize("form", ["tensor", "array"])
@pytest.mark.parametrize(
    ("adapt", "values"),
    [
        (Adapt(bands=7), (7, 7)),
        (Adapt(bands=(0, 9)), (0, 9)),
        (Adapt(bands="keep"), None),
        (Adapt(bands=blank), (0, 0)),
        (Adapt(get_view, put_back, bands=blank), (0, 0)),
        (Adapt(get_copy, put_back, bands="keep"), None),
    ],
)
def test_further_bands_become_what_was_said(tmp_path: Path, form: str, adapt: Adapt, values: Any) -> None:
    base = Bands(form, further=2)
    path = warm(tmp_path / "a.cache", base, adapt)
    dataset = POCAugmentedDataset(base, path, p=1.0, adapt=adapt, sigma_px=1.5)
    colours = POCAugmentedDataset(Colours(form), path, p=1.0, sigma_px=1.5)
    items = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    seen = 0
    for index, (image, labels) in enumerate(items):
        before, (rgb, ids) = base[index][0], colours[index]
        assert isinstance(image, torch.Tensor)  # the loader makes tensors of arrays
        image = planes(image if form == "tensor" else image.numpy())
        assert np.array_equal(image[:3], planes(rgb))
        assert np.array_equal(np.asarray(labels), np.asarray(ids))
        variant = Cache.open(path).get(base.keys()[index], 0)
        assert variant is not None
        where = covered(variant.insertions, (H, W), 1.5).numpy()
        seen += int(where.sum())
        changed = (image[:3] != planes(before)[:3]).any(axis=0)
        assert not (changed & ~where).any()  # these objects cast no shadow
        for number in range(2):
            old = planes(before)[3 + number]
            assert np.array_equal(image[3 + number], old if values is None else np.where(where, values[number], old))
    assert seen > 100


@pytest.mark.parametrize("form", ["tensor", "array"])
def test_nothing_said_is_an_error_that_names_the_way(tmp_path: Path, form: str) -> None:
    base = Bands(form)
    with pytest.raises(ItemFormatError, match=r"Adapt\(bands=0\)"):
        open_item(base[0], key="k")
    with pytest.raises(SampleReadError, match="shape"):
        warm(tmp_path / "a.cache", base, None)
    path = warm(tmp_path / "b.cache", Colours(form), None)
    with pytest.raises(ItemFormatError, match=r"Adapt\(bands=0\)"):
        POCAugmentedDataset(base, path)[0]


def scaled(form: str, kind: str) -> tuple[Any, Any]:
    """A picture of four bands of another dtype, and ``get`` as its user would write it."""
    image = Bands("array")[0][0]
    if kind == "uint16":
        deep = image.astype(np.uint16) * 257
        return deep, lambda item: ((item[0][..., :3] >> 8).astype(np.uint8), item[1])
    light = (image / 255).astype(np.float32)
    return light, lambda item: ((item[0][..., :3] * 255).round().astype(np.uint8), item[1])


@pytest.mark.parametrize("kind", ["view", "copy", "dict", "object", "uint16", "float", "bgr"])
@pytest.mark.parametrize("form", ["tensor", "array"])
def test_three_bands_taken_of_four_are_noticed(form: str, kind: str) -> None:
    image, labels = Bands(form)[0]
    item: Any = (image, labels)
    get: Any = get_view
    bgr = kind == "bgr"
    if kind == "copy":
        get = get_copy
    elif kind == "dict":
        item, get = (
            {"inputs": {"picture": image}, "truth": labels},
            (lambda item: get_view((item["inputs"]["picture"], item["truth"]))),
        )
    elif kind == "object":
        item, get = SimpleNamespace(picture=image, truth=labels), (lambda item: get_view((item.picture, item.truth)))
    elif kind in ("uint16", "float"):
        picture, get = scaled(form, kind)
        item = (picture, np.asarray(labels))
    put = lambda item, image, labels: item  # noqa: E731
    with pytest.raises(ItemFormatError, match="three bands of a picture of 4") as caught:
        open_item(item, Adapt(get, put, bgr=bgr), key="k")
    assert "bands='keep'" in caught.value.hint
    assert open_item(item, Adapt(get, put, bgr=bgr, bands="keep"), key="k").size_hw == (H, W)


def test_other_stacks_beside_the_image_are_no_bands() -> None:
    image, labels = Colours("array")[0]
    masks = np.stack([labels == number for number in range(5)]).astype(np.uint8)
    put = lambda item, image, labels: item  # noqa: E731
    for further in (masks, masks.transpose(1, 2, 0), RNG.random((7, H, W)), np.stack([image] * 4)):
        assert open_item((image, labels, further), Adapt(lambda item: item[:2], put), key="k").size_hw == (H, W)
    black = np.zeros_like(image)
    assert open_item((black, labels, masks * 0), Adapt(lambda item: item[:2], put), key="k").size_hw == (H, W)


def test_an_item_without_objects_is_the_same_object(tmp_path: Path) -> None:
    held = [Bands("array")[index] for index in range(LENGTH)]
    path = warm(tmp_path / "a.cache", Bands("array"), Adapt(bands=0))

    class Held(Bands):
        def __getitem__(self, index: int) -> Any:
            return held[index]

    before = [image.copy() for image, _ in held]
    assert POCAugmentedDataset(Held(), path, p=0.0, adapt=Adapt(bands=0))[0] is held[0]
    dataset = POCAugmentedDataset(Held(), path, p=1.0, adapt=Adapt(bands=0))
    assert all(dataset[index] is not held[index] for index in range(LENGTH))
    assert all(np.array_equal(image, old) for (image, _), old in zip(held, before, strict=True))


@pytest.mark.parametrize("bands", [-1, 256, 0.5, "zero", (), (0, 300), True, [0]])
def test_rules_that_are_none(bands: Any) -> None:
    with pytest.raises(ItemFormatError, match=r"Adapt\(bands="):
        Adapt(bands=bands)


def test_rules_that_do_not_fit_the_image() -> None:
    image, labels = Bands("array")[0]
    with pytest.raises(ItemFormatError, match="has 0 bands besides"):
        open_item((image[..., :3], labels), Adapt(bands=0), key="k")
    with pytest.raises(ItemFormatError, match="has 1 bands besides"):
        open_item((image, labels), Adapt(bands=(0, 0)), key="k")
    with pytest.raises(ItemFormatError, match="Adapt has get and no put"):
        Adapt(get=get_view)
    opened = open_item((image, labels), Adapt(bands=lambda item, covered: None), key="k")
    opened.image.write((0, 0, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
    opened.cover(lambda: torch.ones(H, W, dtype=torch.bool))
    with pytest.raises(ItemFormatError, match="returned None"):
        opened.close()


def test_rules_reach_spawned_workers(tmp_path: Path) -> None:
    adapt = Adapt(get_view, put_back, bands=blank)
    path = warm(tmp_path / "a.cache", Bands("tensor"), adapt)
    dataset = POCAugmentedDataset(Bands("tensor"), path, p=1.0, redraw="epoch", adapt=adapt)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="forkserver")
    for index, (image, labels) in enumerate(loader):
        assert torch.equal(image, dataset[index][0])
        assert torch.equal(labels, dataset[index][1])
        assert not image[3].all()


def test_bgr_alone_reads_a_known_form() -> None:
    image, labels = Bands("array")[0]
    opened = open_item((image, labels), Adapt(bgr=True, bands="keep"), key="k")
    assert np.array_equal(opened.sample().image.numpy(), image[..., 2::-1].transpose(2, 0, 1))
    patch = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
    opened.image.write((4, 5, 1, 1), patch)
    assert opened.close()[0][4, 5].tolist() == [3, 2, 1, image[4, 5, 3]]
    assert torch.equal(opened.image.read((4, 5, 1, 1)), patch)
    assert opened.image.probe([4], [5]).tolist() == [[[1, 2, 3]]]


def by_v2() -> Any:
    from torchvision.transforms import v2

    return v2.Compose([v2.RandomHorizontalFlip(1.0), v2.CenterCrop((32, 40))])


def by_albumentations() -> Any:
    albumentations = pytest.importorskip("albumentations")
    return albumentations.Compose([albumentations.HorizontalFlip(p=1.0), albumentations.CenterCrop(32, 40)])


def by_kornia() -> Any:
    kornia = pytest.importorskip("kornia.augmentation")
    return kornia.AugmentationSequential(kornia.RandomHorizontalFlip(p=1.0), kornia.CenterCrop((32, 40)))


@pytest.mark.parametrize("form", ["tensor", "array"])
@pytest.mark.parametrize("make", [by_v2, by_albumentations, by_kornia])
@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("bands", [(0, 9), blank])
def test_joint_transforms_take_all_bands(tmp_path: Path, form: str, make: Any, bgr: bool, bands: Any) -> None:
    base, adapt = Bands(form, further=2), Adapt(bands=bands, bgr=bgr)
    path = warm(tmp_path / "a.cache", base, adapt)
    plain = POCAugmentedDataset(base, path, p=1.0, adapt=adapt)
    turned = POCAugmentedDataset(base, path, p=1.0, adapt=adapt, transforms=make())
    top, left = (H - 32) // 2, round((W - 40) / 2)
    for index in range(LENGTH):
        (before, ids), (image, labels) = plain[index], turned[index]
        expected = planes(before)[..., ::-1][..., top : top + 32, left : left + 40]
        got = np.asarray(image).transpose(2, 0, 1) if np.asarray(image).shape[-1] == 5 else np.asarray(image)
        if got.dtype != np.uint8:  # kornia's are floats in [0, 1]
            got = np.round(got * 255).astype(np.uint8)
        assert got.shape == (5, 32, 40)
        assert np.array_equal(got, expected)
        assert np.array_equal(
            np.asarray(labels), np.asarray(ids)[:, ::-1][top : top + 32, left : left + 40]
        )  # fmt: skip
