"""`PasteInserter`: geometry, matte, rejections, and what it says about itself."""

from __future__ import annotations

import errno
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.backends.paste.contact_shadow import MAX_STRENGTH
from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.backends.paste.resample import BAND_PX, flip_and_rotate
from poc_aug.backends.paste.scene_quality import gaussian_blur
from poc_aug.camera_model import Camera
from poc_aug.errors import ObjectBankError, RecipeError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.schema import SCHEMAS
from poc_aug.masks import dilate
from poc_aug.protocols import Inserter
from poc_aug.recipe import CAMERAS
from poc_aug.types import Annotation, Crop, Extent, Filled, Rejection, Sample
from tests.helpers.bank_cases import bank, table  # noqa: F401


def crop_of(
    seed: int = 0,
    *,
    name: str = "table",
    size: tuple[int, int] = (131, 117),
    box: tuple[int, int, int, int] = (40, 25, 61, 67),
    parts: tuple[str, ...] | None = None,
    camera: Camera | None = None,
) -> Crop:
    rng = torch.Generator().manual_seed(11)
    scene = gaussian_blur(torch.rand((3, *size), generator=rng) * 0.25 + 0.3, 1.5)
    image = (scene * 255).round().to(torch.uint8)
    return Crop(image, box, name, name, parts or (name,), seed, camera)


def one(inserter: PasteInserter, crop: Crop) -> Filled:
    (result,) = inserter.insert([crop])
    assert isinstance(result, Filled), result
    return result


def mask_of(filled: Filled) -> torch.Tensor:
    assert filled.annotation is not None
    return filled.annotation.parts[0].mask


def same(a: Filled | Rejection, b: Filled | Rejection) -> bool:
    if isinstance(a, Rejection) or isinstance(b, Rejection):
        return a == b
    maps = ((a.image, b.image), (a.alpha, b.alpha), (a.shade, b.shade), (mask_of(a), mask_of(b)))
    equal = all((x is None and y is None) or (x is not None and y is not None and torch.equal(x, y)) for x, y in maps)
    return equal and a.provenance == b.provenance


def test_is_an_inserter_and_describes_itself_in_json(bank: ObjectBank) -> None:  # noqa: F811
    inserter = PasteInserter(bank)
    assert isinstance(inserter, Inserter)
    described = inserter.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["bank"] == bank.describe()
    assert PasteInserter(bank, harmonise=0.3).describe() != described
    assert repr(inserter).startswith("PasteInserter(ObjectBank(")


def test_alone_equals_batched_equals_pickled(bank: ObjectBank) -> None:  # noqa: F811
    inserter = PasteInserter(bank, rotate_deg=3)
    crops = [crop_of(seed, name=name) for seed in range(4) for name in ("table", "dog")]
    before = [crop.image.clone() for crop in crops]
    batched = inserter.insert(crops)
    again = pickle.loads(pickle.dumps(inserter))
    torch.manual_seed(5)
    for crop, result in zip(reversed(crops), reversed(batched), strict=True):
        assert same(one(inserter, crop), result)
        assert same(one(again, crop), result)
    assert all(torch.equal(crop.image, image) for crop, image in zip(crops, before, strict=True))
    state = torch.random.get_rng_state()
    inserter.insert(crops)
    assert torch.equal(state, torch.random.get_rng_state())


