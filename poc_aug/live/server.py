"""What the generation process runs: the pipeline, on its accelerator, for all workers of one training process."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import util
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from poc_aug.cache import Cache, CacheWriter, Manifest, encode_record, has_manifest
from poc_aug.cache.shard_names import unique_name
from poc_aug.cache.variant_locks import VariantLocks
from poc_aug.errors import GenerationError, PocAugError
from poc_aug.generation.base_pipeline import GenerationPipeline, built_pipeline
from poc_aug.generation.dataset_manifest import manifest_of
from poc_aug.generation.sample_checks import CheckedSample
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.live.counters import LiveCounters
from poc_aug.live.messages import Failed, Made, Message, Stored
from poc_aug.live.request_queue import QueuedVariant, RequestQueue, Stopped
from poc_aug.live.request_sockets import RequestSockets
from poc_aug.live.socket_address import remove_address
from poc_aug.reading.live_settings import ServerSettings
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")


@dataclass(frozen=True)
class GenerationSetup:
    """What a generation process is started with.

    Attributes:
        pipeline: the pipeline, or a function that builds it there.
        schema: the dataset's label schema.
        dataset: type of the dataset, as the cache's manifest names it.
        cache: the ``NAME.cache`` directory to write through to.
        temporary: the cache's folder is temporary, and is deleted when this run ends.
        settings: see `ServerSettings`.
        samples: how many samples the dataset has, repeated ones once.
    """

    pipeline: GenerationPipeline | Callable[[], GenerationPipeline]
    schema: LabelSchema | None
    dataset: str
    cache: Path
    temporary: bool
    settings: ServerSettings
    samples: int | None = None

    def build(self) -> GenerationPipeline:
        """The pipeline, with the dataset's schema.

        Raises:
            GenerationError: the function returned something else.
        """
        pipeline = self.pipeline if isinstance(self.pipeline, GenerationPipeline) else built_pipeline(self.pipeline)
        return pipeline.for_dataset(self.schema)

    def manifest(self, pipeline: GenerationPipeline) -> Manifest:
        """The manifest of the cache that the pipeline fills; the codec is that of the cache if it exists already."""
        codec = self.settings.codec
        if codec is None:
            codec = Cache.open(self.cache).manifest.codec if has_manifest(self.cache) else pipeline.default_codec
        return manifest_of(pipeline, self.dataset, pipeline.schema, codec, self.samples)


def run_server(
    setup: GenerationSetup,
    listener: socket.socket,
    address: str,
    control: Connection,
    report: Connection,
    counters: LiveCounters,
    parent: int,
) -> None:
    """Run the process until ``control`` says to stop, or the training process has ended.

    Sends to ``report`` an empty text if it is ready, or the traceback that ended it.
    """
    # Ctrl-C reaches every process of a terminal, but the training process decides when this one ends. The signal mask
    # was inherited, so that Ctrl-C could not interrupt the imports either.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.nice(setup.settings.nice or 0)
    # More threads would compete with the loader's workers for processors.
    torch.set_num_threads(setup.settings.threads)
    queue = RequestQueue(setup.settings.max_wait_s)
    signal.signal(signal.SIGTERM, lambda number, frame: queue.stop())

    def end_in_time() -> None:
        # Whatever the inserter is doing, this process does not outlive the training for long.
        timer = threading.Timer(setup.settings.grace_s, os._exit, [1])
        timer.daemon = True
        timer.start()

    sockets = RequestSockets(listener, control, queue, parent, on_orphaned=end_in_time)
    sockets.start()
    code = 1
    try:
        server = _Server(setup, queue, sockets, counters)
        report.send_bytes(b"")
        counters["ready"] = 1
        server.serve()
    except Stopped:
        code = 0
    except BaseException:
        with suppress(OSError):  # the training process has ended
            report.send_bytes(traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        counters["over"] = 1
        if sockets.orphaned or os.getppid() != parent:
            remove_address(address)
            if setup.temporary:
                shutil.rmtree(setup.cache.parent, ignore_errors=True)
        end_in_time()
    # Everything is stored and answered. `multiprocessing` cleans up as always; this finalizer is the last. After it,
    # the interpreter would wait for every thread that a library has started, and take torch apart module by module
    # (1.5 s): training would wait for that.
    util.Finalize(None, _exit, args=(code,), exitpriority=-sys.maxsize)
    sys.exit(code)


def _exit(code: int) -> None:
    """End this process now, with what it has printed."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class _Server:
    """Runs the engine on what the queue holds, and writes what it makes to the cache."""

    def __init__(
        self, setup: GenerationSetup, queue: RequestQueue, sockets: RequestSockets, counters: LiveCounters
    ) -> None:
        self._queue, self._sockets, self._counters = queue, sockets, counters
        self._pipeline = setup.build()
        self._pipeline.check()
        self._stack = ExitStack()
        self._writer = self._stack.enter_context(
            CacheWriter(setup.cache, setup.manifest(self._pipeline), writer=unique_name(setup.cache, "live"))
        )
        self._cache = self._stack.enter_context(Cache.open(setup.cache))
        self._locks = VariantLocks(setup.cache)
        self._stack.callback(self._locks.close)
        self._statistics = Statistics()
        self._failures: list[tuple[str, int, GenerationError]] = []
        self._finished: list[Variant] = []
        self._running = 0
        self._stored = self._made = self._failed = 0

    def serve(self) -> None:
        """Generate until the queue is stopped.

        Raises:
            Stopped: it was.
            Exception: what ended the engine; everything that was finished is stored and answered before.
        """
        with self._stack:
            try:
                for variant in self._pipeline.run(
                    self._jobs(),
                    ordered=False,
                    statistics=self._statistics,
                    failures=self._failures,
                    wake=self._queue.wake,
                ):
                    self._finished.append(variant)
            finally:
                self._store_and_answer()

    def _jobs(self) -> Iterator[tuple[CheckedSample, int] | None]:
        while True:
            self._store_and_answer()
            queued = self._queue.take(busy=self._running > 0)
            if queued is None:
                yield None
            elif (sample := self._begin(queued)) is not None:
                yield sample, queued.request.index

    def _begin(self, queued: QueuedVariant) -> CheckedSample | None:
        """The sample to generate for; ``None`` if the variant is answered already, or another process generates it."""
        key, index = queued.name
        if self._answer_stored(queued):
            return None
        if not self._locks.acquire(key, index):
            self._queue.postpone(queued)
            return None
        try:
            # Between the look into the cache and the lock, another process may have stored it.
            if self._answer_stored(queued):
                self._locks.release(key, index)
                return None
            sample = self._pipeline.check_sample(queued.request.sample())
        except PocAugError as error:
            self._locks.release(key, index)
            self._answer((key, index), Failed(error))
            return None
        self._running += 1
        return sample

    def _answer_stored(self, queued: QueuedVariant) -> bool:
        key, index = queued.name
        if self._cache.get_new(key, index) is None:
            return False
        record = self._cache.raw(key, index)
        assert record is not None  # just read
        self._stored += 1
        self._answer((key, index), Made(np.frombuffer(record, np.uint8)))
        return True

    def _store_and_answer(self) -> None:
        """Store and answer what is finished; answer what failed."""
        finished, self._finished = self._finished, []
        records = [(variant, encode_record(variant, self._writer.manifest.codec)) for variant in finished]
        # First on disk, then sent: what training has used is never lost.
        self._writer.put_records(records)
        self._running -= len(records) + len(self._failures)
        self._made += len(records)
        answers: list[tuple[tuple[str, int], Message]] = [
            ((variant.key, variant.index), Made(np.frombuffer(record, np.uint8))) for variant, record in records
        ]
        for key, index, error in self._failures:
            if not self._failed:
                _logger.warning("Generating variant %d of %r failed, training continues: %s", index, key, error)
            self._failed += 1
            answers.append(((key, index), Failed(error)))
        self._failures.clear()
        # Before they are sent: a worker that has an answer finds it counted.
        self._update_counters(len(self._queue) - len(answers))
        for name, message in answers:
            self._locks.release(*name)
            self._answer(name, message)

    def _answer(self, name: tuple[str, int], message: Message) -> None:
        for requester in self._queue.remove(name):
            # A record is for those who wait for it.
            short = isinstance(message, Made) and not requester.waits
            self._sockets.answer(requester, Stored() if short else message)

    def _update_counters(self, queue: int) -> None:
        counters, statistics = self._counters, self._statistics
        counters["queue"] = queue
        counters["made"], counters["failed"], counters["stored"] = self._made, self._failed, self._stored
        counters["attempts"] = sum(statistics.attempts.values())
        counters["accepted"] = sum(statistics.accepted.values())
        batches = dict(statistics.batches)
        counters["batches"] = sum(batches.values())
        counters["crops"] = sum(size * count for size, count in batches.items())
        counters["insert_s"] = statistics.seconds["insert"]
