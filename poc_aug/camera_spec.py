"""`CameraSpec`: the frames' camera as a recipe describes it, and the cameras that have a name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from poc_aug.errors import RecipeError


class CameraSpec(BaseModel):
    """The camera that took the frames, for sizes in metres and rendered objects.

    A name stands for a preset (`CAMERAS`) or ``"file"``: ``camera: cityscapes``, ``camera: file``. Which evidence the
    horizon is known from, and in which order, is described in `poc_aug.camera`, whose `find_camera` turns a spec into
    the `poc_aug.camera_model.Camera` of one frame.

    Attributes:
        height_m: height over the road.
        horizon: row of the horizon as a fraction of the frame's height; ``None``: estimated from pose and labels.
        focal: focal length in frame widths (1.1 for Cityscapes, 0.58 for KITTI).
        pitch: nominal pose: how far the camera looks down, in rad; ``None`` if no pose is known.
        centre_yx: principal point ``(row, col)`` as fractions of the frame's height and width; ``None``: the middle.
        aspect: width over height of the frames that pose and principal point belong to; they are not used for frames of
            another shape (crops). ``None``: of any shape.
        calibration: ``"file"`` takes everything, per frame, from the dataset's calibration files.

    Example:
        >>> CameraSpec.model_validate("kitti").height_m
        1.65
        >>> CameraSpec(horizon=0.45)
        CameraSpec(height_m=1.4, horizon=0.45, focal=1.0, pitch=None, centre_yx=None, aspect=None, calibration=None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    height_m: float = Field(default=1.4, gt=0)
    horizon: float | None = Field(default=None, gt=-1, lt=2)
    focal: float = Field(default=1.0, gt=0.1, lt=10)
    pitch: float | None = Field(default=None, gt=-0.5, lt=0.5)
    centre_yx: tuple[float, float] | None = None
    aspect: PositiveFloat | None = None
    calibration: Literal["file"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        return named_camera(data).model_dump() if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_source(self) -> CameraSpec:
        if self.calibration is not None and self != CameraSpec.model_construct(calibration=self.calibration):
            raise ValueError("a camera of calibration='file' takes no other field: the files hold all of them")
        return self

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Recipes that set none of these keep the fingerprint that they had before these fields existed.
        unset = ("pitch", "centre_yx", "aspect", "calibration")
        return {name: value for name, value in handler(self).items() if value is not None or name not in unset}


CAMERAS: dict[str, CameraSpec] = {
    "generic": CameraSpec(),
    # Cityscapes' camera/*.json: z 1.22 m, pitch 0.038 rad, fx 2262.52, u0 1096.98, v0 513.137 at 2048x1024.
    "cityscapes": CameraSpec(
        height_m=1.22, focal=2262.52 / 2048, pitch=0.038, centre_yx=(513.137 / 1024, 1096.98 / 2048), aspect=2.0
    ),
    # Geiger et al., "Vision meets Robotics": cameras 1.65 m over the ground, level; P_rect_02 at 1242x375. In frames of
    # other days (1241x376 to 1224x370) the horizon's row differs by up to 13 px: camera "file".
    "kitti": CameraSpec(
        height_m=1.65, focal=721.5377 / 1242, pitch=0.0, centre_yx=(172.854 / 375, 609.5593 / 1242), aspect=1242 / 375
    ),
}


def _suggestion(name: str) -> str:
    close = get_close_matches(name.lower(), [*CAMERAS, "file"], n=1)
    return f"did you mean {close[0]}? Otherwise " if close else ""


def named_camera(name: str) -> CameraSpec:
    """A preset of `CAMERAS` by its name; ``"file"``: the dataset's own calibration files.

    Raises:
        RecipeError: an unknown name; the message lists the known ones.

    Example:
        >>> named_camera("cityscapes").height_m
        1.22
    """
    if name == "file":
        return CameraSpec(calibration="file")
    if name not in CAMERAS:
        raise RecipeError(
            f"camera {name!r}",
            expected=f"one of: {', '.join(CAMERAS)}, or file: the dataset's own calibration files",
            hint=_suggestion(name)
            + "describe another one: camera: {height_m: 1.4, focal: 1.0, horizon: 0.45}; see docs/camera.md",
        )
    return CAMERAS[name]
