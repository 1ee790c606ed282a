"""Models known to work with poc_aug: what ``poc-aug models`` lists, and the default of each task."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict

ModelTask = Literal["inpaint", "text-to-image", "detector", "segmenter", "detector and segmenter"]


class KnownModel(BaseModel):
    """A row of ``known_models.yaml``.

    Attributes:
        task: what it is used for.
        id: hub id, or the name of a checkpoint file.
        family: class of diffusers or transformers, or the package that loads the file.
        weights_gb: size of its weights in the default dtype, in 10⁹ bytes; running it takes more.
        licence: as its authors state it.
        size_px: side of the images that it was trained on, if there is one size.
        non_commercial: whether the licence bans commercial use.
        gated: whether the hub asks for consent first.
        default: whether it is the default of its task.
        note: anything else worth knowing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: ModelTask
    id: str
    family: str
    weights_gb: float
    licence: str
    size_px: int | None = None
    non_commercial: bool = False
    gated: bool = False
    default: bool = False
    note: str = ""


@cache
def known_models() -> tuple[KnownModel, ...]:
    """All rows, by task.

    Example:
        >>> sorted({model.task for model in known_models()})
        ['detector', 'detector and segmenter', 'inpaint', 'segmenter', 'text-to-image']
    """
    tables = yaml.safe_load(resources.files("poc_aug.backends").joinpath("known_models.yaml").read_text("utf-8"))
    return tuple(KnownModel(task=task, **row) for task in get_args(ModelTask) for row in tables[task])


def default_model(task: ModelTask) -> str:
    """Id of a task's default model.

    Example:
        >>> default_model("detector")
        'IDEA-Research/grounding-dino-tiny'
    """
    return next(model.id for model in known_models() if model.task == task and model.default)
