"""Fine-tuning on the CPU with small models of the real classes: what is made, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from poc_aug.backends.scene_models.controlnet_shifter import ControlNetShifter
from poc_aug.datasets import camvid
from poc_aug.errors import DeviceError, ModelError, OutputError, PocAugError, SchemaError, SettingError
from poc_aug.finetuning.finetune_controlnet import (
    FinetuneReport,
    OnTraining,
    finetune_controlnet,
    plan_finetuning,
)
from poc_aug.finetuning.finetune_settings import FinetuneSettings
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from tests.helpers.finetune_cases import CAPTIONS, Streets, tiny_settings, weights_of


@pytest.fixture(scope="module")
def finished(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneReport:
    """A run of 6 updates with all that it writes."""
    settings = tiny_settings(
        tiny_base, validation_frames=2, tensorboard=True, data_name="Made streets", data_licence="CC0-1.0",
        base_licence="OpenRAIL-M",
    )  # fmt: skip
    return finetune_controlnet(Streets(), tmp_path_factory.mktemp("run") / "new", settings, captions=CAPTIONS)


def test_diffusers_loads_the_controlnet(finished: FinetuneReport, tiny_base: Path) -> None:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    assert finished.model is not None
    controlnet = ControlNetModel.from_pretrained(finished.model)
    assert controlnet.config.conditioning_channels == 19
    moved = [name for name, value in controlnet.named_parameters() if "controlnet_down" in name and value.any()]
    assert moved  # they begin as zeros
    pipe: Any = StableDiffusionControlNetPipeline.from_pretrained(tiny_base, controlnet=controlnet)
    pipe.set_progress_bar_config(disable=True)
    labels = torch.zeros(1, 19, 32, 32)
    picture = pipe("a street", image=labels, num_inference_steps=1, height=32, width=32, output_type="pt").images
    assert picture.shape == (1, 3, 32, 32)


def test_the_shifter_paints_frames_with_it(finished: FinetuneReport, tiny_base: Path) -> None:
    streets = Streets()
    shifter = ControlNetShifter(
        "night", tiny_base, str(finished.model), palette="one-hot", steps=2, height_px=None, device="cpu"
    )
    image, labels = streets[0]
    frame = SceneFrame(image, labels, "street/0.png", 3, seed=0, schema=streets.schema, caption="a street 0")
    (shifted,) = shifter.shift([frame])
    assert isinstance(shifted, Shifted)
    assert shifted.image.shape == image.shape


def test_the_card_names_data_licences_and_settings(finished: FinetuneReport) -> None:
    assert finished.model is not None
    card = (finished.model / "README.md").read_text()
    for row in (
        "| data | Made streets, 6 frames |", "| licence of the data | CC0-1.0 |", "| base model | sd |",
        "| licence of the base model | OpenRAIL-M |", "| updates | 6 |", "| seed | 0 |", "| precision | no |",
        "| learning rate | 0.001 |", "| poc_aug | 0.1.0 |", "| condition | one-hot |",
        "| label schema | cityscapes-trainIds |",
    ):  # fmt: skip
        assert row in card
    assert card.startswith("---\nbase_model: sd\n")
    assert str(finished.model.parent.parent) not in card


def test_pictures_losses_and_checkpoints_are_there(finished: FinetuneReport) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert finished.model is not None
    folder = finished.model.parent
    assert sorted(finished.validation) == [0, 3, 6]
    for step in (0, 3, 6):
        with Image.open(folder / f"validation/step-{step:08d}.png") as sheet:
            assert sheet.size == (96, 64)  # frame, labels and result of each of two
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("training/loss")] == pytest.approx(finished.losses)
    assert [event.step for event in events.Scalars("validation/loss")] == [0, 3, 6]
    assert [event.step for event in events.Images("validation/frame, labels, result")] == [0, 3, 6]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000004", "step-00000006"]
    assert not list(folder.rglob(".unfinished-*"))
    assert json.loads(json.dumps(finished.to_dict()))["validation"]["6"] == finished.validation[6]


def test_it_changes_neither_dataset_nor_random_state(tiny_base: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    settings = tiny_settings(tiny_base, steps=1, validation_frames=1, lora_rank=1)
    finetune_controlnet(Streets(), tmp_path, settings, captions=CAPTIONS)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_finished_run_does_nothing_and_can_be_made_longer(finished: FinetuneReport, tiny_base: Path,
                                                            tmp_path: Path) -> None:  # fmt: skip
    assert finished.model is not None
    folder = tmp_path / "run"
    shutil.copytree(finished.model.parent, folder)
    settings = tiny_settings(tiny_base)
    again = finetune_controlnet(Streets(), folder, settings, captions=CAPTIONS)
    assert (again.resumed_at, again.step, again.losses) == (6, 6, [])
    longer = finetune_controlnet(Streets(), folder, replace(settings, steps=8), captions=CAPTIONS)
    assert (longer.resumed_at, longer.step, len(longer.losses)) == (6, 8, 2)
    whole = finetune_controlnet(Streets(), tmp_path / "whole", replace(settings, steps=8), captions=CAPTIONS)
    assert torch.equal(weights_of(longer), weights_of(whole))
    with pytest.raises(SettingError, match="is at update 8 already"):
        finetune_controlnet(Streets(), folder, settings, captions=CAPTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_rank": 4, "condition": "one-channel"},
        {
            "precision": "bf16",
            "gradient_checkpointing": True,
            "accumulation": 2,
            "ema_decay": 0.0,
            "validation_frames": 1,
        },
    ],
    ids=["lora", "bf16"],
)
def test_interrupted_runs_end_alike(changes: dict[str, Any], tiny_base: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_base, size=16, batch_size=1, steps=5, **changes)
    whole = finetune_controlnet(Streets(), tmp_path / "whole", settings, captions=CAPTIONS)

    def stop_at(update: int) -> OnTraining:
        def stop(_: str, done: int, __: int, ___: str) -> None:
            if done == update:
                raise KeyboardInterrupt

        return stop

    for update in (3, 4):  # after the checkpoint of 2, and in place of that of 4
        with pytest.raises(KeyboardInterrupt):
            finetune_controlnet(Streets(), tmp_path / "cut", settings, captions=CAPTIONS, on_progress=stop_at(update))
    resumed = finetune_controlnet(Streets(), tmp_path / "cut", settings, captions=CAPTIONS)
    assert resumed.resumed_at == 4
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_lora_trains_matrices_and_new_layers_alone(tiny_base: Path, tmp_path: Path) -> None:
    from diffusers import ControlNetModel, UNet2DConditionModel

    settings = tiny_settings(tiny_base, lora_rank=2, steps=2, ema_decay=0.0)
    report = finetune_controlnet(Streets(), tmp_path, settings, captions=CAPTIONS)
    assert report.model is not None
    controlnet = ControlNetModel.from_pretrained(report.model).state_dict()
    unet = UNet2DConditionModel.from_pretrained(tiny_base, subfolder="unet").state_dict()
    assert not [name for name in controlnet if "lora" in name]
    moved = {name for name in controlnet.keys() & unet.keys() if not torch.equal(controlnet[name], unet[name])}
    attention = {name for name in controlnet if name.endswith(("to_q.weight", "to_k.weight", "to_v.weight"))}
    attention |= {name for name in controlnet if name.endswith("to_out.0.weight")}
    assert moved == attention
    assert controlnet["controlnet_mid_block.weight"].any()
    state = torch.load(tmp_path / "checkpoints/step-00000002/state.pt")
    assert sum(value.numel() for value in state["weights"].values()) < sum(v.numel() for v in controlnet.values()) / 2


def test_a_given_controlnet_is_begun_with(finished: FinetuneReport, tiny_base: Path, tmp_path: Path) -> None:
    assert finished.model is not None
    settings = tiny_settings(tiny_base, controlnet=finished.model, steps=1, learning_rate=1e-9, ema_decay=0.0)
    report = finetune_controlnet(Streets(), tmp_path / "a", settings, captions=CAPTIONS)
    torch.testing.assert_close(weights_of(report), weights_of(finished), rtol=0, atol=1e-7)
    with pytest.raises(ModelError, match="takes conditions of 19 channels, these have 1"):
        finetune_controlnet(Streets(), tmp_path / "b", replace(settings, condition="one-channel"), captions=CAPTIONS)
    other = tmp_path / "other"
    shutil.copytree(finished.model, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "cross_attention_dim": 768}))
    with pytest.raises(ModelError, match=r"for another base model than .*: its cross_attention_dim is 768 .* 32"):
        finetune_controlnet(Streets(), tmp_path / "c", replace(settings, controlnet=other), captions=CAPTIONS)


def test_the_moving_average_is_what_is_saved(tiny_base: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_base, steps=3)
    averaged = finetune_controlnet(Streets(), tmp_path / "a", settings, captions=CAPTIONS)
    last = finetune_controlnet(Streets(), tmp_path / "b", replace(settings, ema_decay=0.0), captions=CAPTIONS)
    assert averaged.losses == last.losses
    assert not torch.equal(weights_of(averaged), weights_of(last))


def test_the_loss_falls_on_real_frames(real_data: Path, tiny_base: Path, tmp_path: Path) -> None:
    frames: Any = Subset(camvid(real_data / "scenes/camvid", "train"), range(0, 120, 5))
    settings = tiny_settings(
        tiny_base, steps=12, batch_size=4, learning_rate=5e-3, validation_frames=3, validate_every=4,
        validation_steps=1, checkpoint_every=12, ema_decay=0.0,
    )  # fmt: skip
    report = finetune_controlnet(frames, tmp_path, settings, prompt="a street in a city")
    losses = [report.validation[step] for step in sorted(report.validation)]
    # Noise and timesteps of the validation are always the same ones.
    assert sum(losses[-2:]) < 0.95 * sum(losses[:2])


def refused(kind: type[PocAugError], text: str, tmp_path: Path, settings: FinetuneSettings, **given: Any) -> None:
    with pytest.raises(kind, match=text) as caught:
        plan_finetuning(given.pop("dataset", Streets()), tmp_path / "out", settings, **{"captions": CAPTIONS, **given})
    assert caught.value.expected
    assert not (tmp_path / "out").exists()


def test_settings_are_checked_before_any_long_work(tiny_base: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_base)
    refused(SchemaError, "label schema of Streets is not known", tmp_path, settings, dataset=Streets(known=False))
    refused(SettingError, "6 of 6 frames have no caption", tmp_path, settings, captions=None)
    refused(DeviceError, "fp16 on the CPU", tmp_path, replace(settings, precision="fp16"))
    refused(DeviceError, "device 'meta'", tmp_path, replace(settings, device="meta"))
    refused(ModelError, "no model at", tmp_path, replace(settings, base=tmp_path / "missing"))
    refused(ModelError, "no ControlNet at", tmp_path, replace(settings, controlnet=tmp_path / "missing"))
    refused(ModelError, "has no config.json", tmp_path, replace(settings, controlnet=tiny_base))


def test_the_palette_knows_all_classes_or_says_which_it_lacks(tiny_base: Path, tmp_path: Path) -> None:
    class Fruit(Streets):
        schema = LabelSchema("fruit", {"road": 0, "vegetation": 10, "zebra fruit": 13})

    settings = tiny_settings(tiny_base, condition="ade20k")
    assert plan_finetuning(Streets(), tmp_path / "out", settings, captions=CAPTIONS).channels == 3
    refused(SchemaError, "no colour for 1 classes of schema 'fruit': zebra fruit", tmp_path, settings, dataset=Fruit())
    named = replace(settings, classes={"zebra fruit": [1, 2, 3]}, steps=1)
    report = finetune_controlnet(Fruit(), tmp_path / "named", named, captions=CAPTIONS)
    assert report.step == 1
    with pytest.raises(SettingError, match="condition: "):
        plan_finetuning(Fruit(), tmp_path / "named", replace(named, classes={"zebra fruit": [9, 2, 3]}), prompt="x")


def test_sdxl_is_refused_by_name(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "sdxl").mkdir()
    (tmp_path / "sdxl/model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    settings = tiny_settings(tmp_path / "sdxl")
    refused(ModelError, "StableDiffusionXLPipeline: fine-tuning is not there for SDXL yet", tmp_path, settings)


def test_a_size_that_does_not_divide_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"size=34\n.*multiple of 4"):
        finetune_controlnet(Streets(), tmp_path, tiny_settings(tiny_base, size=34), captions=CAPTIONS)


def test_captions_longer_than_the_text_encoder_takes_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    captions = {**CAPTIONS, "street/3.png": "x" * 90}
    with pytest.raises(SettingError, match=r"caption of 'street/3\.png' takes 92 tokens.*\n.*at most 77"):
        finetune_controlnet(Streets(), tmp_path, tiny_settings(tiny_base), captions=captions)


def test_another_run_is_refused_and_what_differs_is_named(finished: FinetuneReport, tiny_base: Path) -> None:
    assert finished.model is not None
    folder = finished.model.parent
    with pytest.raises(SettingError, match="batch_size: 2 there, 4 now"):
        plan_finetuning(Streets(), folder, tiny_settings(tiny_base, batch_size=4), captions=CAPTIONS)
    with pytest.raises(SettingError, match="frames: 6 there, 5 now"):
        plan_finetuning(Streets(5), folder, tiny_settings(tiny_base), captions=CAPTIONS)
    with pytest.raises(SettingError, match="captions: "):
        finetune_controlnet(Streets(), folder, tiny_settings(tiny_base), captions={**CAPTIONS, "street/1.png": "x"})
    with pytest.raises(OutputError, match=r"holds 'README\.md'"):
        plan_finetuning(Streets(), finished.model, tiny_settings(tiny_base), captions=CAPTIONS)
