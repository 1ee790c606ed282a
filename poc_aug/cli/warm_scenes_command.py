"""``poc-aug warm-scenes``: generate a dataset's frames in other domains into a cache."""

from __future__ import annotations

from functools import partial
from typing import Any

from poc_aug.cli.command_options import with_options
from poc_aug.cli.fill_cache import fill_cache, read_job
from poc_aug.cli.filling_fields import ConfigFile
from poc_aug.cli.shared_options import DatasetArguments
from poc_aug.cli.unused_scene_options import check_scene_options
from poc_aug.cli.warm_scenes_options import WarmScenesOptions
from poc_aug.cli.warm_scenes_pipeline import scene_pipeline
from poc_aug.errors import SettingError
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.labels.detect import find_schema


@with_options(WarmScenesOptions)
def warm_scenes_command(*, arguments: DatasetArguments = None, config: ConfigFile = None, **given: Any) -> None:
    """Generate the missing frames of a dataset in other domains into a cache. Run it again to resume.

    Exit code 3: no frame was accepted.
    """
    job = read_job(WarmScenesOptions, config, given)
    if job.out is None:
        raise SettingError("--out is missing", expected="--out fog.cache")
    check_scene_options(job)

    make_pipeline = partial(_pipeline, job)
    fill_cache("warm-scenes", job, arguments, make_pipeline, make_pipeline)


def _pipeline(job: WarmScenesOptions, dataset: Any) -> ShiftPipeline:
    """The pipeline that the options ask for."""
    return scene_pipeline(job, find_schema(dataset, job.label_schema))
