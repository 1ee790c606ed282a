"""`PocInsert`: a transform of mmsegmentation that inserts objects into what was loaded."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from poc_aug.composer import Composer
from poc_aug.errors import (
    CacheDatasetMismatchError,
    ItemFormatError,
    MissingDependencyError,
    PocAugError,
    SchemaError,
    SettingError,
)
from poc_aug.integrations._config_values import check_config_keys, policy_from_config, schema_from_config
from poc_aug.integrations._mmseg_labels import mapped_schema
from poc_aug.integrations._shared_draws import rewriting
from poc_aug.labels.policies import OodLabels

if TYPE_CHECKING:
    from poc_aug.reading.parameters import OnMiss
    from poc_aug.reading.redraw import Redraw

_PLACE = "PocInsert goes right after LoadAnnotations: before what resizes, crops, flips, recolours or packs"
_ADVICE = f"the cache was made from another picture than the one at this img_path; {_PLACE}"
_LABELS = "gt_seg_map"


def openmmlab(module: str) -> Any:
    """A module of mmengine or mmcv.

    Raises:
        MissingDependencyError: it cannot be imported.

    Example:
        >>> openmmlab("mmengine.registry").TRANSFORMS.name
        'transform'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{module.partition('.')[0]!r} cannot be imported ({error}); poc_aug.integrations.mmsegmentation needs it",
            expected="mmengine, and mmcv or mmcv-lite, as mmsegmentation 1.x has them",
            hint="pip install mmengine mmcv-lite",
        ) from error


_registry, _dist = openmmlab("mmengine.registry"), openmmlab("mmengine.dist")
_transforms = openmmlab("mmcv.transforms")


