"""Whether a sample fits recipe and schema: checked once per sample, whichever process reads it."""

from __future__ import annotations

from dataclasses import dataclass

from poc_aug.camera import check_shape, find_camera
from poc_aug.camera_model import Camera
from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import CalibrationError, DatasetError, ItemFormatError
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Inserter
from poc_aug.recipe import Recipe
from poc_aug.types import Sample


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """A sample that fits recipe and schema.

    Attributes:
        sample: the sample.
        calibrated: its camera, if the recipe takes cameras from calibration files.
    """

    sample: Sample
    calibrated: Camera | None = None


def check_sample(
    sample: Sample, recipe: Recipe, inserter: Inserter, schema: LabelSchema | None, *, labels_checked: bool = False
) -> CheckedSample:
    """Check that a sample fits recipe and schema.

    Args:
        sample: the sample.
        recipe: says how large its crops are and where its camera is known from.
        inserter: whether it needs a camera.
        schema: label schema of the dataset, if it is known.
        labels_checked: the ids of its labels have been checked already, as part of reading it.

    Raises:
        SchemaError: its labels hold ids that the schema does not know.
        ItemFormatError: it has no pixels.
        DatasetError: it is smaller than the crop of one of the recipe's objects, or does not have the shape of the
            frames whose camera alone gives its horizon.
        CalibrationError: ``camera: file``, and its calibration is missing, or is of other frames.
    """
    if 0 in sample.size_hw:
        raise no_pixels(sample.key, sample.size_hw)
    if schema is not None and not labels_checked:
        schema.check(sample.labels, sample.key)
    calibrated = None if recipe.camera.calibration is None else sample_camera(sample, recipe.camera, schema)
    check_shape(sample, recipe, inserter, schema)
    height, width = sample.size_hw
    for spec in recipe.objects:
        if spec.crop_px is not None and spec.crop_px > min(height, width):
            raise DatasetError(
                f"sample {sample.key!r} is {height}x{width} pixels (h x w), smaller than the crop of object "
                f"{spec.name!r}: crop_px={spec.crop_px}",
                expected=f"samples of at least {spec.crop_px}x{spec.crop_px} pixels",
                hint=f"set crop_px to {min(height, width)} or less in the recipe, or to null: crops by crop_scale",
            )
    return CheckedSample(sample, calibrated)


def sample_camera(sample: Sample, spec: CameraSpec, schema: LabelSchema | None) -> Camera | None:
    """The camera of a sample, see `poc_aug.camera`; ``None`` if nothing gives its horizon.

    Raises:
        CalibrationError: as in `check_sample`, with the sample's key.
    """
    try:
        return find_camera(spec, sample.labels, schema, sample.calibration)
    except CalibrationError as error:
        problem = f"sample {sample.key!r}: {error.problem}"
        raise CalibrationError(problem, expected=error.expected, hint=error.hint, command=error.command) from error


def no_pixels(key: str, size_hw: tuple[int, int]) -> ItemFormatError:
    """The error for a sample whose height or width is 0."""
    return ItemFormatError(
        f"item {key!r} is {size_hw[0]}x{size_hw[1]} pixels (h x w): it has no pixels",
        expected="a frame of at least 1x1 pixels",
        hint="check what the dataset crops or decodes",
    )
