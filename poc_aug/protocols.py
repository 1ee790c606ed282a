"""The protocols of backends: inserters, annotators and locators, and what they may offer in addition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Extent, Filled, Rejection, Sample


@runtime_checkable
class Inserter(Protocol):
    """Fills crops with objects. Must be a pure function of each crop: batching changes nothing.

    Example:
        An inserter that paints the box grey, and knows its mask:

        >>> from poc_aug.types import Annotation, Part
        >>> class GreyBox:
        ...     needs_camera = False
        ...
        ...     def describe(self):
        ...         return {"inserter": "grey box"}
        ...
        ...     def extent(self, object_name, seed):
        ...         return None
        ...
        ...     def insert(self, crops):
        ...         return [self.fill(crop) for crop in crops]
        ...
        ...     def fill(self, crop):
        ...         y, x, h, w = crop.box_yxhw
        ...         mask = torch.zeros(crop.image.shape[-2:], dtype=torch.bool)
        ...         mask[y : y + h, x : x + w] = True
        ...         part = Part(crop.parts[0], mask)
        ...         return Filled(torch.where(mask, 128, crop.image), Annotation((part,)))
        >>> isinstance(GreyBox(), Inserter)
        True
    """

    @property
    def needs_camera(self) -> bool:
        """Whether it can only fill crops whose camera is known."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is drawn; part of a cache's fingerprint."""
        ...

    def extent(self, object_name: str, seed: int) -> Extent | Rejection | None:
        """Size of what ``insert`` will draw for this seed.

        ``None``: it fills whatever box it is given. A `Rejection`: it cannot draw anything for this seed.
        """
        ...

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Fill each crop; one result per crop, in order."""
        ...


@runtime_checkable
class Annotator(Protocol):
    """Finds the masks of what was inserted."""

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found; part of a cache's fingerprint."""
        ...

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        """Annotate each filled crop; one result per crop, in order."""
        ...


@runtime_checkable
class Locator(Protocol):
    """Finds where objects may stand in a full image."""

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found; part of a cache's fingerprint."""
        ...

    def locate(self, sample: Sample, location: str) -> torch.Tensor:
        """Valid area, bool ``[H, W]``, for a location such as "the road"."""
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """A backend that continues without some of what it was given (cut-outs of a bank), and reports what it left out."""

    def left_out(self) -> Mapping[str, int]:
        """What it could not use from the start: how many, by reason."""
        ...

    def unreadable(self) -> Mapping[str, str]:
        """What turned out to be unreadable so far: the reason, by the name that its rejections have as their detail."""
        ...


@runtime_checkable
class ChecksRecipe(Protocol):
    """A backend that checks, before any long work, whether it can do what a recipe asks for."""

    def check_recipe(self, recipe: Recipe) -> None:
        """Raise a `PocAugError` if it cannot, which names the recipe's value: a prompt over the text limit, for one."""
        ...