@_registry.TRANSFORMS.register_module(force=True)
class PocInsert(_transforms.BaseTransform):  # type: ignore[misc, name-defined]
    """A transform of mmsegmentation 1.x that inserts objects of a cache into image and labels.

    It reads ``img_path``, ``img`` and ``gt_seg_map`` and replaces the last two, in their own dtype. All arguments can
    be plain values of a config file. With ``reduce_zero_label`` or ``label_map``, which mmsegmentation's datasets write
    into ``results``, the schema of the files is translated, so ids of new classes are ids of the loaded labels.

    Other annotations would not know of the inserted objects: ``gt_edge_map``, ``gt_depth_map``, ``gt_bboxes`` and
    whatever else is called ``gt_...`` or is one of ``seg_fields``. They are an error, unless ``keep`` names them.

    Args:
        cache: path of a cache, or a list of them; see `poc_aug.Composer`.
        label_policy: ``dict(type="OodLabels", ood_id=254)``, say: a policy, or its name and arguments; default
            ``OodLabels(254)``.
        schema: label schema of the label files: a name, a YAML file, or ``dict(ids=..., ...)``.
        p: share of the items that are augmented.
        redraw: ``"read"`` (default): an item is drawn anew each time that it is read, since mmengine's loops announce
            no epoch to a transform; ``"epoch"``: by `set_epoch`.
        seed: seed of what is drawn. In distributed training with ``redraw="read"`` the rank is added to it.
        key: the field of ``results`` that names an item.
        shares: how often a variant of each cache is drawn.
        recipes: fingerprints of the recipes that are read of each cache.
        variant: number of the variant that every item shows; ``None``: drawn.
        on_miss: what becomes of an item that the cache does not hold; see `poc_aug.Composer`.
        sigma_px: feather of the objects' edges in pixels.
        check_labels: compare the labels, by class name, with those that the insertions were made for.
        mapped: whether the loading transform has applied ``reduce_zero_label`` and ``label_map`` of ``results``, as
            mmsegmentation's does; ``False`` for mmcv's.
        channel_order: that of ``img``.
        keep: names of further annotations that are left as they are.

    Raises:
        SettingError: a setting that it does not have, or out of its range.
        CacheError: no cache at the path, or one that cannot be read.
        SchemaError: no such schema; when called: labels with other ids or classes.
        LabelPolicyError: when first called: an inserted class without a label id, or one that is taken.
        ItemFormatError: when called: ``results`` without image and labels, or with further annotations.

    Example:
        >>> from poc_aug import InsertionPipeline, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> street = SyntheticStreet(size=(64, 128), length=1)
        >>> recipe = load_preset("obstacles").with_changes(objects_per_variant=(1, 1))
        >>> report = warm_cache(street, "street.cache", InsertionPipeline(recipe, RenderedInserter()), workers=0)
        >>> insert = PocInsert(cache="street.cache", schema="cityscapes-trainIds", p=1.0)
        >>> insert
        PocInsert(cache='street.cache', label_policy=OodLabels(...), schema='cityscapes-trainIds', p=1.0, ...)
        >>> image, labels = map(np.array, street[0])
        >>> results = insert(dict(img_path=street.keys()[0], img=image[..., ::-1].copy(), gt_seg_map=labels))
        >>> int(results["gt_seg_map"].max()), results["img"].dtype
        (254, dtype('uint8'))
    """

    def __init__(
        self,
        cache: str | Path | Sequence[str | Path],
        label_policy: Any = None,
        schema: Any = None,
        p: float = 0.5,
        redraw: Redraw | None = "read",
        seed: int = 0,
        key: str = "img_path",
        shares: Sequence[float] | None = None,
        recipes: Sequence[str] | None = None,
        variant: int | None = None,
        on_miss: OnMiss | None = None,
        sigma_px: float = 1.0,
        check_labels: bool = True,
        mapped: bool = True,
        channel_order: Literal["bgr", "rgb"] = "bgr",
        keep: Sequence[str] = (),
        **unknown: Any,
    ) -> None:
        check_config_keys(type(self).__name__, unknown, type(self).__init__)
        if channel_order not in ("bgr", "rgb"):
            raise SettingError(f"channel_order={channel_order!r}", expected="'bgr' or 'rgb'")
        if isinstance(keep, str):
            raise SettingError(f"keep={keep!r}", expected="a list of names", hint=f"keep=[{keep!r}]")
        self.label_policy, self.schema = policy_from_config(label_policy), schema_from_config(schema)
        self.mapped, self.channel_order, self.keep = mapped, channel_order, tuple(keep)
        self._check_labels = check_labels
        self._shown = {
            "cache": str(cache) if isinstance(cache, Path) else cache,
            "p": p,
            "redraw": redraw,
            "seed": seed,
        }
        # Opened here, so that what is wrong with the cache is known before the workers start, and so that they share
        # the counts of reads. Which ids labels have is known with the first item only.
        self.composer = Composer(
            cache, OodLabels(known={}), key=key, p=p, redraw=redraw, seed=seed + _rank(redraw), shares=shares,
            recipes=recipes, variant=variant, on_miss=on_miss, sigma_px=sigma_px,
        )  # fmt: skip
        self.key, self._composers = key, dict[Any, Composer]()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """``results`` with the composed ``img`` and ``gt_seg_map``.

        Raises:
            PocAugError: see the class.
        """
        self._check(results)
        image = "img" if self.channel_order == "bgr" else "image"
        item = {image: results["img"], _LABELS: results[_LABELS], self.key: results.get(self.key)}
        try:
            composed = self.composer_for(results)(item)
        except (CacheDatasetMismatchError, ItemFormatError, SchemaError) as error:
            raise self._explained(error, results) from error
        results["img"], results[_LABELS] = composed[image], composed[_LABELS]
        return results

    def composer_for(self, info: Mapping[str, Any]) -> Composer:
        """The composer of items whose labels were loaded as a dataset says; they share what is drawn.

        Args:
            info: ``reduce_zero_label`` and ``label_map``: a dataset's ``metainfo``, an item's ``results``.

        Raises:
            SchemaError, LabelPolicyError: see the class.
        """
        reduce_zero_label = self.mapped and bool(info.get("reduce_zero_label"))
        label_map = (info.get("label_map") if self.mapped else None) or {}
        mapping = (reduce_zero_label, tuple(label_map.items()))
        if mapping not in self._composers:
            schema = self.schema
            if schema is not None:
                schema = mapped_schema(schema, reduce_zero_label=reduce_zero_label, label_map=label_map)
            self._composers[mapping] = rewriting(
                self.composer, self.label_policy, schema, check_labels=self._check_labels, advice=_ADVICE
            )
        return self._composers[mapping]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which depends what is drawn, in all workers; with ``redraw="read"``, the least draw."""
        self.composer.set_epoch(epoch)

    def _check(self, results: Mapping[str, Any]) -> None:
        missing = [name for name in ("img", _LABELS) if results.get(name) is None]
        if missing:
            packed = "inputs" in results or "data_samples" in results
            raise ItemFormatError(
                f"results have no {' and no '.join(map(repr, missing))}; they have {', '.join(map(repr, results))}",
                expected="img and gt_seg_map, as LoadImageFromFile and LoadAnnotations write them",
                hint=_PLACE if packed or not missing == [_LABELS] else f"{_PLACE}; mmcv's needs with_seg=True",
            )
        fields = [name for name in results if str(name).startswith("gt_")]
        fields += [name for name in results.get("seg_fields") or () if name not in fields]
        stale = [name for name in fields if name != _LABELS and name not in self.keep and name in results]
        if stale:
            raise ItemFormatError(
                f"results of {str(results.get(self.key))!r} hold {', '.join(map(repr, stale))}, which would "
                "not show the inserted objects",
                expected="image and gt_seg_map only",
                hint="put what makes them after PocInsert (GenerateEdge), or do not load them; to leave them as they "
                f"are, keep={stale}",
            )
        if isinstance(results["img"], np.ndarray) and results["img"].dtype != np.uint8:
            raise ItemFormatError(
                f"img of {str(results.get(self.key))!r} is {results['img'].dtype}",
                expected="uint8, as LoadImageFromFile reads it with to_float32=False",
                hint=_PLACE,
            )

    def _explained(self, error: PocAugError, results: Mapping[str, Any]) -> PocAugError:
        """The error with what it may be due to in a pipeline."""
        loaded = {name: results[name] for name in ("reduce_zero_label", "label_map") if results.get(name)}
        if isinstance(error, SchemaError) and (loaded or not self.mapped):
            said = ", ".join(f"{name}={value}" for name, value in loaded.items()) or "neither of the two"
            return error.with_hint(
                f"results say {said}, and mapped={self.mapped} that LoadAnnotations has "
                f"{'applied' if self.mapped else 'not applied'} it. schema= is that of the label files: check it, or "
                f"pass mapped={not self.mapped}. Otherwise: {error.hint}"
            )
        moved = [name for name in ("flip", "scale_factor", "crop_bbox", "rotate", "img_norm_cfg") if results.get(name)]
        shape, original = np.shape(results["img"])[:2], results.get("ori_shape")
        if original is not None and tuple(original) != shape:
            moved.append(f"img of {shape} instead of {tuple(original)}")
        if isinstance(error, CacheDatasetMismatchError) and moved:
            return error.with_hint(f"{_PLACE}; these results have been changed already: {', '.join(moved)}")
        return error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_composers": {}}  # made again, of what `composer` shares

    def __repr__(self) -> str:
        shown = {"cache": self._shown["cache"], "label_policy": self.label_policy}
        shown |= {"schema": None if self.schema is None else self.schema.name}
        shown |= {name: self._shown[name] for name in ("p", "redraw", "seed")}
        shown |= {"mapped": self.mapped} if not self.mapped else {}
        shown |= {"keep": list(self.keep)} if self.keep else {}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _rank(redraw: object) -> int:
    """What is added to the seed: ranks count reads on their own, and an item moves between them."""
    return int(_dist.get_rank()) if redraw == "read" else 0
