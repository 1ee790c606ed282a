"""`finetune_controlnet`: trains a ControlNet on a dataset's images, label maps and captions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xxhash

from poc_aug.backends.common.model_files import model_identity
from poc_aug.backends.scene_models.captioner_file import CaptionFile, captioner_name
from poc_aug.backends.scene_models.palettes import Palette
from poc_aug.errors import SettingError
from poc_aug.finetuning.controlnet_trainer import ControlNetTrainer, Run, new_accelerator
from poc_aug.finetuning.finetune_settings import FinetuneSettings, Precision
from poc_aug.finetuning.model_card import model_card
from poc_aug.finetuning.run_folder import CAPTIONS_FILE, EVENTS_FOLDER, MODEL_FOLDER, RunFolder
from poc_aug.finetuning.scene_validation import SceneValidation, validation_steps_of
from poc_aug.finetuning.training_captions import known_captions, make_captions
from poc_aug.finetuning.training_crops import TrainingFrames, batch_prompts, frame_order
from poc_aug.finetuning.training_models import (
    check_device_and_models,
    load_training_models,
    save_controlnet,
    sides_divide_by,
)
from poc_aug.generation.frame_loading import FrameDataset, load_frames
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import Captioner
from poc_aug.seeding import derive_seed

_TRAINING = "poc_aug_training.json"

OnTraining = Callable[[str, int, int, str], None]
"""Called with what is counted ("captions", "updates"), how many are done, how many there are, and a note."""


@dataclass(frozen=True)
class FinetunePlan:
    """What a fine-tuning is going to do; all that can be checked without reading weights has been checked.

    Attributes:
        keys: keys of the frames.
        schema: label schema of the dataset.
        captions: the captions that are known already, by key.
        device: where it runs.
        precision: what it computes in.
        palette: how label maps are given to the ControlNet.
        identity: JSON values of everything that decides its result, captions aside.
        continues: whether the folder holds an earlier part of this run.
    """

    keys: tuple[str, ...]
    schema: LabelSchema
    captions: Mapping[str, str]
    device: torch.device
    precision: Precision
    palette: Palette
    identity: Mapping[str, Any]
    continues: bool

    @property
    def channels(self) -> int:
        """Channels of the condition."""
        return len(self.encode(torch.zeros(1, 1, 1, dtype=torch.uint8))[0])

    def encode(self, labels: torch.Tensor) -> torch.Tensor:
        """The conditions of label maps, integer ``[B, H, W]``: float ``[B, C, H, W]``."""
        return self.palette.encode(labels, self.schema)

    @property
    def to_caption(self) -> int:
        """How many frames are captioned first."""
        return len(set(self.keys) - set(self.captions))


@dataclass
class FinetuneReport:
    """What a fine-tuning did.

    Attributes:
        model: folder of the finished ControlNet.
        frames: frames of the dataset.
        resumed_at: update from which it continued; 0 if it began.
        step: updates in all.
        losses: mean loss of each update of this run.
        validation: the loss with fixed noise, by update, of this run.
    """

    model: Path | None = None
    frames: int = 0
    resumed_at: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    validation: dict[int, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; of the losses only the mean of the first and the last tenth."""
        tenth = max(1, len(self.losses) // 10)
        ends = {"first": self.losses[:tenth], "last": self.losses[-tenth:]}
        means = {name: sum(values) / len(values) if values else None for name, values in ends.items()}
        return {
            "model": None if self.model is None else str(self.model),
            "frames": self.frames,
            "resumed_at": self.resumed_at,
            "step": self.step,
            "loss": means,
            "validation": {str(step): loss for step, loss in self.validation.items()},
        }


def plan_finetuning(
    dataset: Any,
    out: str | Path,
    settings: FinetuneSettings,
    *,
    captions: Mapping[str, str] | CaptionFile | None = None,
    captioner: Captioner | None = None,
    prompt: str = "",
    schema: LabelSchema | str | Path | None = None,
    keys: Keys | None = None,
    limit: int | None = None,
) -> FinetunePlan:
    """Check all that a fine-tuning needs, without reading weights or writing anything; see `finetune_controlnet`.

    Raises:
        PocAugError: see `finetune_controlnet`.
    """
    device, precision = check_device_and_models(settings)
    known_schema = require_schema(dataset, schema)
    palette = Palette(settings.condition, settings.classes)
    palette.check(known_schema)
    names = dataset_keys(dataset, keys)[:limit]
    if not names:
        raise SettingError("the dataset has no frames", expected="at least one")
    folder = RunFolder(out)
    if captions is None and captioner is not None:
        captions = CaptionFile(folder.path / CAPTIONS_FILE)
    known = known_captions(names, captions, captioner, prompt)
    identity = {
        **settings.deciding(),
        "base": model_identity(settings.base),
        "controlnet": None if settings.controlnet is None else model_identity(settings.controlnet),
        "precision": precision,
        "frames": len(names),
        "keys": _digest(names),
        "schema": {"name": known_schema.name, "ids": dict(known_schema.ids), "ignore": list(known_schema.ignore)},
        "condition": palette.describe(),
    }
    continues = folder.check(identity, later=("captions",))
    return FinetunePlan(tuple(names), known_schema, known, device, precision, palette, identity, continues)


def finetune_controlnet(
    dataset: Any,
    out: str | Path,
    settings: FinetuneSettings,
    *,
    captions: Mapping[str, str] | CaptionFile | None = None,
    captioner: Captioner | None = None,
    prompt: str = "",
    schema: LabelSchema | str | Path | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    limit: int | None = None,
    on_progress: OnTraining | None = None,
    report: FinetuneReport | None = None,
) -> FinetuneReport:
    """Train a ControlNet that paints a dataset's scenes from label maps and captions.

    Call it again to continue an interrupted run: on the CPU it ends with the same weights as one that was not
    interrupted, since all that is random is a function of the seed and the number of the crop.

    Args:
        dataset: a map-style dataset of images and label maps.
        out: a folder for checkpoints, validation pictures and TensorBoard; the ControlNet is in ``out/controlnet``.
        settings: models, crops, optimisation.
        captions: captions by key, or a file of them.
        captioner: captions the frames without one; into ``captions`` if that is a file, otherwise into
            ``out/captions.jsonl``.
        prompt: the caption of frames without one, if there is no captioner.
        schema: label schema, if the dataset's own is not certain.
        keys: what names the frames, as in `dataset_keys`.
        adapt: how to take images and labels out of items of another form.
        limit: only the first frames.
        on_progress: called after each batch of captions and each update, and before a validation.
        report: filled while it runs; a new one if ``None``.

    Raises:
        MissingDependencyError: a package is not installed.
        DeviceError: the device is not there, or cannot use the precision.
        ModelError: a model that is not there, cannot be loaded, or does not fit the others.
        SchemaError: the dataset's schema is not known, or labels do not fit it.
        SettingError: a setting outside its limits, frames without captions, or a folder with another run.
        OutputError: the folder cannot be used.
        SampleReadError: a frame cannot be read.
    """
    done = FinetuneReport() if report is None else report
    show = on_progress or (lambda *_: None)
    plan = plan_finetuning(
        dataset, out, settings, captions=captions, captioner=captioner, prompt=prompt, schema=schema, keys=keys,
        limit=limit,
    )  # fmt: skip
    folder = RunFolder(out)
    with folder.locked():
        texts = dict(plan.captions)
        if captioner is not None:
            file = captions if isinstance(captions, CaptionFile) else CaptionFile(folder.path / CAPTIONS_FILE)
            texts = make_captions(
                dataset, plan.keys, texts, captioner, file, adapt=adapt, schema=plan.schema, workers=settings.workers,
                on_progress=lambda made, of: show("captions", made, of, ""),
            )  # fmt: skip
        identity = {**plan.identity, "captions": _digest([texts[key] for key in plan.keys])}
        folder.begin(identity)
        source = "one prompt for all" if captioner is None and captions is None else "given"
        origin = source if captioner is None else captioner_name(captioner.describe())
        _Training(dataset, folder, settings, plan, texts, origin, adapt, show, done).run()
    return done


@dataclass
class _Training:
    """A run: from its newest checkpoint to the finished model."""

    dataset: Any
    folder: RunFolder
    settings: FinetuneSettings
    plan: FinetunePlan
    captions: Mapping[str, str]
    origin: str
    adapt: Adapt | None
    show: OnTraining
    report: FinetuneReport

    def run(self) -> None:
        settings, report = self.settings, self.report
        report.frames = len(self.plan.keys)
        checkpoint = self.folder.load_checkpoint()
        start = 0 if checkpoint is None else checkpoint[0]
        report.resumed_at = report.step = start
        if start > settings.steps:
            raise SettingError(
                f"steps={settings.steps}, but {str(self.folder.path)!r} is at update {start} already",
                expected=f"{start} or more",
                hint="give another folder for a shorter run",
            )
        if start == settings.steps and self._is_finished():
            report.model = self.folder.model
            return
        plan = self.plan
        models = load_training_models(settings, plan.channels, plan.device, plan.precision)
        divisor = sides_divide_by(models.base)
        if settings.size % divisor:
            raise SettingError(f"size={settings.size}", expected=f"a multiple of {divisor}, as the base model needs")
        with new_accelerator(models, settings) as accelerator:
            trainer = ControlNetTrainer(models, settings, accelerator, plan.encode)
            trainer.loss.check_prompts({key: self.captions[key] for key in plan.keys})
            if checkpoint is not None:
                trainer.restore(checkpoint[1])
            del checkpoint
            with self._events(start) as events:
                self._train(trainer, start, events)
            with trainer.averaged(), self.folder.new_folder(MODEL_FOLDER) as made:
                save_controlnet(models, made)
                (made / "README.md").write_text(model_card(settings, self._facts()), encoding="utf-8")
                (made / _TRAINING).write_text(json.dumps(self._facts(), indent=1, default=str), encoding="utf-8")
        report.model = self.folder.model

    def _train(self, trainer: ControlNetTrainer, start: int, events: Any) -> None:
        settings, report = self.settings, self.report
        validation, validated = None, set[int]()
        if settings.validation_frames:
            frames = FrameDataset(
                self.dataset, self.plan.keys, range(report.frames), self.adapt, self.plan.schema, None
            )
            validation = SceneValidation(
                frames, self.captions, settings.validation_frames, settings.size, settings.seed
            )
            validated = set(validation_steps_of(settings.steps, settings.validate_every, start))
        if validation is not None and start in validated:
            report.validation[start] = validation.run(trainer, start, self.folder, events)
        batches = self._batches(start)
        for step in range(start, settings.steps):
            loss = trainer.update(step, [next(batches) for _ in range(settings.accumulation)])
            report.step = step + 1
            report.losses.append(loss)
            if events is not None:
                events.add_scalar("training/loss", loss, step + 1)
                events.add_scalar("training/learning rate", settings.learning_rate_at(step), step + 1)
            if validation is not None and step + 1 in validated:
                self.show("updates", step + 1, settings.steps, f"loss {loss:.4f}, validating")
                report.validation[step + 1] = validation.run(trainer, step + 1, self.folder, events)
            if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
                self.folder.save_checkpoint(step + 1, trainer.state(), settings.keep_checkpoints)
            self.show("updates", step + 1, settings.steps, f"loss {loss:.4f}")

    def _batches(self, start: int) -> Iterator[Run]:
        """The runs of all updates from ``start`` on: their crops are read ahead."""
        settings = self.settings
        per_update = settings.batch_size * settings.accumulation
        first, last = start * per_update, settings.steps * per_update
        numbers = frame_order(settings.seed, len(self.plan.keys), first, last)
        crops = TrainingFrames(
            self.dataset, self.plan.keys, numbers, self.adapt, self.plan.schema,
            seed=settings.seed, size=settings.size, start=first,
        )  # fmt: skip
        frames = load_frames(crops, settings.workers)
        with frames.deaths_explained():
            for number in range(first, last, settings.batch_size):
                samples = []
                for _ in range(settings.batch_size):
                    sample = next(frames)
                    if isinstance(sample, UnreadableSample):
                        raise sample.to_error()
                    samples.append(sample)
                prompts = batch_prompts(samples, self.captions, settings.seed, number, settings.prompt_dropout)
                seeds = [derive_seed(settings.seed, "noise", number + index) for index in range(len(samples))]
                yield samples, prompts, seeds

    def _events(self, start: int) -> Any:
        if not self.settings.tensorboard:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return closing(SummaryWriter(str(self.folder.path / EVENTS_FOLDER), purge_step=start))

    def _is_finished(self) -> bool:
        file = self.folder.model / _TRAINING
        return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["step"] == self.settings.steps

    def _facts(self) -> dict[str, Any]:
        given = self.settings.controlnet
        return {
            "base": _name_of(self.settings.base),
            "controlnet": None if given is None else _name_of(given),
            "dataset": type(self.dataset).__name__,
            "frames": self.report.frames,
            "step": self.settings.steps,
            "precision": self.plan.precision,
            "schema": self.plan.schema.name,
            "captions": self.origin,
            "condition": self.plan.palette.describe(),
        }


def _name_of(model: str | Path) -> str:
    """A model as a card names it: its hub id, or the name of its folder."""
    return Path(model).name if Path(model).exists() else str(model)


def _digest(texts: Sequence[str]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(texts, ensure_ascii=True).encode())
