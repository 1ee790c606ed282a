"""Base items are never modified in place, and are not copied where nobody could tell."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from poc_aug import seeding
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.open_item import open_item
from poc_aug.items.ownership import is_unshared
from poc_aug.reading.compose import compose, compose_image, paint_labels
from poc_aug.types import Insertion, Part, Sample
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe, make_sample

LENGTH = 4


class Remembering(Frames):
    """Keeps what it returns, in one of the ways that datasets do."""

    def __init__(self, how: str) -> None:
        super().__init__(LENGTH)
        self.how = how
        self.kept: dict[int, Any] = {}
        self.returned: list[int] = []
        self.cached = functools.lru_cache(None)(lambda index: Frames.__getitem__(self, index))

    def __getitem__(self, index: int) -> Any:
        if self.how == "lru_cache":
            return self.cached(index)
        if index in self.kept and self.how != "nothing":
            found = self.kept[index]
            return (found[0], found[1]) if self.how in ("leaves", "image", "labels") else found
        image, labels = super().__getitem__(index)
        item = (image, labels)
        if self.how == "tuple":
            self.kept[index] = item
        elif self.how == "leaves":
            self.kept[index] = [image, labels]
        elif self.how == "image":
            self.kept[index] = [image, labels.copy()]
        elif self.how == "labels":
            self.kept[index] = [image.copy(), labels]
        elif self.how == "nothing":
            self.returned += [id(image), id(labels)]
        return item


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ownership") / "frames.cache"
    recipe = make_recipe(objects_per_variant=[2, 2])
    warm_cache(Frames(LENGTH), path, InsertionPipeline(recipe, EllipseInserter()), num_variants=2, workers=0)
    return path


@pytest.mark.parametrize("how", ["tuple", "leaves", "image", "labels", "lru_cache"])
def test_what_a_dataset_keeps_is_never_modified(cache_path: Path, how: str) -> None:
    base = Remembering(how)
    before = [tuple(leaf.tobytes() for leaf in Frames(LENGTH)[i]) for i in range(LENGTH)]
    ds = POCAugmentedDataset(base, cache_path, p=1.0)
    for epoch in range(3):
        ds.set_epoch(epoch)
        changed = [tuple(leaf.tobytes() for leaf in ds[i]) for i in range(LENGTH)]
        assert all(a[0] != b[0] for a, b in zip(changed, before, strict=True))
        kept = [tuple(leaf.tobytes() for leaf in base[i]) for i in range(LENGTH)]
        assert kept == before


def test_what_nobody_keeps_is_edited_where_it_lies(cache_path: Path) -> None:
    base = Remembering("nothing")
    ds = POCAugmentedDataset(base, cache_path, p=1.0)
    for i in range(LENGTH):
        image, labels = ds[i]
        assert [id(image), id(labels)] == base.returned[-2:]


def test_only_plain_pairs_of_pil_images_count() -> None:
    def pair() -> Any:
        return Image.new("RGB", (3, 2)), Image.new("L", (3, 2))

    fresh = pair()
    assert is_unshared(fresh)
    image = pair()[0]
    held = (image, Image.new("L", (3, 2)))
    assert not is_unshared(held)
    others: list[Callable[[], Any]] = [
        lambda: list(pair()),
        lambda: (*pair(), 7),
        lambda: {"image": pair()[0], "mask": pair()[1]},
        lambda: (torch.zeros(3, 2, 3, dtype=torch.uint8), Image.new("L", (3, 2))),
        lambda: (np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), np.uint8)),
    ]
    for make in others:
        item = make()
        assert not is_unshared(item)


class Reaching(Frames):
    """Keeps a way to the pixels that is no reference to the image."""

    def __init__(self, how: Callable[[Image.Image], Any]) -> None:
        super().__init__(LENGTH)
        self.how = how
        self.kept: list[Any] = []

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        self.kept = [self.how(image), self.how(labels)]
        return image, labels


def test_frames_in_a_weak_cache_are_not_modified(cache_path: Path) -> None:
    class Weak(Frames):
        def __init__(self) -> None:
            super().__init__(LENGTH)
            self.kept: weakref.WeakValueDictionary[tuple[int, int], Image.Image] = weakref.WeakValueDictionary()

        def __getitem__(self, index: int) -> Any:
            found: list[Any] = [self.kept.get((index, leaf)) for leaf in range(2)]
            if None in found:
                found = list(super().__getitem__(index))
                self.kept.update({(index, 0): found[0], (index, 1): found[1]})
            return found[0], found[1]

    base, fresh = Weak(), Frames(LENGTH)
    ds = POCAugmentedDataset(base, cache_path, p=1.0, redraw="epoch")
    shown = [ds[i] for i in range(LENGTH)]  # whoever trains holds them
    for i in range(LENGTH):
        assert [leaf.tobytes() for leaf in base[i]] == [leaf.tobytes() for leaf in fresh[i]]
    again = [ds[i] for i in range(LENGTH)]
    assert [item[0].tobytes() for item in again] == [item[0].tobytes() for item in shown]


def pixels_of(kept: Any) -> bytes | None:
    """The pixels that something kept of an image leads to, where that is easy to tell."""
    if type(kept) is dict:
        kept = Image.Image()._new(kept["_im"])
    elif type(kept) is ImageDraw.ImageDraw:
        kept = kept._image
    return kept.tobytes() if issubclass(type(kept), Image.Image) else None


@pytest.mark.parametrize(
    "how",
    [
        lambda image: image._new(image.im),
        lambda image: image.im,
        lambda image: image.load(),
        lambda image: image.getim(),
        lambda image: ImageDraw.Draw(image),
        lambda image: vars(image),
        lambda image: weakref.ref(image),
        lambda image: weakref.proxy(image),
        lambda image: image.tobytes,
        lambda image: lambda: image,
    ],
    ids=["_new", "core", "pixel access", "capsule", "draw", "attributes", "weakref", "proxy", "method", "closure"],
)
def test_every_way_to_the_pixels_counts(cache_path: Path, how: Callable[[Image.Image], Any]) -> None:
    base = Reaching(how)
    ds = POCAugmentedDataset(base, cache_path, p=1.0)
    for i in range(LENGTH):
        ds[i]
        assert [pixels_of(kept) for kept in base.kept] in (
            [leaf.tobytes() for leaf in Frames(LENGTH)[i]],
            [None, None],
        )
    item = Frames(LENGTH)[0]
    held = how(item[0])
    assert not is_unshared(item)
    del held
    assert is_unshared(item)


def test_a_generators_frame_counts() -> None:
    def frames() -> Generator[Any, None, None]:
        image, labels = Frames(LENGTH)[0]
        while True:
            yield image, labels

    item = next(stream := frames())
    assert not is_unshared(item)
    stream.close()
    assert is_unshared(item)


def test_a_profilers_copy_of_the_variables_counts() -> None:
    item = Frames(LENGTH)[0]
    variables = dict(sys._getframe().f_locals)  # as debuggers and tracers keep them
    assert not is_unshared(item)
    del variables


def test_images_of_another_class_are_copied() -> None:
    class Annotated(Image.Image):
        pass

    image = Annotated()._new(Image.new("RGB", (3, 2)).im)
    image.__class__ = Annotated
    item = (image, Image.new("L", (3, 2)))
    del image
    assert not is_unshared(item)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_pixels_in_an_arrays_memory_stay(cache_path: Path, mode: str) -> None:
    class Arrays(Frames):
        def __getitem__(self, index: int) -> Any:
            image, labels = super().__getitem__(index)
            self.ids = np.array(labels).astype(np.uint16 if mode == "I;16" else np.uint8)
            shared = Image.frombuffer(mode, labels.size, self.ids, "raw", mode, 0, 1)
            return image, shared

    base = Arrays(LENGTH)
    ds = POCAugmentedDataset(base, cache_path, p=1.0)
    for i in range(LENGTH):
        _, labels = ds[i]
        assert (base.ids == np.array(Frames(LENGTH)[i][1])).all()
        assert (np.array(labels) != base.ids).any()


def test_files_that_are_mapped_stay(cache_path: Path, tmp_path: Path) -> None:
    # Pillow maps uncompressed files into memory instead of reading them.
    for i in range(LENGTH):
        image, labels = Frames(LENGTH)[i]
        image.save(tmp_path / f"{i}.png")
        labels.save(tmp_path / f"{i}.tif")
    before = [(tmp_path / f"{i}.tif").read_bytes() for i in range(LENGTH)]

    class Files(Frames):
        def __getitem__(self, index: int) -> Any:
            return Image.open(tmp_path / f"{index}.png"), Image.open(tmp_path / f"{index}.tif")

    ds = POCAugmentedDataset(Files(LENGTH), cache_path, p=1.0)
    for i in range(LENGTH):
        image, labels = ds[i]
        assert image.tobytes() != Frames(LENGTH)[i][0].tobytes()
        assert labels.tobytes() != Frames(LENGTH)[i][1].tobytes()
    assert [(tmp_path / f"{i}.tif").read_bytes() for i in range(LENGTH)] == before


@pytest.mark.parametrize("mode", ["L", "P", "I", "I;16"])
def test_pil_blends_and_fills_to_the_same_bits(mode: str) -> None:
    for seed in range(20):
        rng = seeding.generator(seed, "bits")
        sample = make_sample(seed, (48, 65))
        h, w = 17, 11
        mask = torch.rand(h, w, generator=rng) < 0.5
        mask[h // 2, w // 2] = True
        alpha = torch.randint(0, 256, (h, w), generator=rng, dtype=torch.uint8)
        insertion = Insertion(
            box_yxhw=(seed, 2 * seed, h, w),
            patch=torch.randint(0, 256, (3, h, w), generator=rng, dtype=torch.uint8),
            parts=(Part("a", mask), Part("b", ~mask)),
            alpha=None if seed % 3 == 0 else alpha.where(alpha > 60, 0),
            shade=None if seed % 4 == 0 else alpha.flip(0).where(alpha > 99, 0),
            object_name="thing",
            max_sigma_px=2.0,
        )
        expected = compose(sample, [insertion], {"a": 9, "b": 200})
        image = Image.fromarray(np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy()))
        ids = sample.labels.numpy().astype({"I": np.int32, "I;16": np.uint16}.get(mode, np.uint8))
        labels = Image.frombytes(mode, (ids.shape[1], ids.shape[0]), ids.tobytes())
        assert labels.mode == mode
        item = open_item((image, labels), key="a")
        compose_image(item.image, [insertion], 1.0)
        paint_labels(item.labels, [insertion], {"a": 9, "b": 200})
        done: Sample = item.sample()
        assert torch.equal(done.image, expected.image)
        assert torch.equal(done.labels.long(), expected.labels.long())
