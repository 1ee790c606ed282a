"""`Scene`: what all variants of one sample share, each found once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeAlias

import torch

from poc_aug.camera_model import Camera
from poc_aug.generation.places import Places
from poc_aug.generation.regions import ValidArea
from poc_aug.generation.sample_checks import CheckedSample, sample_camera
from poc_aug.generation.statistics import Statistics
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.label_digest import label_digest_of_sample

Submit: TypeAlias = Callable[..., Future[Any]]
"""Calls a function with arguments in the accelerator's thread, as `poc_aug.generation.engine.Engine.submit`."""


class Scene:
    """The camera, digests and valid areas of one sample.

    Args:
        checked: the sample.
        places: where objects may stand.
        statistics: times are added to it.
        submit: runs the locator.
    """

    def __init__(self, checked: CheckedSample, places: Places, statistics: Statistics, submit: Submit) -> None:
        self.sample = checked.sample
        self.statistics = statistics
        with statistics.stage("scene"):
            self.camera: Camera | None = checked.calibrated
            if self.camera is None:
                self.camera = sample_camera(self.sample, places.recipe.camera, places.schema)
            self.digest = digest_of_sample(self.sample)
            self.label_digest = label_digest_of_sample(self.sample, places.schema, checked=True)
        self._places = places
        self._submit = submit
        self._searches: dict[tuple[str, ...], list[Future[Any]]] = {}
        self._areas: dict[tuple[str, ...], ValidArea] = {}

    def search(self, locations: Iterable[tuple[str, ...]]) -> list[Future[Any]]:
        """Have the locator search the areas of the locations that need it.

        Returns:
            The searches under way: what `area` would wait for.
        """
        searches: list[Future[Any]] = []
        for location in locations:
            if location in self._areas or not self._places.needs_locator(location):
                continue
            if location not in self._searches:
                self._searches[location] = [self._submit(self._places.locate, self.sample, name) for name in location]
            searches += self._searches[location]
        return searches

    def area(self, location: tuple[str, ...]) -> ValidArea:
        """Where objects of a location may stand; waits for the locator if it is still searching."""
        if location not in self._areas:
            results = [future.result() for future in self.search([location])]
            with self.statistics.stage("locate"):
                area: torch.Tensor | None
                if results:
                    area = torch.stack([mask for mask, _ in results]).any(dim=0)
                else:
                    area = self._places.labelled(self.sample, location)
                self._areas[location] = ValidArea(area, self.sample.size_hw)
            # Here, since a stage has one writer; every location of the scene is waited for by its first user.
            self.statistics.seconds["locate"] += sum(seconds for _, seconds in results)
            self._searches.pop(location, None)
        return self._areas[location]
