"""Options of ``poc-aug evaluate`` that need a dataset with anomalies, or shifts: without effect they are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from poc_aug.errors import SettingError
from poc_aug.files.safe_names import file_name
from poc_aug.scenes.shift_names import WEATHER_DOMAINS

if TYPE_CHECKING:
    from poc_aug.evaluation.shift_request import ShiftRequest

_LEAVE = "leave it out"


def check_datasets_given(dataset: list[str], labelled: list[str], of_anomalies: Mapping[str, Any]) -> None:
    """Check that there is something to evaluate, and that options about anomalies have a dataset with some.

    Args:
        dataset: those of ``--dataset``.
        labelled: those of ``--labelled``.
        of_anomalies: what was given for the options that only ``--dataset`` uses.

    Raises:
        SettingError: names what is missing.

    Example:
        >>> from poc_aug.cli.evaluate_shift_options import check_datasets_given
        >>> check_datasets_given([], ["my_data:streets"], {"--maps": 3})
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: --maps without --dataset
        Expected: a dataset with anomalies: --dataset 'module:callable key=value ...'
        Next step: leave it out
    """
    if not dataset and not labelled:
        raise SettingError(
            "neither --dataset nor --labelled",
            expected="a dataset with anomalies (--dataset), or one with known classes (--labelled), or both",
        )
    for option, value in of_anomalies.items():
        if not dataset and value is not None and value is not False:
            raise SettingError(
                f"{option} without --dataset",
                expected="a dataset with anomalies: --dataset 'module:callable key=value ...'",
                hint=_LEAVE,
            )


def requested_shifts(
    shifts: list[str], *, camera: str | None, seed: int | None, maps: int | None
) -> list[ShiftRequest]:
    """The shifts of ``--shift``, none without it; checks the options that only some of them use.

    Raises:
        SettingError: an unknown domain, which lists the known ones; severities that are not 1 to 5; an option without
            effect.

    Example:
        >>> from poc_aug.cli.evaluate_shift_options import requested_shifts
        >>> requested_shifts(["fog:3"], camera="cityscapes", seed=None, maps=None)
        [ShiftRequest(shift='fog', severities=(3,), cache=None)]
    """
    if not shifts:
        for option, value in (("--camera", camera), ("--seed", seed)):
            if value is not None:
                raise SettingError(f"{option} without --shift", expected="a shift: --shift fog:1-5", hint=_LEAVE)
        return []
    from poc_aug.evaluation.shift_request import read_shifts

    requests = read_shifts(shifts)
    if maps is not None:
        raise SettingError("--maps with --shift", expected="one of the two: score maps are drawn of unshifted frames")
    if camera is not None:
        from poc_aug.camera_spec import named_camera

        if not any(request.cache is None and request.domain in WEATHER_DOMAINS for request in requests):
            raise SettingError(
                f"--camera {camera} without weather that is made here",
                expected=f"--shift with one of: {', '.join(WEATHER_DOMAINS)}",
                hint=_LEAVE,
            )
        named_camera(camera)
    if seed is not None and all(request.cache is not None for request in requests):
        raise SettingError(f"--seed {seed} for frames of a cache", expected="frames that are made here", hint=_LEAVE)
    return requests


def shift_plot_names(names: list[str], known_names: list[str]) -> list[str]:
    """The files of the plots: first of the datasets with anomalies, then of those with known classes.

    Example:
        >>> from poc_aug.cli.evaluate_shift_options import shift_plot_names
        >>> shift_plot_names(["fishyscapes"], ["camvid"]), shift_plot_names(["streets"], ["streets"])
        (['shifts-fishyscapes.png', 'shifts-camvid.png'], ['shifts-streets.png', 'shifts-streets-labelled.png'])
    """
    known = [f"{name}-labelled" if name in names else name for name in known_names]
    return [f"shifts-{file_name(name)}.png" for name in (*names, *known)]
