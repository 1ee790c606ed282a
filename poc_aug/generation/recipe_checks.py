"""What `InsertionPipeline` checks of a recipe before any long work: sizes in metres, and classes to stand on."""

from __future__ import annotations

from difflib import get_close_matches

from poc_aug.errors import RecipeError, SchemaError
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Inserter
from poc_aug.recipe import PerspectiveSize, Recipe
from poc_aug.types import Extent


def check_sizes(recipe: Recipe, inserter: Inserter) -> None:
    """Check that every size in metres is known, to the recipe or to the inserter.

    Raises:
        RecipeError: names the object.
    """
    for spec in recipe.objects:
        rule = spec.size or recipe.size
        if isinstance(rule, PerspectiveSize) and rule.size_m is None:
            extent = inserter.extent(spec.name, 0)
            if not isinstance(extent, Extent) or extent.height_m is None:
                raise RecipeError(
                    f"object {spec.name!r} has a perspective size without size_m, and "
                    f"{type(inserter).__name__} does not know its real size",
                    expected="a size in metres",
                    hint=f"ObjectSpec(name={spec.name!r}, size=PerspectiveSize(size_m=0.6))",
                    command="--sizes metres if its size is known; otherwise write "
                    f"'{spec.name}: 0.6' (metres) into a file, and give --sizes-file FILE.yaml; or --sizes 40:120px",
                )


def unknown_class_error(object_name: str, place: str, schema: LabelSchema) -> SchemaError:
    """The error for a location that the schema does not know."""
    classes = [name for name, label_id in schema.ids.items() if label_id not in schema.ignore] or list(schema.ids)
    close = get_close_matches(place, classes, n=1)
    like, one = (close[0], close[0]) if close else ("CLASS", "one of these classes")
    return SchemaError(
        f"object {object_name!r} stands on {place!r}, and label schema {schema.name!r} has no such class",
        expected=f"one of: {', '.join(classes)}",
        hint=f"location=({like!r},): {one}; or location=() for anywhere; or pass the schema of this dataset",
        command=f'--location "{like}": {one}; or --location anywhere; or give the schema of this dataset, --schema',
    )
