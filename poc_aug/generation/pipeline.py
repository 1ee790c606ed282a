"""`InsertionPipeline`: recipe and backends together, and what they generate.

Each ``(sample, variant)`` is a job (`poc_aug.generation.insertion_jobs`). The engine runs many jobs at once, collects
their crops into batches for the inserter and the annotator (`poc_aug.generation.insertion_stages`), and sends the
outcomes back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from poc_aug.camera import ESTIMATOR, check_known
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.engine import Engine, Failure
from poc_aug.generation.insertion_jobs import InsertionJobs
from poc_aug.generation.insertion_stages import CropOutcome, InsertionStages
from poc_aug.generation.places import Places
from poc_aug.generation.recipe_checks import check_sizes
from poc_aug.generation.rejected_pictures import OnRejected
from poc_aug.generation.sample_checks import CheckedSample, check_sample
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Annotator, ChecksRecipe, Inserter, LeavesOut, Locator
from poc_aug.recipe import Recipe
from poc_aug.types import Crop, Sample, Variant


class InsertionPipeline(GenerationPipeline):
    """Generates the insertions of samples.

    Args:
        recipe: what is generated.
        inserter: fills crops.
        annotator: finds masks in filled crops; not needed if the inserter knows its masks.
        locator: finds valid areas in images; ``None`` takes them from the labels.
        schema: label schema of the datasets whose own is not known; needed if the recipe names classes to stand on.
        batch_size: crops that the inserter gets at once.

    Raises:
        SettingError: a batch size below 1.
        RecipeError: an object needs a size in metres that neither recipe nor inserter knows.

    Example:
        >>> import torch
        >>> from poc_aug import InsertionPipeline, LabelSchema, Recipe, RenderedInserter
        >>> from poc_aug.types import Sample
        >>> size = {"kind": "pixels", "min_px": 12, "max_px": 16}
        >>> recipe = Recipe.from_dict({"objects": ["traffic cone"], "size": size, "camera": {"horizon": 0.2}})
        >>> pipeline = InsertionPipeline(recipe, RenderedInserter(), schema=LabelSchema("ground", {"road": 0}))
        >>> image, labels = torch.full((3, 48, 64), 128, dtype=torch.uint8), torch.zeros(48, 64, dtype=torch.uint8)
        >>> variant = pipeline.generate(Sample(image, labels, key="grey"))
        >>> [insertion.object_name for insertion in variant.insertions]
        ['traffic cone']
    """

    default_codec = "delta-zstd"

    def __init__(
        self,
        recipe: Recipe,
        inserter: Inserter,
        annotator: Annotator | None = None,
        locator: Locator | None = None,
        *,
        schema: LabelSchema | None = None,
        batch_size: int = 8,
    ) -> None:
        super().__init__(schema, batch_size)
        self.recipe = recipe
        self.inserter = inserter
        self.annotator = annotator
        self.locator = locator
        self._checked: tuple[object, ...] = ()
        check_sizes(recipe, inserter)

    def describe(self) -> dict[str, Any]:
        """JSON values of the backends: everything besides the recipe that decides what is generated."""
        backends = {
            "inserter": self.inserter.describe(),
            "annotator": self.annotator.describe() if self.annotator else None,
            "locator": self.locator.describe() if self.locator else None,
        }
        camera = self.recipe.camera
        if camera.horizon is None and camera.calibration is None:
            # Another estimator places other boxes: a cache of an older one is read, but not continued.
            backends["horizon"] = {"estimator": ESTIMATOR}
        return backends

    @property
    def recipe_json(self) -> dict[str, Any]:
        """JSON values of the recipe."""
        return self.recipe.to_dict()

    @property
    def reads_calibrations(self) -> bool:
        """Whether the recipe says ``camera: file``."""
        return self.recipe.camera.calibration == "file"

    def left_out(self) -> Mapping[str, int]:
        """What the inserter could not use from the start (cut-outs of a bank): how many, by reason."""
        return self.inserter.left_out() if isinstance(self.inserter, LeavesOut) else {}

    def unreadable(self) -> Mapping[str, str]:
        """Cut-outs that turned out to be unreadable so far: the reason, by the detail of their rejections."""
        return self.inserter.unreadable() if isinstance(self.inserter, LeavesOut) else {}

    @property
    def places(self) -> Places:
        """Where the recipe's objects may stand."""
        return Places(self.recipe, self.schema, self.locator)

    def check(self) -> None:
        """Check, before any long work, that the recipe fits the schema and the backends.

        A second call does nothing, unless one of them has been replaced.

        Raises:
            SchemaError: the recipe names a class to stand on, and the schema is unknown or does not have it.
            RecipeError: an object needs a camera, and no frame can have one; or there is no locator, and the recipe
                asks for one.
        """
        parts = (self.recipe, self.inserter, self.annotator, self.locator, self.schema)
        if self._checked and all(was is now for was, now in zip(self._checked, parts, strict=True)):
            return
        places = self.places
        places.check_locator()
        backends: tuple[object, ...] = (self.inserter, self.annotator, self.locator)
        for backend in backends:
            if isinstance(backend, ChecksRecipe):
                backend.check_recipe(self.recipe)
        for spec in self.recipe.objects:
            check_known(spec, self.recipe, self.inserter, self.schema)
            places.check_object(spec)
        self._checked = parts

    def check_sample(self, sample: Sample, *, labels_checked: bool = False) -> CheckedSample:
        """Check that a sample fits recipe and schema, see `poc_aug.generation.sample_checks.check_sample`."""
        return check_sample(sample, self.recipe, self.inserter, self.schema, labels_checked=labels_checked)

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
        """Generate the variants of many samples, batched across them.

        The inserter, the annotator and the locator run in a thread of their own, one batch running and at most one
        waiting, while this thread reads samples, searches regions and cuts insertions out. ``jobs`` is read as
        needed; at most ``3 * batch_size`` of them are held at once, and at most ``3 * batch_size + 1`` samples: the
        one read last is kept until the next is there, since its other variants may follow.

        Nothing that was generated is lost: whatever is raised, Ctrl-C included, the batch that runs is waited for, and
        all variants that are finished come out first (but for one that was being cut out when Ctrl-C came). Closing
        the generator drops them.

        Args:
            jobs: samples and numbers of their variants; a sample that has been through `check_sample` is not checked
                again. ``None`` among them: there is nothing at the moment; the jobs held so far are begun, and ``jobs``
                is asked again. (Waiting for the next one is up to ``jobs``.)
            ordered: results come in the order of the jobs; otherwise as they are finished. Before an error, those that
                are finished come in the jobs' order, skipping those that are not.
            statistics: counts and times are added to it.
            failures: if a backend raises on a crop, or on a sample's location, the variant is left out and
                (key, variant, error) appended here; ``None`` raises.
            wake: called, from another thread, whenever a batch is done: for ``jobs`` that wait.
            on_rejected: called with each attempt that places no object, and with its pictures.

        Raises:
            GenerationError: a backend raised, and ``failures`` is ``None``; or it broke its contract: another number
                of results than of crops, or results of another type.
            DatasetError: a sample is smaller than a crop of the recipe's.
            SchemaError: a sample's labels hold ids that the schema does not know.
        """
        self.check()
        statistics = statistics or Statistics()
        stages = InsertionStages(self.inserter, self.annotator, statistics)
        engine: Engine[Crop, CropOutcome, Variant] = Engine(stages, self.batch_size, statistics, failures, wake)
        insertion_jobs = InsertionJobs(self.recipe, self.inserter, self.places, on_rejected)
        return engine.run(insertion_jobs.make(jobs, statistics, engine.submit), ordered=ordered)
