"""What the shifters that paint frames with a pipeline of diffusers share."""

from __future__ import annotations

import abc
import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, Self

import torch

from poc_aug.backends.common.halving import Halving
from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline, LoadSettings
from poc_aug.backends.diffusion.pipeline_inserter import check_settings, describe_loaded, paint_and_check
from poc_aug.backends.scene_models.frame_fitting import FrameFit, fit_frame
from poc_aug.backends.scene_models.keep import check_kept, kept_mask, paste_kept
from poc_aug.backends.scene_models.scene_prompts import check_text, domain_words
from poc_aug.errors import SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.types import Json, Rejection


class PaintingShifter(abc.ABC):
    """Base of the shifters that paint frames with a pipeline of diffusers.

    A subclass loads its model with `_load`, and gives the text of a frame and how a batch is run.
    The arguments are documented in `poc_aug.backends.scene_models.controlnet_shifter.ControlNetShifter`.
    """

    _shifter: ClassVar[str]
    _version: ClassVar[int]
    _most_px: ClassVar[int | None] = None
    _least_side_px: ClassVar[int] = 16
    _phrases: ClassVar[Mapping[str, str]]
    phrase: str

    def __init__(
        self,
        domain: str,
        *,
        negative_prompt: str | None,
        steps: int | None,
        guidance: float | None,
        height_px: int | None,
        keep: Sequence[str] | None,
        keep_inserted: bool,
        feather_px: float,
        batch_size: int | None,
    ) -> None:
        who = type(self).__name__
        check_settings(who, steps=steps, guidance=guidance, batch_size=batch_size, compile=False)
        _check_domain(who, domain)
        if height_px is not None and height_px < self._least_side_px:
            raise SettingError(f"{who}: height_px={height_px}", expected=f"{self._least_side_px} or more, or None")
        if feather_px < 0:
            raise SettingError(f"{who}: feather_px={feather_px}", expected="0 or more")
        if isinstance(keep, str):
            raise SettingError(f"{who}: keep={keep!r}", expected="a list of class names", hint=f"keep=[{keep!r}]")
        self._domain = domain
        self.negative_prompt = negative_prompt
        self.height_px = height_px
        self.keep = None if keep is None else tuple(keep)
        self.keep_inserted = keep_inserted
        self.feather_px = feather_px
        self._halving = Halving(who, batch_size)

    def _ready(self, loaded: LoadedPipeline, settings: LoadSettings, steps: int | None, guidance: float | None) -> None:
        """Take the loaded model, and the steps and guidance of its card if none were given."""
        self.loaded, self._settings = loaded, settings
        self.steps = loaded.family.steps if steps is None else steps
        self.guidance = float(loaded.family.guidance if guidance is None else guidance)
        if self.negative_prompt:
            check_text(loaded, self.negative_prompt, "the negative prompt")

    @property
    def domain(self) -> str:
        """Name of the domain, as in keys: ``KEY@DOMAIN-SEVERITY``."""
        return self._domain

    def for_domain(self, domain: str) -> Self:
        """The same shifter for another domain: it shares the models, which are in memory once.

        Args:
            domain: name of the domain; its words in the prompt are those that it has by default.

        Raises:
            SettingError: a name with spaces or "@".
        """
        _check_domain(type(self).__name__, domain)
        other = copy.copy(self)
        other._domain = domain
        other.phrase = domain_words(self._phrases, domain)
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._domain!r}, {self.loaded.identity!r}, {self.loaded.device})"

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what is made; part of a cache's fingerprint."""
        return {
            "shifter": self._shifter,
            "version": self._version,
            "domain": self._domain,
            **describe_loaded(self.loaded, self._settings),
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
            "height_px": self.height_px,
            "keep": None if self.keep is None else list(self.keep),
            "keep_inserted": self.keep_inserted,
            "feather_px": self.feather_px,
        }

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Check that frames with labels of this schema can be shifted.

        Raises:
            SchemaError: a class to keep that the schema does not know; a palette without one of its classes.
            ModelError: a condition with other channels than the ControlNet takes.
        """
        check_kept(schema, self.keep)

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        """Shift each frame; one result per frame, in order.

        Results do not depend on what shares a batch, up to the order of floating-point sums. Frames of different
        sizes are painted in different batches.
        """
        kept = [kept_mask(frame, self.keep, inserted=self.keep_inserted) for frame in frames]
        fits = [self._fit(frame) for frame in frames]
        texts = [self._text(frame) for frame in frames]
        for text in dict.fromkeys(texts):
            check_text(self.loaded, text, f"frame {frames[texts.index(text)].key!r}")
        groups: dict[Hashable, list[int]] = {}
        for number, frame in enumerate(frames):
            groups.setdefault((fits[number].painted_hw, self._group(frame)), []).append(number)
        painted: dict[int, torch.Tensor | Rejection] = {}
        for numbers in groups.values():
            batch = [(frames[number], fits[number], texts[number]) for number in numbers]
            painted |= zip(numbers, self._halving.run(self._paint, batch), strict=True)
        results: list[Shifted | Rejection] = []
        for number, frame in enumerate(frames):
            picture = painted[number]
            if isinstance(picture, Rejection):
                results.append(picture)
            else:
                image = fits[number].frame(picture)
                image = paste_kept(frame.image.cpu(), image, kept[number], self.feather_px)
                results.append(Shifted(image, self._provenance(frame, texts[number])))
        return results

    def _paint(self, batch: Sequence[tuple[SceneFrame, FrameFit, str]]) -> list[torch.Tensor | Rejection]:
        def run(numbers: Sequence[int]) -> tuple[list[torch.Tensor], list[bool]]:
            frames, fits, texts = zip(*(batch[number] for number in numbers), strict=True)
            return self._run(frames, fits, texts)

        return paint_and_check(self.loaded, [""] * len(batch), run)

    def _fit(self, frame: SceneFrame) -> FrameFit:
        return fit_frame(
            frame.size_hw,
            self._multiple_of(),
            height_px=self.height_px,
            most_px=self._most_px,
            least_side_px=self._least_side_px,
        )

    def _multiple_of(self) -> int:
        return self.loaded.family.multiple_of

    def _group(self, frame: SceneFrame) -> Hashable:
        """What frames of one batch must have in common, besides their size."""
        return None

    def _provenance(self, frame: SceneFrame, text: str) -> dict[str, Json]:
        return {
            "shifter": self._shifter,
            "model": self.loaded.identity,
            "prompt": text,
            "negative_prompt": self.negative_prompt,
            "steps": self.steps,
            "guidance": self.guidance,
        }

    @abc.abstractmethod
    def _text(self, frame: SceneFrame) -> str:
        """The prompt of a frame."""

    @abc.abstractmethod
    def _run(
        self, frames: Sequence[SceneFrame], fits: Sequence[FrameFit], texts: Sequence[str]
    ) -> tuple[list[torch.Tensor], list[bool]]:
        """Paint frames of one size: float32 pictures of the painted size, and whether each was blanked as unsafe."""

    @staticmethod
    def _check_strength(who: str, strength: float, steps: int) -> None:
        if not 0 < strength <= 1 or int(steps * strength) < 1:
            raise SettingError(
                f"{who}: strength={strength} with steps={steps}",
                expected="over 0, at most 1, and at least one of the steps",
                hint=f"strength of {1 / steps:.2f} or more",
            )


def _check_domain(who: str, domain: str) -> None:
    if not domain or "@" in domain or any(letter.isspace() for letter in domain):
        raise SettingError(
            f"{who}: domain={domain!r}",
            expected="a name without spaces and @, as in keys: KEY@DOMAIN-SEVERITY",
            hint="name it short ('heavy-rain'); the words of the prompt are phrase=",
        )
