"""POC's text-to-image baselines, with small random models of diffusers' real classes, loaded from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.backends.diffusion.text_to_image import TextToImageInserter, centre_crop, text_to_image_recipe
from poc_aug.cache import Cache
from poc_aug.cache.record import decode_record, encode_record, same_variant
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import DeviceError, LabelPolicyError, ModelError, RecipeError, SettingError
from poc_aug.generation.cut_out import cut_out
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.contact_sheet import Tile, contact_sheet
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.masks import dilate
from poc_aug.reading.compose import compose
from poc_aug.recipe import IGNORED, InpaintPass, ObjectSpec, PixelSize
from poc_aug.types import Annotation, Crop, Filled, Part, Region, Rejection
from tests.helpers.fakes import SCHEMA, Frames, ellipse, make_recipe, make_sample, provenance_of
from tests.helpers.tiny_diffusion import (  # noqa: F401
    sd3_path,
    sd_inpaint_path,
    sd_text_to_image_path,
    sdxl_inpaint_path,
)

SIZE_PX = 16
FRAME_HW = (130, 151)


class MiddleAnnotator:
    """Finds an ellipse in the middle of each crop."""

    def describe(self) -> dict[str, Any]:
        return {"annotator": "middle"}

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        annotations: list[Annotation | Rejection] = []
        for crop in crops:
            h, w = crop.image.shape[-2:]
            mask = torch.zeros((h, w), dtype=torch.bool)
            mask[h // 4 : h // 4 + h // 2, w // 4 : w // 4 + w // 2] = ellipse(h // 2, w // 2)
            annotations.append(Annotation((Part(crop.parts[0], mask, 0.5),)))
        return annotations


def crop_of(h: int, w: int, seed: int, text: str = "a dog") -> Crop:
    image = torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(h * w))
    return Crop(image, (0, 0, h, w), "dog", f"A good photo of {text}", ("dog",), seed, detect=("dog",))


def tensors(image: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1), torch.from_numpy(np.array(labels))


def pipeline_of(model: Path, paste: Any, **changes: Any) -> InsertionPipeline:
    recipe = text_to_image_recipe(make_recipe(**changes), size_px=SIZE_PX)
    inserter = TextToImageInserter(model, paste=paste, steps=1, device="cpu")
    return InsertionPipeline(recipe, inserter, MiddleAnnotator(), schema=SCHEMA)


@pytest.fixture
def inserter(sd_text_to_image_path: Path) -> TextToImageInserter:  # noqa: F811
    return TextToImageInserter(sd_text_to_image_path, steps=2, device="cpu")


def only(results: Sequence[Filled | Rejection]) -> Filled:
    (result,) = results
    assert isinstance(result, Filled)
    return result


def test_the_picture_depends_on_prompt_and_seed_alone(inserter: TextToImageInserter) -> None:
    crop = crop_of(64, 64, 1)
    first = only(inserter.insert([crop])).image
    elsewhere = replace(crop, image=255 - crop.image, box_yxhw=(3, 4, 20, 9), passes=(InpaintPass(guidance=3),))
    assert torch.equal(only(inserter.insert([elsewhere])).image, first)
    assert not torch.equal(only(inserter.insert([replace(crop, seed=2)])).image, first)
    assert not torch.equal(only(inserter.insert([replace(crop, prompt="a cat")])).image, first)


def test_a_crop_gets_the_middle_of_the_picture_without_distortion(inserter: TextToImageInserter) -> None:
    whole = only(inserter.insert([crop_of(64, 64, 1)])).image
    high = only(inserter.insert([crop_of(64, 33, 1)])).image
    assert high.shape == (3, 64, 33)
    assert torch.equal(high, whole[:, :, 15:48])
    for size_hw in ((17, 11), (97, 131), (1, 64), (300, 300)):
        h, w = centre_crop(torch.zeros(3, 64, 64), size_hw).shape[-2:]
        assert max(h, w) == 64
        assert abs(h / w - size_hw[0] / size_hw[1]) <= size_hw[0] / size_hw[1] / min(h, w)


@pytest.mark.parametrize("family", ["sd", "sd3"])
def test_families_paint_a_picture_of_any_size(family: str, request: pytest.FixtureRequest) -> None:
    name = {"sd": "sd_text_to_image_path", "sd3": "sd3_path"}[family]
    inserter = TextToImageInserter(request.getfixturevalue(name), steps=1, size_px=64, device="cpu")
    crops = [crop_of(97, 131, 1), crop_of(17, 11, 2)]
    for crop, result in zip(crops, inserter.insert(crops), strict=True):
        assert isinstance(result, Filled)
        assert result.image.shape == crop.image.shape
        assert len(result.image.unique()) > 10


def test_each_text_is_encoded_once(inserter: TextToImageInserter) -> None:
    for _ in range(2):
        inserter.insert([crop_of(32, 32, seed, text) for seed, text in enumerate(["a dog", "a cat", "a dog"])])
    assert inserter.texts.encoded == 2


def test_crop_gives_a_picture_and_full_all_of_it(sd_text_to_image_path: Path) -> None:  # noqa: F811
    crop = crop_of(40, 40, 3)
    results = {
        paste: only(TextToImageInserter(sd_text_to_image_path, paste=paste, steps=1, device="cpu").insert([crop]))
        for paste in ("crop", "full")
    }
    assert torch.equal(results["crop"].image, results["full"].image)
    assert (results["crop"].alpha, results["crop"].unlabelled) == (None, False)
    assert results["full"].unlabelled
    assert results["full"].alpha is not None
    assert (results["full"].alpha == 255).all()
    assert results["full"].annotation is None


def test_crop_pastes_the_objects_pixels_only(sd_text_to_image_path: Path) -> None:  # noqa: F811
    sample = make_sample(size_hw=FRAME_HW)
    variant = pipeline_of(sd_text_to_image_path, "crop").generate(sample)
    assert variant.insertions
    for insertion in variant.insertions:
        assert [part.name for part in insertion.parts] == [insertion.object_name]
    after = compose(sample, variant.insertions, OodLabels(254).resolve(["dog", "cat", "car"], SCHEMA), sigma_px=0)
    touched = torch.zeros(FRAME_HW, dtype=torch.bool)
    for insertion in variant.insertions:
        y, x, h, w = insertion.box_yxhw
        touched[y : y + h, x : x + w] |= insertion.mask
    assert torch.equal(after.image[:, ~touched], sample.image[:, ~touched])
    assert torch.equal(after.labels[~touched], sample.labels[~touched])


@pytest.mark.parametrize(
    ("policy", "dog", "ignore"),
    [
        (OodLabels(254), 254, 255),
        (OodLabels(254, ignore_id=99), 254, 99),
        (NewClassLabels({"dog": 19, "cat": 20}), 19, 255),
        (AnomalyLabels(), 1, 255),
        (OodLabels(254, ring_px=2), 254, 255),
    ],
    ids=repr,
)
def test_full_pastes_the_whole_square_and_ignores_what_is_not_the_object(
    sd_text_to_image_path: Path,  # noqa: F811
    tmp_path: Path,
    policy: LabelPolicy,
    dog: int,
    ignore: int,
) -> None:
    base = Frames(2, FRAME_HW)
    pipeline = pipeline_of(sd_text_to_image_path, "full", objects=["dog"], objects_per_variant=(1, 1))
    warm_cache(base, tmp_path / "full.cache", pipeline, num_variants=1, workers=0)
    ds = POCAugmentedDataset(base, tmp_path / "full.cache", policy, p=1.0, variant=0, schema=SCHEMA)
    with Cache.open(tmp_path / "full.cache") as cache:
        for number, key in enumerate(ds.keys):
            variant = cache.get(key, 0)
            assert variant is not None
            (insertion,) = variant.insertions
            y, x, h, w = insertion.box_yxhw
            assert (h, w) == (SIZE_PX, SIZE_PX)
            assert insertion.alpha is not None
            assert (insertion.alpha == 255).all()
            assert [part.name for part in insertion.parts] == ["dog", IGNORED]
            named, rest = (part.mask for part in insertion.parts)
            assert torch.equal(rest, ~named)
            assert torch.equal(insertion.mask, named)
            image, labels = tensors(*ds[number])
            assert torch.equal(image[:, y : y + h, x : x + w], insertion.patch)
            here = labels[y : y + h, x : x + w]
            assert (here[named] == dog).all()
            assert (here[rest] == ignore).all()


def test_full_without_a_known_ignore_id_is_named(sd_text_to_image_path: Path, tmp_path: Path) -> None:  # noqa: F811
    base = Frames(1, FRAME_HW)
    base.schema = None  # type: ignore[assignment]
    pipeline = pipeline_of(sd_text_to_image_path, "full", objects=["dog"])
    warm_cache(base, tmp_path / "full.cache", pipeline, num_variants=1, workers=0)
    ds = POCAugmentedDataset(base, tmp_path / "full.cache", OodLabels(254, known={}), p=1.0)
    with pytest.raises(LabelPolicyError, match=r"pasted background without a label needs an ignore id"):
        ds[0]
    ds = POCAugmentedDataset(base, tmp_path / "full.cache", OodLabels(254, known={}, ignore_id=7), p=1.0)
    assert 7 in tensors(*ds[0])[1]


def test_a_contact_sheet_shows_ignored_pixels_as_no_class(sd_text_to_image_path: Path) -> None:  # noqa: F811
    sample = make_sample(size_hw=FRAME_HW)
    variant = pipeline_of(sd_text_to_image_path, "full").generate(sample)
    plain = tuple(
        replace(insertion, parts=tuple(part for part in insertion.parts if part.name != IGNORED))
        for insertion in variant.insertions
    )
    with_it = contact_sheet([Tile(sample, variant)], width_px=600)
    assert (
        with_it.tobytes() == contact_sheet([Tile(sample, replace(variant, insertions=plain))], width_px=600).tobytes()
    )


def test_the_recipe_of_the_baselines_is_a_fixed_square_anywhere() -> None:
    sheep = ObjectSpec(
        name="sheep", size=PixelSize(min_px=20, max_px=30), location=("sky",), crop_px=64, prompts=("s",)
    )
    recipe = text_to_image_recipe(make_recipe(objects=["dog", sheep.model_dump()], recover_shade=True, seed=5))
    assert (recipe.seed, recipe.location, recipe.margin_px, recipe.recover_shade) == (5, (), 50, False)
    assert recipe.spec("sheep") == ObjectSpec(name="sheep", prompts=("s",))
    with pytest.raises(SettingError, match="size_px=15"):
        text_to_image_recipe(make_recipe(), size_px=15)


def test_boxes_are_the_crops_50_px_from_the_border(sd_text_to_image_path: Path) -> None:  # noqa: F811
    pipeline = pipeline_of(sd_text_to_image_path, "crop", objects=["dog"], objects_per_variant=(1, 1))
    boxes = set()
    for number in range(6):
        sample = make_sample(number, FRAME_HW)
        (insertion,) = pipeline.generate(sample).insertions
        assert insertion.provenance["box_yxhw"] == insertion.provenance["crop_yxhw"]
        y, x, h, w = provenance_of(insertion)["box_yxhw"]
        assert (h, w) == (SIZE_PX, SIZE_PX)
        assert min(y, x, FRAME_HW[0] - y - h, FRAME_HW[1] - x - w) >= 50
        boxes.add((y, x))
    assert len(boxes) > 3
    small = pipeline.generate(make_sample(0, (SIZE_PX + 99, 300)))
    assert {rejection.reason for rejection in small.rejections} == {"no room"}


def test_a_shadow_cannot_be_asked_for(inserter: TextToImageInserter) -> None:
    inserter.check_recipe(make_recipe())
    with pytest.raises(RecipeError, match="recover_shade=True"):
        inserter.check_recipe(make_recipe(recover_shade=True))


def test_prompts_over_the_text_limit_are_found_before_any_work(inserter: TextToImageInserter) -> None:
    with pytest.raises(RecipeError, match=r"object 'dog': the prompt .* takes \d+ tokens(.|\n)*at most 77"):
        inserter.check_recipe(make_recipe(objects=[{"name": "dog", "prompts": ["dog " * 40]}]))
    # A pass of an inpainting model is not run here, so its prompt may be of any length.
    inserter.check_recipe(make_recipe(passes=[{"prompt": "{object} " + "sharp " * 40}]))


def test_values_that_are_not_finite_and_black_pictures_are_rejections(inserter: TextToImageInserter) -> None:
    bias = inserter.loaded.pipe.vae.decoder.conv_out.bias.data
    for value, reason in ((float("nan"), "not finite"), (-1e6, "black")):
        bias.fill_(value)
        (result,) = inserter.insert([crop_of(64, 64, 1)])
        assert isinstance(result, Rejection)
        assert (result.reason, result.object_name) == (reason, "dog")


def test_inpainting_models_are_refused(
    sd_inpaint_path: Path,  # noqa: F811
    sdxl_inpaint_path: Path,  # noqa: F811
) -> None:
    for path in (sd_inpaint_path, sdxl_inpaint_path):
        with pytest.raises(ModelError, match="is an inpainting model: its unet takes 9 channels"):
            TextToImageInserter(path, device="cpu")


def test_a_class_that_needs_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxFillPipeline"}')
    with pytest.raises(ModelError, match="FluxFillPipeline, which does not paint from text alone"):
        TextToImageInserter(tmp_path, device="cpu")


def test_bad_settings_are_named(sd_text_to_image_path: Path) -> None:  # noqa: F811
    for settings, error, message in (
        ({"paste": "half"}, SettingError, "paste='half'"),
        ({"family": "StableDiffusionInpaintPipeline"}, ModelError, "text-to-image family 'StableDiffusionInpaint"),
        ({"size_px": 63}, SettingError, "TextToImageInserter: size_px=63"),
        ({"steps": 0}, SettingError, "TextToImageInserter: steps=0"),
        ({"guidance": -1.0}, SettingError, "guidance=-1.0"),
        ({"batch_size": 0}, SettingError, "batch_size=0"),
        ({"compile": True}, SettingError, "compile=True without batch_size"),
        ({"dtype": "float16"}, DeviceError, "float16 on the CPU"),
    ):
        with pytest.raises(error, match=message):
            TextToImageInserter(sd_text_to_image_path, **{"device": "cpu", **settings})  # type: ignore[arg-type]


def test_paste_is_part_of_the_fingerprint(sd_text_to_image_path: Path) -> None:  # noqa: F811
    full, crop = (pipeline_of(sd_text_to_image_path, paste).fingerprint for paste in ("full", "crop"))
    assert full != crop


def test_what_was_pasted_survives_the_cache(sd_text_to_image_path: Path) -> None:  # noqa: F811
    made = pipeline_of(sd_text_to_image_path, "full").generate(make_sample(0, FRAME_HW))
    assert IGNORED in {part.name for insertion in made.insertions for part in insertion.parts}
    stored = decode_record(encode_record(made, "zstd"), made.key, made.index)
    assert same_variant(made, stored)


@pytest.mark.parametrize("alpha", [True, False])
def test_what_is_seen_outside_the_parts_is_the_ignored_part(alpha: bool) -> None:
    """With a matte it is the matte's support, without one the pixels that the widest feather shows."""
    recipe = make_recipe(max_sigma_px=2.0)
    crop = crop_of(40, 50, 1)
    mask = torch.zeros((40, 50), dtype=torch.bool)
    mask[10:20, 15:30] = True
    matte = (dilate(mask, 3) * 100).to(torch.uint8) if alpha else None
    parts = (Part("dog", mask),)
    region = Region((0, 0, 40, 50), (7, 9, 40, 50))
    for unlabelled in (True, False):
        insertion = cut_out(recipe, region, crop, Filled(crop.image, alpha=matte, unlabelled=unlabelled), parts, {})
        assert [part.name for part in insertion.parts] == ["dog", IGNORED][: 1 + unlabelled]
        assert torch.equal(insertion.mask, insertion.parts[0].mask)
        grown = dilate(mask, 3 if alpha else 6)
        assert insertion.box_yxhw == ((14, 21, 16, 21) if alpha else (11, 18, 22, 27))
        if unlabelled:
            assert torch.equal(insertion.parts[1].mask, (grown & ~mask)[grown.any(1)][:, grown.any(0)])
