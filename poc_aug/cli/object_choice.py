"""What is chosen of an object source: which of its objects, in which sizes, and other fields of the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poc_aug.camera_spec import named_camera
from poc_aug.errors import SettingError
from poc_aug.labels.schema import class_key
from poc_aug.presets.object_sizes import RealSizes, known_real_sizes
from poc_aug.presets.size_choice import SizeChoice, sizes_text, with_sizes
from poc_aug.recipe import Recipe

if TYPE_CHECKING:
    from poc_aug.backends.paste.bank import ObjectBank


@dataclass(frozen=True)
class ObjectChoice:
    """Which of a source's objects are inserted, and changes to its recipe.

    Attributes:
        seed: the base seed; ``None``: the recipe's.
        camera: a camera's name, see `poc_aug.camera_spec.named_camera`; ``None``: the recipe's.
        location: class names that objects stand on, ``()`` for anywhere; ``None``: the recipe's.
        per_variant: least and most objects in one variant; ``None``: the recipe's.
        extra: further fields of the recipe.
        sizes: the size of all objects in pixels or parts of the frame, or "metres": their real sizes; ``None``: the
            recipe's, and for cut-outs "metres".
        real_sizes: real sizes that take precedence over the known ones; with ``sizes`` in metres.
        include: only these objects (classes); capitals, "_" and "-" make no difference.
        exclude: all objects except these.
        images: folder of the images of a COCO source; ``None``: found near it.

    Example:
        >>> from poc_aug.cli.object_sources import ObjectChoice, load_recipe
        >>> source = ObjectChoice(seed=7, camera="cityscapes", per_variant=(1, 2), exclude=["dog"])
        >>> recipe = load_recipe("poc-alt", source)
        >>> recipe.seed, recipe.objects_per_variant, "dog" in [spec.name for spec in recipe.objects]
        (7, (1, 2), False)
    """

    seed: int | None = None
    camera: str | None = None
    location: Sequence[str] | None = None
    per_variant: tuple[int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    sizes: SizeChoice | None = None
    real_sizes: RealSizes | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    images: str | Path | None = None

    def __post_init__(self) -> None:
        if self.real_sizes is not None and self.sizes is not None and self.sizes != "metres":
            raise SettingError(
                f"real sizes (in metres) with sizes of {sizes_text(self.sizes)}",
                expected="one of the two",
                hint="leave real_sizes out, or choose sizes='metres'",
                command="leave --sizes-file out, or choose --sizes metres",
            )

    @property
    def metres(self) -> bool:
        """Whether sizes in metres are chosen."""
        return self.sizes == "metres" or self.real_sizes is not None

    def apply(self, recipe: Recipe, *, inherent: bool = False) -> Recipe:
        """The recipe with its objects chosen and sized, and with these changes.

        Args:
            recipe: the recipe.
            inherent: whether the inserter brings real sizes of its own.

        Raises:
            SettingError: an unknown object or camera, an unknown real size, or a value that does not fit.
        """
        names = [spec.name for spec in recipe.objects]
        chosen = choose(names, self.include, self.exclude, "the recipe")
        if len(chosen) < len(names):
            recipe = recipe.with_changes(objects=[recipe.spec(name).model_dump() for name in chosen])
        if self.metres or self.sizes is not None:
            recipe = with_sizes(recipe, self.sizes or "metres", self.real_sizes, inherent=inherent)
        return self._changed(recipe)

    def paste(self, bank: ObjectBank) -> Recipe:
        """The recipe that pastes every class of a bank, in the chosen sizes and with these changes.

        Raises:
            SettingError: as in `apply`.
        """
        from poc_aug.backends.paste.bank_recipe import paste_recipe

        metres = self.real_sizes or "metres"
        sizes = metres if self.sizes is None or isinstance(self.sizes, str) else self.sizes
        return self._changed(paste_recipe(bank, sizes=sizes))

    def _changed(self, recipe: Recipe) -> Recipe:
        changes: dict[str, Any] = {}
        if self.seed is not None:
            changes["seed"] = self.seed
        if self.camera is not None:
            changes["camera"] = named_camera(self.camera).model_dump()
        if self.location is not None:
            changes["location"] = tuple(self.location)
        if self.per_variant is not None:
            changes["objects_per_variant"] = tuple(self.per_variant)
        twice = sorted(set(self.extra) & set(changes))
        if twice:
            raise SettingError(f"{', '.join(twice)} of the recipe given twice", expected="each field once")
        return recipe.with_changes(**self.extra, **changes) if self.extra or changes else recipe


def choose(names: Sequence[str], include: Sequence[str] | None, exclude: Sequence[str], where: str) -> list[str]:
    """The names that are included and not excluded, in their own order.

    Raises:
        SettingError: a name that is not among them, with the closest ones; or no name is left.
    """
    known = {class_key(name): name for name in names}
    for option, listed in (("include", include or ()), ("exclude", exclude)):
        for name in listed:
            # A known object may be excluded from a source that does not have it: one list serves many sources.
            if class_key(name) not in known and not (option == "exclude" and name in known_real_sizes()):
                close = get_close_matches(class_key(name), known, n=3)
                raise SettingError(
                    f"{option}: {where} has no {name!r}",
                    expected=f"some of: {', '.join(names)}",
                    hint=f"did you mean {', '.join(repr(known[key]) for key in close)}?"
                    if close
                    else f"correct {option}",
                    command="" if close else f"correct --{option}",
                )
    wanted = set(known) if include is None else {class_key(name) for name in include}
    chosen = [name for key, name in known.items() if key in wanted - {class_key(name) for name in exclude}]
    if not chosen:
        raise SettingError(
            f"no object of {where} is left: include={include}, exclude={list(exclude)}",
            expected=f"at least one of: {', '.join(names)}",
            hint="exclude fewer of them",
            command="correct --include or --exclude",
        )
    return chosen
