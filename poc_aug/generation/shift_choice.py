"""`shift_pipeline`: the pipeline of shifts that were given by name, as shifters, or as a pipeline."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import SettingError
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.scenes.shift_names import make_shifter, parse_severities
from poc_aug.scenes.shifter_protocol import DepthEstimator, Shifter
from poc_aug.types import MAX_SEVERITY

Shift: TypeAlias = str | Shifter | Sequence[str | Shifter] | ShiftPipeline | Callable[[], ShiftPipeline]
"""What frames are shifted to: a domain's name, a shifter, several of them, or a pipeline or what builds one."""


def shift_pipeline(
    shift: Shift,
    *,
    severity: int | Sequence[int] | None,
    camera: CameraSpec | str | None,
    depth: DepthEstimator | str | None = None,
    seed: int,
) -> ShiftPipeline | Callable[[], ShiftPipeline]:
    """The pipeline of ``shift``, or the function that builds it.

    Args:
        shift: the argument of `SceneShiftDataset`.
        severity: one or several, 1 to 5; ``None``: 3.
        camera: the frames' camera, or the name of a preset; ``None``: "generic".
        depth: a depth model, or the name of the dataset's own depth maps; ``None``: by labels and camera.
        seed: seed of what is generated.

    Raises:
        SettingError: an unknown domain, which lists the known ones; settings for a pipeline, which has its own.
        RecipeError: severities that are not 1 to 5; an unknown camera.

    Example:
        >>> shift_pipeline(["fog", "night"], severity=(1, 3), camera="cityscapes", seed=0).recipe.shifts
        (('fog', 1), ('fog', 3), ('night', 1), ('night', 3))
    """
    if isinstance(shift, ShiftPipeline) or (callable(shift) and not isinstance(shift, Shifter)):
        if isinstance(shift, ShiftPipeline) and isinstance(depth, str):
            shift, depth = shift.with_depth_maps(depth), None
        given = {"severity": severity, "camera": camera, "depth": depth}
        twice = [name for name, value in given.items() if value is not None]
        if twice:
            raise SettingError(
                f"{' and '.join(twice)} with a pipeline, which has its own recipe",
                expected="one of the two",
                hint="ShiftPipeline(SceneRecipe(domains=..., severities=..., camera=...), shifters, depth=...)",
            )
        return shift
    several: Sequence[Any] = [shift] if isinstance(shift, str | Shifter) else shift
    if not isinstance(several, Sequence) or not several:
        raise SettingError(f"shift={shift!r}", expected="the name of a domain, a shifter, or several of them")
    shifters = [make_shifter(each) if isinstance(each, str) else each for each in several]
    for shifter in shifters:
        if not isinstance(shifter, Shifter):
            raise SettingError(
                f"shift={shifter!r}",
                expected="the name of a domain, or a shifter: domain, describe() and shift(frames)",
                hint="see poc_aug.scenes.shifter_protocol.Shifter",
            )
    recipe: dict[str, Any] = {"domains": [shifter.domain for shifter in shifters], "severities": _severities(severity)}
    if camera is not None:
        recipe["camera"] = camera
    return ShiftPipeline(SceneRecipe.from_dict({**recipe, "seed": seed}), shifters, depth=depth)


def _severities(severity: Any) -> tuple[Any, ...]:
    """Severities as numbers, or as what `SceneRecipe` names as wrong; text as it is typed: "1-3,5"."""
    if severity is None:
        return (3,)
    if isinstance(severity, str):
        return parse_severities(severity)
    several = list(severity) if isinstance(severity, Iterable) and not _is_number(severity) else [severity]
    if any(isinstance(each, bool) or not _is_number(each) for each in several):
        raise SettingError(f"severity={severity!r}", expected=f"a whole number from 1 to {MAX_SEVERITY}, or several")
    return tuple(operator.index(each) for each in several)


def _is_number(value: Any) -> bool:
    """Whether it is one whole number; arrays have ``__index__`` too, whatever they hold."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return True
