"""poc_aug: insert realistic objects into segmentation datasets, and rewrite the labels to match.

The public names are loaded on first use, so that ``import poc_aug`` is fast and needs no optional package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from poc_aug.platforms import check_platform
from poc_aug.version import __version__ as __version__

check_platform()

if TYPE_CHECKING:
    from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
    from poc_aug.backends.diffusion.text_to_image import TextToImageInserter
    from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator
    from poc_aug.backends.finders.prompt_locator import PromptLocator
    from poc_aug.backends.finders.sam3 import Sam3Annotator
    from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
    from poc_aug.backends.paste.bank import ObjectBank
    from poc_aug.backends.paste.paste_inserter import PasteInserter
    from poc_aug.backends.rendered.rendered_inserter import RenderedInserter
    from poc_aug.cache import Cache
    from poc_aug.composer import Composed, Composer
    from poc_aug.dataset import POCAugmentedDataset
    from poc_aug.datasets import PairedFolder
    from poc_aug.datasets.synthetic import SyntheticStreet
    from poc_aug.epochs import set_epoch
    from poc_aug.generation.pipeline import InsertionPipeline
    from poc_aug.generation.ray_cluster import RayEngine
    from poc_aug.generation.shift_pipeline import ShiftPipeline
    from poc_aug.generation.warming import warm_cache
    from poc_aug.items.open_item import Adapt
    from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
    from poc_aug.labels.schema import LabelSchema
    from poc_aug.reading.compose_batch import compose_batch
    from poc_aug.reading.composed_instances import InstanceMap
    from poc_aug.reading.live_settings import LiveSettings, ServerSettings
    from poc_aug.recipe import ObjectSpec, Recipe
    from poc_aug.scene_dataset import SceneShiftDataset
    from poc_aug.scenes.scene_recipe import SceneRecipe

_HOMES = {
    "Adapt": "poc_aug.items.open_item",
    "AnomalyLabels": "poc_aug.labels.policies",
    "Cache": "poc_aug.cache",
    "Composed": "poc_aug.composer",
    "Composer": "poc_aug.composer",
    "DiffusionInserter": "poc_aug.backends.diffusion.diffusion_inserter",
    "GroundedSamAnnotator": "poc_aug.backends.finders.grounded_sam",
    "InsertionPipeline": "poc_aug.generation.pipeline",
    "InstanceMap": "poc_aug.reading.composed_instances",
    "LabelSchema": "poc_aug.labels.schema",
    "LiveSettings": "poc_aug.reading.live_settings",
    "NewClassLabels": "poc_aug.labels.policies",
    "ObjectBank": "poc_aug.backends.paste.bank",
    "ObjectSpec": "poc_aug.recipe",
    "OodLabels": "poc_aug.labels.policies",
    "POCAugmentedDataset": "poc_aug.dataset",
    "PairedFolder": "poc_aug.datasets",
    "PasteInserter": "poc_aug.backends.paste.paste_inserter",
    "PromptLocator": "poc_aug.backends.finders.prompt_locator",
    "RayEngine": "poc_aug.generation.ray_cluster",
    "Recipe": "poc_aug.recipe",
    "RenderedInserter": "poc_aug.backends.rendered.rendered_inserter",
    "Sam3Annotator": "poc_aug.backends.finders.sam3",
    "SceneRecipe": "poc_aug.scenes.scene_recipe",
    "SceneShiftDataset": "poc_aug.scene_dataset",
    "ServerSettings": "poc_aug.reading.live_settings",
    "ShiftPipeline": "poc_aug.generation.shift_pipeline",
    "SyntheticStreet": "poc_aug.datasets.synthetic",
    "TextToImageInserter": "poc_aug.backends.diffusion.text_to_image",
    "TransformersAnnotator": "poc_aug.backends.finders.transformers_annotator",
    "compose_batch": "poc_aug.reading.compose_batch",
    "set_epoch": "poc_aug.epochs",
    "warm_cache": "poc_aug.generation.warming",
}

__all__ = [
    "Adapt",
    "AnomalyLabels",
    "Cache",
    "Composed",
    "Composer",
    "DiffusionInserter",
    "GroundedSamAnnotator",
    "InsertionPipeline",
    "InstanceMap",
    "LabelSchema",
    "LiveSettings",
    "NewClassLabels",
    "ObjectBank",
    "ObjectSpec",
    "OodLabels",
    "POCAugmentedDataset",
    "PairedFolder",
    "PasteInserter",
    "PromptLocator",
    "RayEngine",
    "Recipe",
    "RenderedInserter",
    "Sam3Annotator",
    "SceneRecipe",
    "SceneShiftDataset",
    "ServerSettings",
    "ShiftPipeline",
    "SyntheticStreet",
    "TextToImageInserter",
    "TransformersAnnotator",
    "compose_batch",
    "set_epoch",
    "warm_cache",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
