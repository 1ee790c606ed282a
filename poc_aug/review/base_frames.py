"""The dataset's own frames, decoded once for all pictures of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from poc_aug.cache import Cache
from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.errors import CacheDatasetMismatchError, CacheMissError, SettingError
from poc_aug.items.image_digest import digest_of_sample, matches
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import Keys, dataset_keys, first_of_each
from poc_aug.review.recent_items import RecentItems
from poc_aug.review.shown_text import shown_key
from poc_aug.scenes.scene_recipe import shifted_key, split_key
from poc_aug.types import Sample

_MOST_NBYTES = 256 << 20


class BaseFrames:
    """Frames of a dataset by the keys of caches, read by one thread at a time; the last ones stay in memory.

    Args:
        dataset: the dataset that the caches were made from.
        caches: the caches, members counted.
        keys: see `POCAugmentedDataset`.
        adapt: see `POCAugmentedDataset`.
        most_nbytes: memory for decoded frames; the last one stays in any case.

    Raises:
        CacheDatasetMismatchError: none of the dataset's samples is in a cache.
    """

    def __init__(
        self,
        dataset: Any,
        caches: Sequence[Cache],
        *,
        keys: Keys | None = None,
        adapt: Adapt | None = None,
        most_nbytes: int = _MOST_NBYTES,
    ) -> None:
        self._dataset, self._adapt = dataset, adapt
        own = dataset_keys(dataset, keys)
        self._numbers = [_numbers(dataset, own, cache, adapt) for cache in caches]
        self._frames: RecentItems[int, tuple[Sample, bytes]] = RecentItems(most_nbytes, _nbytes)
        self._lock = threading.Lock()

    def frame(self, source: int, key: str, digest: bytes) -> Sample:
        """The frame that a record was made for; its tensors are not to be written to.

        Args:
            source: number of the record's cache.
            key: key of the record.
            digest: digest of its base image.

        Raises:
            CacheMissError: the dataset does not have it.
            CacheDatasetMismatchError: it has another picture under that key.
            DatasetError: it cannot be read.
        """
        number = self._numbers[source].get(key)
        if number is None:
            raise CacheMissError(
                f"the dataset has no sample {shown_key(key)!r}",
                expected="the dataset that the cache was made from",
                hint="end the review and start it with that dataset, or with --keys",
            )
        sample, own = self._read(number, key)
        if not matches(digest, own):
            raise CacheDatasetMismatchError(
                f"the dataset's sample {shown_key(key)!r} is another picture than the one that this was made for",
                expected="the dataset that the cache was made from, in its order, without random transforms",
                hint="end the review and start it with that dataset, or with --keys",
            )
        return sample

    def _read(self, number: int, key: str) -> tuple[Sample, bytes]:
        with self._lock:  # datasets are seldom made for several threads
            if (kept := self._frames.get(number)) is not None:
                return kept
            with naming_sample(shown_key(key)):
                sample = open_item(self._dataset[number], self._adapt, key=key).sample(key)
            read = sample, digest_of_sample(sample)
            self._frames.put(number, read)
            return read


def _nbytes(read: tuple[Sample, bytes]) -> int:
    return read[0].image.nbytes + read[0].labels.nbytes


def _numbers(dataset: Any, own: Sequence[str], cache: Cache, adapt: Adapt | None) -> dict[str, int]:
    """Numbers of the dataset's samples by the keys that a cache has for them."""
    if cache.manifest.kind != "frames":
        names = stored_keys(own, HeldKeys(cache), dataset, adapt)
        check_held(names, own, cache, dataset, misses_allowed=True)
        return first_of_each(names)
    split: dict[str, tuple[str, str, int]] = {}
    for key in cache.keys():
        with suppress(SettingError):  # a stranger's key: no frame can be stored under it
            split[key] = split_key(key)
    names = stored_keys(own, {sample for sample, _, _ in split.values()}, dataset)
    shifts = sorted({(domain, severity) for _, domain, severity in split.values()})
    wanted, mine = ([shifted_key(key, *shift) for key in some for shift in shifts] for some in (names, own))
    check_held(wanted, mine, cache, dataset, misses_allowed=True)
    numbers = first_of_each(names)
    return {key: numbers[sample] for key, (sample, _, _) in split.items() if sample in numbers}
