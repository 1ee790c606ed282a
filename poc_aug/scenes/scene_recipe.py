"""`SceneRecipe`: which domains and severities frames are shifted to, and the keys of shifted frames."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import RecipeError, SettingError
from poc_aug.notebook import ShownAsHtml
from poc_aug.recipe import fingerprint
from poc_aug.types import MAX_SEVERITY

_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,99}")
_SHIFTED = re.compile(r"(?s)(.*)@([A-Za-z0-9][A-Za-z0-9_.:+-]{0,99})-([1-5])")

Severity = Annotated[int, Field(ge=1, le=MAX_SEVERITY)]


class SceneRecipe(ShownAsHtml, BaseModel):
    """Everything besides shifters and models that decides what shifted frames look like.

    Attributes:
        kind: tells recipes of frames from those of insertions.
        domains: names of the domains, see `poc_aug.scenes.shift_names`.
        severities: severities of each domain, 1 to 5.
        camera: the frames' camera: depth comes from labels and camera.
        attempts: how often a frame is made, each time with a new seed, if its labels do not hold.
        seed: the base seed. Equal seeds give the same noise at all severities.

    Example:
        >>> recipe = SceneRecipe(domains=("fog", "night"), severities=(1, 3))
        >>> recipe.shifts
        (('fog', 1), ('fog', 3), ('night', 1), ('night', 3))
        >>> SceneRecipe.from_dict(recipe.to_dict()) == recipe
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["frames"] = "frames"
    domains: tuple[str, ...] = Field(min_length=1)
    severities: tuple[Severity, ...] = Field(default=(3,), min_length=1)
    camera: CameraSpec = CameraSpec()
    attempts: int = Field(default=3, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> SceneRecipe:
        for what, values in (("domains", self.domains), ("severities", self.severities)):
            if len(set(values)) < len(values):
                raise ValueError(f"{what}={list(values)} must be different")
        for name in self.domains:
            if not _DOMAIN.fullmatch(name):
                raise ValueError(f"domain {name!r} must be letters, digits, '_', '.', ':', '+' or '-', at most 100")
        return self

    @property
    def shifts(self) -> tuple[tuple[str, int], ...]:
        """Each domain at each severity, in order."""
        return tuple((domain, severity) for domain in self.domains for severity in self.severities)

    @property
    def fingerprint(self) -> str:
        """Hash of the canonical JSON: 32 hex digits."""
        return fingerprint(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """JSON values; ``SceneRecipe.from_dict(recipe.to_dict()) == recipe``."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SceneRecipe:
        """Build from JSON values.

        Raises:
            RecipeError: names each wrong field, its value and what is expected.
        """
        try:
            return cls.model_validate(data)
        except pydantic.ValidationError as error:
            lines = (f"{_place(item)} = {item['input']!r}: {item['msg']}" for item in error.errors())
            raise RecipeError(
                "the recipe of scene shifts is not valid:\n  " + "\n  ".join(lines),
                expected=f"domains, and severities from 1 to {MAX_SEVERITY}",
                hint="correct the named fields",
            ) from error


def shifted_key(key: str, domain: str, severity: int) -> str:
    """The key of a sample's frame in another domain: ``KEY@DOMAIN-SEVERITY``.

    Example:
        >>> shifted_key("aachen/000000.png", "low-sun", 3)
        'aachen/000000.png@low-sun-3'
    """
    return f"{key}@{domain}-{severity}"


def split_key(key: str) -> tuple[str, str, int]:
    """The sample's key, the domain and the severity of a shifted frame's key.

    Raises:
        SettingError: it is none.

    Example:
        >>> split_key("aachen/000000.png@low-sun-3")
        ('aachen/000000.png', 'low-sun', 3)
    """
    found = _SHIFTED.fullmatch(key)
    if found is None:
        raise SettingError(f"key {key[:200]!r}", expected="the key of a shifted frame: KEY@DOMAIN-SEVERITY")
    return found[1], found[2], int(found[3])


def _place(item: Any) -> str:
    return ".".join(str(part) for part in item["loc"]) or "recipe"
