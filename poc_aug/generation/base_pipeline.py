"""`GenerationPipeline`: what fills a cache, whatever it makes: insertions, or whole frames in other domains."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from poc_aug.errors import GenerationError, SettingError
from poc_aug.generation.engine import Failure
from poc_aug.generation.sample_checks import CheckedSample
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import fingerprint
from poc_aug.types import Sample, Variant

if TYPE_CHECKING:
    from poc_aug.cache import Codec
    from poc_aug.generation.rejected_pictures import OnRejected

_PipelineT = TypeVar("_PipelineT", bound="GenerationPipeline")


class GenerationPipeline(ABC):
    """A recipe and backends together, and what they generate; see `InsertionPipeline` and `ShiftPipeline`.

    The job that fills a cache, live generation and reading use nothing else of it.

    Args:
        schema: label schema of the datasets whose own is not known.
        batch_size: work items that a backend gets at once.

    Raises:
        SettingError: a batch size below 1.
    """

    default_codec: Codec
    """How a new cache stores what this pipeline makes, unless another codec is asked for."""

    def __init__(self, schema: LabelSchema | None, batch_size: int) -> None:
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size}", expected="at least 1")
        self.schema = schema
        self.batch_size = batch_size

    @property
    @abstractmethod
    def recipe_json(self) -> dict[str, Any]:
        """JSON values of the recipe, as a cache's manifest holds them."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """JSON values of the backends: everything besides the recipe that decides what is generated."""

    @property
    def fingerprint(self) -> str:
        """Hash of recipe and backends: equal fingerprints generate equal variants."""
        return fingerprint({"recipe": self.recipe_json, **self.describe()})

    @property
    @abstractmethod
    def reads_calibrations(self) -> bool:
        """Whether the frames' cameras come from calibration files."""

    def with_schema(self: _PipelineT, schema: LabelSchema | None) -> _PipelineT:
        """The same pipeline for a dataset of another label schema."""
        other = copy.copy(self)  # what was checked of recipe and backends does not depend on the schema
        other.schema = schema
        return other

    def for_dataset(self: _PipelineT, schema: LabelSchema | None) -> _PipelineT:
        """The pipeline for a dataset whose schema is ``schema``; if that is not known, its own schema counts."""
        return self if schema is None else self.with_schema(schema)

    @abstractmethod
    def check(self) -> None:
        """Check, before any long work, that the recipe fits the schema and the backends.

        Raises:
            PocAugError: it does not.
        """

    @abstractmethod
    def check_sample(self, sample: Sample, *, labels_checked: bool = False) -> CheckedSample:
        """Check that a sample fits recipe and schema.

        Raises:
            PocAugError: it does not; a `DatasetError` if other samples may.
        """

    def left_out(self) -> Mapping[str, int]:
        """What the backends could not use from the start: how many, by reason."""
        return {}

    def unreadable(self) -> Mapping[str, str]:
        """Cut-outs that turned out to be unreadable so far: the reason, by their name."""
        return {}

    def generate(self, sample: Sample, variant: int = 0) -> Variant:
        """One variant of one sample: a pure function of (recipe, backends, sample, variant)."""
        return next(self.run([(sample, variant)]))

    @abstractmethod
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
        """Generate the variants of many samples, batched across them; see `InsertionPipeline.run`."""


def built_pipeline(make: Callable[[], GenerationPipeline]) -> GenerationPipeline:
    """The pipeline that a function without arguments builds.

    Raises:
        GenerationError: it returned something else.
    """
    pipeline = make()
    if not isinstance(pipeline, GenerationPipeline):
        raise GenerationError(
            f"pipeline={make!r} returned a {type(pipeline).__name__}",
            expected="a function without arguments that returns an InsertionPipeline or a ShiftPipeline",
        )
    return pipeline
