"""`ShiftPipeline`: recipe, shifters and models together, and the frames that they generate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from poc_aug.camera import ESTIMATOR
from poc_aug.errors import SettingError
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.engine import Engine, Failure
from poc_aug.generation.rejected_pictures import OnRejected
from poc_aug.generation.sample_checks import CheckedSample
from poc_aug.generation.shift_jobs import ShiftItem, ShiftJobs, check_scene_sample
from poc_aug.generation.shift_stages import ShiftModels, ShiftOutcome, ShiftStages
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.scenes.shifter_protocol import AgreementCheck, Captioner, ChecksScenes, DepthEstimator, Shifter
from poc_aug.types import Sample, Variant


class ShiftPipeline(GenerationPipeline):
    """Generates frames in other domains; labels stay as they are.

    Args:
        recipe: domains, severities, camera and seed.
        shifters: one per domain of the recipe.
        captioner: says what frames show, for shifters that take a prompt.
        depth: estimates depth, instead of labels and camera; the name of a dataset's own depth maps, which its samples
            bring (`Sample.depth_m`).
        agreement: checks whether the labels still hold; frames for which they do not are made again with another seed,
            and left out after ``recipe.attempts``. ``None``: not checked.
        schema: label schema of the datasets whose own is not known; weather needs one.
        batch_size: frames that a shifter gets at once.

    Raises:
        SettingError: a batch size below 1; a domain without a shifter, or with two.

    Example:
        >>> import torch
        >>> from poc_aug import LabelSchema
        >>> from poc_aug.scenes.shifter_protocol import Shifted
        >>> class Dusk:
        ...     domain = "dusk"
        ...
        ...     def describe(self):
        ...         return {"shifter": "dusk"}
        ...
        ...     def shift(self, frames):
        ...         return [Shifted(frame.image // (1 + frame.severity)) for frame in frames]
        >>> pipeline = ShiftPipeline(SceneRecipe(domains=["dusk"]), [Dusk()], schema=LabelSchema("ground", {"road": 0}))
        >>> image, labels = torch.full((3, 48, 64), 128, dtype=torch.uint8), torch.zeros(48, 64, dtype=torch.uint8)
        >>> frame = pipeline.generate(Sample(image, labels, key="grey@dusk-3")).frame
        >>> frame.domain, frame.severity, int(frame.image.max())
        ('dusk', 3, 32)
    """

    default_codec = "webp-lossy"

    def __init__(
        self,
        recipe: SceneRecipe,
        shifters: Sequence[Shifter],
        *,
        captioner: Captioner | None = None,
        depth: DepthEstimator | str | None = None,
        agreement: AgreementCheck | None = None,
        schema: LabelSchema | None = None,
        batch_size: int = 4,
    ) -> None:
        super().__init__(schema, batch_size)
        domains = [shifter.domain for shifter in shifters]
        if sorted(domains) != sorted(recipe.domains):
            raise SettingError(
                f"shifters for {domains}, and a recipe for {list(recipe.domains)}", expected="one shifter per domain"
            )
        self.recipe = recipe
        self.depth_name = depth if isinstance(depth, str) else ""
        estimator = None if isinstance(depth, str) else depth
        self.models = ShiftModels({shifter.domain: shifter for shifter in shifters}, captioner, estimator, agreement)

    @property
    def recipe_json(self) -> dict[str, Any]:
        """JSON values of the recipe."""
        return self.recipe.to_dict()

    @property
    def reads_calibrations(self) -> bool:
        """Whether the recipe says ``camera: file``."""
        return self.recipe.camera.calibration == "file"

    @property
    def runs_in_workers(self) -> bool:
        """Whether frames can be made where they are read, in loader workers: no part of it holds a model."""
        models = self.models
        if models.captioner is not None or models.depth is not None or models.agreement is not None:
            return False
        return not any(getattr(shifter, "holds_model", False) for shifter in models.shifters.values())

    def with_depth_maps(self, name: str) -> ShiftPipeline:
        """The same pipeline, for samples that bring the depth maps of their dataset.

        Args:
            name: what identifies these maps.

        Raises:
            SettingError: it has a depth model.
        """
        if self.models.depth is not None:
            raise SettingError(f"depth={name!r} and a depth model", expected="one of the two")
        other = copy.copy(self)
        other.depth_name = name
        return other

    def describe(self) -> dict[str, Any]:
        """JSON values of the backends: everything besides the recipe that decides what is generated."""
        models = self.models
        depth = {"dataset": self.depth_name} if self.depth_name else None
        backends: dict[str, Any] = {
            "shifters": {domain: models.shifters[domain].describe() for domain in self.recipe.domains},
            "captioner": models.captioner.describe() if models.captioner else None,
            "depth": models.depth.describe() if models.depth else depth,
            "agreement": models.agreement.describe() if models.agreement else None,
        }
        if self.recipe.camera.horizon is None and self.recipe.camera.calibration is None:
            # Another estimator gives other depths: a cache of an older one is read, but not continued.
            backends["horizon"] = {"estimator": ESTIMATOR}
        return backends

    def check(self) -> None:
        """Check, before any long work, that shifters and the check of labels fit the schema.

        Raises:
            PocAugError: they do not: weather without a schema, a palette without one of its classes, ...
        """
        parts: tuple[object, ...] = (*self.models.shifters.values(), self.models.agreement)
        for part in parts:
            if isinstance(part, ChecksScenes):
                part.check_schema(self.schema)

    def check_sample(self, sample: Sample, *, labels_checked: bool = False) -> CheckedSample:
        """Check that a sample fits recipe and schema, see `check_scene_sample`; its key says what it is shifted to."""
        return check_scene_sample(sample, self.recipe, self.schema, labels_checked=labels_checked)

    def run(
        self,
        jobs: Iterable[tuple[Sample | CheckedSample, int] | None],
        *,
        ordered: bool = True,
        statistics: Statistics | None = None,
        failures: list[Failure] | None = None,
        wake: Callable[[], None] | None = None,
        on_rejected: OnRejected | None = None,
    ) -> Generator[Variant, None, None]:
        """Generate shifted frames, batched; as `InsertionPipeline.run`, with keys ``KEY@DOMAIN-SEVERITY``."""
        self.check()
        statistics = statistics or Statistics()
        stages = ShiftStages(self.models, statistics)
        engine: Engine[ShiftItem, ShiftOutcome, Variant] = Engine(stages, self.batch_size, statistics, failures, wake)
        return engine.run(ShiftJobs(self.recipe, self.schema, on_rejected).make(jobs, statistics), ordered=ordered)
