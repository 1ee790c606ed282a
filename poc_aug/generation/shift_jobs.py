"""`ShiftJobs`: each shifted frame as a job of the engine."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from poc_aug import seeding
from poc_aug.errors import SettingError
from poc_aug.generation.job import Job
from poc_aug.generation.rejected_pictures import AttemptStages, OnRejected, RejectedAttempt
from poc_aug.generation.sample_checks import CheckedSample, no_pixels, sample_camera
from poc_aug.generation.shift_stages import ShiftOutcome
from poc_aug.generation.statistics import Statistics
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.label_digest import label_digest_of_sample
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.scene_recipe import SceneRecipe, split_key
from poc_aug.scenes.shifter_protocol import Agreement, SceneFrame, Shifted
from poc_aug.types import Json, Rejection, Sample, ShiftedFrame, Variant

ShiftItem: TypeAlias = "tuple[str, SceneFrame]"
"""A domain, and a frame to shift to it."""

ShiftJob: TypeAlias = Job[ShiftItem, ShiftOutcome, Variant]

_END = object()


class ShiftJobs:
    """Makes the jobs of a recipe; each tries a frame until its labels hold, with a new seed each time.

    Args:
        recipe: how often a frame is tried, and where its camera is known from.
        schema: label schema of the dataset, if it is known.
        on_rejected: called with each attempt whose frame is not kept.
    """

    def __init__(self, recipe: SceneRecipe, schema: LabelSchema | None, on_rejected: OnRejected | None = None) -> None:
        self.recipe = recipe
        self.schema = schema
        self.on_rejected = on_rejected

    def make(
        self, samples: Iterable[tuple[Sample | CheckedSample, int] | None], statistics: Statistics
    ) -> Iterator[ShiftJob | None]:
        """The jobs of variants of samples, whose keys say what they are shifted to; ``None`` is passed on.

        Raises:
            SchemaError, ItemFormatError: as in `check_scene_sample`, for a sample that has not been checked before.
            SettingError: a key that is not that of a shifted frame.
        """
        source = iter(samples)
        while True:
            with statistics.stage("read"):
                item = next(source, _END)
            if item is _END:
                return
            if item is None:
                yield None
                continue
            assert isinstance(item, tuple)
            sample, index = item
            with statistics.stage("scene"):
                if isinstance(sample, Sample):
                    sample = check_scene_sample(sample, self.recipe, self.schema)
                job = self._job(sample, index, statistics)
            del item, sample
            yield job

    def _job(self, checked: CheckedSample, index: int, statistics: Statistics) -> ShiftJob:
        sample = checked.sample
        key, domain, severity = split_key(sample.key)
        camera = checked.calibrated
        if camera is None:
            camera = sample_camera(sample, self.recipe.camera, self.schema)
        frame = SceneFrame(sample.image, sample.labels, key, severity, 0, self.schema, camera, sample.depth_m)
        return Job(self._steps(sample, index, domain, frame, statistics), sample.key, index)

    def _steps(
        self, sample: Sample, index: int, domain: str, frame: SceneFrame, statistics: Statistics
    ) -> Generator[ShiftItem, ShiftOutcome, Variant]:
        rejections: list[Rejection] = []
        shifted: ShiftedFrame | None = None
        for attempt in range(self.recipe.attempts):
            # Without the severity: all severities of a frame have the same noise, so that they can be compared.
            seed = seeding.derive_seed(self.recipe.seed, frame.key, domain, index, attempt)
            outcome = yield domain, replace(frame, seed=seed)
            rejection = _rejection(outcome, domain, attempt)
            statistics.count(domain, None if rejection is None else rejection.reason)
            if rejection is None:
                assert isinstance(outcome, tuple)
                shifted = _shifted_frame(outcome, domain, attempt)
                break
            rejections.append(rejection)
            if self.on_rejected is not None:
                seen = AttemptStages(shifted=outcome[1].image if isinstance(outcome, tuple) else None)
                self.on_rejected(RejectedAttempt(sample, index, 0, rejection, seen, None))
        return Variant(
            key=sample.key,
            index=index,
            digest=digest_of_sample(sample),
            insertions=(),
            rejections=tuple(rejections),
            label_digest=label_digest_of_sample(sample, self.schema, checked=True),
            frame=shifted,
        )


def check_scene_sample(
    sample: Sample, recipe: SceneRecipe, schema: LabelSchema | None, *, labels_checked: bool = False
) -> CheckedSample:
    """Check that a sample fits recipe and schema.

    Args:
        sample: the sample; its key is that of a shifted frame.
        recipe: says where its camera is known from.
        schema: label schema of the dataset, if it is known.
        labels_checked: the ids of its labels have been checked already.

    Raises:
        SchemaError: its labels hold ids that the schema does not know.
        ItemFormatError: it has no pixels.
        CalibrationError: ``camera: file``, and its calibration is missing, or is of other frames.
        SettingError: its key is not that of a shifted frame, or of a domain that the recipe does not have.
    """
    domain = split_key(sample.key)[1]
    if domain not in recipe.domains:
        raise SettingError(
            f"domain {domain!r} of sample {sample.key!r}", expected=f"one of: {', '.join(recipe.domains)}"
        )
    if 0 in sample.size_hw:
        raise no_pixels(sample.key, sample.size_hw)
    if schema is not None and not labels_checked:
        schema.check(sample.labels, sample.key)
    calibrated = None if recipe.camera.calibration is None else sample_camera(sample, recipe.camera, schema)
    return CheckedSample(sample, calibrated)


def _rejection(outcome: ShiftOutcome, domain: str, attempt: int) -> Rejection | None:
    if isinstance(outcome, Rejection):
        return Rejection(outcome.reason, domain, attempt, outcome.detail)
    agreement = outcome[2]
    if agreement is None or agreement.holds:
        return None
    return Rejection("labels do not hold", domain, attempt, agreement.detail)


def _shifted_frame(outcome: tuple[SceneFrame, Shifted, Agreement | None], domain: str, attempt: int) -> ShiftedFrame:
    frame, shifted, agreement = outcome
    provenance: dict[str, Json] = {
        "seed": frame.seed,
        "attempt": attempt,
        "horizon_row": None if frame.camera is None else round(frame.camera.horizon_row, 2),
        "horizon_from": None if frame.camera is None else frame.camera.horizon_from,
        **({"caption": frame.caption} if frame.caption else {}),
        **shifted.provenance,
    }
    if agreement is not None:
        by_class: dict[str, Json] = {name: round(value, 4) for name, value in agreement.by_class.items()}
        provenance["agreement"] = round(agreement.value, 4)
        provenance["agreement_by_class"] = by_class
    return ShiftedFrame(shifted.image, domain, frame.severity, provenance)
