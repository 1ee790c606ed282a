"""`InsertionStages`: what the engine does with a batch of crops: insert, then annotate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from poc_aug.errors import SettingError
from poc_aug.generation.result_checks import check_results
from poc_aug.generation.statistics import Statistics
from poc_aug.protocols import Annotator, Inserter
from poc_aug.types import Annotation, Crop, Filled, Rejection

CropOutcome: TypeAlias = "tuple[Filled, Annotation | Rejection] | Rejection"
"""What became of a crop: how it was filled, with the masks or why there are none; or why it was not filled."""


class InsertionStages:
    """Fills crops and finds the masks of what was inserted.

    Args:
        inserter: fills crops.
        annotator: finds masks; not needed if the inserter knows them.
        statistics: times and batches are added to it.
    """

    def __init__(self, inserter: Inserter, annotator: Annotator | None, statistics: Statistics) -> None:
        self.inserter = inserter
        self.annotator = annotator
        self.statistics = statistics

    def subject(self, key: str, item: Crop) -> str:
        """How error reports name a crop of the sample ``key``."""
        return f"sample {key!r}, object {item.object_name!r}, prompt {item.prompt!r}, seed {item.seed}"

    def process(self, items: Sequence[Crop]) -> list[CropOutcome]:
        """Insert into and annotate one batch of crops.

        Raises:
            GenerationError: a backend broke its contract.
            SettingError: the inserter does not know its masks, and there is no annotator.
        """
        self.statistics.batches[len(items)] += 1
        with self.statistics.stage("insert"):
            filled = self.inserter.insert(items)
        check_results(self.inserter, filled, (Filled, Rejection), items)
        outcomes: list[CropOutcome | None] = [None] * len(items)
        unmasked: list[int] = []
        for i, result in enumerate(filled):
            if isinstance(result, Rejection):
                outcomes[i] = result
            elif result.annotation is not None:
                outcomes[i] = (result, result.annotation)
            else:
                unmasked.append(i)
        if unmasked:
            pictures = [result for i in unmasked if isinstance(result := filled[i], Filled)]
            annotations = self._annotate([items[i] for i in unmasked], pictures)
            for i, picture, annotation in zip(unmasked, pictures, annotations, strict=True):
                outcomes[i] = picture, annotation
        return [outcome for outcome in outcomes if outcome is not None]

    def _annotate(self, crops: Sequence[Crop], pictures: Sequence[Filled]) -> list[Annotation | Rejection]:
        if self.annotator is None:
            raise SettingError(
                f"{type(self.inserter).__name__} does not know the masks of what it inserts",
                expected="an annotator",
                hint="InsertionPipeline(recipe, inserter, annotator=...)",
                command="--annotator transformers, grounded-sam, sam3 or package.module:callable",
            )
        with self.statistics.stage("annotate"):
            annotations = self.annotator.annotate(crops, pictures)
        check_results(self.annotator, annotations, (Annotation, Rejection), crops)
        return annotations
