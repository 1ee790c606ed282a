"""poc_aug: insert realistic objects into segmentation datasets, and rewrite the labels to match.

The public names are loaded on first use, so that ``import poc_aug`` is fast and needs no optional package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poc_aug.adapters import Adapt
    from poc_aug.backends.bank import ObjectBank
    from poc_aug.backends.diffusion import DiffusionInserter
    from poc_aug.backends.grounded_sam import GroundedSamAnnotator
    from poc_aug.backends.paste import PasteInserter
    from poc_aug.backends.prompt_locator import PromptLocator
    from poc_aug.backends.rendered import RenderedInserter
    from poc_aug.backends.sam3 import Sam3Annotator
    from poc_aug.backends.text_to_image import TextToImageInserter
    from poc_aug.backends.transformers_annotator import TransformersAnnotator
    from poc_aug.cache import Cache
    from poc_aug.dataset import POCAugmentedDataset
    from poc_aug.datasets import PairedFolder
    from poc_aug.labels import AnomalyLabels, NewClassLabels, OodLabels
    from poc_aug.live import ServerSettings
    from poc_aug.pipeline import InsertionPipeline
    from poc_aug.recipe import ObjectSpec, Recipe
    from poc_aug.schema import LabelSchema
    from poc_aug.synthetic import SyntheticStreet
    from poc_aug.warming import warm_cache

__version__ = "0.1.0"

_HOMES = {
    "Adapt": "poc_aug.adapters",
    "AnomalyLabels": "poc_aug.labels",
    "Cache": "poc_aug.cache",
    "DiffusionInserter": "poc_aug.backends.diffusion",
    "GroundedSamAnnotator": "poc_aug.backends.grounded_sam",
    "InsertionPipeline": "poc_aug.pipeline",
    "LabelSchema": "poc_aug.schema",
    "NewClassLabels": "poc_aug.labels",
    "ObjectBank": "poc_aug.backends.bank",
    "ObjectSpec": "poc_aug.recipe",
    "OodLabels": "poc_aug.labels",
    "POCAugmentedDataset": "poc_aug.dataset",
    "PairedFolder": "poc_aug.datasets",
    "PasteInserter": "poc_aug.backends.paste",
    "PromptLocator": "poc_aug.backends.prompt_locator",
    "Recipe": "poc_aug.recipe",
    "RenderedInserter": "poc_aug.backends.rendered",
    "Sam3Annotator": "poc_aug.backends.sam3",
    "ServerSettings": "poc_aug.live",
    "SyntheticStreet": "poc_aug.synthetic",
    "TextToImageInserter": "poc_aug.backends.text_to_image",
    "TransformersAnnotator": "poc_aug.backends.transformers_annotator",
    "warm_cache": "poc_aug.warming",
}

__all__ = [
    "Adapt",
    "AnomalyLabels",
    "Cache",
    "DiffusionInserter",
    "GroundedSamAnnotator",
    "InsertionPipeline",
    "LabelSchema",
    "NewClassLabels",
    "ObjectBank",
    "ObjectSpec",
    "OodLabels",
    "POCAugmentedDataset",
    "PairedFolder",
    "PasteInserter",
    "PromptLocator",
    "Recipe",
    "RenderedInserter",
    "Sam3Annotator",
    "ServerSettings",
    "SyntheticStreet",
    "TextToImageInserter",
    "TransformersAnnotator",
    "warm_cache",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
