"""`PaperSet`: one of the papers' sets, as its YAML file says it: data, recipe, models, labels, unknowns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch.utils.data import Dataset, Subset

from poc_aug import seeding
from poc_aug.cache.manifest import Manifest
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.paper_sets.base_datasets import BASES, BaseDataset, BaseName, open_base
from poc_aug.presets import load_preset, preset_ids
from poc_aug.recipe import Recipe

LabelForm = Literal["anomaly", "ood", "ids"]
"""How a set's labels are written: 0 / 1 / 255, one id for all new objects, or an id for each class."""

_Texts = Annotated[tuple[str, ...], Field(strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SetData(_Part):
    """The dataset of a set, and which of its frames are used.

    Attributes:
        type: a function of `poc_aug.datasets`.
        args: its arguments, besides the folder.
        frames: how many frames the dataset's official splits hold.
        drawn: how many of them are drawn; ``None``: all are used.
        drawn_seed: seed of the draw.

    Example:
        >>> SetData(type="acdc", args={"split": "val"}, frames=406, drawn=200).used
        200
    """

    type: BaseName
    args: dict[str, Any]
    frames: int = Field(ge=1)
    drawn: int | None = Field(default=None, ge=1)
    drawn_seed: int = 0

    @property
    def used(self) -> int:
        """Number of frames of the complete set."""
        return self.frames if self.drawn is None else self.drawn

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are used."""
        split = self.args["split"]
        return (split,) if isinstance(split, str) else tuple(split)


class SetModels(_Part):
    """The models that paint and label a set.

    Attributes:
        backend: what paints.
        model: its model.
        backend_args: its further arguments.
        detector: the annotator's detector.
        segmenter: the annotator's segmenter.
        annotator_args: the annotator's further arguments.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> load_set("cs-poc").models.segmenter
        'facebook/sam-vit-huge'
    """

    backend: Literal["diffusion", "text-to-image"]
    model: str
    backend_args: dict[str, Any] = {}
    detector: str
    segmenter: str
    annotator_args: dict[str, Any] = {}


class SetExport(_Part):
    """How a set is exported for the code that the paper runs on it.

    Attributes:
        layout: layout of the files, see ``poc-aug export``.
        labels: how the labels are written there, which may differ from how they are read.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> load_set("poc-alt").export
        SetExport(layout='cs-synth', labels='ood')
    """

    layout: str
    labels: LabelForm


class PaperSet(_Part):
    """One of the papers' sets.

    Attributes:
        name: its name.
        title: what it is, in a line.
        source: the paper, and where in it the set is described.
        data: the frames.
        preset: the recipe that ships with the package.
        paper_sizes: whether objects have the paper's sizes in pixels.
        changes: fields of the recipe that replace the preset's.
        models: the models.
        variants: variants per frame.
        seed: seed of all draws.
        labels: how its labels are read.
        first_id: label id of the first new class in the form "ids".
        export: how it is exported.
        sigma_px: softness of the objects' edges.
        same: what is as in the paper.
        differs: what is different from the paper, and why.
        unknown: what the paper does not say, and what is chosen here.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> paper_set = load_set("cs-poc")
        >>> len(paper_set.new_classes), paper_set.label_policy().resolve(["dog", "car"], paper_set.label_schema)
        (25, {'dog': 1, 'car': 0})
    """

    name: str
    title: str
    source: str
    data: SetData
    preset: str
    paper_sizes: bool = True
    changes: dict[str, Any] = {}
    models: SetModels
    variants: int = Field(ge=1)
    seed: int = 0
    labels: LabelForm
    first_id: int = Field(ge=0)
    export: SetExport
    sigma_px: float = Field(default=1.0, ge=0)
    same: _Texts = ()
    differs: _Texts = ()
    unknown: _Texts = ()

    @property
    def base(self) -> BaseDataset:
        """The dataset that it is made from."""
        return BASES[self.data.type]

    @property
    def label_schema(self) -> LabelSchema:
        """Label schema of its frames."""
        return SCHEMAS["cityscapes-labelIds" if self.data.args.get("ids") == "labelIds" else "cityscapes-trainIds"]

    @property
    def new_classes(self) -> dict[str, int]:
        """The classes that the dataset does not have, with their label ids in the form "ids", in the paper's order."""
        return preset_ids(self.preset, self.first_id)

    def dataset(self, root: str | Path) -> Dataset[Any]:
        """Its frames; of a drawn set, those that are drawn.

        Which frames are drawn depends on their keys and the seed alone. Frames that are missing change only their own
        place in the draw.

        Raises:
            DatasetError: the folder does not hold the dataset; says what was looked for and where to get it.
        """
        base = open_base(self.data.type, root, self.data.args)
        if self.data.drawn is None:
            return base
        keys = base.keys()
        ranked = sorted(range(len(keys)), key=lambda i: (seeding.derive_seed(self.data.drawn_seed, "draw", keys[i]), i))
        return Subset(base, sorted(ranked[: self.data.drawn]))

    def recipe(self) -> Recipe:
        """Its recipe.

        Example:
            >>> from poc_aug.paper_sets import load_set
            >>> load_set("poc-alt").recipe().size
            PixelSize(kind='pixels', min_px=200, max_px=500)
        """
        recipe = load_preset(self.preset, paper_sizes=self.paper_sizes)
        recipe = recipe.with_changes(**{**self.changes, "seed": self.seed})
        if self.models.backend == "text-to-image":
            from poc_aug.backends.diffusion.text_to_image import text_to_image_recipe

            recipe = text_to_image_recipe(recipe, **_sized(self.models.backend_args))
        return recipe

    def label_policy(self, form: LabelForm | None = None) -> LabelPolicy:
        """Its label policy, or that of another form of labels.

        Args:
            form: "anomaly": 0 in-distribution, 1 OOD, 255 ignore; "ood": 254 for all new classes; "ids": an id for
                each new class. ``None``: the set's own.

        Raises:
            SettingError: an unknown form.

        Example:
            >>> from poc_aug.paper_sets import load_set
            >>> load_set("acdc-poc").label_policy("ids").ids["stroller"]
            100
        """
        chosen = self.labels if form is None else form
        policies: dict[str, Callable[[], LabelPolicy]] = {
            "anomaly": AnomalyLabels,
            "ood": OodLabels,  # 254, which fine-tuning code of anomaly segmentation reads
            "ids": lambda: NewClassLabels(self.new_classes),
        }
        if chosen not in policies:
            raise SettingError(f"label form {chosen!r}", expected=f"one of: {', '.join(policies)}")
        return policies[chosen]()

    def pipeline(
        self,
        *,
        model: str | Path | None = None,
        detector: str | Path | None = None,
        segmenter: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 8,
        backend_args: Mapping[str, Any] | None = None,
        annotator_args: Mapping[str, Any] | None = None,
    ) -> InsertionPipeline:
        """The pipeline of its recipe and models; needs the extra ``generate``.

        Args:
            model: another model, or a folder of the same one.
            detector: another detector.
            segmenter: another segmenter.
            device: "cpu", "cuda", ...; ``None``: CUDA if available.
            dtype: what the models compute in.
            batch_size: crops that the inserter gets at once.
            backend_args: further arguments of the inserter, which replace the set's.
            annotator_args: further arguments of the annotator, which replace the set's.

        Raises:
            MissingDependencyError, ModelError, DeviceError, SettingError: as the backends raise them.
        """
        from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
        from poc_aug.backends.diffusion.text_to_image import TextToImageInserter, text_to_image_recipe
        from poc_aug.backends.finders.prompt_locator import PromptLocator
        from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator

        recipe, of_hardware = self.recipe(), {"device": device, "dtype": dtype}
        limits = {"min_inside_box": recipe.min_inside_box, "min_area_of_crop": recipe.min_area_of_crop}
        annotator = TransformersAnnotator(
            detector or self.models.detector,
            segmenter or self.models.segmenter,
            **{**limits, **of_hardware, **self.models.annotator_args, **(annotator_args or {})},
        )
        settings = {**of_hardware, **self.models.backend_args, **(backend_args or {})}
        inserter: DiffusionInserter | TextToImageInserter
        if self.models.backend == "diffusion":
            inserter = DiffusionInserter(model or self.models.model, **settings)
        else:
            inserter = TextToImageInserter(model or self.models.model, **settings)
            recipe = text_to_image_recipe(recipe, size_px=inserter.size_px)
        return InsertionPipeline(recipe, inserter, annotator, PromptLocator(annotator.finder), batch_size=batch_size)

    def warm(
        self,
        root: str | Path,
        cache: str | Path,
        pipeline: InsertionPipeline | None = None,
        *,
        num_variants: int | None = None,
        **options: Any,
    ) -> WarmReport:
        """Fill a cache with the set.

        Args:
            root: the folder of its dataset.
            cache: path of the cache.
            pipeline: ``None``: `pipeline`. With another one, it is not this set: `differences` says in what.
            num_variants: variants per frame; ``None``: the set's.
            options: those of `poc_aug.warm_cache`: ``limit``, ``workers``, ``codec`` and the others.

        Raises:
            DatasetError: as in `dataset`; and what `poc_aug.warm_cache` raises.
        """
        dataset = self.dataset(root)
        pipeline = self.pipeline() if pipeline is None else pipeline
        return warm_cache(dataset, cache, pipeline, num_variants=num_variants or self.variants, **options)

    def differences(self, manifest: Manifest) -> tuple[str, ...]:
        """In what a cache is not this set, by its manifest; empty if it is.

        Compared are recipe, models and their settings, dataset and number of frames; not the device, and not how many
        variants are there yet.
        """
        fields = self.changed_fields(manifest.recipe)
        lines = [f"recipe: {', '.join(fields)}"] if fields else []
        lines += self._other_models(manifest.backends)
        if manifest.dataset.get("schema") not in (None, self.label_schema.name):
            lines.append(f"labels: {manifest.dataset['schema']}, not {self.label_schema.name}")
        if manifest.samples is not None and manifest.samples != self.data.used:
            lines.append(f"frames: {manifest.samples}, not {self.data.used}")
        return tuple(lines)

    def changed_fields(self, recipe: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields in which another recipe, as JSON values, differs from the set's."""
        own = self.recipe().to_dict()
        return tuple(name for name in sorted({*own, *recipe}) if own.get(name) != recipe.get(name))

    def _other_models(self, backends: Mapping[str, Any]) -> list[str]:
        inserter = backends.get("inserter") or {}
        painted_by = inserter.get("inserter") or inserter.get("name")
        if painted_by != self.models.backend:
            return [f"objects: from {painted_by!r}, not from {self.models.backend}"]
        expected = {"model": self.models.model, **self.models.backend_args}
        lines = [
            f"{self.models.backend}: {name} = {inserter.get(name)!r}, not {value!r}"
            for name, value in expected.items()
            if inserter.get(name) != value
        ]
        annotator = backends.get("annotator") or {}
        finder = annotator.get("finder") or {}
        found = {**(finder.get("detector") or {}), **{k: v for k, v in finder.items() if not isinstance(v, Mapping)}}
        names = {"detector": self.models.detector, "segmenter": self.models.segmenter}
        for role, value in names.items():
            model = (finder.get(role) or {}).get("model")
            if model != value:
                lines.append(f"annotator: {role} = {model!r}, not {value!r}")
        lines += [
            f"annotator: {name} = {found.get(name)!r}, not {value!r}"
            for name, value in self.models.annotator_args.items()
            if found.get(name) != value
        ]
        return lines


def _sized(backend_args: Mapping[str, Any]) -> dict[str, int]:
    return {"size_px": backend_args["size_px"]} if "size_px" in backend_args else {}
