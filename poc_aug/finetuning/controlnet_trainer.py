"""The updates of a fine-tuning with accelerate, and the state that a checkpoint has to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from poc_aug.errors import SettingError
from poc_aug.finetuning.denoising_loss import DenoisingLoss, Encode
from poc_aug.finetuning.finetune_settings import FinetuneSettings
from poc_aug.finetuning.training_models import TrainingModels
from poc_aug.types import Sample

Run = tuple[Sequence[Sample], Sequence[str], Sequence[int]]
"""Crops, prompts and seeds of one run of the model."""


@contextmanager
def new_accelerator(models: TrainingModels, settings: FinetuneSettings) -> Iterator[Any]:
    """An `accelerate.Accelerator`, whose state in this process is gone afterwards if there was none before.

    Raises:
        SettingError: started in several processes, or another one of this process has another precision.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    first = not AcceleratorState._shared_state
    try:
        accelerator = Accelerator(
            mixed_precision=models.precision,
            gradient_accumulation_steps=settings.accumulation,
            cpu=models.device.type == "cpu",
        )
    except ValueError as error:
        raise SettingError(
            f"precision={models.precision!r}, but an Accelerator of this process has another: {error}",
            expected="one precision per process",
            hint="run it in a process of its own: poc-aug finetune-scenes",
        ) from error
    try:
        if accelerator.num_processes > 1:
            raise SettingError(
                f"fine-tuning was started in {accelerator.num_processes} processes",
                expected="one process",
                hint="start it without accelerate launch or torchrun; accumulation=N stands for N GPUs",
                command="start it without accelerate launch or torchrun; --accumulation N stands for N GPUs",
            )
        yield accelerator
    finally:
        accelerator.free_memory()
        if first:
            AcceleratorState._reset_state(True)


class ControlNetTrainer:
    """Updates the weights of a ControlNet.

    Args:
        models: the models.
        settings: the settings.
        accelerator: see `new_accelerator`.
        encode: how label maps become conditions.

    Attributes:
        loss: the loss of crops, with the present weights.
    """

    def __init__(self, models: TrainingModels, settings: FinetuneSettings, accelerator: Any, encode: Encode) -> None:
        from diffusers.training_utils import EMAModel

        self.models, self.settings, self._accelerator = models, settings, accelerator
        self._parameters = list(models.trained.values())
        optimizer = torch.optim.AdamW(self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self._controlnet, self._optimizer = accelerator.prepare(models.controlnet, optimizer)
        self._average: Any = EMAModel(self._parameters, decay=settings.ema_decay) if settings.ema_decay else None
        self.loss = DenoisingLoss(models, encode, self._controlnet, accelerator.autocast)

    def update(self, step: int, runs: Iterable[Run]) -> float:
        """One update from ``accumulation`` runs.

        Returns:
            The mean loss of the crops, before the update.
        """
        total = 0.0
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(step)
        for samples, prompts, seeds in runs:
            with self._accelerator.accumulate(self._controlnet):
                loss = self.loss(samples, prompts, seeds)
                self._accelerator.backward(loss)
                if self._accelerator.sync_gradients:
                    self._accelerator.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
                self._optimizer.step()
                self._optimizer.zero_grad()
            total += float(loss.detach())
        if self._average is not None:
            self._average.step(self._parameters)
        return total / self.settings.accumulation

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the ControlNet has the weights that are saved: the moving average, if there is one."""
        if self._average is None:
            yield
            return
        self._average.store(self._parameters)
        self._average.copy_to(self._parameters)
        try:
            yield
        finally:
            self._average.restore(self._parameters)

    def state(self) -> dict[str, Any]:
        """All that the next updates depend on besides settings, data and step."""
        return {
            "weights": {name: value.detach() for name, value in self.models.trained.items()},
            "optimizer": self._optimizer.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "scaler": None if self._accelerator.scaler is None else self._accelerator.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        with torch.no_grad():
            for name, value in self.models.trained.items():
                value.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
            self._average.to(self.models.device)
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])

    def evaluate(
        self, samples: Sequence[Sample], prompts: Sequence[str], seeds: Sequence[int], at: Sequence[float]
    ) -> float:
        """Mean loss of crops, each at the same noise and timesteps whenever it is called."""
        count = len(at)
        with torch.no_grad():
            losses = [
                float(self.loss([sample] * count, [prompt] * count, [seed] * count, at))
                for sample, prompt, seed in zip(samples, prompts, seeds, strict=True)
            ]
        return sum(losses) / len(losses)

    def paint(
        self, samples: Sequence[Sample], prompts: Sequence[str], seeds: Sequence[int], on_picture: Callable[..., None]
    ) -> None:
        """Paint crops from their label maps and prompts, with DDIM; each is handed over as uint8 ``[3, H, W]``."""
        from diffusers import DDIMScheduler, StableDiffusionControlNetPipeline

        base = self.models.base
        pipeline: Any = StableDiffusionControlNetPipeline
        scheduler: Any = DDIMScheduler
        pipe = pipeline(
            vae=base.vae,
            text_encoder=base.text_encoder,
            tokenizer=base.tokenizer,
            unet=base.unet,
            controlnet=self.models.controlnet,
            scheduler=scheduler.from_config(base.scheduler.config),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.set_progress_bar_config(disable=True)
        # The trained ControlNet is in float32, the frozen UNet that its outputs are added to may not be.
        cast = self.models.controlnet.register_forward_hook(lambda _, __, outputs: _cast(outputs, self.models.dtype))
        try:
            for sample, prompt, seed in zip(samples, prompts, seeds, strict=True):
                condition = self.loss.encode(sample.labels[None]).to(self.models.device, torch.float32)
                with torch.no_grad(), self._accelerator.autocast():
                    picture = pipe(
                        prompt,
                        image=condition,
                        height=sample.size_hw[0],
                        width=sample.size_hw[1],
                        num_inference_steps=self.settings.validation_steps,
                        guidance_scale=self.settings.guidance,
                        generator=torch.Generator().manual_seed(seed),
                        output_type="pt",
                    ).images[0]
                on_picture(sample, condition[0], (picture.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu())
        finally:
            cast.remove()


def _cast(outputs: Any, dtype: torch.dtype) -> tuple[list[torch.Tensor], torch.Tensor]:
    down, middle = outputs
    return [each.to(dtype) for each in down], middle.to(dtype)