def test_number_of_threads_changes_nothing(bank: ObjectBank) -> None:  # noqa: F811
    crops = [
        crop_of(seed, name=name, size=(231, 217), box=(40, 25, 141, 137))
        for seed in range(3)
        for name in ("table", "dog")
    ]
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            results.append(pickle.loads(pickle.dumps(PasteInserter(bank, edge="antialias"))).insert(crops))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(same(a, b) for a, b in zip(results[0], other, strict=True))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**40),
    name=st.sampled_from(["table", "dog"]),
    height=st.integers(17, 90),
    width=st.integers(11, 90),
    rotate=st.sampled_from([0.0, 4.0]),
    edge=st.sampled_from(["feather", "antialias"]),
)
def test_geometry(bank: ObjectBank, seed: int, name: str, height: int, width: int, rotate: float, edge: Any) -> None:  # noqa: F811
    crop = crop_of(seed, name=name, size=(height + 70, width + 61), box=(33, 31, height, width))
    filled = one(PasteInserter(bank, rotate_deg=rotate, edge=edge), crop)
    mask = mask_of(filled)
    rows, cols = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    assert int(rows[-1]) == 33 + height - 1  # stands on the box's bottom row
    assert int(rows[0]) >= 33
    assert int(cols[0]) >= 31
    assert int(cols[-1]) < 31 + width
    h, w = int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1
    assert h >= height - 3 or w >= width - 3  # as large as the box allows
    assert abs((int(cols[0]) - 31) - (31 + width - 1 - int(cols[-1]))) <= 1  # in its middle
    outside = ~dilate(mask, BAND_PX)
    assert torch.equal(filled.image[:, outside], crop.image[:, outside])
    assert filled.shade is not None
    assert not bool(filled.shade[: 33 + height - 1 - h // 2].any())
    shade = filled.shade[filled.shade > 0]
    assert shade.numel() == 0 or 4 <= int(shade.min()) <= int(shade.max()) <= round(255 * MAX_STRENGTH)
    for border in (filled.shade[0], filled.shade[-1], filled.shade[:, 0], filled.shade[:, -1]):
        assert not bool(border.any())
    assert (filled.alpha is not None) == (name == "dog" or edge == "antialias")


@pytest.mark.parametrize("rotate", [0.0, 5.0])
def test_extent_is_what_is_inserted(bank: ObjectBank, rotate: float) -> None:  # noqa: F811
    inserter = PasteInserter(bank, rotate_deg=rotate)
    aspects = set()
    for seed in range(8):
        extent = inserter.extent("table", seed)
        assert isinstance(extent, Extent)
        assert extent.height_m is None
        aspects.add(round(extent.aspect, 1))
        box = (20, 20, 80, round(80 * extent.aspect))
        mask = mask_of(one(inserter, crop_of(seed, size=(130, 180), box=box)))
        assert int(mask.any(1).sum()) >= 78
        assert abs(int(mask.any(0).sum()) - box[3]) <= 3
    assert len(aspects) >= 2  # both tables are drawn


def test_flip_mirrors_half(bank: ObjectBank) -> None:  # noqa: F811
    flips = [one(PasteInserter(bank), crop_of(seed)).provenance["flip"] for seed in range(16)]
    assert 3 <= sum(map(bool, flips)) <= 13
    assert not any(one(PasteInserter(bank, flip=False), crop_of(seed)).provenance["flip"] for seed in range(16))
    image, alpha = torch.zeros((3, 17, 11), dtype=torch.uint8), torch.zeros((17, 11), dtype=torch.uint8)
    alpha[:, :4], image[0, :, 0] = 255, 255
    colours, opacity = flip_and_rotate(image, alpha, flip=True, rotate_deg=0)
    assert torch.equal(opacity, (alpha.float() / 255).flip(-1))
    assert bool((colours[0, :, -1] == 1).all())


def test_no_background_of_the_cutout_shows(bank: ObjectBank) -> None:  # noqa: F811
    inserter = PasteInserter(bank, harmonise=0, shadow=False, sharpness=False, grain=False, edge="feather")
    for seed in range(4):
        filled = one(inserter, crop_of(seed, box=(30, 20, 50, 70)))
        band = dilate(mask_of(filled), 9)
        # The table's two colours, and mixes of them, have the same green; the magenta behind them has none.
        green = filled.image[1, band].int()
        assert int((green - 90).abs().max()) <= 2


def test_plain_paste_changes_nothing_but_the_object(bank: ObjectBank) -> None:  # noqa: F811
    plain = PasteInserter(bank, harmonise=0, shadow=False, sharpness=False, grain=False, edge="feather")
    filled = one(plain, crop_of(3))
    assert filled.shade is None
    assert filled.alpha is None
    assert filled.provenance["harmonise"] == {}
    assert filled.provenance["category"] == "table"
    assert "shadow" not in filled.provenance


def test_soft_matte_brings_its_alpha(bank: ObjectBank) -> None:  # noqa: F811
    filled = one(PasteInserter(bank, sharpness=False), crop_of(name="dog"))
    assert filled.alpha is not None
    assert torch.equal(filled.alpha >= 128, mask_of(filled))
    between = (filled.alpha > 0) & (filled.alpha < 255)
    assert int(between.sum()) > 200
    hard = one(PasteInserter(bank, edge="antialias"), crop_of())
    assert hard.alpha is not None
    assert 0 < int(((hard.alpha > 0) & (hard.alpha < 255)).sum()) < int(mask_of(hard).sum())


def test_enlarging_beyond_the_limit_is_told_to_region_search(bank: ObjectBank) -> None:  # noqa: F811
    inserter = PasteInserter(bank, max_upscale=1.5)
    for seed in range(6):
        extent = inserter.extent("table", seed)
        assert isinstance(extent, Extent)
        assert extent.max_height_px is not None
        box = (20, 20, extent.max_height_px, round(extent.max_height_px * extent.aspect) + 1)
        size = (box[2] + 40, box[3] + 40)
        assert isinstance(inserter.insert([crop_of(seed, size=size, box=box)])[0], Filled)
        larger = (20, 20, extent.max_height_px + 2, 2 * box[3])
        size = (larger[2] + 40, larger[3] + 40)
        rejected = inserter.insert([crop_of(seed, size=size, box=larger)])[0]
        assert isinstance(rejected, Rejection)
        assert rejected.reason == "not drawable"


def test_provenance_is_json(bank: ObjectBank) -> None:  # noqa: F811
    view = Camera(-40.0, 1.3, 300.0, 50.0)
    provenance = dict(one(PasteInserter(bank), crop_of(camera=view)).provenance)
    assert json.loads(json.dumps(provenance)) == provenance
    assert {"category", "source", "scale", "flip", "harmonise", "shadow"} <= provenance.keys()


def test_box_at_the_frames_corner(bank: ObjectBank) -> None:  # noqa: F811
    for box in ((0, 0, 40, 40), (60, 0, 57, 91), (0, 51, 30, 40)):
        filled = one(PasteInserter(bank), crop_of(size=(117, 91), box=box))
        assert int(mask_of(filled).sum()) > 100


def test_enlarging_too_much_is_a_rejection(bank: ObjectBank) -> None:  # noqa: F811
    crop = crop_of(size=(400, 400), box=(20, 20, 330, 330))
    (result,) = PasteInserter(bank).insert([crop])
    assert isinstance(result, Rejection)
    assert result.reason == "not drawable"
    assert "at most 2 is allowed" in result.detail
    assert isinstance(PasteInserter(bank, max_upscale=8).insert([crop])[0], Filled)


def test_vanishing_is_a_rejection(tmp_path: Path) -> None:
    pixels = np.zeros((200, 200, 4), dtype=np.uint8)
    pixels[20:180, 20:180, 3] = (np.indices((160, 160)).sum(0) % 8 == 0) * 255
    Image.fromarray(pixels).save(tmp_path / "net.png")
    inserter = PasteInserter(ObjectBank.from_folder(tmp_path, erode_px=0))
    (result,) = inserter.insert([crop_of(name="net", box=(50, 50, 9, 9))])
    assert isinstance(result, Rejection)
    assert result.reason == "too small"


def test_unknown_object_lists_the_known(bank: ObjectBank) -> None:  # noqa: F811
    with pytest.raises(RecipeError, match="dog, table"):
        PasteInserter(bank).extent("dragon", 0)
    with pytest.raises(RecipeError, match="dog, table"):
        PasteInserter(bank).insert([crop_of(name="dragon")])


def test_two_parts_are_refused(bank: ObjectBank) -> None:  # noqa: F811
    with pytest.raises(RecipeError, match="one part"):
        PasteInserter(bank).insert([crop_of(parts=("rider", "bicycle"))])


def test_part_takes_its_name_from_the_recipe(bank: ObjectBank) -> None:  # noqa: F811
    annotation = one(PasteInserter(bank), crop_of(parts=("furniture",))).annotation
    assert isinstance(annotation, Annotation)
    assert [part.name for part in annotation.parts] == ["furniture"]


@pytest.mark.parametrize(
    "setting", [{"rotate_deg": -1}, {"rotate_deg": 181}, {"harmonise": 1.5}, {"max_upscale": 0.5}, {"edge": "torn"}]
)
def test_bad_settings(bank: ObjectBank, setting: dict[str, object]) -> None:  # noqa: F811
    (name, value), *_ = setting.items()
    with pytest.raises(SettingError, match=f"{name}={value!r}"):
        PasteInserter(bank, **setting)  # type: ignore[arg-type]


def test_unreadable_cutout_is_a_rejection_that_names_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(table(83, 121)).save(tmp_path / "table.png")
    inserter = PasteInserter(ObjectBank.from_folder(tmp_path))
    (tmp_path / "table.png").unlink()
    rejected = Rejection("unreadable cut-out", "table", detail="table.png")
    assert inserter.insert([crop_of(), crop_of(5)]) == [rejected, rejected]
    assert inserter.extent("table", 3) == rejected
    assert str(tmp_path / "table.png") in inserter.unreadable()["table.png"]
    assert caplog.text.count("table.png are rejected") == 1
    # What it was once, it stays: an attempt's result does not depend on when it is made.
    Image.fromarray(table(83, 121)).save(tmp_path / "table.png")
    assert inserter.insert([crop_of()]) == [rejected]


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_a_machine_in_need_is_no_fault_of_the_cutout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    Image.fromarray(table(83, 121)).save(tmp_path / "table.png")
    inserter = PasteInserter(ObjectBank.from_folder(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", fail)
        with pytest.raises(ObjectBankError, match=r"table\.png"):
            inserter.insert([crop_of()])
    assert isinstance(inserter.insert([crop_of()])[0], Filled)


@pytest.mark.parametrize("frame", ["aachen_000000_000019", "aachen_000003_000019"])
def test_real_frames_through_the_pipeline(real_data: Path, frame: str) -> None:
    root = real_data / "scenes/cityscapes"
    image = np.array(Image.open(root / f"leftImg8bit/train/aachen/{frame}_leftImg8bit.png"))
    labels = np.array(Image.open(root / f"gtFine/train/aachen/{frame}_gtFine_labelIds.png"))
    sample = Sample(torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels).long(), frame)
    bank = ObjectBank.from_folder(real_data / "objects")  # noqa: F811
    recipe = paste_recipe(bank, camera=CAMERAS["cityscapes"].model_dump(), objects_per_variant=(3, 3))
    pipeline = InsertionPipeline(recipe, PasteInserter(bank), schema=SCHEMAS["cityscapes-labelIds"])
    variant = pipeline.generate(sample)
    assert variant.insertions
    for insertion in variant.insertions:
        assert insertion.provenance["inserter"] == "paste"
        assert insertion.shade is not None
        foot = int(insertion.mask.any(1).nonzero()[-1])
        assert int(insertion.shade[foot].max()) >= 20
