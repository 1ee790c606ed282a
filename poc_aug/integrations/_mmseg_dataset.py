"""`PocDataset`: a dataset of mmengine around another one, with insertions in its items."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from poc_aug.errors import SettingError
from poc_aug.integrations._config_values import check_config_keys
from poc_aug.integrations._mmseg_insert import PocInsert, openmmlab
from poc_aug.integrations._mmseg_labels import IGNORED_ID
from poc_aug.integrations._shared_draws import check_some_held
from poc_aug.labels.policies import NewClassLabels

_registry, _datasets = openmmlab("mmengine.registry"), openmmlab("mmengine.dataset")


@_registry.DATASETS.register_module(force=True)
class PocDataset(_datasets.BaseDataset):  # type: ignore[misc, name-defined]
    """A dataset of mmengine around another one, whose items get objects of a cache before ``pipeline``.

    The wrapped dataset's own pipeline loads image and labels, and nothing else; everything that resizes, crops, flips,
    recolours or packs goes into ``pipeline`` here. It can be wrapped in ``RepeatDataset`` and ``ConcatDataset``, as a
    config or as an object, and takes ``lazy_init``. Unlike `PocInsert`, which may be used instead, it checks policy,
    schema and the names of all items before the training starts, and describes new classes in its ``metainfo``.

    Args:
        dataset: the dataset, or its config.
        pipeline: transforms after composing.
        lazy_init: whether `full_init` is left to whoever reads the first item.
        test_mode: as in mmengine: a ``pipeline`` that returns ``None`` is an error instead of another item.
        max_refetch: how often another item is tried if ``pipeline`` returns ``None``.
        settings: those of `PocInsert`: ``cache``, ``label_policy``, ``schema``, ``p``, ...

    Raises:
        SettingError: no dataset, a setting that it does not have, or ids of new classes that do not continue the
            dataset's ``classes``.
        PocAugError: see `PocInsert`.

    Example:
        >>> train_dataset = dict(
        ...     type="PocDataset",
        ...     dataset=dict(type="CityscapesDataset", data_root="data/cityscapes", pipeline=[]),
        ...     cache="cityscapes.cache",
        ...     label_policy=dict(type="NewClassLabels", ids={"cat": 19}),
        ...     schema="cityscapes-trainIds",
        ...     pipeline=[dict(type="RandomFlip", prob=0.5)],
        ... )
    """

    def __init__(
        self,
        dataset: Any,
        *,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = (),
        lazy_init: bool = False,
        test_mode: bool = False,
        max_refetch: int = 1000,
        **settings: Any,
    ) -> None:
        own = ["dataset", "pipeline", "lazy_init", "test_mode", "max_refetch"]
        check_config_keys(type(self).__name__, settings, [*own, *_settings_of(PocInsert)])
        if "cache" not in settings:
            raise SettingError("PocDataset without cache=", expected="the path of a cache", hint="cache='frames.cache'")
        self.dataset = _registry.DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        needed = ("metainfo", "full_init", "get_data_info", "__len__", "__getitem__")
        missing = [name for name in needed if not hasattr(type(self.dataset), name)]
        if missing:
            raise SettingError(
                f"dataset={type(self.dataset).__name__} without {', '.join(missing)}",
                expected="a dataset of mmengine or mmsegmentation, or its config",
                hint="POCAugmentedDataset wraps any other dataset",
            )
        self.insert = PocInsert(**settings)
        self.pipeline = _datasets.Compose([*pipeline])
        self.test_mode, self.max_refetch = test_mode, max_refetch
        self._metainfo = _with_new_classes(self.dataset.metainfo, self.insert.label_policy)
        if {"label_map", "reduce_zero_label"} & self._metainfo.keys():  # otherwise only items say it
            self.insert.composer_for(self._metainfo)
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the wrapped dataset's annotations, and check that the cache holds its items.

        Raises:
            CacheMissError: it holds none of them, and ``on_miss`` was not given.
            SchemaError, LabelPolicyError: see `PocInsert`.
        """
        if self._fully_initialized:
            return
        self.dataset.full_init()
        if len(self.dataset):
            self.insert.composer_for(self.dataset.get_data_info(0))
        infos = (self.dataset.get_data_info(index) for index in range(len(self.dataset)))
        check_some_held(self.insert.composer, (info.get(self.insert.key) for info in infos))
        self._fully_initialized = True

    @_datasets.force_full_init  # type: ignore[untyped-decorator]
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What the wrapped dataset says of an item."""
        return self.dataset.get_data_info(idx)  # type: ignore[no-any-return]

    @_datasets.force_full_init  # type: ignore[untyped-decorator]
    def get_cat_ids(self, idx: int) -> list[int]:
        """The wrapped dataset's categories of an item, without what is inserted."""
        return self.dataset.get_cat_ids(idx)  # type: ignore[no-any-return]

    @_datasets.force_full_init  # type: ignore[untyped-decorator]
    def __len__(self) -> int:
        return len(self.dataset)

    def prepare_data(self, idx: int) -> Any:
        """An item of the wrapped dataset, with insertions, after ``pipeline``.

        Raises:
            PocAugError: see `PocInsert`.
        """
        return self.pipeline(self.insert(self.dataset[idx]))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which depends what is drawn, in all workers; with ``redraw="read"``, the least draw."""
        self.insert.set_epoch(epoch)

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep only some items of the wrapped dataset."""
        self.dataset.get_subset_(indices)

    def get_subset(self, indices: Sequence[int] | int) -> PocDataset:
        """The same around a subset of the wrapped dataset; they share what is drawn."""
        subset = copy.copy(self)
        subset.dataset = self.dataset.get_subset(indices)
        return subset

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.dataset).__name__}, {self.insert!r})"


def _settings_of(transform: Any) -> list[str]:
    return [name for name in inspect.signature(transform.__init__).parameters if name not in ("self", "unknown")]


def _with_new_classes(metainfo: Mapping[str, Any], policy: Any) -> dict[str, Any]:
    """``metainfo`` with the classes that a policy adds after the dataset's own, and colours for them."""
    described = dict(metainfo)
    classes = described.get("classes")
    if not isinstance(policy, NewClassLabels) or classes is None:
        return described
    names = {label_id: name for name, label_id in policy.ids.items() if len(classes) <= label_id != IGNORED_ID}
    expected = range(len(classes), len(classes) + len(names))
    if sorted(names) != [*expected]:
        raise SettingError(
            f"new classes have the ids {sorted(names)}, and the dataset has {len(classes)} classes",
            expected=f"ids that continue them: {[*expected]}, since metainfo's classes have no ids but their places",
            hint="label_policy=dict(type='NewClassLabels', "
            f"ids={dict(zip((names[label_id] for label_id in sorted(names)), expected, strict=True))})",
        )
    described["classes"] = type(classes)([*classes, *(names[label_id] for label_id in expected)])
    if (palette := described.get("palette")) is not None:
        described["palette"] = type(palette)([*palette, *_colours(palette, len(names))])
    return described


def _colours(taken: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """Colours as far as possible from those that are taken, and from each other."""
    grid = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 51)], indexing="ij"), axis=-1).reshape(-1, 3)
    found: list[list[int]] = []
    for _ in range(count):
        others = np.array([*taken, *found] or [[0, 0, 0]])
        distance = ((grid[:, None] - others[None]) ** 2).sum(axis=-1).min(axis=1)
        found.append(grid[int(distance.argmax())].tolist())
    return found
