"""`InsertionPipeline`: the only place where the stages meet.

Each ``(sample, variant)`` is a job, written as a coroutine: it draws a region, *yields* a crop, receives what became
of it, and so on until its objects are placed. The engine runs many jobs at once, collects their crops into
batches for the inserter and the annotator, and sends the results back. A job sees nothing but its own crops
and seeds, so what it produces does not depend on batch size or on which other jobs run beside it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import torch

from poc_aug import seeding
from poc_aug.digest import digest_of_sample
from poc_aug.engine import Call, Engine, Job, Outcome
from poc_aug.errors import GenerationError, RecipeError, SchemaError
from poc_aug.insertions import accept, cut_out
from poc_aug.perspective import camera_of
from poc_aug.recipe import ObjectSpec, PerspectiveSize, Recipe, fingerprint
from poc_aug.regions import ValidArea, find_region
from poc_aug.schema import LabelSchema
from poc_aug.statistics import Statistics
from poc_aug.types import (
    Annotation,
    Annotator,
    Box,
    ChecksRecipe,
    Crop,
    Filled,
    Inserter,
    Insertion,
    Json,
    Locator,
    Perspective,
    Region,
    Rejection,
    Sample,
    Variant,
)


class InsertionPipeline:
    """Generates the insertions of samples.

    Args:
        recipe: what is generated.
        inserter: fills crops.
        annotator: finds masks in filled crops; not needed where the inserter knows its masks.
        locator: finds valid areas in images; ``None`` takes them from the labels.
        schema: the dataset's label schema; needed where the recipe names classes to stand on.
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
            raise RecipeError(f"batch_size={batch_size}", expected="at least 1")
        self.recipe = recipe
        self.inserter = inserter
        self.annotator = annotator
        self.locator = locator
        self.schema = schema
        self.batch_size = batch_size
        _check_sizes(recipe, inserter)

    def describe(self) -> dict[str, Any]:
        """JSON values of the backends: everything beside the recipe that decides what is generated."""
        return {
            "inserter": self.inserter.describe(),
            "annotator": self.annotator.describe() if self.annotator else None,
            "locator": self.locator.describe() if self.locator else None,
        }

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

    def check(self) -> None:
        """Check, before any long work, that the recipe fits the schema.

        Raises:
            SchemaError: the recipe names a class to stand on, and the schema is unknown or does not have it.
            RecipeError: an object needs a camera, and no frame can have one.
        """
        if self.recipe.locate_by == "locator" and self.locator is None:
            raise RecipeError(
                "locate_by='locator', and there is no locator",
                expected="InsertionPipeline(..., locator=...)",
                hint="give one, or locate_by: labels",
            )
        backends: tuple[object, ...] = (self.inserter, self.annotator, self.locator)
        for backend in backends:
            if isinstance(backend, ChecksRecipe):
                backend.check_recipe(self.recipe)
        for spec in self.recipe.objects:
            self._check_camera(spec)
            location = self._location(spec)
            if not location or not self._by_labels(location):
                continue
            if self.schema is None:
                raise SchemaError(
                    f"object {spec.name!r} stands on {list(location)}, and the dataset's label schema is not known",
                    expected="a schema that says which label ids these classes have",
                    hint="pass schema= (or --schema NAME|FILE), or a locator, or location=() for anywhere",
                )
            for name in _classes(location):
                self.schema.id_of(name)

    def _check_camera(self, spec: ObjectSpec) -> None:
        needed = self.inserter.needs_perspective or isinstance(spec.size or self.recipe.size, PerspectiveSize)
        estimated = self.schema is not None and bool(self.schema.ground)
        if needed and self.recipe.camera.horizon is None and not estimated:
            name = self.schema.name if self.schema else "unknown"
            raise RecipeError(
                f"object {spec.name!r} needs a horizon, which the recipe does not give, and schema {name!r} names no "
                "ground classes to estimate it from",
                expected="camera.horizon in the recipe, or a schema with ground classes",
                hint="set camera: {horizon: 0.45}, or ground: [road] in the schema, or sizes of kind pixels or frame",
            )

    def generate(self, sample: Sample, variant: int = 0) -> Variant:
        """The insertions of one variant of one sample: a pure function of (recipe, backends, sample, variant)."""
        return next(self.run([(sample, variant)]))

    def run(
        self,
        jobs: Iterable[tuple[Sample, int]],
        *,
        ordered: bool = True,
        statistics: Statistics | None = None,
        failures: list[tuple[str, int, GenerationError]] | None = None,
    ) -> Iterator[Variant]:
        """Generate the variants of many samples, batched across them.

        The inserter and the annotator run in a thread of their own, one batch running and at most one waiting, while
        this one reads samples, searches regions and cuts insertions out. ``jobs`` is read as it is needed; at most
        ``3 * batch_size`` of them, and so at most that many samples, are held at once.

        Args:
            jobs: samples and variants.
            ordered: results come in the order of the jobs; else as they are finished.
            statistics: counts and times are added to it.
            failures: where a backend raises on a crop, its variant is left out and (key, variant, error) appended
                here; ``None`` raises.

        Raises:
            GenerationError: a backend raised on a crop, and ``failures`` is ``None``.
        """
        self.check()
        return Engine(self, statistics or Statistics(), failures).run(jobs, ordered=ordered)

    def scene(self, sample: Sample, statistics: Statistics, call: Call) -> Scene:
        """What the variants of a sample share."""
        return Scene(self, sample, statistics, call)

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
        )

    def _attempt(
        self,
        scene: Scene,
        spec: ObjectSpec,
        made: dict[str, int],
        occupied: Sequence[Box],
    ) -> Generator[Crop, Outcome, tuple[Region, Insertion] | Rejection]:
        seed = made["seed"]
        rng = seeding.generator(seed, "region")
        drawn = spec.prompts[seeding.integer(rng, 0, len(spec.prompts))]
        area = scene.area(self._location(spec))
        with scene.statistics.stage("region"):
            region = find_region(
                area,
                spec,
                self.recipe,
                rng,
                perspective=scene.view,
                extent=self.inserter.extent(spec.name, seed),
                occupied=occupied,
            )
        if isinstance(region, Rejection):
            return region
        crop = _crop(scene.sample, region, spec, self.recipe, drawn, seed)
        outcome = yield crop
        if isinstance(outcome, Rejection):
            return outcome
        filled, annotation = outcome
        with scene.statistics.stage("cut out"):
            return self._cut_out(scene, region, crop, filled, annotation, made)

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
            "horizon_row": None if scene.view is None else round(scene.view.horizon_row, 2),
        }
        return region, cut_out(self.recipe, region, crop, filled, parts, provenance)

    def _location(self, spec: ObjectSpec) -> tuple[str, ...]:
        return self.recipe.location if spec.location is None else spec.location

    def valid_area(self, sample: Sample, location: tuple[str, ...], call: Call | None = None) -> ValidArea:
        """Where objects of a location may stand in a sample; an empty location is anywhere.

        Args:
            sample: the sample.
            location: class names.
            call: runs the locator (the engine gives its accelerator's thread); ``None``: here.
        """
        if not location:
            return ValidArea(None, sample.size_hw)
        if self._by_labels(location):
            assert self.schema is not None  # `check` has run
            return ValidArea(self.schema.mask(sample.labels, _classes(location)), sample.size_hw)
        assert self.locator is not None  # `check` has run
        locate = self.locator.locate
        found = [locate(sample, name) if call is None else call(locate, sample, name) for name in location]
        return ValidArea(torch.stack(found).any(dim=0), sample.size_hw)

    def _by_labels(self, location: tuple[str, ...]) -> bool:
        """Whether a location is read from the labels."""
        if self.recipe.locate_by != "auto" or self.locator is None:
            return self.recipe.locate_by != "locator"
        return self.schema is not None and all(self.schema.has(name) for name in _classes(location))


