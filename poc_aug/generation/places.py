"""`Places`: where the objects of a recipe may stand, by the labels or by a locator."""

from __future__ import annotations

import time

import torch

from poc_aug.errors import GenerationError, PocAugError, RecipeError, SchemaError
from poc_aug.generation.backend_errors import backend_error
from poc_aug.generation.recipe_checks import unknown_class_error
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Locator
from poc_aug.recipe import ObjectSpec, Recipe
from poc_aug.types import Sample


class Places:
    """Finds valid areas: where in a frame the objects of a recipe may stand.

    A location is a tuple of names such as ``("road", "sidewalk")``; an empty one is anywhere.

    Args:
        recipe: says where its objects stand.
        schema: label schema of the dataset, if it is known.
        locator: finds areas in images; ``None`` takes them from the labels.
    """

    def __init__(self, recipe: Recipe, schema: LabelSchema | None, locator: Locator | None) -> None:
        self.recipe = recipe
        self.schema = schema
        self.locator = locator

    def location(self, spec: ObjectSpec) -> tuple[str, ...]:
        """The location of an object: its own, or that of the recipe."""
        return self.recipe.location if spec.location is None else spec.location

    def check_locator(self) -> None:
        """Check that there is a locator if the recipe asks for one.

        Raises:
            RecipeError: there is none.
        """
        if self.recipe.locate_by == "locator" and self.locator is None:
            raise RecipeError(
                "locate_by='locator', and there is no locator",
                expected="a locator, which finds places without labels",
                hint="give one, InsertionPipeline(..., locator=...), or locate_by: labels",
                command="--backend diffusion with an annotator, or --locator package.module:callable; or leave "
                "locate_by out",
            )

    def check_object(self, spec: ObjectSpec) -> None:
        """Check that the location of an object can be found.

        Raises:
            SchemaError: it is read from the labels, and the schema is unknown or does not have one of its classes.
        """
        location = self.location(spec)
        if not location or self.needs_locator(location):
            return
        if self.schema is None:
            raise SchemaError(
                f"object {spec.name!r} stands on {list(location)}, and the dataset's label schema is not known",
                expected="a schema that says which label ids these classes have",
                hint="pass schema=, or a locator, or location=() for anywhere",
                command="--schema NAME|FILE.yaml, or --location anywhere",
            )
        for name in _class_names(location):
            if not self.schema.has(name):
                raise unknown_class_error(spec.name, name, self.schema)

    def needs_locator(self, location: tuple[str, ...]) -> bool:
        """Whether the locator has to find the area of a location."""
        if not location:
            return False
        if self.recipe.locate_by != "auto" or self.locator is None:
            return self.recipe.locate_by == "locator"
        return self.schema is None or not all(self.schema.has(name) for name in _class_names(location))

    def locate(self, sample: Sample, name: str) -> tuple[torch.Tensor, float]:
        """Ask the locator for one name of a location.

        Returns:
            The area, bool ``[H, W]``, and the seconds that it took.

        Raises:
            GenerationError: the locator raised, or what it returned is no mask of the sample's size.
        """
        assert self.locator is not None  # `check_locator` has run
        started = time.perf_counter()
        try:
            mask = self.locator.locate(sample, name)
            if mask.dtype != torch.bool or mask.shape != sample.size_hw:
                raise GenerationError(
                    f"{type(self.locator).__name__} returned {mask.dtype} {list(mask.shape)} for {name!r} in sample "
                    f"{sample.key!r}",
                    expected=f"torch.bool {list(sample.size_hw)}",
                    hint="correct the locator",
                )
        except (PocAugError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise backend_error(f"sample {sample.key!r}, location {name!r}", error) from error
        return mask, time.perf_counter() - started

    def labelled(self, sample: Sample, location: tuple[str, ...]) -> torch.Tensor | None:
        """The area of a location by the labels, bool ``[H, W]``; ``None``: anywhere."""
        if not location:
            return None
        assert self.schema is not None  # `check_object` has run
        return self.schema.mask(sample.labels, _class_names(location))


def _class_names(location: tuple[str, ...]) -> tuple[str, ...]:
    """Class names: "the road" is the class "road"."""
    return tuple(name[4:] if name.lower().startswith("the ") else name for name in location)
