"""Recipes made from a bank: objects in their real sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.errors import RecipeError, SettingError
from poc_aug.recipe import PerspectiveSize, PixelSize
from tests.helpers.bank_cases import bank, table  # noqa: F401


def test_paste_recipe_uses_real_sizes(bank: ObjectBank) -> None:  # noqa: F811
    recipe = paste_recipe(bank, seed=4)
    assert [spec.name for spec in recipe.objects] == ["dog", "table"]
    assert recipe.spec("dog").size == PerspectiveSize(size_m=0.6)
    assert recipe.seed == 4
    assert recipe.overlap_on == "foot"
    assert recipe.location == ("road",)
    sized = paste_recipe(bank, sizes=PixelSize(min_px=20, max_px=40), objects_per_variant=(2, 2))
    assert sized.spec("dog").size == PixelSize(min_px=20, max_px=40)
    assert sized.objects_per_variant == (2, 2)
    mixed = paste_recipe(bank, sizes={"dog": PerspectiveSize(size_m=1.0)})
    assert mixed.spec("dog").size == PerspectiveSize(size_m=1.0)
    assert mixed.spec("table").size == PerspectiveSize(size_m=0.75)


def test_paste_recipe_errors(bank: ObjectBank, tmp_path: Path) -> None:  # noqa: F811
    Image.fromarray(table(83, 121)).save(tmp_path / "gizmo.png")
    unknown_sizes = ObjectBank.from_folder(tmp_path)
    with pytest.raises(SettingError, match="'gizmo' is not known"):
        paste_recipe(unknown_sizes)
    assert paste_recipe(unknown_sizes, sizes={"gizmo": PerspectiveSize(size_m=0.4)})
    with pytest.raises(SettingError, match=r"sizes for \['dragon'\]"):
        paste_recipe(bank, sizes={"dragon": PerspectiveSize(size_m=0.4)})
    with pytest.raises(SettingError, match=r"sizes 'huge'(.|\n)*40:120px(.|\n)*0.05:0.2(.|\n)*metres"):
        paste_recipe(bank, sizes="huge")
    with pytest.raises(RecipeError, match="crop_scale"):
        paste_recipe(bank, crop_scale=0.1)
