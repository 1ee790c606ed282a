"""Validation of a fine-tuning: a loss with fixed noise, and pictures of some frames, with the weights to be saved."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.finetuning.controlnet_trainer import ControlNetTrainer
from poc_aug.finetuning.run_folder import PICTURES_FOLDER, RunFolder
from poc_aug.finetuning.training_crops import square_crop
from poc_aug.generation.frame_loading import FrameDataset
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.seeding import derive_seed
from poc_aug.types import Sample

_AT = (0.1, 0.3, 0.5, 0.7, 0.9)


class SceneValidation:
    """Validates on the middle crops of some frames, spread evenly over the dataset. They are trained on too.

    Args:
        frames: the frames.
        captions: their captions by key.
        count: how many of them.
        size: side of the crops.
        seed: seed of their noise.

    Raises:
        SampleReadError: one of them cannot be read.
    """

    def __init__(self, frames: FrameDataset, captions: Mapping[str, str], count: int, size: int, seed: int) -> None:
        count = min(count, len(frames))
        self.samples: list[Sample] = []
        for number in range(count):
            sample = frames[number * len(frames) // count]
            if isinstance(sample, UnreadableSample):
                raise sample.to_error()
            self.samples.append(square_crop(sample, size, None))
        self.prompts = [captions[sample.key] for sample in self.samples]
        self.seeds = [derive_seed(seed, "validation", sample.key) for sample in self.samples]

    def run(self, trainer: ControlNetTrainer, step: int, folder: RunFolder, events: Any) -> float:
        """Measure the loss, and paint the pictures: frame, condition and result of each, in ``validation/``.

        Returns:
            The loss.
        """
        rows: list[np.ndarray] = []

        def add(sample: Sample, condition: torch.Tensor, picture: torch.Tensor) -> None:
            three = [sample.image, condition_picture(condition.cpu()), picture]
            rows.append(torch.cat(three, dim=2).permute(1, 2, 0).numpy())

        with trainer.averaged():
            loss = trainer.evaluate(self.samples, self.prompts, self.seeds, _AT)
            trainer.paint(self.samples, self.prompts, self.seeds, add)
        sheet, data = np.concatenate(rows), io.BytesIO()
        Image.fromarray(sheet).save(data, "PNG")
        folder.write_file(f"{PICTURES_FOLDER}/step-{step:08d}.png", data.getvalue())
        if events is not None:
            events.add_scalar("validation/loss", loss, step)
            events.add_image("validation/frame, labels, result", sheet, step, dataformats="HWC")
        return loss


def condition_picture(condition: torch.Tensor) -> torch.Tensor:
    """A condition, float ``[C, H, W]`` in 0 to 1, as a picture to look at: uint8 ``[3, H, W]``.

    Example:
        >>> condition_picture(torch.ones(1, 1, 1)).flatten().tolist()
        [255, 255, 255]
    """
    channels = len(condition)
    if channels not in (1, 3):
        condition = condition.argmax(0, keepdim=True).float() / (channels - 1)
    return (condition.expand(3, -1, -1) * 255).round().to(torch.uint8)


def validation_steps_of(steps: int, every: int, start: int) -> Sequence[int]:
    """The updates after which a run that begins at ``start`` validates: 0, each ``every``-th, and the last.

    Example:
        >>> list(validation_steps_of(10, 4, 0)), list(validation_steps_of(10, 4, 4))
        ([0, 4, 8, 10], [8, 10])
    """
    steps_after = [step for step in range(start + 1, steps + 1) if step % every == 0 or step == steps]
    return [0, *steps_after] if start == 0 else steps_after
