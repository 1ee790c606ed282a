"""``--segmenter``: the check of whether the labels of shifted frames still hold."""

from __future__ import annotations

import shlex
from typing import Any

from torch import nn

from poc_aug.cli.arguments import load_callable, parse_arguments, run_own
from poc_aug.errors import ModelError, SettingError
from poc_aug.evaluation.frame_segmenter import FrameSegmenter, ModelSegmenter
from poc_aug.evaluation.label_agreement import LabelConsistency
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import AgreementCheck


def label_check(
    segmenter: str,
    schema: LabelSchema | None,
    *,
    classes: str | None = None,
    threshold: float | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> AgreementCheck:
    """The check that ``--segmenter`` and ``--min-agreement`` ask for.

    Args:
        segmenter: ``"package.module:callable key=value ..."``, which makes a module as ``poc-aug evaluate`` takes it, a
            `FrameSegmenter`, or an `AgreementCheck`; or the folder or hub id of a segmentation model of transformers. A
            module's channels are its attribute ``classes``, names in order; without it, the ids of the schema.
        schema: the dataset's label schema.
        classes: the label schema whose names, by id, are a module's channels, as ``--classes`` of ``poc-aug evaluate``.
        threshold: least agreement; ``None``: that of `LabelConsistency`.
        device: where the model runs.
        dtype: of a model of transformers.

    Raises:
        ModelError: no such model, or something else than a model.
        SettingError: a threshold for a check of one's own, which has its own; classes for what names its own.
        SchemaError: the segmenter and the schema have no class in common, or the schema is not known.
        MissingDependencyError: a package is not installed.

    Example:
        >>> from poc_aug.cli.label_check import label_check
        >>> label_check("no-such-model", None)
        Traceback (most recent call last):
        poc_aug.errors.ModelError: no segmenter at 'no-such-model'
        Expected: ... a folder or hub id such as nvidia/segformer-b5-finetuned-cityscapes-1024-1024
        Next step: check the path or the spelling
    """
    if ":" not in segmenter.partition(" ")[0]:
        _check_unnamed(classes, segmenter)
        from poc_aug.backends.scene_models.semantic_model import TransformersSemantic

        found: FrameSegmenter = TransformersSemantic(segmenter, device=device, dtype=dtype)
    else:
        made = _made(segmenter)
        if isinstance(made, AgreementCheck):
            if threshold is not None:
                raise SettingError(
                    f"--min-agreement {threshold:g} with the check {segmenter}",
                    expected="a segmenter: a check has a threshold of its own",
                    hint="leave --min-agreement out",
                )
            _check_unnamed(classes, segmenter)
            return made
        if isinstance(made, FrameSegmenter):
            _check_unnamed(classes, segmenter)
            found = made
        else:
            found = _segmenter(made, segmenter, schema, classes, device)
    check = LabelConsistency(found) if threshold is None else LabelConsistency(found, threshold=threshold)
    check.check_schema(schema)
    return check


def _made(text: str) -> Any:
    try:
        name, *pairs = shlex.split(text)
    except ValueError as error:
        raise SettingError(f"--segmenter {text!r}: {error}", expected="'module:callable key=value ...'") from error
    factory, arguments = load_callable(name, "segmenter"), parse_arguments(pairs)
    return run_own(lambda: factory(**arguments), text, ModelError, hint="correct its key=value arguments")


def _check_unnamed(classes: str | None, segmenter: str) -> None:
    if classes is not None:
        raise SettingError(
            f"--classes {classes} with --segmenter {segmenter}, which names its classes itself",
            expected="a torch module as the segmenter",
            hint="leave --classes out",
        )


def _segmenter(
    made: Any, text: str, schema: LabelSchema | None, names: str | None, device: str | None
) -> ModelSegmenter:
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"--segmenter {text} gave a {type(made).__name__}",
            expected="a torch.nn.Module, or an object with classes, describe() and segment(image)",
        )
    if names is not None:
        return ModelSegmenter(made, names, device=device)
    classes = getattr(made, "classes", schema)
    if classes is None:
        raise ModelError(
            f"--segmenter {text} has no attribute `classes`, and the dataset's label schema is not known",
            expected="the names of the model's channels, in order",
            hint="name them: --classes NAME|FILE.yaml, or give the model an attribute `classes`",
        )
    return ModelSegmenter(made, classes, device=device)
