"""What a notebook shows of an object: `ShownAsHtml` and `ShownAsPicture`, for classes that import no drawing.

What draws is `poc_aug.inspection`. It imports these classes, not the other way round: it is loaded by name when
something is shown for the first time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

WIDTH_PX = 900
"""Width of a picture that `show` returns, at most."""

_VIEWS = {
    "Sample": "sample_views",
    "Composed": "sample_views",
    "Insertion": "record_views",
    "ShiftedFrame": "record_views",
    "Variant": "record_views",
    "Cache": "cache_views",
    "UnitedCaches": "cache_views",
    "AugmentedDataset": "dataset_views",
    "Peeked": "peeked_views",
    "LabelSchema": "table_views",
    "Recipe": "table_views",
    "SceneRecipe": "table_views",
}


class ShownAsHtml:
    """Has a notebook show facts about an object, and pictures, instead of its `repr`."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        page: str = import_module("poc_aug.inspection.html_page").html_of(self._notebook_view)
        return page

    def _notebook_view(self, **options: Any) -> Any:
        """What is shown: a `poc_aug.inspection.notebook_view.NotebookView`."""
        name = next(each.__name__ for each in type(self).__mro__ if each.__name__ in _VIEWS)
        module = _VIEWS[name]
        view_of = getattr(import_module(f"poc_aug.inspection.{module}"), f"view_of_{module.removesuffix('_views')}")
        return view_of(self, **options)


class ShownAsPicture(ShownAsHtml):
    """As `ShownAsHtml`; `show` returns the pictures as one, in any program."""

    __slots__ = ()

    def show(self, *, width_px: int = WIDTH_PX) -> Image.Image:
        """A picture to look at, with captions; a notebook displays it, ``.save(path)`` keeps it.

        Args:
            width_px: its width at most.

        Raises:
            SettingError: a width that is not an integer from 64 to 8192.
        """
        return self._notebook_picture(width_px)

    def _notebook_picture(self, width_px: int, **options: Any) -> Image.Image:
        view = self._notebook_view(**options)
        picture: Image.Image = import_module("poc_aug.inspection.notebook_view").picture_of(view, width_px)
        return picture
