"""`InsertionPipeline`: the only place where the stages meet.

Each ``(sample, variant)`` is a job, written as a coroutine: it draws a region, *yields* a crop, receives what became
of it, and so on until its objects are placed. The engine runs many jobs at once, collects their crops into
batches for the inserter and the annotator, and sends the results back. A job sees nothing but its own crops
and seeds, so what it produces does not depend on batch size or on which other jobs run beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import torch

from poc_aug import seeding
from poc_aug.camera import ESTIMATOR, check_known, check_shape, find_camera
from poc_aug.camera_model import Camera
from poc_aug.errors import CalibrationError, DatasetError, GenerationError, RecipeError, SchemaError, SettingError
from poc_aug.generation.blame import extent_of
from poc_aug.generation.engine import Engine, Job, Outcome
from poc_aug.generation.insertions import accept, cut_out
from poc_aug.generation.object_order import draw_objects
from poc_aug.generation.recipe_checks import check_sizes, no_place
from poc_aug.generation.regions import ValidArea, find_region
from poc_aug.generation.scene import Locate, Scene
from poc_aug.generation.shade import with_recovered_shade
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Annotator, ChecksRecipe, Inserter, Locator
from poc_aug.recipe import ObjectSpec, Recipe, fingerprint
from poc_aug.types import Annotation, Box, Crop, Filled, Insertion, Json, Region, Rejection, Sample, Variant


class InsertionPipeline:
    """Generates the insertions of samples.

    Args:
        recipe: what is generated.
        inserter: fills crops.
        annotator: finds masks in filled crops; not needed where the inserter knows its masks.
        locator: finds valid areas in images; ``None`` takes them from the labels.
        schema: label schema of the datasets whose own is not known; needed if the recipe names classes to stand on.
        batch_size: crops that the inserter gets at once.

    Raises:
        RecipeError: an object needs a size in metres that neither recipe nor inserter knows.
    """

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
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size}", expected="at least 1")
        self.recipe = recipe
        self.inserter = inserter
        self.annotator = annotator
        self.locator = locator
        self.schema = schema
        self.batch_size = batch_size
        check_sizes(recipe, inserter)

    def describe(self) -> dict[str, Any]:
        """JSON values of the backends: everything beside the recipe that decides what is generated."""
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
    def fingerprint(self) -> str:
        """Hash of recipe and backends: equal fingerprints generate equal insertions."""
        return fingerprint({"recipe": self.recipe.to_dict(), **self.describe()})

    def with_schema(self, schema: LabelSchema | None) -> InsertionPipeline:
        """The same pipeline for a dataset of another label schema."""
        return InsertionPipeline(
            self.recipe,
            self.inserter,
            self.annotator,
            self.locator,
            schema=schema,
            batch_size=self.batch_size,
        )

    def for_dataset(self, schema: LabelSchema | None) -> InsertionPipeline:
        """The pipeline for a dataset whose schema is ``schema``; if that is not known, its own schema counts."""
        return self if schema is None else self.with_schema(schema)

    def check(self) -> None:
        """Check, before any long work, that the recipe fits the schema.

        Raises:
            SchemaError: the recipe names a class to stand on, and the schema is unknown or does not have it.
            RecipeError: an object needs a camera, and no frame can have one.
        """
        if self.recipe.locate_by == "locator" and self.locator is None:
            raise RecipeError(
                "locate_by='locator', and there is no locator",
                expected="a locator, which finds places without labels",
                hint="give one, InsertionPipeline(..., locator=...), or locate_by: labels",
                command="--backend diffusion with an annotator, or --locator package.module:callable; or leave "
                "locate_by out",
            )
        backends: tuple[object, ...] = (self.inserter, self.annotator, self.locator)
        for backend in backends:
            if isinstance(backend, ChecksRecipe):
                backend.check_recipe(self.recipe)
        for spec in self.recipe.objects:
            check_known(spec, self.recipe, self.inserter, self.schema)
            location = self._location(spec)
            if not location or not self._by_labels(location):
                continue
            if self.schema is None:
                raise SchemaError(
                    f"object {spec.name!r} stands on {list(location)}, and the dataset's label schema is not known",
                    expected="a schema that says which label ids these classes have",
                    hint="pass schema=, or a locator, or location=() for anywhere",
                    command="--schema NAME|FILE.yaml, or --location anywhere",
                )
            for name in _classes(location):
                if not self.schema.has(name):
                    raise no_place(spec.name, name, self.schema)

    def generate(self, sample: Sample, variant: int = 0) -> Variant:
        """The insertions of one variant of one sample: a pure function of (recipe, backends, sample, variant)."""
        return next(self.run([(sample, variant)]))

    def run(
        self,
        jobs: Iterable[tuple[Sample, int] | None],
        *,
        ordered: bool = True,
        statistics: Statistics | None = None,
        failures: list[tuple[str, int, GenerationError]] | None = None,
        wake: Callable[[], None] | None = None,
    ) -> Generator[Variant, None, None]:
        """Generate the variants of many samples, batched across them.

        The inserter, the annotator and the locator run in a thread of their own, one batch running and at most one
        waiting, while this one reads samples, searches regions and cuts insertions out. ``jobs`` is read as it is
        needed; at most ``3 * batch_size`` of them are held at once, and at most ``3 * batch_size + 1`` samples: the
        one read last is kept until the next is there, since its other variants may follow.

        Nothing that was generated is lost: whatever is raised, Ctrl-C included, the batch that runs is waited for, and
        all variants that are finished come out first (but for the one that Ctrl-C found being cut out). Closing the
        generator drops them.

        Args:
            jobs: samples and variants. ``None`` among them: there is nothing at the moment; what is there is
                begun, and asked again. (Waiting for a job to come is up to ``jobs``.)
            ordered: results come in the order of the jobs; else as they are finished. Before an error, those that are
                finished come in the jobs' order, without those between that are not.
            statistics: counts and times are added to it.
            failures: where a backend raises on a crop, or on a sample's location, the variant is left out and
                (key, variant, error) appended here; ``None`` raises.
            wake: called, from another thread, whenever a batch is done: for ``jobs`` that wait.

        Raises:
            GenerationError: a backend raised, and ``failures`` is ``None``; or it broke its contract: another number
                of results than of crops, or results of another type.
            DatasetError: a sample that is smaller than a crop of the recipe's.
            SchemaError: a sample's labels hold ids that the schema does not know.
        """
        self.check()
        return Engine(self, statistics or Statistics(), failures, wake).run(jobs, ordered=ordered)

    def check_sample(self, sample: Sample) -> None:
        """Check that a sample fits recipe and schema.

        Raises:
            SchemaError: its labels hold ids that the schema does not know.
            DatasetError: it is smaller than the crop of one of the recipe's objects, or has not the shape of the frames
                whose camera alone tells its horizon.
            CalibrationError: ``camera: file``, and its calibration is not there, or is of other frames.
        """
        if self.schema is not None:
            self.schema.check(sample.labels, sample.key)
        if self.recipe.camera.calibration is not None:
            self.camera(sample)
        check_shape(sample, self.recipe, self.inserter, self.schema)
        height, width = sample.size_hw
        for spec in self.recipe.objects:
            if spec.crop_px is not None and spec.crop_px > min(height, width):
                raise DatasetError(
                    f"sample {sample.key!r} is {height}x{width} pixels (h x w), smaller than the crop of object "
                    f"{spec.name!r}: crop_px={spec.crop_px}",
                    expected=f"samples of at least {spec.crop_px}x{spec.crop_px} pixels",
                    hint=f"set crop_px to {min(height, width)} or less in the recipe, or to null: crops by crop_scale",
                )

    def camera(self, sample: Sample) -> Camera | None:
        """The camera of a sample, see `poc_aug.camera`; ``None`` where nothing tells its horizon.

        Raises:
            CalibrationError: as in `check_sample`, with the sample's key.
        """
        try:
            return find_camera(self.recipe.camera, sample.labels, self.schema, sample.calibration)
        except CalibrationError as error:
            problem = f"sample {sample.key!r}: {error.problem}"
            raise CalibrationError(problem, expected=error.expected, hint=error.hint, command=error.command) from error

    def scene(self, sample: Sample, statistics: Statistics, locate: Locate) -> Scene:
        """What the variants of a sample share."""
        return Scene(self, sample, statistics, locate)

    def job(self, scene: Scene, index: int) -> Job:
        """One variant of one sample, as a coroutine that yields crops and is sent what became of them."""
        sample = scene.sample
        insertions: list[tuple[int, Insertion]] = []
        rejections: list[Rejection] = []
        occupied: list[Box] = []
        for slot, spec in enumerate(draw_objects(self.recipe, sample.key, index)):
            for attempt in range(self.recipe.attempts):
                seed = seeding.derive_seed(self.recipe.seed, sample.key, index, slot, attempt)
                made = {"seed": seed, "slot": slot, "attempt": attempt}
                outcome = yield from self._attempt(scene, spec, made, occupied)
                scene.statistics.count(spec.name, outcome.reason if isinstance(outcome, Rejection) else None)
                if isinstance(outcome, Rejection):
                    rejections.append(Rejection(outcome.reason, spec.name, attempt, outcome.detail))
                    continue
                region, insertion = outcome
                y, _, h, _ = region.box_yxhw
                insertions.append((y + h, insertion))
                occupied.append(region.box_yxhw)
                break
        # Far to near: composing in this order lets a nearer object cover a farther one's shadow.
        insertions.sort(key=lambda item: item[0])
        return Variant(
            key=sample.key,
            index=index,
            digest=scene.digest,
            insertions=tuple(insertion for _, insertion in insertions),
            rejections=tuple(rejections),
            label_digest=scene.label_digest,
        )

    def _attempt(
        self,
        scene: Scene,
        spec: ObjectSpec,
        made: dict[str, int],
        occupied: Sequence[Box],
    ) -> Generator[Crop, Outcome, tuple[Region, Insertion] | Rejection]:
        placed = self._place(scene, spec, made["seed"], occupied)
        if isinstance(placed, Rejection):
            return placed
        region, crop = placed
        outcome = yield crop
        if isinstance(outcome, Rejection):
            return outcome
        filled, annotation = outcome
        with scene.statistics.stage("cut out"):
            return self._cut_out(scene, region, crop, filled, annotation, made)

    def _place(
        self, scene: Scene, spec: ObjectSpec, seed: int, occupied: Sequence[Box]
    ) -> tuple[Region, Crop] | Rejection:
        """Where an attempt's object goes, and the crop around it."""
        rng = seeding.generator(seed, "region")
        drawn = spec.prompts[seeding.integer(rng, 0, len(spec.prompts))]
        area = scene.area(self._location(spec))
        with scene.statistics.stage("region"):
            extent = extent_of(self.inserter, scene.sample.key, spec.name, seed)
            if isinstance(extent, Rejection):
                return extent
            region = find_region(
                area,
                spec,
                self.recipe,
                rng,
                camera=scene.camera,
                extent=extent,
                occupied=occupied,
            )
            if isinstance(region, Rejection):
                return region
            return region, _crop(scene.sample, region, spec, self.recipe, drawn, seed)

    def _cut_out(
        self,
        scene: Scene,
        region: Region,
        crop: Crop,
        filled: Filled,
        annotation: Annotation,
        made: dict[str, int],
    ) -> tuple[Region, Insertion] | Rejection:
        parts = accept(self.recipe, crop, annotation)
        if isinstance(parts, Rejection):
            return parts
        provenance: dict[str, Json] = {
            **made,
            "prompt": crop.prompt,
            "rung": region.rung,
            "box_yxhw": list(region.box_yxhw),
            "crop_yxhw": list(region.crop_yxhw),
            "horizon_row": None if scene.camera is None else round(scene.camera.horizon_row, 2),
            "horizon_from": None if scene.camera is None else scene.camera.horizon_from,
        }
        filled = with_recovered_shade(self.recipe, crop, filled, parts)
        return region, cut_out(self.recipe, region, crop, filled, parts, provenance)

    def _location(self, spec: ObjectSpec) -> tuple[str, ...]:
        return self.recipe.location if spec.location is None else spec.location

    def locations(self, key: str, index: int) -> list[tuple[str, ...]]:
        """Where the objects of a variant stand, each place once."""
        return list(dict.fromkeys(self._location(spec) for spec in draw_objects(self.recipe, key, index)))

    def needs_locator(self, location: tuple[str, ...]) -> bool:
        """Whether a locator has to find the valid area of a location."""
        return bool(location) and not self._by_labels(location)

    def locate(self, sample: Sample, name: str) -> torch.Tensor:
        """What the locator finds for one name of a location, bool ``[H, W]``.

        Raises:
            GenerationError: what it returns is no mask of the sample's size.
        """
        assert self.locator is not None  # `check` has run
        found = self.locator.locate(sample, name)
        if found.dtype != torch.bool or found.shape != sample.size_hw:
            raise GenerationError(
                f"{type(self.locator).__name__} returned {found.dtype} {list(found.shape)} for {name!r} in sample "
                f"{sample.key!r}",
                expected=f"torch.bool {list(sample.size_hw)}",
                hint="correct the locator",
            )
        return found

    def valid_area(self, sample: Sample, location: tuple[str, ...]) -> ValidArea:
        """Where objects of a location may stand in a sample; an empty location is anywhere."""
        if not location:
            return ValidArea(None, sample.size_hw)
        if self.needs_locator(location):
            found = [self.locate(sample, name) for name in location]
            return ValidArea(torch.stack(found).any(dim=0), sample.size_hw)
        assert self.schema is not None  # `check` has run
        return ValidArea(self.schema.mask(sample.labels, _classes(location)), sample.size_hw)

    def _by_labels(self, location: tuple[str, ...]) -> bool:
        """Whether a location is read from the labels."""
        if self.recipe.locate_by != "auto" or self.locator is None:
            return self.recipe.locate_by != "locator"
        return self.schema is not None and all(self.schema.has(name) for name in _classes(location))


def _classes(location: tuple[str, ...]) -> tuple[str, ...]:
    """Class names: "the road" is the class "road"."""
    return tuple(name[4:] if name.lower().startswith("the ") else name for name in location)


def _crop(sample: Sample, region: Region, spec: ObjectSpec, recipe: Recipe, drawn: str, seed: int) -> Crop:
    top, left, height, width = region.crop_yxhw
    y, x, h, w = region.box_yxhw
    return Crop(
        image=sample.image[:, top : top + height, left : left + width].clone(memory_format=torch.contiguous_format),
        box_yxhw=(y - top, x - left, h, w),
        object_name=spec.name,
        prompt=recipe.prompt_template.replace("{object}", drawn),
        object_prompt=drawn,
        parts=spec.parts,
        seed=seed,
        camera=None if region.camera is None else region.camera.shifted(top, left),
        detect=spec.detect,
        passes=recipe.passes,
    )
