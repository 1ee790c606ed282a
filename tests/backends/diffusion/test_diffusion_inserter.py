"""`DiffusionInserter` with small random models of diffusers' real classes, loaded from disk."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
from poc_aug.backends.diffusion.upcast import vae_in_float32
from poc_aug.errors import DeviceError, ModelError, RecipeError, SettingError
from poc_aug.protocols import Inserter
from poc_aug.recipe import InpaintPass
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import make_recipe
from tests.helpers.inserter_contract import InserterContract
from tests.helpers.tiny_diffusion import (  # noqa: F401
    sd3_path,
    sd_inpaint_path,
    sd_text_to_image_path,
    sdxl_inpaint_path,
)

GENVAL = (
    InpaintPass(guidance=15, mask_blur_px=16),
    InpaintPass(strength=0.65, prompt="{object}, sharp"),
)


def crop_of(h: int, w: int, seed: int, text: str = "a dog", **changes: Any) -> Crop:
    image = torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    crop = Crop(image, (h // 5, w // 5, h // 2, w // 2), "dog", f"A good photo of {text}", ("dog",), seed)
    return replace(crop, object_prompt=text, detect=("dog",), **changes)


class _Contract(InserterContract):
    tolerance = 2

    @pytest.fixture
    def crops(self) -> list[Crop]:
        return [crop_of(97, 97, 1), crop_of(131, 131, 2, "a sheep"), crop_of(61, 110, 3)]


class TestStableDiffusion(_Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def inserter(cls, sd_inpaint_path: Path) -> Inserter:  # noqa: F811
        return DiffusionInserter(sd_inpaint_path, steps=2, device="cpu")


# torch hands NumPy an array in the older way, inside diffusers' Euler scheduler.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
class TestSDXL(_Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def inserter(cls, sdxl_inpaint_path: Path) -> Inserter:  # noqa: F811
        return DiffusionInserter(sdxl_inpaint_path, steps=2, device="cpu")


class TestStableDiffusion3(_Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def inserter(cls, sd3_path: Path) -> Inserter:  # noqa: F811
        return DiffusionInserter(sd3_path, steps=2, size_px=64, device="cpu")


@pytest.fixture
def inserter(sd_inpaint_path: Path) -> DiffusionInserter:  # noqa: F811
    return DiffusionInserter(sd_inpaint_path, steps=2, device="cpu")


def test_pixels_outside_the_box_are_the_originals(inserter: DiffusionInserter) -> None:
    crop = crop_of(97, 131, 5)
    (filled,) = inserter.insert([crop])
    assert isinstance(filled, Filled)
    y, x, h, w = crop.box_yxhw
    outside = torch.ones(97, 131, dtype=torch.bool)
    outside[y : y + h, x : x + w] = False
    assert torch.equal(filled.image[:, outside], crop.image[:, outside])
    assert not torch.equal(filled.image, crop.image)


def test_several_passes_paint_otherwise_than_one_and_stay_near_the_box(inserter: DiffusionInserter) -> None:
    crop = crop_of(128, 128, 6)
    one, two = inserter.insert([crop, replace(crop, passes=GENVAL)])
    assert isinstance(one, Filled)
    assert isinstance(two, Filled)
    assert not torch.equal(one.image, two.image)
    assert len(two.provenance["passes"]) == 2  # type: ignore[arg-type]
    assert torch.equal(two.image[:, -16:], crop.image[:, -16:])


def test_each_text_is_encoded_once(inserter: DiffusionInserter) -> None:
    for _ in range(2):
        inserter.insert([crop_of(64, 64, seed, text) for seed, text in enumerate(["a dog", "a cat", "a dog"])])
    assert inserter.texts.encoded == 2


def test_different_images_of_a_batch_give_different_results(inserter: DiffusionInserter) -> None:
    crops = [replace(crop_of(64, 64, seed), seed=9) for seed in (1, 2)]
    one, two = inserter.insert(crops)
    assert isinstance(one, Filled)
    assert isinstance(two, Filled)
    y, x, h, w = crops[0].box_yxhw
    assert not torch.equal(one.image[:, y : y + h, x : x + w], two.image[:, y : y + h, x : x + w])


def test_values_that_are_not_finite_are_a_rejection(inserter: DiffusionInserter) -> None:
    inserter.loaded.pipe.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    (result,) = inserter.insert([crop_of(64, 64, 1)])
    assert isinstance(result, Rejection)
    assert (result.reason, result.object_name) == ("not finite", "dog")


def test_a_black_picture_is_a_rejection(inserter: DiffusionInserter) -> None:
    inserter.loaded.pipe.vae.decoder.conv_out.bias.data.fill_(-1e6)
    (result,) = inserter.insert([crop_of(64, 64, 1)])
    assert isinstance(result, Rejection)
    assert result.reason == "black"


def test_a_vae_runs_in_float32_and_goes_back(inserter: DiffusionInserter) -> None:
    vae = inserter.loaded.pipe.vae.to(torch.bfloat16)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    latents = torch.zeros(1, 4, 8, 8, dtype=torch.bfloat16)
    with vae_in_float32(vae), torch.no_grad():
        assert vae.decoder.conv_in.weight.dtype == torch.float32
        assert vae.decode(latents)[0].dtype == torch.bfloat16
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    with torch.no_grad():
        assert vae.decode(latents)[0].dtype == torch.bfloat16


def test_out_of_memory_halves_the_batch_says_so_and_goes_on(
    inserter: DiffusionInserter, caplog: pytest.LogCaptureFixture
) -> None:
    crops = [crop_of(64, 64, seed) for seed in range(5)]
    expected = inserter.insert(crops)

    def full(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[0] > 4:  # two crops, with and without the prompt
            raise torch.OutOfMemoryError("too much")

    hook = inserter.loaded.pipe.unet.register_forward_pre_hook(full)
    with caplog.at_level(logging.WARNING):
        results = inserter.insert(crops)
    hook.remove()
    assert "out of memory with a batch of 5, continuing with 2" in caplog.text
    for one, other in zip(results, expected, strict=True):
        assert isinstance(one, Filled)
        assert isinstance(other, Filled)
        assert int((one.image.int() - other.image.int()).abs().max()) <= 2


def test_prompts_over_the_text_limit_are_found_before_any_work(inserter: DiffusionInserter) -> None:
    inserter.check_recipe(make_recipe())
    with pytest.raises(RecipeError, match=r"object 'dog': the prompt .* takes \d+ tokens(.|\n)*at most 77"):
        inserter.check_recipe(make_recipe(objects=[{"name": "dog", "prompts": ["dog " * 40]}]))


@pytest.mark.parametrize("path", ["no/such/folder/at all", "./missing"])
def test_a_wrong_path_is_named(path: str) -> None:
    with pytest.raises(ModelError, match="no model at"):
        DiffusionInserter(path, device="cpu")


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model_index\.json"):
        DiffusionInserter(tmp_path, device="cpu")


def test_a_text_to_image_model_is_refused(sd_text_to_image_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="is a text-to-image model: its unet takes 4 channels"):
        DiffusionInserter(sd_text_to_image_path, device="cpu")


def test_bad_settings_are_named(sd_inpaint_path: Path) -> None:  # noqa: F811
    for settings, error, message in (
        ({"family": "Magic"}, ModelError, "family 'Magic'"),
        ({"scheduler": "Magic"}, ModelError, "scheduler 'Magic'"),
        ({"size_px": 63}, SettingError, "size_px=63"),
        ({"steps": 0}, SettingError, "steps=0"),
        ({"guidance": -1.0}, SettingError, "guidance=-1.0"),
        ({"batch_size": 0}, SettingError, "batch_size=0"),
        ({"compile": True}, SettingError, "compile=True without batch_size"),
        ({"offload": "model"}, ModelError, "offload='model' on the CPU"),
        ({"lora": "no/such/lora here"}, ModelError, "no/such/lora here"),
        ({"dtype": "float16"}, DeviceError, "float16 on the CPU"),
        ({"dtype": "int8"}, DeviceError, "dtype 'int8'"),
    ):
        with pytest.raises(error, match=message):
            DiffusionInserter(sd_inpaint_path, **{"device": "cpu", **settings})  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is missing")
def test_cuda_where_there_is_none_is_named(sd_inpaint_path: Path) -> None:  # noqa: F811
    with pytest.raises(DeviceError, match="this machine has 0 usable CUDA devices"):
        DiffusionInserter(sd_inpaint_path, device="cuda")


def test_a_lora_is_merged_from_its_path(sd_inpaint_path: Path, tmp_path: Path) -> None:  # noqa: F811
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
    from peft import LoraConfig, get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(sd_inpaint_path / "unet")
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_v"]))
    weights = get_peft_model_state_dict(unet)
    rng = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(value.shape, generator=rng) for name, value in weights.items()}
    StableDiffusionInpaintPipeline.save_lora_weights(tmp_path, unet_lora_layers=weights)

    def painted(**settings: Any) -> torch.Tensor:
        inserter = DiffusionInserter(sd_inpaint_path, steps=2, device="cpu", **settings)
        (result,) = inserter.insert([crop_of(97, 97, 1)])
        assert isinstance(result, Filled)
        return result.image.int()

    bare = painted()
    assert int((painted(lora=tmp_path) - bare).abs().max()) > 2
    assert int((painted(lora=tmp_path, lora_scale=0.0) - bare).abs().max()) <= 2
    description = DiffusionInserter(sd_inpaint_path, device="cpu", lora=tmp_path).describe()
    assert description["lora"].startswith(f"{tmp_path.name}#")


def test_what_the_safety_checker_blanks_is_unsafe(sd_inpaint_path: Path, tmp_path: Path) -> None:  # noqa: F811
    from diffusers import StableDiffusionInpaintPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config=small, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=16
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2)  # a cosine is never below it: everything is flagged
    pipe = StableDiffusionInpaintPipeline.from_pretrained(
        sd_inpaint_path,
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        requires_safety_checker=True,
    )
    pipe.save_pretrained(tmp_path / "checked")
    crops = [crop_of(97, 97, 1), crop_of(61, 61, 2)]
    results = DiffusionInserter(tmp_path / "checked", steps=1, device="cpu").insert(crops)
    assert [getattr(result, "reason", None) for result in results] == ["unsafe", "unsafe"]
    unchecked = DiffusionInserter(tmp_path / "checked", steps=1, device="cpu", safety_checker=False).insert(crops)
    assert all(isinstance(result, Filled) for result in unchecked)
