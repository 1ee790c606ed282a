"""`InsertionJobs`: each variant of each sample as a job of the engine."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TypeAlias

import torch

from poc_aug import seeding
from poc_aug.generation.acceptance import accept
from poc_aug.generation.backend_errors import inserter_extent
from poc_aug.generation.cut_out import cut_out
from poc_aug.generation.insertion_stages import CropOutcome
from poc_aug.generation.job import Job
from poc_aug.generation.object_order import draw_objects
from poc_aug.generation.places import Places
from poc_aug.generation.regions import find_region, wanted_size
from poc_aug.generation.rejected_pictures import AttemptStages, OnRejected, RejectedAttempt
from poc_aug.generation.sample_checks import CheckedSample, check_sample
from poc_aug.generation.scene import Scene, Submit
from poc_aug.generation.shade import with_recovered_shade
from poc_aug.generation.statistics import Statistics
from poc_aug.protocols import Inserter
from poc_aug.recipe import ObjectSpec, Recipe
from poc_aug.types import Annotation, Box, Crop, Filled, Insertion, Json, Region, Rejection, Sample, Variant

InsertionJob: TypeAlias = Job[Crop, CropOutcome, Variant]

_END = object()


class InsertionJobs:
    """Makes the jobs of a recipe.

    A job draws a region, *yields* a crop, receives its outcome, and so on until its objects are placed. It sees
    nothing but its own crops and seeds, so what it produces depends neither on the batch size nor on the jobs that run
    alongside it.

    Args:
        recipe: what is generated.
        inserter: asked how large its objects are.
        places: where they may stand.
        on_rejected: called with each attempt that places no object.
    """

    def __init__(
        self, recipe: Recipe, inserter: Inserter, places: Places, on_rejected: OnRejected | None = None
    ) -> None:
        self.recipe = recipe
        self.inserter = inserter
        self.places = places
        self.on_rejected = on_rejected

    def make(
        self, samples: Iterable[tuple[Sample | CheckedSample, int] | None], statistics: Statistics, submit: Submit
    ) -> Iterator[InsertionJob | None]:
        """The jobs of variants of samples, as they are asked for.

        Args:
            samples: samples and numbers of their variants, those of one sample in a row; ``None`` is passed on.
            statistics: counts and times are added to it.
            submit: runs the locator.

        Raises:
            DatasetError, SchemaError: as in `check_sample`, for a sample that has not been checked before.
        """
        scene: Scene | None = None
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
            if scene is None or scene.sample is not (sample.sample if isinstance(sample, CheckedSample) else sample):
                scene = self._scene(sample, statistics, submit)
            objects = draw_objects(self.recipe, scene.sample.key, index)
            searches = scene.search(dict.fromkeys(self.places.location(spec) for spec in objects))
            job = Job(self._steps(scene, index, objects), scene.sample.key, index, searches)
            del item, sample  # a sample lives as long as its jobs, the last one until the next is there
            yield job

    def _scene(self, sample: Sample | CheckedSample, statistics: Statistics, submit: Submit) -> Scene:
        if isinstance(sample, Sample):
            with statistics.stage("scene"):
                sample = check_sample(sample, self.recipe, self.inserter, self.places.schema)
        return Scene(sample, self.places, statistics, submit)

    def _steps(self, scene: Scene, index: int, objects: Sequence[ObjectSpec]) -> Generator[Crop, CropOutcome, Variant]:
        """One variant of one sample."""
        key = scene.sample.key
        insertions: list[tuple[int, Insertion]] = []
        rejections: list[Rejection] = []
        occupied: list[Box] = []
        for slot, spec in enumerate(objects):
            for attempt in range(self.recipe.attempts):
                seed = seeding.derive_seed(self.recipe.seed, key, index, slot, attempt)
                origin = {"seed": seed, "slot": slot, "attempt": attempt}
                seen = AttemptStages()
                outcome = yield from self._attempt(scene, spec, origin, occupied, seen)
                scene.statistics.count(spec.name, outcome.reason if isinstance(outcome, Rejection) else None)
                if isinstance(outcome, Rejection):
                    rejections.append(Rejection(outcome.reason, spec.name, attempt, outcome.detail))
                    if self.on_rejected is not None:
                        area = scene.area(self.places.location(spec)).mask
                        self.on_rejected(RejectedAttempt(scene.sample, index, slot, rejections[-1], seen, area))
                    continue
                region, insertion = outcome
                y, _, h, _ = region.box_yxhw
                insertions.append((y + h, insertion))
                occupied.append(region.box_yxhw)
                break
            del seen  # its pictures
        # Far to near: composing in this order lets a nearer object cover a farther one's shadow.
        insertions.sort(key=lambda item: item[0])
        return Variant(
            key=key,
            index=index,
            digest=scene.digest,
            insertions=tuple(insertion for _, insertion in insertions),
            rejections=tuple(rejections),
            label_digest=scene.label_digest,
        )

    def _attempt(
        self, scene: Scene, spec: ObjectSpec, origin: dict[str, int], occupied: Sequence[Box], seen: AttemptStages
    ) -> Generator[Crop, CropOutcome, tuple[Region, Insertion] | Rejection]:
        placed = self.place(scene, spec, origin["seed"], occupied)
        if isinstance(placed, Rejection):
            if self.on_rejected is not None and placed.reason == "no room":
                seen.wanted = self._wanted(scene, spec, origin["seed"])
            return placed
        region, crop = placed
        seen.crop = crop
        outcome = yield crop
        if isinstance(outcome, Rejection):
            return outcome
        filled, annotation = outcome
        seen.filled = filled
        if isinstance(annotation, Rejection):
            return annotation
        seen.annotation = annotation
        with scene.statistics.stage("cut out"):
            return self._cut_out(scene, region, crop, filled, annotation, origin)

    def place(
        self, scene: Scene, spec: ObjectSpec, seed: int, occupied: Sequence[Box]
    ) -> tuple[Region, Crop] | Rejection:
        """Where an attempt's object goes, and the crop around it."""
        rng = seeding.generator(seed, "region")
        prompt = spec.prompts[seeding.integer(rng, 0, len(spec.prompts))]
        area = scene.area(self.places.location(spec))
        with scene.statistics.stage("region"):
            extent = inserter_extent(self.inserter, scene.sample.key, spec.name, seed)
            if isinstance(extent, Rejection):
                return extent
            region = find_region(area, spec, self.recipe, rng, camera=scene.camera, extent=extent, occupied=occupied)
            if isinstance(region, Rejection):
                return region
            return region, _crop(scene.sample, region, spec, self.recipe, prompt, seed)

    def _wanted(self, scene: Scene, spec: ObjectSpec, seed: int) -> str:
        """The size that `place` found no room for."""
        extent = inserter_extent(self.inserter, scene.sample.key, spec.name, seed)
        if isinstance(extent, Rejection):
            return ""
        rng = seeding.generator(seed, "region")
        seeding.integer(rng, 0, len(spec.prompts))  # the prompt
        return wanted_size(scene.sample.size_hw, spec, self.recipe, rng, extent=extent)

    def _cut_out(
        self,
        scene: Scene,
        region: Region,
        crop: Crop,
        filled: Filled,
        annotation: Annotation,
        origin: dict[str, int],
    ) -> tuple[Region, Insertion] | Rejection:
        parts = accept(self.recipe, crop, annotation)
        if isinstance(parts, Rejection):
            return parts
        provenance: dict[str, Json] = {
            **origin,
            "prompt": crop.prompt,
            "rung": region.rung,
            "box_yxhw": list(region.box_yxhw),
            "crop_yxhw": list(region.crop_yxhw),
            "horizon_row": None if scene.camera is None else round(scene.camera.horizon_row, 2),
            "horizon_from": None if scene.camera is None else scene.camera.horizon_from,
        }
        filled = with_recovered_shade(self.recipe, crop, filled, parts)
        return region, cut_out(self.recipe, region, crop, filled, parts, provenance)


def _crop(sample: Sample, region: Region, spec: ObjectSpec, recipe: Recipe, prompt: str, seed: int) -> Crop:
    top, left, height, width = region.crop_yxhw
    y, x, h, w = region.box_yxhw
    return Crop(
        image=sample.image[:, top : top + height, left : left + width].clone(memory_format=torch.contiguous_format),
        box_yxhw=(y - top, x - left, h, w),
        object_name=spec.name,
        prompt=recipe.prompt_template.replace("{object}", prompt),
        object_prompt=prompt,
        parts=spec.parts,
        seed=seed,
        camera=None if region.camera is None else region.camera.shifted(top, left),
        detect=spec.detect,
        passes=recipe.passes,
    )
