"""`FillingPlan`: what is missing in a cache, and everything that is needed to make it, in this process or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from poc_aug.cache import Manifest
from poc_aug.camera import FrameCalibrations
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.warm_report import OnError
from poc_aug.items.frame_depth import FrameDepths
from poc_aug.items.open_item import Adapt


@dataclass(frozen=True)
class FillingPlan:
    """What is missing in a cache, and what makes it. It can be pickled if dataset and pipeline can.

    Attributes:
        dataset: what is read; a base sample may be in it several times.
        names: the key of each of its items.
        missing: the variants that each key lacks, in the order in which the samples are read.
        numbers: number of the item of each of these keys.
        pipeline: generates them; its schema is the dataset's.
        manifest: of the cache.
        cache: the ``NAME.cache`` directory, or that of its member.
        adapt: how to take image and labels out of items.
        calibrations: where the frames' cameras come from, if the recipe takes them from files.
        depths: the dataset's own depth maps, if they are used.
        workers: loader processes.
        on_error: "raise" or "skip".
        keep_rejected: pictures of rejected attempts that are kept per reason.
        job: which part of the work this is, for the shard's name.
        listed: shards that were sealed before it was looked up what is missing.
    """

    dataset: Dataset[Any]
    names: Sequence[str]
    missing: Mapping[str, Sequence[int]]
    numbers: Mapping[str, int]
    pipeline: GenerationPipeline
    manifest: Manifest
    cache: Path
    adapt: Adapt | None = None
    calibrations: FrameCalibrations | None = None
    depths: FrameDepths | None = None
    workers: int = 2
    on_error: OnError = "raise"
    keep_rejected: int = 0
    job: str = "all"
    listed: frozenset[str] = frozenset()

    def part(self, keys: Sequence[str], **changes: Any) -> FillingPlan:
        """The plan for some of the keys that lack variants.

        Args:
            keys: those keys, in the order in which they are read.
            changes: other fields to replace.
        """
        missing = {key: self.missing[key] for key in keys}
        return replace(self, missing=missing, numbers={key: self.numbers[key] for key in keys}, **changes)
