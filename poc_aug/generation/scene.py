"""`Scene`: what all variants of one sample share, each found once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

import torch

from poc_aug.camera_model import Camera
from poc_aug.generation.regions import ValidArea
from poc_aug.generation.statistics import Statistics
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.label_digest import label_digest_of_sample
from poc_aug.types import Sample

if TYPE_CHECKING:
    from poc_aug.generation.pipeline import InsertionPipeline

Found: TypeAlias = "Future[tuple[torch.Tensor, float]]"
"""A valid area, bool ``[H, W]``, and the seconds that it took, once they are there."""

Locate: TypeAlias = Callable[[Sample, str], Found]


class Scene:
    """The camera, digests and valid areas of one sample.

    Args:
        pipeline: says where areas come from.
        sample: the sample.
        statistics: times are added to it.
        locate: starts the locator on a sample and a location.

    Raises:
        SchemaError: the sample's labels hold ids that the schema does not know.
        DatasetError: the sample is smaller than a crop of the recipe's, or its camera's calibration does not fit.
    """

    def __init__(self, pipeline: InsertionPipeline, sample: Sample, statistics: Statistics, locate: Locate) -> None:
        self.pipeline = pipeline
        self.sample = sample
        self.statistics = statistics
        with statistics.stage("scene"):
            pipeline.check_sample(sample)
            self.camera: Camera | None = pipeline.camera(sample)
            self.digest = digest_of_sample(sample)
            self.label_digest = label_digest_of_sample(sample, pipeline.schema)
        self._locate = locate
        self._found: dict[tuple[str, ...], tuple[Found, ...]] = {}
        self._areas: dict[tuple[str, ...], ValidArea] = {}

    def search(self, locations: Iterable[tuple[str, ...]]) -> list[Found]:
        """Start to find the areas of some locations, those that a locator has to find.

        Returns:
            What `area` would wait for.
        """
        searched: list[Found] = []
        for location in locations:
            if location in self._areas or not self.pipeline.needs_locator(location):
                continue
            if location not in self._found:
                self._found[location] = tuple(self._locate(self.sample, name) for name in location)
            searched += self._found[location]
        return searched

    def area(self, location: tuple[str, ...]) -> ValidArea:
        """Where objects of a location may stand; waits for the locator where that is still searching."""
        if location not in self._areas:
            found = [future.result() for future in self.search([location])]
            with self.statistics.stage("locate"):
                if found:
                    mask = torch.stack([mask for mask, _ in found]).any(dim=0)
                    self._areas[location] = ValidArea(mask, self.sample.size_hw)
                else:
                    self._areas[location] = self.pipeline.valid_area(self.sample, location)
            # Here, since a stage has one writer; every location of the scene is waited for by its first user.
            self.statistics.seconds["locate"] += sum(seconds for _, seconds in found)
            self._found.pop(location, None)
        return self._areas[location]
