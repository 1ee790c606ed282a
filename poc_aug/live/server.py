"""The generation process: owns the pipeline and the accelerator, serves all workers of one training process."""

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
from poc_aug.errors import CacheBusyError, GenerationError, PocAugError
from poc_aug.generation.dataset_manifest import manifest_of
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.sample_checks import CheckedSample
from poc_aug.generation.statistics import Statistics
from poc_aug.labels.schema import LabelSchema
from poc_aug.live.board import Board
from poc_aug.live.claims import Claims
from poc_aug.live.doorman import Doorman
from poc_aug.live.feed import Feed, Request, Stopped
from poc_aug.live.messages import Failed, Made, Message
from poc_aug.reading.live_settings import ServerSettings
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")


@dataclass(frozen=True)
class Work:
    """What a generation process is started with.

    Attributes:
        pipeline: the pipeline, or a function that builds it there.
        schema: the dataset's label schema.
        dataset: type of the dataset, as the cache's manifest names it.
        cache: the ``NAME.cache`` directory to write through to.
        temporary: the cache's folder is this run's alone, and goes with it.
        settings: see `ServerSettings`.
        samples: how many samples the dataset has, repeated ones once.
    """

    pipeline: InsertionPipeline | Callable[[], InsertionPipeline]
    schema: LabelSchema | None
    dataset: str
    cache: Path
    temporary: bool
    settings: ServerSettings
    samples: int | None = None

    def build(self) -> InsertionPipeline:
        """The pipeline, with the dataset's schema.

        Raises:
            GenerationError: the function returned something else.
        """
        made = self.pipeline if isinstance(self.pipeline, InsertionPipeline) else self.pipeline()
        if not isinstance(made, InsertionPipeline):
            raise GenerationError(
                f"pipeline={self.pipeline!r} returned a {type(made).__name__}",
                expected="a function without arguments that returns an InsertionPipeline",
            )
        return made.for_dataset(self.schema)

    def manifest(self, pipeline: InsertionPipeline) -> Manifest:
        """The manifest of the cache that the pipeline fills; its codec is that of a cache that is there already."""
        codec = self.settings.codec
        if codec is None:
            codec = Cache.open(self.cache).manifest.codec if has_manifest(self.cache) else "delta-zstd"
        return manifest_of(pipeline, self.dataset, pipeline.schema, codec, self.samples)


