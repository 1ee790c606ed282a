"""Edits by instruction on real frames, with small random models of diffusers' real classes, loaded from disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.scene_models.edit_shifter import EditShifter
from poc_aug.errors import ModelError, SchemaError, SettingError
from poc_aug.scenes.shifter_protocol import ChecksScenes, SceneFrame, Shifted, Shifter
from tests.helpers.small_scenes import street_frame
from tests.helpers.tiny_diffusion import sd_text_to_image_path  # noqa: F401
from tests.helpers.tiny_edit_models import klein_path, qwen_edit_path, qwen_edit_plus_path  # noqa: F401

FAMILIES = {
    "Flux2KleinPipeline": "klein_path",
    "QwenImageEditPipeline": "qwen_edit_path",
    "QwenImageEditPlusPipeline": "qwen_edit_plus_path",
}
Make = Callable[..., EditShifter]


@pytest.fixture(scope="module")
def make(request: pytest.FixtureRequest) -> Make:
    made: dict[str, EditShifter] = {}

    def shifter(family: str = "Flux2KleinPipeline", **arguments: Any) -> EditShifter:
        key = repr((family, sorted(arguments.items())))
        if key not in made:
            settings: dict[str, Any] = {"steps": 1, "height_px": 64, "device": "cpu", "keep": ()} | arguments
            made[key] = EditShifter("night", request.getfixturevalue(FAMILIES[family]), **settings)
        return made[key]

    return shifter


@pytest.fixture(autouse=True)
def _small_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen-Image-Edit resizes its references to a million pixels: here to a few thousand."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus

    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", lambda *_: (64, 32, None))
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "calculate_dimensions", lambda *_: (64, 32))


@pytest.fixture(scope="module")
def frames(real_data: Path) -> list[SceneFrame]:
    return [street_frame(real_data, number, (50, 101)) for number in range(3)]


def image_of(result: Any) -> torch.Tensor:
    assert isinstance(result, Shifted)
    return result.image


@pytest.mark.parametrize("family", list(FAMILIES))
def test_each_real_frame_is_edited_by_itself(make: Make, frames: list[SceneFrame], family: str) -> None:
    shifter = make(family)
    assert isinstance(shifter, Shifter)
    assert isinstance(shifter, ChecksScenes)
    assert shifter.loaded.family.pipeline == family
    together = [image_of(result) for result in shifter.shift(frames)]
    assert torch.equal(image_of(shifter.shift(frames[1:2])[0]), together[1])
    assert [image.shape for image in together] == [frame.image.shape for frame in frames]
    assert len(together[0].unique()) > 20
    for changes in ({"seed": 9}, {"image": 255 - frames[0].image}):
        other = replace(frames[0], **changes)
        assert not torch.equal(image_of(shifter.shift([other])[0]), together[0])
    labels = frames[0].labels.flip(1)
    assert torch.equal(image_of(shifter.shift([replace(frames[0], labels=labels)])[0]), together[0])


@pytest.mark.parametrize("family", ["Flux2KleinPipeline", "QwenImageEditPipeline"])
def test_the_instruction_decides(make: Make, frames: list[SceneFrame], family: str) -> None:
    plain, other = make(family), make(family, instruction="{caption} {domain}", phrase="in snow")
    assert not torch.equal(*(image_of(shifter.shift(frames[:1])[0]) for shifter in (plain, other)))
    (result,) = other.shift(frames[:1])
    assert isinstance(result, Shifted)
    assert result.provenance["prompt"] == "a street with cars in snow"
    assert plain.describe() != other.describe()


def test_kept_classes_keep_every_bit(make: Make, frames: list[SceneFrame]) -> None:
    frame = frames[0]
    assert frame.schema is not None
    cars = frame.labels == frame.schema.id_of("car")
    image = image_of(make(keep=("car",)).shift([frame])[0])
    assert torch.equal(image[:, cars], frame.image[:, cars])
    assert not torch.equal(image, frame.image)
    with pytest.raises(SchemaError, match="no class 'lorry'"):
        make(keep=("lorry",)).check_schema(frame.schema)


def test_models_that_do_not_edit_and_settings_out_of_range(
    sd_text_to_image_path: Path,  # noqa: F811
    klein_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match="StableDiffusionPipeline, which does not edit"):
        EditShifter("night", sd_text_to_image_path, device="cpu")
    with pytest.raises(ModelError, match="no model at"):
        EditShifter("night", tmp_path / "nothing", device="cpu")
    for arguments, message in (
        ({"instruction": "make it night"}, "instruction="),
        ({"height_px": 32}, "height_px=32"),
        ({"instruction": "{domain} " + "and more " * 60}, "the instruction: the prompt"),
    ):
        with pytest.raises(SettingError) as error:
            EditShifter("night", klein_path, device="cpu", **arguments)
        assert message in str(error.value)
    with pytest.raises(SettingError, match="a name without spaces"):
        EditShifter("dark night", klein_path, device="cpu")
