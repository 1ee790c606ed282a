"""`Review`: the caches, the dataset, the index and the decisions behind one page."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any

from poc_aug.cache import Cache
from poc_aug.cache.united_caches import open_members
from poc_aug.errors import CacheError, PocAugError, SettingError
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys
from poc_aug.labels.detect import find_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.review.base_frames import BaseFrames
from poc_aug.review.decisions import ReviewDecisions
from poc_aug.review.rejected_attempts import AttemptPictures
from poc_aug.review.review_index import ATTEMPTS, ReviewIndex, recipe_objects
from poc_aug.review.review_pictures import ReviewPictures
from poc_aug.review.review_things import Thing, ThingScan

_logger = logging.getLogger("poc_aug")
_MOST_PREPARED = 6


class Review:
    """What a page shows and decides, without the page.

    Args:
        caches: paths of the caches.
        dataset: the dataset that they were made from; ``None``: only patches are shown.
        keys: see `POCAugmentedDataset`.
        schema: see `POCAugmentedDataset`; its classes are offered as new ones.
        adapt: see `POCAugmentedDataset`.
        recipes: fingerprints of those that are reviewed; ``None``: all.
        sigma_px: feather of insertions.

    Attributes:
        identity: tells these caches, where they are, from all others: a page's decisions are about no other ones.

    Raises:
        PocAugError: a cache cannot be opened, its journal is damaged, or the dataset is another one.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> with TemporaryDirectory() as folder:
        ...     CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})).close()
        ...     with Review([Path(folder) / "a.cache"]) as review:
        ...         review.wait(), review.name, review.index.counts()["all"]
        (True, 'a.cache', 0)
    """

    def __init__(
        self,
        caches: Sequence[str | Path],
        dataset: Any = None,
        *,
        keys: Keys | None = None,
        schema: LabelSchema | str | Path | None = None,
        adapt: Adapt | None = None,
        recipes: Sequence[str] | None = None,
        sigma_px: float = 1.0,
    ) -> None:
        if not caches:
            raise SettingError("no cache to review", expected="the path of at least one")
        if not 0 <= sigma_px < math.inf:
            raise SettingError(f"sigma_px={sigma_px}", expected="a number of pixels from 0 on", command="--sigma 1.0")
        self.caches = _opened(caches, recipes)
        try:
            self.name = ", ".join(dict.fromkeys(Path(path).resolve().name for path in caches))
            self.identity = _identity(self.caches)
            self.decisions = ReviewDecisions(self.caches)
            frames = None if dataset is None else BaseFrames(dataset, self.caches, keys=keys, adapt=adapt)
            known = None if dataset is None and schema is None else find_schema(dataset, schema)
        except BaseException:
            self._close_caches()
            raise
        ids = {} if known is None else known.ids  # an ignored class would be no label: the object would be OOD
        self.schema_classes = sorted(name for name, label_id in ids.items() if known and label_id not in known.ignore)
        self.objects = [recipe_objects(cache.manifest.recipe) for cache in self.caches]
        self.has_dataset = frames is not None
        self.attempts = AttemptPictures(self.caches)
        self.pictures = ReviewPictures(self.caches, frames, self.attempts, sigma_px=sigma_px)
        self.index = ReviewIndex([cache.manifest.fingerprint for cache in self.caches], self.decisions.state_of)
        self.failure: PocAugError | None = None
        self._ahead: deque[Thing] = deque(maxlen=_MOST_PREPARED)
        self._wake = threading.Event()
        self._listed = threading.Event()
        self._closing = False
        self._threads = [
            threading.Thread(target=work, name=f"review-{work.__name__}", daemon=True)
            for work in (self._list, self._prepare)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all things are listed; whether they are."""
        return self._listed.wait(timeout_s)

    def expect(self, things: Sequence[Thing]) -> None:
        """Prepare pictures of things that will be asked for, the first one first."""
        self._ahead.extend(reversed(things[:_MOST_PREPARED]))
        self._wake.set()

    def close(self) -> None:
        """End the threads and close the files; a second call does nothing."""
        self._closing = True
        self._wake.set()
        for thread in self._threads:
            thread.join()
        self.decisions.close()
        self._close_caches()

    def __enter__(self) -> Review:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_caches(self) -> None:
        for cache in self.caches:
            cache.close()

    def _list(self) -> None:
        try:
            for source, cache in enumerate(self.caches):
                scan = ThingScan(cache, source)
                for things in scan:
                    if self._closing:
                        return
                    for thing in things:
                        if thing.kind == ATTEMPTS:
                            self.attempts.assign(thing)
                    self.index.add(things)
                self.index.damaged += scan.damaged
                self.index.add(self.attempts.without_record(source, cache.manifest.fingerprint))
        except PocAugError as error:  # the page says so; what was listed can be reviewed
            self.failure = error
            _logger.warning("review: %s", error)
        except Exception as error:
            self.failure = CacheError(f"listing the caches ended with an unexpected {type(error).__name__}")
            _logger.exception("review: listing the caches failed")
        finally:
            self.index.complete = True
            self._listed.set()

    def _prepare(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._ahead and not self._closing:
                thing = self._ahead.pop()
                try:
                    self.pictures.prepare(thing)
                except Exception as error:  # whatever it is: it is said when the picture itself is asked for
                    _logger.debug("review: %s", error)
            if self._closing:
                return


def _identity(caches: Sequence[Cache]) -> str:
    """A name for these caches in this order; a copy of one, here or at the same path elsewhere, is another one."""
    names = [(cache.manifest.fingerprint, str(cache.path.resolve()), cache.path.stat().st_ino) for cache in caches]
    return blake2b(ascii(names).encode(), digest_size=16).hexdigest()


def _opened(paths: Sequence[str | Path], recipes: Sequence[str] | None) -> list[Cache]:
    """All recipes of the caches, each read with everything that it stores, also what is left out."""
    opened: list[Cache] = []
    try:
        for path in paths:
            for member in open_members(path, recipes):
                member.close()
                if any(member.path.samefile(other.path) for other in opened):
                    raise SettingError(f"the cache {member.path.name!r} is given twice", expected="each cache once")
                opened.append(Cache.open(member.path, journal=False))
    except BaseException:
        for cache in opened:
            cache.close()
        raise
    return opened
