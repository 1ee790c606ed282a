"""The loss of a fine-tuning: how well the noise of crops is found, given their label maps and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn import functional

from poc_aug.errors import SettingError
from poc_aug.finetuning.training_models import TrainingModels
from poc_aug.seeding import generator
from poc_aug.types import Sample

Encode = Callable[[torch.Tensor], torch.Tensor]
"""Label maps, integer ``[B, H, W]``, to conditions, float ``[B, C, H, W]``."""


class DenoisingLoss:
    """Mean squared error of the predicted noise (or velocity, if the base model predicts that).

    Args:
        models: the models.
        encode: how label maps become conditions.
        controlnet: the ControlNet as `accelerate` runs it; ``None``: as it is.
        autocast: context of mixed precision.
    """

    def __init__(
        self,
        models: TrainingModels,
        encode: Encode,
        controlnet: Any = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        from diffusers import DDPMScheduler

        self.models, self.encode, self.autocast = models, encode, autocast
        self.controlnet = models.controlnet if controlnet is None else controlnet
        scheduler: Any = DDPMScheduler
        self.scheduler = scheduler.from_config(models.base.scheduler.config)
        self.timesteps = int(self.scheduler.config.num_train_timesteps)

    def check_prompts(self, captions: Mapping[str, str]) -> None:
        """Check that the text encoder takes all captions whole.

        Raises:
            SettingError: a caption over its limit; names the frame.
        """
        tokenizer = self.models.base.tokenizer
        for key, caption in captions.items():
            used = len(tokenizer(caption, truncation=False, verbose=False).input_ids)
            if used > tokenizer.model_max_length:
                raise SettingError(
                    f"the caption of {key!r} takes {used} tokens: {caption[:200]!r}",
                    expected=f"at most {tokenizer.model_max_length}, start and end tokens included",
                    hint="shorten it: text beyond the limit would be cut off",
                )

    def __call__(
        self,
        samples: Sequence[Sample],
        prompts: Sequence[str],
        seeds: Sequence[int],
        at: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """The loss of some crops.

        Args:
            samples: the crops.
            prompts: their prompts.
            seeds: what their noise and timesteps are drawn from.
            at: the timestep of each as a part of the whole, 0 to 1; ``None``: drawn.
        """
        models, base = self.models, self.models.base
        draws = [generator(seed) for seed in seeds]
        with torch.no_grad(), self.autocast():
            images = torch.stack([sample.image for sample in samples]).to(models.device)
            encoded = base.vae.encode((images.float() / 127.5 - 1).to(models.dtype)).latent_dist
            mean = encoded.mean.float()
            noises = [[torch.randn(mean.shape[1:], generator=draw).to(mean) for _ in range(2)] for draw in draws]
            latents = mean + encoded.std.float() * torch.stack([first for first, _ in noises])
            latents = latents * base.vae.config.scaling_factor
            noise = torch.stack([second for _, second in noises])
            steps = torch.stack([torch.randint(self.timesteps, (), generator=draw) for draw in draws])
            if at is not None:
                steps = torch.tensor([int(part * (self.timesteps - 1)) for part in at])
            steps = steps.to(models.device)
            noisy = self.scheduler.add_noise(latents, noise, steps)
            texts = base.text_encoder(self._tokens(prompts))[0]
            labels = torch.stack([sample.labels for sample in samples])
            condition = self.encode(labels).to(models.device, torch.float32)
        with self.autocast():
            down, middle = self.controlnet(
                noisy, steps, encoder_hidden_states=texts.float(), controlnet_cond=condition, return_dict=False
            )
            predicted = base.unet(
                noisy.to(models.dtype),
                steps,
                encoder_hidden_states=texts.to(models.dtype),
                down_block_additional_residuals=[each.to(models.dtype) for each in down],
                mid_block_additional_residual=middle.to(models.dtype),
                return_dict=False,
            )[0]
        velocity = self.scheduler.config.prediction_type == "v_prediction"
        target = self.scheduler.get_velocity(latents, noise, steps) if velocity else noise
        return functional.mse_loss(predicted.float(), target.float())

    def _tokens(self, prompts: Sequence[str]) -> torch.Tensor:
        tokenizer = self.models.base.tokenizer
        given = tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )  # fmt: skip
        tokens: torch.Tensor = given.input_ids.to(self.models.device)
        return tokens
