"""The pipeline that the options of ``warm-scenes`` ask for: shifters, captioner, depth and the check of labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poc_aug.cli.arguments import parse_value
from poc_aug.cli.build_pipeline import make_own
from poc_aug.cli.label_check import label_check
from poc_aug.cli.object_sources import construct
from poc_aug.cli.warm_scenes_options import WarmScenesOptions
from poc_aug.errors import SettingError
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.scenes.shift_names import make_shifter
from poc_aug.scenes.shifter_protocol import AgreementCheck, Captioner, DepthEstimator, Shifter

if TYPE_CHECKING:
    from poc_aug.backends.scene_models.painting_shifter import PaintingShifter


def scene_pipeline(job: WarmScenesOptions, schema: LabelSchema | None) -> ShiftPipeline:
    """The pipeline of a job whose options were checked.

    Args:
        job: the options.
        schema: the dataset's label schema, if it is known.

    Raises:
        SettingError: arguments that do not fit.
        RecipeError: a camera that cannot be read.
        MissingDependencyError: a package is not installed.
        ModelError: a model is missing, or not of the kind needed.
        DeviceError: the device is missing.
    """
    shifters: list[Shifter] = [make_shifter(name) for name in job.shift] if job.backend is None else _painters(job)
    shifters += [make_own("shifter", name, job.shifter_args, Shifter) for name in job.shifter]
    recipe: dict[str, Any] = {
        "domains": [shifter.domain for shifter in shifters],
        "severities": job.severities,
        "seed": job.seed,
    }
    if job.camera is not None:
        recipe["camera"] = parse_value(job.camera) if isinstance(job.camera, str) else job.camera
    if job.attempts is not None:
        recipe["attempts"] = job.attempts
    return ShiftPipeline(
        SceneRecipe.from_dict(recipe),
        shifters,
        captioner=_captioner(job),
        depth=_depth(job),
        agreement=_agreement(job, schema),
        schema=schema,
        batch_size=job.batch_size,
    )


def _painters(job: WarmScenesOptions) -> list[Shifter]:
    """The shifters of ``--backend``, which share one model."""
    if not job.shift:
        return []
    first, *others = job.shift
    if others and "phrase" in job.backend_args:
        raise SettingError(
            f"--backend-arg phrase= with several domains: {', '.join(job.shift)}",
            expected="one domain, whose words they are",
            hint="one run per domain, each with a cache of its own",
        )
    painter = _painter(job, first)
    return [painter, *(painter.for_domain(domain) for domain in others)]


def _painter(job: WarmScenesOptions, domain: str) -> PaintingShifter:
    """The shifter of ``--backend`` that paints a domain."""
    given = {"domain": domain, "model": job.model, **_hardware(job)}
    if job.backend == "edit":
        from poc_aug.backends.scene_models.edit_shifter import EditShifter

        del given["batch_size"]  # it edits one frame at a time
        return construct(EditShifter, {**_present(given), **job.backend_args}, "--backend edit")
    from poc_aug.backends.scene_models.controlnet_shifter import ControlNetShifter

    given |= {"controlnet": job.controlnet, "mode": job.mode, "strength": job.strength}
    return construct(ControlNetShifter, {**_present(given), **job.backend_args}, "--backend diffusion")


def _captioner(job: WarmScenesOptions) -> Captioner | None:
    if job.caption is None:
        return None
    from poc_aug.backends.scene_models.captioner_file import CachedCaptioner, CaptionFile

    file = CaptionFile(_caption_path(job))  # before a model is loaded
    captioner: Captioner
    if ":" in job.caption:
        captioner = make_own("caption", job.caption, {}, Captioner)
    else:
        from poc_aug.backends.scene_models.captioner import TransformersCaptioner

        captioner = construct(TransformersCaptioner, {"model": job.caption, **_hardware(job)}, "--caption")
    return CachedCaptioner(captioner, file)


def _caption_path(job: WarmScenesOptions) -> Path:
    """The file of captions: ``night.captions.jsonl`` next to ``night.cache``, unless another is named."""
    if job.captions is not None:
        return job.captions
    assert job.out is not None  # checked before
    out = Path(job.out)
    return out.with_name(f"{out.name.removesuffix('.cache')}.captions.jsonl")


def _depth(job: WarmScenesOptions) -> DepthEstimator | None:
    if job.depth is None:
        return None
    if ":" in job.depth:
        own: DepthEstimator = make_own("depth", job.depth, {}, DepthEstimator)
        return own
    from poc_aug.backends.scene_models.depth_model import TransformersDepth

    return construct(TransformersDepth, {"model": job.depth, **_hardware(job)}, "--depth")


def _agreement(job: WarmScenesOptions, schema: LabelSchema | None) -> AgreementCheck | None:
    if job.segmenter is None:
        return None
    return label_check(
        job.segmenter,
        schema,
        classes=job.classes,
        threshold=job.min_agreement,
        device=job.device,
        dtype=job.dtype,
    )


def _hardware(job: WarmScenesOptions) -> dict[str, Any]:
    return _present({"device": job.device, "dtype": job.dtype, "batch_size": job.batch_size})


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
