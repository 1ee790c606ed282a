"""`WeatherShifter`: the weather of `poc_aug.scenes.weather` as a shifter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from poc_aug.camera_model import Camera
from poc_aug.errors import SchemaError, SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.scenes.weather.geometry import DEPTH_VERSION, assumed_camera
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, check_surfaces, schema_with_kinds
from poc_aug.seeding import generator
from poc_aug.types import MAX_SEVERITY, Json, Rejection


@dataclass(frozen=True, slots=True)
class _Weather:
    """Where a domain's function is, and its version: raised whenever the same frame gives other pixels."""

    module: str
    version: int = 1

    @property
    def function(self) -> Any:
        """The function of the module's name."""
        return getattr(import_module(f"poc_aug.scenes.weather.{self.module}"), self.module)


_DOMAINS = {
    "fog": _Weather("fog"),
    "night": _Weather("night"),
    "rain": _Weather("rain"),
    "snow": _Weather("snow"),
    "low-sun": _Weather("low_sun"),
}


class WeatherShifter:
    """Frames in fog, at night, in rain, in snow or against a low sun: physics on labels and camera, without weights.

    Frames without a camera get one by objects of known height or by where the ground ends, otherwise an assumed one;
    which it was is in the provenance.

    Args:
        domain: "fog", "night", "rain", "snow" or "low-sun".
        kinds: kinds of class names that are not known, or others than in `KIND_OF_CLASS`: a `SurfaceKind` or its name.

    Raises:
        SettingError: an unknown domain or kind.

    Example:
        >>> from poc_aug.datasets.synthetic import SyntheticStreet
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> from torchvision.transforms.functional import pil_to_tensor
        >>> image, labels = (pil_to_tensor(picture) for picture in SyntheticStreet(size=(64, 128), length=1)[0])
        >>> frame = SceneFrame(image, labels[0], "0", severity=3, seed=1, schema=SCHEMAS["cityscapes-trainIds"])
        >>> shifted = WeatherShifter("fog").shift([frame])[0]
        >>> shifted.image.shape, shifted.provenance["visibility_m"], shifted.provenance["camera_from"]
        (torch.Size([3, 64, 128]), 150.0, 'ground')
    """

    def __init__(self, domain: str, *, kinds: Mapping[str, SurfaceKind | str] | None = None) -> None:
        if domain not in _DOMAINS:
            raise SettingError(
                f"unknown weather {domain!r}",
                expected=f"one of: {', '.join(_DOMAINS)}",
                hint="poc_aug.scenes.shift_names.make_shifter knows all domains",
            )
        self._domain = domain
        self.kinds = None if kinds is None else {name: _kind(name, kind) for name, kind in kinds.items()}

    @property
    def domain(self) -> str:
        """The domain's name."""
        return self._domain

    def describe(self) -> dict[str, Json]:
        """The domain, and the versions of what makes it."""
        described: dict[str, Json] = {
            "shifter": "weather",
            "domain": self._domain,
            "version": _DOMAINS[self._domain].version,
            "depth_version": DEPTH_VERSION,
        }
        if self.kinds:
            described["kinds"] = {name: kind.name.lower() for name, kind in sorted(self.kinds.items())}
        return described

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Check that the classes' names give a depth.

        Raises:
            SchemaError: no schema, one without a class of the ground, or ``kinds`` of classes that it does not have.
        """
        check_surfaces(schema, self.kinds)
        unknown = [name for name in self.kinds or {} if schema is not None and name not in schema]
        if unknown and schema is not None:
            raise SchemaError(
                f"kinds of classes that schema {schema.name!r} does not have: {', '.join(map(repr, unknown))}",
                expected=f"names of: {', '.join(schema.ids)}",
                hint="correct the names in WeatherShifter(..., kinds=)",
            )

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        """Shift each frame.

        Raises:
            SchemaError: as in `check_schema`.
            SettingError: a severity that is not 1 to 5, labels or a depth map of another size than the image.
        """
        return [self._shift(frame) for frame in frames]

    def _shift(self, frame: SceneFrame) -> Shifted:
        self.check_schema(frame.schema)
        _check(frame)
        schema = frame.schema
        assert schema is not None  # checked
        if self.kinds:
            schema = schema_with_kinds(schema, self.kinds)
        camera, known_from = _camera(frame, schema)
        image = _DOMAINS[self._domain].function(
            frame.image,
            frame.labels,
            camera,
            frame.severity,
            generator(frame.seed, "weather", self._domain),
            schema=schema,
            depth_m=frame.depth_m,
        )
        provenance: dict[str, Json] = {
            "depth_from": "labels" if frame.depth_m is None else "given",
            "camera_from": known_from,
            "horizon_row": round(camera.horizon_row, 2),
        }
        if self._domain == "fog":
            provenance |= _of_fog(frame, schema)
        return Shifted(image, provenance)


def _kind(name: str, kind: SurfaceKind | str) -> SurfaceKind:
    if isinstance(kind, str) and kind.upper() in SurfaceKind.__members__:
        return SurfaceKind[kind.upper()]
    if not isinstance(kind, SurfaceKind):
        known = ", ".join(member.name.lower() for member in SurfaceKind)
        raise SettingError(f"kind of class {name!r}: {kind!r}", expected=f"a SurfaceKind, or one of: {known}")
    return kind


def _check(frame: SceneFrame) -> None:
    if isinstance(frame.severity, bool) or frame.severity not in range(1, MAX_SEVERITY + 1):
        raise SettingError(
            f"severity = {frame.severity!r} of frame {frame.key!r}", expected=f"a whole number, 1 to {MAX_SEVERITY}"
        )
    if frame.image.dtype != torch.uint8 or frame.image.dim() != 3 or frame.image.shape[0] != 3:
        raise SettingError(
            f"image of frame {frame.key!r}: {frame.image.dtype}, {list(frame.image.shape)}",
            expected="uint8, [3, H, W], RGB",
            hint="convert it with torchvision.transforms.functional.pil_to_tensor",
        )
    if tuple(frame.labels.shape) != frame.size_hw:
        raise SettingError(
            f"labels of frame {frame.key!r}: {list(frame.labels.shape)}, its image is {list(frame.image.shape)}",
            expected=f"labels of shape {list(frame.size_hw)}",
            hint="resize the labels as the image, with nearest neighbours",
        )


def _camera(frame: SceneFrame, schema: LabelSchema) -> tuple[Camera, str]:
    if frame.camera is not None:
        return frame.camera, frame.camera.horizon_from
    return assumed_camera(frame.size_hw, frame.labels.cpu(), schema)


def _of_fog(frame: SceneFrame, schema: LabelSchema) -> dict[str, Json]:
    from poc_aug.scenes.weather.fog import fog_colour, visibility_m

    visibility = visibility_m(frame.severity)
    light = fog_colour(frame.image, frame.labels, schema)
    return {"visibility_m": visibility, "beta": round(3 / visibility, 6), "airlight": list(light)}
