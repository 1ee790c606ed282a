"""The layouts by name; each is imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from typing import Any

from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.layout_protocol import ExportLayout

LAYOUTS: dict[str, str] = {
    "cs-synth": "poc_aug.exporting.layouts.cs_synth:CsSynthLayout",
    "cityscapes": "poc_aug.exporting.layouts.cityscapes:CityscapesLayout",
    "pebal": "poc_aug.exporting.layouts.pebal:PebalLayout",
    "ood-seg": "poc_aug.exporting.layouts.ood_seg:OodSegLayout",
    "coco": "poc_aug.exporting.layouts.coco:CocoLayout",
    "webdataset": "poc_aug.exporting.layouts.webdataset:WebDatasetLayout",
    "huggingface": "poc_aug.exporting.layouts.huggingface:HuggingFaceLayout",
    "fiftyone": "poc_aug.exporting.layouts.fiftyone:FiftyOneLayout",
}
"""Module and class of each layout, by its name."""


def layout_named(name: str, **settings: Any) -> ExportLayout:
    """A layout by its name.

    Args:
        name: one of `LAYOUTS`.
        settings: settings of that layout.

    Raises:
        ExportError: no such layout; the message lists the known ones.
        SettingError: a setting that it does not have.

    Example:
        >>> layout_named("cs-synth").files("aachen_000000_000019_v0", "train", "aachen")
        ('leftImg8bit/train/aachen/aachen_000000_000019_v0.png', 'gtFine/train/aachen/aachen_000000_000019_v0.png')
    """
    if name not in LAYOUTS:
        close = get_close_matches(str(name).casefold().replace("_", "-"), LAYOUTS, n=1)
        raise ExportError(
            f"no layout {name!r}",
            expected=f"one of: {', '.join(LAYOUTS)}",
            hint=f"did you mean {close[0]!r}?" if close else "check the name",
        )
    module, _, attribute = LAYOUTS[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    known = list(inspect.signature(kind).parameters)
    for setting, value in settings.items():
        if setting not in known:
            raise SettingError(
                f"{setting}={value!r} for the layout {name!r}",
                expected=f"one of its settings: {', '.join(known)}" if known else "no settings: it has none",
                hint="leave it out",
                command=f"leave --{setting.replace('_', '-')} out",
            )
    layout: ExportLayout = kind(**settings)
    return layout
