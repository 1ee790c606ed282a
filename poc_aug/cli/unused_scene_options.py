"""Options of ``warm-scenes`` that would have no effect: errors that say what to give instead."""

from __future__ import annotations

from poc_aug.cli.warm_scenes_options import MODES, PAINTERS, WarmScenesOptions
from poc_aug.errors import SettingError
from poc_aug.scenes.shift_names import check_domain, known_domains

_LEAVE = "leave it out"
_WEATHER_NEEDS_NO_MODEL = "add --backend, or leave it out: weather and corruptions need no model"


def check_scene_options(job: WarmScenesOptions) -> None:
    """Check domains, severities and names, and that every option has an effect; nothing is loaded for it.

    Raises:
        SettingError: names the option, and what to give instead.
    """
    weather = [name for name in known_domains() if not name.startswith("corruption:")]
    if not job.shift and not job.shifter:
        known = f"{', '.join(weather)}, or corruption:NAME"
        raise SettingError("--shift is missing", expected=f"--shift with one of: {known}; or --shifter of your own")
    twice = [name for name in job.shift if job.shift.count(name) > 1]
    if twice:
        raise SettingError(f"--shift {twice[0]} is given twice", expected="each domain once")
    _ = job.severities
    _check_names(job)
    if job.backend is None:
        for name in job.shift:
            check_domain(name)
    _check_backend(job)
    if job.shifter_args and len(job.shifter) != 1:
        where = "without --shifter" if not job.shifter else f"with {len(job.shifter)} shifters"
        raise _unused(job, "shifter_args", where, "one --shifter that takes it", _LEAVE)
    prompted = bool(job.backend or job.shifter)
    weathered = bool(job.shifter) or (job.backend is None and any(name in weather for name in job.shift))
    needs: tuple[tuple[str, bool, str, str], ...] = (
        ("caption", prompted, "without a shifter that takes a prompt", "--backend diffusion"),
        ("captions", job.caption is not None, "without a captioner", "--caption"),
        ("depth", weathered, "without weather", f"--shift with one of: {', '.join(weather)}"),
        ("camera", weathered, "without weather", f"--shift with one of: {', '.join(weather)}"),
        ("classes", job.segmenter is not None, "without a segmenter", "--segmenter"),
        ("min_agreement", job.segmenter is not None, "without a segmenter", "--segmenter"),
        ("attempts", _rejects(job), "where no frame is rejected", "--segmenter, --backend or --shifter"),
        ("keep_rejected", _rejects(job), "where no frame is rejected", "--segmenter, --backend or --shifter"),
        ("device", _loads(job), "without a model", "--backend, --depth, --caption or --segmenter"),
        ("dtype", _loads(job), "without a model", "--backend, --depth or --caption"),
    )
    for name, used, where, instead in needs:
        if job.is_given(name) and not used:
            raise _unused(job, name, where, instead, _LEAVE)


def _check_names(job: WarmScenesOptions) -> None:
    for name, known in (("backend", PAINTERS), ("mode", MODES)):
        value = getattr(job, name)
        if value is not None and value not in known:
            raise SettingError(f"{job.option_name(name)} {value}", expected=f"one of {', '.join(known)}")


def _check_backend(job: WarmScenesOptions) -> None:
    given = [name for name in type(job).model_fields if job.cli_option(name).needs_backend and job.is_given(name)]
    if job.backend is None:
        if given:
            raise _unused(job, given[0], "without a backend", f"--backend {PAINTERS[0]}", _WEATHER_NEEDS_NO_MODEL)
        return
    if not job.shift:
        raise SettingError(
            f"--backend {job.backend} without a domain that it paints",
            expected="--shift with the domain's name, such as heavy-rain",
            hint="add --shift, or leave --backend out",
        )
    if job.backend == "edit":
        for name in ("controlnet", "mode", "strength"):
            if name in given:
                raise _unused(
                    job, name, "with --backend edit, which edits by instruction", "--backend diffusion", _LEAVE
                )
    if job.mode == "text-to-image" and job.strength is not None:
        raise _unused(job, "strength", "with --mode text-to-image", "--mode image-to-image", _LEAVE)


def _rejects(job: WarmScenesOptions) -> bool:
    return bool(job.segmenter or job.backend or job.shifter)


def _loads(job: WarmScenesOptions) -> bool:
    """Whether a model is loaded that takes a device."""
    loaded = (job.caption, job.depth)
    return bool(job.backend or job.segmenter) or any(name is not None and ":" not in name for name in loaded)


def _unused(job: WarmScenesOptions, name: str, where: str, expected: str, hint: str) -> SettingError:
    return SettingError(f"{job.option_name(name)} {getattr(job, name)!r} {where}", expected=expected, hint=hint)
