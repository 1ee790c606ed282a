"""`LiveGenerator`: what a dataset holds to have insertions generated while it is read."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from poc_aug.cache import CacheWriter, has_manifest
from poc_aug.errors import GenerationError, GenerationProcessError, GenerationTimeoutError, PocAugError
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.dataset_manifest import type_name
from poc_aug.labels.schema import LabelSchema
from poc_aug.live.client import Client
from poc_aug.live.counters import LiveCounters
from poc_aug.live.process_supervisor import GenerationProcess, check_main_guard
from poc_aug.live.server import GenerationSetup
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.reading.peeking import is_peeking
from poc_aug.types import Sample, Variant

_logger = logging.getLogger("poc_aug")


class LiveGenerator:
    """Generation while training, as a dataset and its copies in workers use it.

    In the process that made it, it owns the generation process; a copy in a worker only sends requests. If the cache
    does not exist, it is created at once.

    Args:
        pipeline: the pipeline, or a function without arguments that builds it in the generation process.
        cache: path of the cache; ``None``: one in a temporary folder, deleted with this object.
        base: the base dataset; the cache's manifest names its type.
        schema: its label schema.
        settings: how long items wait, what they do then, and how the generation process works.
        background: items do not wait: the process takes what loader and training leave of the processors, unless
            ``settings.server.nice`` says otherwise.
        samples: how many samples the dataset has, repeated ones once, for the cache's manifest.

    Raises:
        SchemaError, RecipeError: the pipeline does not fit the schema.
        CacheMismatchError: the cache was made with another recipe or other backends.
        GenerationProcessError: the pipeline is a function, there is no cache yet, and it could not be built; or a
            script without ``if __name__ == "__main__":`` makes it in a child process.
    """

    def __init__(
        self,
        pipeline: GenerationPipeline | Callable[[], GenerationPipeline],
        cache: str | Path | None,
        base: Dataset[Any],
        schema: LabelSchema | None,
        settings: LiveSettings,
        *,
        background: bool,
        samples: int | None = None,
    ) -> None:
        check_main_guard()
        self.settings = settings
        self.counters = LiveCounters()
        if isinstance(pipeline, GenerationPipeline):
            # Here, not in the generation process: mistakes are reported at once, and it need not start before its use.
            pipeline.for_dataset(schema).check()
        if cache is None:
            path = Path(tempfile.mkdtemp(prefix=f"poc_aug-{os.getpid()}-")) / "live.cache"
        else:
            path = Path(cache).absolute()
        server = settings.server
        if server.nice is None:
            server = replace(server, nice=19 if background else 0)
        setup = GenerationSetup(pipeline, schema, type_name(base), path, cache is None, server, samples)
        self.cache_path = path
        self._given_up = False
        self._process: GenerationProcess | None = None
        try:
            if isinstance(pipeline, GenerationPipeline):
                CacheWriter.create(path, setup.manifest(setup.build()))
            warn = settings.on_server_failure == "original"
            self._process = GenerationProcess(setup, self.counters, warn=warn)
            self._client = Client(self._process.address, server.queue_size)
            if not has_manifest(path):
                self._process.start()
        except BaseException:
            if self._process is not None:
                self._process.close()
            elif cache is None:
                shutil.rmtree(path.parent, ignore_errors=True)
            raise

    def generate(self, requests: Sequence[tuple[Sample, int]]) -> list[Variant | None]:
        """Have variants generated, all at once, and wait for them; ``None`` for one that training goes without.

        Raises:
            GenerationTimeoutError: one was not there in time, and ``on_timeout="raise"``.
            PocAugError: one could not be made, or the process is gone, and ``on_server_failure="raise"``.
        """
        if self._given_up or is_peeking():
            return [None] * len(requests)
        timeout_s = self.settings.timeout_s
        deadline = time.monotonic() + timeout_s
        variants: list[Variant | None] = [None] * len(requests)
        numbers: list[int] = []
        try:
            for sample, index in requests:
                numbers.append(self._client.request(sample, index, timeout_s=timeout_s))
            for i, (number, (sample, index)) in enumerate(zip(numbers, requests, strict=True)):
                try:
                    variants[i] = self._client.answer(number, (sample.key, index), deadline, timeout_s)
                except GenerationProcessError:
                    raise
                except PocAugError as error:  # this one could not be made, others can
                    self._raise_unless_tolerated(error)
        except GenerationProcessError as error:
            self._raise_unless_tolerated(error)
        finally:
            if not self._given_up:
                self._client.forget(numbers)
        return variants

    def offer(self, make_sample: Callable[[], Sample], key: str, index: int) -> bool:
        """Have a variant generated ahead, without waiting for it; ``False`` if the queue is full.

        Raises:
            GenerationProcessError: the process is gone, and ``on_server_failure="raise"``.
        """
        if self._given_up or is_peeking():
            return False
        try:
            return self._client.offer(make_sample, (key, index))
        except GenerationProcessError as error:
            self._raise_unless_tolerated(error)
            return False

    def start(self) -> None:
        """Start the generation process now, and wait until its models are loaded; otherwise the first miss starts it.

        Raises:
            GenerationProcessError: it could not start, or this is not the process that made the dataset.
        """
        if self._process is None or self._process.owner_pid != os.getpid():
            raise GenerationProcessError(
                "this is a copy of the dataset in another process",
                expected="start() in the process that made the dataset",
            )
        self._process.start()

    def close(self) -> None:
        """End the generation process; in a copy in a worker, only its connection."""
        self._client.close()
        if self._process is not None:
            self._process.close()

    @property
    def pid(self) -> int | None:
        """Id of the generation process, once it is started; ``None`` in a worker."""
        return None if self._process is None else self._process.pid

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> LiveGenerator:
        return self  # copies of a dataset in one process share its generation process

    def _raise_unless_tolerated(self, error: PocAugError) -> None:
        """Raise an error, unless the settings say to continue without the variant."""
        timed_out = isinstance(error, GenerationTimeoutError)
        if (self.settings.on_timeout if timed_out else self.settings.on_server_failure) == "raise":
            if isinstance(error, GenerationError):  # of one variant; those of the process say what to do
                go_on = "train on without this variant: live=LiveSettings(on_server_failure='original')"
                raise error.with_hint(f"{error.hint}, or {go_on}" if error.hint else go_on)
            raise error
        if isinstance(error, GenerationProcessError) and not timed_out:
            self._given_up = True
            if not self._client.training_knows:  # the training process has logged it otherwise
                _logger.warning("Reading continues without new insertions in process %d: %s", os.getpid(), error)