def _classes(location: tuple[str, ...]) -> tuple[str, ...]:
    """Class names: "the road" is the class "road"."""
    return tuple(name[4:] if name.lower().startswith("the ") else name for name in location)


class Scene:
    """What all variants of one sample share: its camera, digest and valid areas, each found once."""

    def __init__(self, pipeline: InsertionPipeline, sample: Sample, statistics: Statistics, call: Call) -> None:
        if pipeline.schema is not None:
            pipeline.schema.check(sample.labels, sample.key)
        self.pipeline = pipeline
        self.sample = sample
        self.statistics = statistics
        self.call = call
        self.view: Perspective | None = camera_of(pipeline.recipe.camera, sample.labels, pipeline.schema)
        self.digest = digest_of_sample(sample)
        self._areas: dict[tuple[str, ...], ValidArea] = {}

    def area(self, location: tuple[str, ...]) -> ValidArea:
        """Where objects of a location may stand."""
        if location not in self._areas:
            with self.statistics.stage("locate"):
                self._areas[location] = self.pipeline.valid_area(self.sample, location, self.call)
        return self._areas[location]


def draw_objects(recipe: Recipe, key: str, index: int) -> list[ObjectSpec]:
    """The objects of variant ``index``, drawn without replacement over a sample's variants (POC §3.2).

    The variants share one endless sequence of objects, shuffled anew whenever each has come once.
    """
    low, high = recipe.objects_per_variant

    def count(k: int) -> int:
        return seeding.integer(seeding.generator(recipe.seed, key, k, "count"), low, high + 1)

    first = sum(count(k) for k in range(index))
    total = len(recipe.objects)
    drawn = []
    for position in range(first, first + count(index)):
        cycle, place = divmod(position, total)
        order = torch.randperm(total, generator=seeding.generator(recipe.seed, key, "objects", cycle))
        drawn.append(recipe.objects[int(order[place])])
    return drawn


def _crop(sample: Sample, region: Region, spec: ObjectSpec, recipe: Recipe, drawn: str, seed: int) -> Crop:
    top, left, height, width = region.crop_yxhw
    y, x, h, w = region.box_yxhw
    return Crop(
        image=sample.image[:, top : top + height, left : left + width].clone(),
        box_yxhw=(y - top, x - left, h, w),
        object_name=spec.name,
        prompt=recipe.prompt_template.replace("{object}", drawn),
        object_prompt=drawn,
        parts=spec.parts,
        seed=seed,
        perspective=None if region.perspective is None else region.perspective.shifted(top, left),
        detect=spec.detect,
        passes=recipe.passes,
    )


def _check_sizes(recipe: Recipe, inserter: Inserter) -> None:
    for spec in recipe.objects:
        rule = spec.size or recipe.size
        if isinstance(rule, PerspectiveSize) and rule.size_m is None:
            extent = inserter.extent(spec.name, 0)
            if extent is None or extent.height_m is None:
                raise RecipeError(
                    f"object {spec.name!r} has a perspective size without size_m, and "
                    f"{type(inserter).__name__} does not know its real size",
                    expected="a size in metres",
                    hint=f"ObjectSpec(name={spec.name!r}, size=PerspectiveSize(size_m=0.6))",
                )
