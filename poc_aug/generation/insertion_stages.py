"""`InsertionStages`: what the engine does with a batch of crops: insert, then annotate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from poc_aug.errors import GenerationError, SettingError
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
        _check_results(self.inserter, filled, (Filled, Rejection), len(items))
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
        _check_results(self.annotator, annotations, (Annotation, Rejection), len(crops))
        return annotations


def _check_results(backend: object, results: object, kinds: tuple[type, ...], count: int) -> None:
    """Check a backend's contract; no single crop is to blame, so the batch is not filled again one by one."""
    if not isinstance(results, Sequence):
        problem = f"a {type(results).__name__}"
    elif len(results) != count:
        problem = f"{len(results)} results"
    else:
        wrong = sorted({type(result).__name__ for result in results if not isinstance(result, kinds)})
        if not wrong:
            return
        problem = f"results of type {', '.join(wrong)}"
    raise GenerationError(
        f"{type(backend).__name__} returned {problem} for {count} crops",
        expected=f"a list of {count}: one {' or '.join(kind.__name__ for kind in kinds)} per crop, in order",
        hint="correct the backend: a Rejection stands for what it cannot do",
    )
