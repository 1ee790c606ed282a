"""What is shown of a label schema and of recipes: tables."""

from __future__ import annotations

from collections.abc import Sequence

from poc_aug.inspection.label_colours import IGNORED_RGB, colour_of
from poc_aug.inspection.notebook_view import NotebookView, plain_line
from poc_aug.labels.schema import LabelSchema, class_key
from poc_aug.recipe import Recipe, SizeRule
from poc_aug.scenes.scene_recipe import SceneRecipe

_MOST_ROWS = 100


def view_of_table(thing: LabelSchema | Recipe | SceneRecipe) -> NotebookView:
    """What is shown of one of them."""
    if isinstance(thing, LabelSchema):
        return _schema_view(thing)
    return _recipe_view(thing) if isinstance(thing, Recipe) else _scene_view(thing)


def _schema_view(schema: LabelSchema) -> NotebookView:
    names: dict[int, list[str]] = {}
    for name, label_id in schema.ids.items():
        names.setdefault(label_id, []).append(name)
    for label_id in schema.ignore:
        names.setdefault(label_id, [])
    view = NotebookView(f"Label schema {plain_line(schema.name)}: {len(schema.ids)} class names")
    shown = sorted(names.items())[:_MOST_ROWS]
    view.table = [("id", "class", "")]
    roles = (("ground", schema.ground), ("out of distribution", schema.ood))
    for label_id, own in shown:
        keys = {class_key(name) for name in own}
        said = [what for what, listed in roles if keys & {class_key(name) for name in listed}]
        said += ["ignored"] * (label_id in schema.ignore)
        view.table.append((str(label_id), _listed(own), ", ".join(said)))
        view.swatches.append(IGNORED_RGB if label_id in schema.ignore else colour_of(label_id))
    view.notes = _and_more(len(names) - len(shown), "ids")
    return view


def _recipe_view(recipe: Recipe) -> NotebookView:
    fewest, most = recipe.objects_per_variant
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    view = NotebookView(f"Recipe of {len(recipe.objects)} object{'' if len(recipe.objects) == 1 else 's'}")
    view.facts = [
        ("in a variant", count),
        ("location", _listed(recipe.location) or "anywhere"),
        ("size", _size(recipe.size)),
        ("attempts", str(recipe.attempts)),
        ("seed", str(recipe.seed)),
        ("prompt", plain_line(recipe.prompt_template)),
        ("fingerprint", recipe.fingerprint),
    ]
    rows: list[tuple[str, ...]] = [("object", "prompts", "parts", "size", "location")]
    for spec in recipe.objects[:_MOST_ROWS]:
        own_size = "" if spec.size is None else _size(spec.size)
        location = "" if spec.location is None else _listed(spec.location) or "anywhere"
        prompts, parts = ("" if names == (spec.name,) else _listed(names) for names in (spec.prompts, spec.parts))
        rows.append((spec.name, prompts, parts, own_size, location))
    told = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    view.table = [tuple(row[column] for column in told) for row in rows]
    view.notes = _and_more(len(recipe.objects) - _MOST_ROWS, "objects")
    return view


def _scene_view(recipe: SceneRecipe) -> NotebookView:
    facts = [
        ("domains", _listed(recipe.domains, most=24)),
        ("severities", _listed([str(severity) for severity in recipe.severities])),
        ("attempts", str(recipe.attempts)),
        ("seed", str(recipe.seed)),
        ("fingerprint", recipe.fingerprint),
    ]
    return NotebookView(f"Recipe of {len(recipe.shifts)} scene shifts", facts)


def _size(size: SizeRule) -> str:
    values = size.model_dump(exclude={"kind"}, exclude_none=True)
    return f"{size.kind}: " + ", ".join(f"{name} {value}" for name, value in values.items())


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(plain_line(name, 60) for name in names[:most]) + (", ..." if len(names) > most else "")


def _and_more(left: int, what: str) -> list[str]:
    return [f"and {left} more {what}"] if left > 0 else []
