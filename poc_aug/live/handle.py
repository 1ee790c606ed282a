"""`Live`: what a dataset holds to have insertions made while it is read."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poc_aug import seeding
from poc_aug.cache import CacheWriter, has_manifest
from poc_aug.errors import GenerationError, GenerationProcessError, GenerationTimeoutError, PocAugError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.schema import LabelSchema
from poc_aug.live.board import Board
from poc_aug.live.client import Client
from poc_aug.live.keeper import Keeper
from poc_aug.live.server import Work
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.types import Sample, Variant


class Live:
    """Generation while training, as a dataset and its copies in workers use it.

    In the process that made it, it keeps the generation process; a copy in a worker only asks. Making it creates the
    cache where there is none.

    Args:
        pipeline: the pipeline, or a function without arguments that builds it in the generation process.
        cache: path of the cache; ``None``: one in a temporary folder, deleted with this object.
        dataset: type of the base dataset, for the cache's manifest.
        schema: its label schema.
        settings: how long items wait, what they do then, and how the generation process works.
        background: items do not wait: the process takes what loader and training leave of the processors, unless
            ``settings.server.nice`` says otherwise.
        samples: how many samples the dataset has, repeated ones once, for the cache's manifest.

    Raises:
        SchemaError, RecipeError: the pipeline does not fit the schema.
        CacheMismatchError: the cache was made with another recipe or other backends.
        GenerationProcessError: the pipeline is a function, nothing else tells the recipe, and it could not be built.
    """

    def __init__(
        self,
        pipeline: InsertionPipeline | Callable[[], InsertionPipeline],
        cache: Path | None,
        dataset: str,
        schema: LabelSchema | None,
        settings: LiveSettings,
        *,
        background: bool,
        samples: int | None = None,
    ) -> None:
        self.settings = settings
        self.board = Board()
        if isinstance(pipeline, InsertionPipeline):
            # Here, not in the generation process: mistakes are told at once, and that need not start before it is used.
            pipeline.for_dataset(schema).check()
        path = Path(tempfile.mkdtemp(prefix=f"poc_aug-{os.getpid()}-")) / "live.cache" if cache is None else cache
        server = settings.server
        if server.nice is None:
            server = replace(server, nice=19 if background else 0)
        work = Work(pipeline, schema, dataset, path, cache is None, server, samples)
        if isinstance(pipeline, InsertionPipeline):
            CacheWriter.create(path, work.manifest(work.build()))
        self.cache_path = path
        self._keeper: Keeper | None = Keeper(work, self.board, warn=settings.on_server_failure == "original")
        self._client = Client(self._keeper.address, server.queue_size)
        self._given_up = False
        if not has_manifest(path):
            self._keeper.start()

    def generate(self, asked: Sequence[tuple[Sample, int]]) -> list[Variant | None]:
        """Have variants generated, all at once, and wait for them; ``None`` for one that is not to be had.

        Raises:
            GenerationTimeoutError: one was not there in time, and ``on_timeout="raise"``.
            PocAugError: one could not be made, or the process is gone, and ``on_server_failure="raise"``.
        """
        if self._given_up:
            return [None] * len(asked)
        timeout_s = self.settings.timeout_s
        deadline = time.monotonic() + timeout_s
        found: list[Variant | None] = [None] * len(asked)
        numbers: list[int] = []
        try:
            for sample, index in asked:
                numbers.append(self._client.ask(sample, index, timeout_s=timeout_s))
            for i, (number, (sample, index)) in enumerate(zip(numbers, asked, strict=True)):
                try:
                    found[i] = self._client.answer(number, (sample.key, index), deadline, timeout_s)
                except GenerationProcessError:
                    raise
                except PocAugError as error:  # this one could not be made, others can
                    self._bear(error)
        except GenerationProcessError as error:
            self._bear(error)
        finally:
            if not self._given_up:
                self._client.forget(numbers)
        return found

    def offer(self, make_sample: Callable[[], Sample], key: str, index: int) -> bool:
        """Have a variant made ahead, without waiting for it; ``False`` where the queue is full.

        Raises:
            GenerationProcessError: the process is gone, and ``on_server_failure="raise"``.
        """
        if self._given_up:
            return False
        try:
            return self._client.offer(make_sample, (key, index))
        except GenerationProcessError as error:
            self._bear(error)
            return False

    def start(self) -> None:
        """Start the generation process now, and wait until its models are loaded; else the first miss starts it.

        Raises:
            GenerationProcessError: it could not start, or this is not the process that made the dataset.
        """
        if self._keeper is None:
            raise GenerationProcessError(
                "this is a copy of the dataset in another process",
                expected="start() in the process that made the dataset",
            )
        self._keeper.start()

    def close(self) -> None:
        """End the generation process; in a copy in a worker, only its connection."""
        self._client.close()
        if self._keeper is not None:
            self._keeper.close()

    @property
    def pid(self) -> int | None:
        """Id of the generation process, once it is started; ``None`` in a worker."""
        return None if self._keeper is None else self._keeper.pid

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_keeper": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Live:
        return self  # copies of a dataset in one process share its generation process

    def _bear(self, error: PocAugError) -> None:
        """Raise an error, unless the settings say to go on without."""
        timed_out = isinstance(error, GenerationTimeoutError)
        if (self.settings.on_timeout if timed_out else self.settings.on_server_failure) == "raise":
            if isinstance(error, GenerationError):  # of one variant; those of the process say what to do
                raise error.with_hint(f"{error.hint}, or train on without this variant: on_server_failure='original'")
            raise error
        if isinstance(error, GenerationProcessError) and not timed_out:
            self._given_up = True


class Schedule:
    """Which variant a slot of a sample holds in an epoch: ``refresh`` of them change from one epoch to the next.

    Variant ``k`` of a sample is followed by ``k + variants``, then ``k + 2 * variants``: each a pure function of
    (recipe, sample, index) as ever, so nothing is replaced in the cache. When a slot changes is drawn once a slot.

    Args:
        variants: slots of a sample.
        refresh: share of the slots that change each epoch, 0 to 1.
        seed: seed of the draw.
    """

    def __init__(self, variants: int, refresh: float, seed: int) -> None:
        self.variants, self.refresh, self.seed = variants, refresh, seed

    def index(self, key: str, slot: int, epoch: int) -> int:
        """Index of the variant in a slot."""
        if not self.refresh:
            return slot
        phase = seeding.unit(self.seed, "refresh", key, slot)
        return slot + self.variants * max(0, math.floor(epoch * self.refresh + phase))

    def older(self, index: int) -> range:
        """Variants that the slot held before, the newest first."""
        return range(index - self.variants, -1, -self.variants)

    def coming(self, key: str, epoch: int) -> list[int]:
        """Variants of a sample that the next epoch needs and this one does not."""
        if not self.refresh:
            return []
        pairs = [(self.index(key, slot, epoch), self.index(key, slot, epoch + 1)) for slot in range(self.variants)]
        return [after for before, after in pairs if after != before]
