"""ControlNet shifts on real frames, with small random models of diffusers' real classes, loaded from disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from poc_aug.backends.scene_models.controlnet_shifter import ControlNetShifter
from poc_aug.backends.scene_models.palettes import Palette
from poc_aug.errors import ModelError, PocAugError, SchemaError, SettingError
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.scenes.shifter_protocol import ChecksScenes, SceneFrame, Shifted, Shifter
from poc_aug.types import Rejection
from tests.helpers.small_scenes import street_frame
from tests.helpers.tiny_controlnets import controlnets, use_exact_vae  # noqa: F401

KINDS = {"sd": ("sd", "sd_seg"), "sdxl": ("sdxl", "sdxl_seg"), "union": ("sdxl", "sdxl_union")}
LABEL_IDS = SCHEMAS["cityscapes-labelIds"]
Make = Callable[..., ControlNetShifter]


@pytest.fixture(scope="session")
def make(controlnets: SimpleNamespace) -> Make:  # noqa: F811
    """Small shifters by kind; one per set of arguments, as loading takes longest."""
    made: dict[str, ControlNetShifter] = {}

    def shifter(kind: str = "sd", **arguments: Any) -> ControlNetShifter:
        key = repr((kind, sorted(arguments.items())))
        if key not in made:
            base, controlnet = (getattr(controlnets, name) for name in KINDS[kind])
            settings = {
                "steps": 2 if "mode" in arguments else 1,
                "height_px": 32,
                "tile_px": 32,
                "device": "cpu",
                "keep": (),
            } | arguments
            made[key] = ControlNetShifter("night", base, controlnet, **settings)
        return made[key]

    return shifter


@pytest.fixture(scope="session")
def frames(real_data: Path) -> list[SceneFrame]:
    return [street_frame(real_data, number) for number in range(3)]


def images(results: Sequence[Shifted | Rejection]) -> list[torch.Tensor]:
    assert all(isinstance(result, Shifted) for result in results), results
    return [result.image for result in results if isinstance(result, Shifted)]


@pytest.mark.parametrize("mode", ["text-to-image", "image-to-image"])
@pytest.mark.parametrize("kind", ["sd", "sdxl", "union"])
def test_a_batch_of_real_frames_gives_what_each_gives_alone(
    make: Make, frames: list[SceneFrame], kind: str, mode: str
) -> None:
    shifter = make(kind, mode=mode)
    assert isinstance(shifter, Shifter)
    assert isinstance(shifter, ChecksScenes)
    together = images(shifter.shift(frames))
    for frame, image in zip(frames[1:], together[1:], strict=True):
        assert (image.shape, image.dtype) == (frame.image.shape, torch.uint8)
        (alone,) = images(shifter.shift([frame]))
        assert int((alone.int() - image.int()).abs().max()) <= 1
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("kind", ["sd", "union"])
def test_seed_labels_and_prompt_decide_and_the_image_only_in_image_to_image(
    make: Make, frames: list[SceneFrame], kind: str
) -> None:
    shifter, frame = make(kind), frames[0]
    (first,) = images(shifter.shift([frame]))
    changed = replace(frame, labels=frame.labels.flip(0))
    for other in (replace(frame, seed=9), changed, replace(frame, caption="a wood")):
        assert not torch.equal(images(shifter.shift([other]))[0], first)
    inverted = replace(frame, image=255 - frame.image)
    assert torch.equal(images(shifter.shift([inverted]))[0], first)
    from_image = make(kind, mode="image-to-image")
    assert not torch.equal(*(images(from_image.shift([one]))[0] for one in (frame, inverted)))


@pytest.mark.parametrize("size_hw", [(37, 61), (66, 130), (20, 200), (100, 40)])
def test_frames_of_any_size_come_back_in_it(make: Make, real_data: Path, size_hw: tuple[int, int]) -> None:
    frame = street_frame(real_data, 1, size_hw)
    (image,) = images(make().shift([frame]))
    assert image.shape == (3, *size_hw)
    assert len(image.unique()) > 20


def test_frames_of_several_sizes_share_a_call(make: Make, real_data: Path) -> None:
    mixed = [street_frame(real_data, number, size) for number, size in enumerate([(33, 47), (66, 130), (33, 47)])]
    for frame, image in zip(mixed, images(make().shift(mixed)), strict=True):
        (alone,) = images(make().shift([frame]))
        assert int((alone.int() - image.int()).abs().max()) <= 1


def test_the_lower_the_strength_the_nearer_to_the_frame(
    make: Make, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths = (0.1, 0.3, 0.5, 0.7, 1.0)
    shifter = make(mode="image-to-image", strength=strengths, steps=10, guidance=1.0)
    frame = street_frame(real_data, 0, (32, 32))
    use_exact_vae(shifter.loaded.pipe, monkeypatch)
    results = shifter.shift([replace(frame, severity=severity) for severity in range(1, 6)])
    distances = [float((image.float() - frame.image.float()).abs().mean()) for image in images(results)]
    assert distances == sorted(distances)
    assert distances[4] > 2 * distances[0]
    assert [result.provenance["strength"] for result in results if isinstance(result, Shifted)] == list(strengths)


def test_kept_classes_and_inserted_objects_keep_every_bit(make: Make, frames: list[SceneFrame]) -> None:
    frame = replace(frames[0], labels=frames[0].labels.clone())
    frame.labels[20:40, 50:80] = 254  # an inserted object, which the schema does not know
    car, unknown = frame.labels == LABEL_IDS.id_of("car"), frame.labels == 254
    assert bool(car.any())
    (image,) = images(make(keep=("car",), feather_px=3.0).shift([frame]))
    assert torch.equal(image[:, car | unknown], frame.image[:, car | unknown])
    (free,) = images(make(keep_inserted=True).shift([frame]))
    assert torch.equal(free[:, unknown], frame.image[:, unknown])
    assert not torch.equal(free[:, car], frame.image[:, car])
    with pytest.raises(SchemaError, match="254"):
        make(keep_inserted=False).shift([frame])


def test_the_ego_vehicle_is_kept_unless_said_otherwise(make: Make, frames: list[SceneFrame]) -> None:
    frame = replace(frames[0], labels=frames[0].labels.clone())
    frame.labels[-8:] = LABEL_IDS.id_of("ego vehicle")
    (image,) = images(make(keep=None).shift([frame]))
    assert torch.equal(image[:, -8:], frame.image[:, -8:])
    (image,) = images(make().shift([frame]))
    assert not torch.equal(image[:, -8:], frame.image[:, -8:])


def test_own_checkpoints_take_one_channel(controlnets: SimpleNamespace, frames: list[SceneFrame]) -> None:  # noqa: F811
    arguments: dict[str, Any] = {"steps": 1, "height_px": 32, "device": "cpu"}
    shifter = ControlNetShifter("fog", controlnets.sd, controlnets.sd_one, palette="one-channel", **arguments)
    shifter.check_schema(LABEL_IDS)
    assert images(shifter.shift(frames[:1]))[0].shape == frames[0].image.shape
    with pytest.raises(ModelError, match="takes conditions of 1 channels, the palette 'ade20k' has 3"):
        ControlNetShifter("fog", controlnets.sd, controlnets.sd_one, **arguments)
    three = LabelSchema("three", {"a": 0, "b": 1, "c": 2})
    one_hot = ControlNetShifter("fog", controlnets.sd, controlnets.sd_seg, palette="one-hot", **arguments)
    one_hot.check_schema(three)
    with pytest.raises(ModelError, match="takes conditions of 3 channels, the palette 'one-hot' has 19"):
        one_hot.check_schema(LABEL_IDS)


def test_a_controlnet_for_another_base_is_reported_before_weights_are_read(
    controlnets: SimpleNamespace,  # noqa: F811
    tmp_path: Path,
) -> None:
    for base, controlnet, message in (
        (controlnets.sd, controlnets.sdxl_seg, "its cross_attention_dim is 64, the base model's 32"),
        (controlnets.sdxl, controlnets.sd_seg, "its cross_attention_dim is 32, the base model's 64"),
        (controlnets.sd, controlnets.sdxl_union, "the ControlNet is a ControlNetUnionModel"),
        (controlnets.sd, controlnets.sd, "has no config.json"),
        (controlnets.sd, controlnets.sd / "unet", "is a UNet2DConditionModel, not a ControlNet"),
        (controlnets.sd, tmp_path / "nothing", "no ControlNet at"),
        (tmp_path / "nothing", controlnets.sd_seg, "no model at"),
        (tmp_path, controlnets.sd_seg, "has no model_index.json"),
    ):
        with pytest.raises(ModelError, match=message):
            ControlNetShifter("fog", base, controlnet, device="cpu")
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).write_bytes((controlnets.sdxl_seg / name).read_bytes() if name == "config.json" else b"no")
    with pytest.raises(ModelError, match="another base model"):
        ControlNetShifter("fog", controlnets.sd, tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "inpainting"}, "mode='inpainting'"),
        ({"mode": "image-to-image", "strength": (0.1, 0.2)}, "five: one for each severity"),
        ({"mode": "image-to-image", "strength": 1.5}, "strength=1.5"),
        ({"prompt": "{caption} at night"}, "prompt="),
        ({"prompt": "in {domain"}, "prompt="),
        ({"overlap": 0.0}, "overlap=0.0"),
        ({"tile_px": 20}, "tile_px=20"),
        ({"height_px": 8}, "height_px=8"),
        ({"feather_px": -1.0}, "feather_px=-1.0"),
        ({"control_scale": -1.0}, "control_scale=-1.0"),
        ({"keep": "car"}, "a list of class names"),
        ({"steps": 0}, "steps=0"),
        ({"palette": Palette("one-hot"), "classes": {"road": "road"}}, "classes= with a Palette"),
        ({"negative_prompt": "fog " * 30}, "the negative prompt"),
    ],
)
def test_settings_out_of_range(controlnets: SimpleNamespace, arguments: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(SettingError) as error:
        ControlNetShifter("fog", controlnets.sd, controlnets.sd_seg, device="cpu", **arguments)
    assert message in str(error.value)


def test_text_over_the_limit_names_the_frame(make: Make, frames: list[SceneFrame]) -> None:
    long = replace(frames[1], caption="cars and " * 20)
    with pytest.raises(SettingError, match=r"frame 'aachen_1': the prompt .* takes \d+ tokens"):
        make().shift([frames[0], long])


def test_schemas_are_checked_before_any_work(make: Make) -> None:
    make().check_schema(LABEL_IDS)
    bad: list[tuple[ControlNetShifter, LabelSchema | None, str]] = [
        (make(), None, "schema of the frames is not known"),
        (make(), LabelSchema("odd", {"road": 0, "bollard": 1}), "no colour for 1 classes of schema 'odd': bollard"),
        (make(keep=("lorry",)), LABEL_IDS, "has no class 'lorry'"),
    ]
    for shifter, schema, message in bad:
        with pytest.raises(SchemaError, match=message):
            shifter.check_schema(schema)
    make(classes={"bollard": "pole"}).check_schema(LabelSchema("odd", {"road": 0, "bollard": 1}))


def test_prompts(make: Make, frames: list[SceneFrame]) -> None:
    def prompt(shifter: ControlNetShifter, caption: str) -> Any:
        (result,) = shifter.shift([replace(frames[0], caption=caption)])
        assert isinstance(result, Shifted)
        return result.provenance["prompt"]

    assert prompt(make(), "a street with cars") == "a street with cars, in night"
    assert prompt(make(), " ") == "a photo of a street, in night"
    assert prompt(make(phrase="the dark", prompt="{domain}: {caption}"), "a {odd} one") == "the dark: a {odd} one"


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "not finite"), (0.0, "black")])
def test_broken_pictures_are_rejected(
    make: Make, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, value: float, reason: str
) -> None:
    shifter = make()
    run = type(shifter)._run

    def broken(self: ControlNetShifter, *batch: Any) -> tuple[list[torch.Tensor], list[bool]]:
        painted, flags = run(self, *batch)
        return [torch.full_like(painted[0], value), *painted[1:]], flags

    monkeypatch.setattr(type(shifter), "_run", broken)
    first, second = shifter.shift(frames[:2])
    assert isinstance(first, Rejection)
    assert first.reason == reason
    assert isinstance(second, Shifted)


def test_what_the_safety_checker_blanks_is_rejected(
    make: Make, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    shifter = make()
    monkeypatch.setattr(
        shifter.loaded.pipe, "run_safety_checker", lambda image, *_: (image, [True] * len(image)), raising=True
    )
    (result,) = shifter.shift(frames[:1])
    assert isinstance(result, Rejection)
    assert result.reason == "unsafe"


def test_describe_tells_settings_apart(make: Make) -> None:
    described = [
        make(**arguments).describe()
        for arguments in (
            {},
            {"height_px": 48},
            {"keep": ("car",)},
            {"mode": "image-to-image"},
            {"classes": {"bollard": "pole"}},
            {"phrase": "the dark", "prompt": "{domain}: {caption}"},
        )
    ]
    assert all(one not in described[:number] for number, one in enumerate(described))
    assert described[0]["model"] != described[0]["controlnet"]
    assert issubclass(SettingError, PocAugError)


def test_other_domains_share_the_model(controlnets: SimpleNamespace, real_data: Path) -> None:  # noqa: F811
    settings: dict[str, Any] = {"steps": 1, "height_px": 64, "tile_px": 64, "device": "cpu"}
    night = ControlNetShifter("night", controlnets.sd, controlnets.sd_seg, **settings)
    sun = night.for_domain("low-sun")
    alone = ControlNetShifter("low-sun", controlnets.sd, controlnets.sd_seg, **settings)
    assert sun.loaded is night.loaded
    assert sun.describe() == alone.describe() != night.describe()
    frame = street_frame(real_data, 0)
    (shared,), (own,) = sun.shift([frame]), alone.shift([frame])
    assert isinstance(shared, Shifted)
    assert isinstance(own, Shifted)
    assert torch.equal(shared.image, own.image)
    assert night.domain == "night"
    with pytest.raises(SettingError, match="domain='a@b'"):
        night.for_domain("a@b")