def run_server(
    work: Work, listener: socket.socket, control: Connection, report: Connection, board: Board, parent: int
) -> None:
    """What the process runs; ends when ``control`` says so, or when the training process is gone.

    Tells ``report``: "ready", or the traceback that ended it.
    """
    # Ctrl-C reaches every process of a terminal; the training process decides what becomes of this one. Its mask was
    # inherited, so that Ctrl-C could not interrupt the imports either.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.nice(work.settings.nice or 0)
    # The threads of two thread pools would spin beside the loader's workers.
    torch.set_num_threads(work.settings.threads)
    feed = Feed(work.settings.max_wait_s)
    signal.signal(signal.SIGTERM, lambda number, frame: feed.stop())

    def orphaned() -> None:
        # Whatever the inserter does: this process does not outlive its training for long.
        timer = threading.Timer(work.settings.grace_s, os._exit, [1])
        timer.daemon = True
        timer.start()

    doorman = Doorman(listener, control, feed, parent, orphaned)
    doorman.start()
    code = 1
    try:
        server = _Server(work, feed, doorman, board)
        report.send(("ready", ""))
        board["ready"] = 1
        server.serve()
    except Stopped:
        code = 0
    except BaseException:
        with suppress(OSError):  # nobody is left to be told
            report.send(("failed", traceback.format_exc()))
    finally:
        board["over"] = 1
        if work.temporary and (doorman.orphaned or os.getppid() != parent):
            shutil.rmtree(work.cache.parent, ignore_errors=True)
        # Everything is stored and told. Taking torch apart in order takes 1.5 s, which training would wait for; what
        # multiprocessing has to give back by name (a semaphore of tqdm's, for one) is given back all the same.
        util._exit_function()  # type: ignore[attr-defined]
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Server:
    """The engine between the feed and the cache."""

    def __init__(self, work: Work, feed: Feed, doorman: Doorman, board: Board) -> None:
        self._feed, self._doorman, self._board = feed, doorman, board
        self._pipeline = work.build()
        self._pipeline.check()
        self._stack = ExitStack()
        self._writer = self._stack.enter_context(_own_shard(work.cache, work.manifest(self._pipeline)))
        self._cache = self._stack.enter_context(Cache.open(work.cache))
        self._claims = Claims(work.cache)
        self._stack.callback(self._claims.close)
        self._statistics = Statistics()
        self._failures: list[tuple[str, int, GenerationError]] = []
        self._finished: list[Variant] = []
        self._running = 0
        self._stored = self._made = self._failed = 0

    def serve(self) -> None:
        """Until the feed is stopped.

        Raises:
            Stopped: it was.
            Exception: what ended the engine; everything that was finished is stored and told before.
        """
        with self._stack:
            try:
                for variant in self._pipeline.run(
                    self._jobs(),
                    ordered=False,
                    statistics=self._statistics,
                    failures=self._failures,
                    wake=self._feed.wake,
                ):
                    self._finished.append(variant)
            finally:
                self._settle()

    def _jobs(self) -> Iterator[tuple[CheckedSample, int] | None]:
        while True:
            self._settle()
            request = self._feed.take(busy=self._running > 0)
            if request is None:
                yield None
            elif (sample := self._begin(request)) is not None:
                yield sample, request.ask.index

    def _begin(self, request: Request) -> CheckedSample | None:
        """The sample to make the variant from, if that is for this process to do now."""
        key, index = request.name
        if self._answer_stored(request):
            return None
        if not self._claims.take(key, index):
            self._feed.put_back(request)
            return None
        try:
            # Between the first look and the claim another process may have stored it.
            if self._answer_stored(request):
                self._claims.give_back(key, index)
                return None
            sample = self._pipeline.check_sample(request.ask.sample())
        except PocAugError as error:
            self._claims.give_back(key, index)
            self._tell((key, index), Failed(error))
            return None
        self._running += 1
        return sample

    def _answer_stored(self, request: Request) -> bool:
        key, index = request.name
        if self._cache.get_new(key, index) is None:
            return False
        record = self._cache.raw(key, index)
        assert record is not None  # just read
        self._stored += 1
        self._tell((key, index), Made(np.frombuffer(record, np.uint8)))
        return True

    def _settle(self) -> None:
        """Store and answer what is finished, tell what failed."""
        finished, self._finished = self._finished, []
        records = [(variant, encode_record(variant, self._writer.manifest.codec)) for variant in finished]
        # First on disk, then told: what training has seen is never lost.
        self._writer.put_records(records)
        self._running -= len(records) + len(self._failures)
        self._made += len(records)
        told: list[tuple[tuple[str, int], Message]] = [
            ((variant.key, variant.index), Made(np.frombuffer(record, np.uint8))) for variant, record in records
        ]
        for key, index, error in self._failures:
            if not self._failed:
                _logger.warning("Generating variant %d of %r failed, training goes on: %s", index, key, error)
            self._failed += 1
            told.append(((key, index), Failed(error)))
        self._failures.clear()
        # Before they are told: whoever has an answer sees it counted.
        self._write_board(len(self._feed) - len(told))
        for name, message in told:
            self._claims.give_back(*name)
            self._tell(name, message)

    def _tell(self, name: tuple[str, int], message: Message) -> None:
        for asker in self._feed.done(name):
            self._doorman.answer(asker, message)

    def _write_board(self, queue: int) -> None:
        board, statistics = self._board, self._statistics
        board["queue"] = queue
        board["made"], board["failed"], board["stored"] = self._made, self._failed, self._stored
        board["attempts"] = sum(statistics.attempts.values())
        board["accepted"] = sum(statistics.accepted.values())
        batches = dict(statistics.batches)
        board["batches"] = sum(batches.values())
        board["crops"] = sum(size * count for size, count in batches.items())
        board["insert_s"] = statistics.seconds["insert"]


def _own_shard(cache: Path, manifest: Manifest) -> CacheWriter:
    """A writer on the first shard that no other process writes: several may fill one cache."""
    number = 0
    while True:
        try:
            return CacheWriter(cache, manifest, writer=f"live-{number}")
        except CacheBusyError:
            number += 1
