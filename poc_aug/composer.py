"""`Composer`: puts insertions into items that somebody else has loaded; the part of the dataset that needs none."""

from __future__ import annotations

import logging
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from poc_aug.cache import Cache, UnitedCaches
from poc_aug.cache.key_finder import FoundKey, KeyFinder, KeyNumbers
from poc_aug.cache.several_caches import check_several, described, open_caches
from poc_aug.errors import CacheMissError, DatasetKeyError, NextStep, SettingError
from poc_aug.items.image_digest import digest_of, matches
from poc_aug.items.open_item import Adapt, OpenItem, open_item
from poc_aug.keys.path_keys import PATH_FIELDS
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.notebook import ShownAsPicture
from poc_aug.reading.composed_instances import ComposedInstances, InstanceMap
from poc_aug.reading.composed_panoptic import ComposedPanoptic
from poc_aug.reading.instance_fields import InstanceFields
from poc_aug.reading.item_composer import ItemComposer
from poc_aug.reading.outcomes import Ledger
from poc_aug.reading.parameters import OnMiss, Shown, check_against_cache, check_epoch, check_parameters
from poc_aug.reading.reading_statistics import ReadingStatistics
from poc_aug.reading.redraw import DrawNumbers, Redraw, check_redraw, read_again
from poc_aug.reading.schedule import Schedule
from poc_aug.reading.shared_numbers import SharedNumbers
from poc_aug.reading.variant_source import Reading, VariantSource
from poc_aug.stores.pulling import local_cache
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")

ItemKey: TypeAlias = str | Callable[[Any], str]
"""Names an item: a field of it, or a function of it."""

_ADVICE = NextStep(
    "say with key= what names an item; nothing before the composer may crop, resize or recolour it",
    "say what names an item",
)


@dataclass(frozen=True, slots=True, eq=False)
class Composed(ShownAsPicture):
    """What `Composer.compose` returns: ``image, labels = composer.compose(...)``.

    Attributes:
        image: the image, in the form in which it was given; the same object if nothing was inserted.
        labels: the labels, in the form in which they were given.
        key: the key under which the cache holds the sample; the name that was given, if it holds none.
        variant: the variant that is shown; ``None``: no object was inserted.
        ids: label id of each class name that objects of the caches have.
        instances: instance ids, boxes and masks, if they were asked for.
        panoptic: the panoptic map and its segments, if the base's were given.
        schema: schema of the labels before, if it is known, and the label policy keeps their ids.

    Example:
        >>> image, labels = Composed("image", "labels", "a.png", None, {})
        >>> image, labels
        ('image', 'labels')
    """

    image: Any
    labels: Any
    key: str
    variant: Variant | None
    ids: Mapping[str, int]
    instances: ComposedInstances | None = None
    panoptic: ComposedPanoptic | None = None
    schema: LabelSchema | None = None

    def __iter__(self) -> Iterator[Any]:
        """Image and labels."""
        return iter((self.image, self.labels))


class Composer(ItemComposer):
    """Puts insertions from caches into items, wherever they are loaded: no dataset is needed.

    It is called with one item, of any form that `poc_aug.items.open_item` knows, and returns an item of the same form.
    It can be pickled, and used in any number of worker processes at once: as a step of a pipeline, in
    ``IterableDataset.map`` or ``WebDataset.map``, in a mapper. It goes before everything that crops, resizes or
    recolours.

    Args:
        caches: path of a cache, an opened one, an address on a store, or a list of them; see `POCAugmentedDataset`.
        label_policy: turns class names into label ids; default ``OodLabels(254)``.
        schema: label schema of the items, its name, or a YAML file; ``None``: not known, see ``docs/training.md``.
        key: the field that names an item, a path usually, or a function of the item. It need not be the whole key of
            the cache: a path may begin in another folder, and lack its extension.
        p: share of the items that are augmented.
        redraw: when an item is drawn anew: ``"epoch"``, as `set_epoch` announces; ``"read"``, each time that it is
            read; ``None`` (default): ``"epoch"``, with one warning if an item is read again before the epoch changes.
        seed: seed of what is drawn.
        shares: how often a variant of each cache is drawn, as weights.
        recipes: fingerprints of the recipes that are read of each cache; ``None``: all.
        variant: number of the variant that every item shows; ``None``: one of an item's variants, drawn.
        on_miss: an item that the caches do not hold is returned as it is (``"original"``), or is an error
            (``"raise"``). ``None`` (default): an error, unless a cache says that it holds only a part of its dataset.
        sigma_px: feather of the objects' edges in pixels, at most the recipe's ``max_sigma_px``.
        adapt: how to take image and labels out of items of another form.
        check_labels: compare the labels, by class name, with those that the insertions were made for.
        instances: ``True``, or the field that holds the items' instance ids: items, which are dicts, get instance ids,
            boxes and masks of their objects, and panoptic segments if they have such; see ``docs/instances.md``.

    Raises:
        CacheError: no cache at the path, or one that cannot be read; when called: the cache's key is that of another
            picture, or there is no such key.
        LabelPolicyError: an inserted class without a label id, or an id that the items use for something else.
        SchemaError: when called: labels with ids that the schema does not know.
        DatasetKeyError: when called: an item without a name.
        ItemFormatError: when called: an item of another form.
        SettingError: a parameter of another type, or out of its range.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, OodLabels, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> base = SyntheticStreet(size=(64, 128), length=1)
        >>> recipe = load_preset("obstacles").with_changes(objects_per_variant=(1, 1))
        >>> folder = tempfile.TemporaryDirectory()
        >>> cache = f"{folder.name}/street.cache"
        >>> report = warm_cache(base, cache, InsertionPipeline(recipe, RenderedInserter()), num_variants=1, workers=0)
        >>> composer = Composer(cache, OodLabels(254), schema=base.schema, key="file_name", p=1.0)
        >>> image, labels = base[0]
        >>> item = composer({"image": image, "labels": labels, "file_name": base.keys()[0], "city": "nowhere"})
        >>> item["labels"].getextrema(), item["city"]
        ((0, 254), 'nowhere')
        >>> image, labels = composer.compose(image, labels, key=base.keys()[0])
        >>> composer.close()
        >>> folder.cleanup()
    """

    def __init__(
        self,
        caches: str | Path | Cache | Sequence[str | Path | Cache],
        label_policy: LabelPolicy | None = None,
        *,
        schema: LabelSchema | str | Path | None = None,
        key: ItemKey = "img_path",
        p: float = 0.5,
        redraw: Redraw | None = None,
        seed: int = 0,
        shares: Sequence[float] | None = None,
        recipes: Sequence[str] | None = None,
        variant: int | None = None,
        on_miss: OnMiss | None = None,
        sigma_px: float = 1.0,
        adapt: Adapt | None = None,
        check_labels: bool = True,
        instances: bool | str | InstanceMap = False,
    ) -> None:
        if not callable(key) and not (isinstance(key, str) and key):
            raise SettingError(f"key={key!r}", expected="the name of a field, or a function of the item")
        check_parameters(
            base=None, cache=caches, pipeline=None, live=None, variants="random", variant=variant,
            on_miss="original" if on_miss is None else on_miss, p=p, adapt=adapt, sigma_px=sigma_px, seed=seed,
            transforms=None, wrapper="Composer(", takes_several=True,
        )  # fmt: skip
        required: dict[str, object] = {"caches": caches, "p": p}
        if missing := [name for name, value in required.items() if value is None]:
            raise SettingError(f"{missing[0]}=None", expected="a cache to read, and a share of the items: p=0.5")
        check_several(caches, shares, recipes, generates=False)
        check_redraw(redraw)
        self.key, self.p, self.on_miss = key, float(p), on_miss
        self.seed, self.variant = operator.index(seed), None if variant is None else operator.index(variant)
        given = schema if isinstance(schema, LabelSchema | None) else LabelSchema.load(schema)
        policy = label_policy if label_policy is not None else OodLabels()
        self.adapt = adapt
        super().__init__(given, policy, sigma_px=sigma_px, check_labels=check_labels, advice=_ADVICE)
        self.read_from(open_caches(local_cache(caches), shares=shares, recipes=recipes))
        check_against_cache(
            self.cache.indices(), variant=self.variant, generates=False, sigma_px=sigma_px, most_px=self.max_sigma_px
        )
        self.resolve_ids()
        self._instances = InstanceFields(instances, self._labels.ids, self.schema, policy)
        held = self.cache.caches if isinstance(self.cache, UnitedCaches) else (self.cache,)
        self._finders = [KeyFinder(cache) for cache in held]
        self._partial = any(
            cache.manifest.samples is not None and cache.samples < cache.manifest.samples for cache in held
        )
        shown: Shown = "random" if self.variant is None else self.variant
        missed: OnMiss = "raise" if on_miss == "raise" else "original"
        self._source = VariantSource(self.cache, None, Schedule(1, 0.0, self.seed), shown, missed, self.seed)
        several = shown == "random" and len(self.cache) > self.cache.samples
        self._prepare(redraw, held, drawn=0 < self.p < 1 or (self.p > 0 and several))

    def _prepare(self, redraw: Redraw | None, caches: Sequence[Cache], *, drawn: bool) -> None:
        """Prepare what is shared between processes: the epoch, and how often each sample was read."""
        keys = caches[0].keys() if len(caches) == 1 else [key for cache in caches for key in cache.keys()]
        self._numbers = KeyNumbers(keys)
        self._epoch = SharedNumbers(1)
        self._ledger = Ledger(len(self._numbers))
        self.redraw: Redraw = redraw or "epoch"
        self._draws = DrawNumbers(len(self._numbers)) if redraw == "read" else None
        self._warn_again = SharedNumbers(1)
        self._warn_again.values[0] = redraw is None and drawn
        self._warn_missing = SharedNumbers(1)
        self._warn_missing.values[0] = self.on_miss is None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which depends what is drawn; takes effect in persistent workers too.

        Raises:
            SettingError: not an integer, or a negative one.
        """
        self._epoch.values[0] = check_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch.values[0])

    def stats(self) -> ReadingStatistics:
        """What became of this epoch's items so far, in all workers, of those samples that the caches hold."""
        return ReadingStatistics.of(self._ledger, self.epoch, None)

    def __call__(self, item: Any) -> Any:
        """The item with insertions, and labels as the label policy says, in its own form; it is not modified.

        Raises:
            PocAugError: see the class.
        """
        opened, shown = self._compose(open_item(item, self.adapt, key=(name := self._name_of(item))), name)
        new = opened.close()
        if not self._instances.wanted:
            return new
        return self._instances.put(new, opened, () if shown is None else shown.insertions)

    def compose(
        self,
        image: Any,
        labels: Any,
        *,
        key: str,
        instances: Any = None,
        panoptic: tuple[Any, Sequence[Mapping[str, Any]]] | None = None,
    ) -> Composed:
        """Image and labels with insertions, for whoever has them at hand; what was given is not modified.

        Args:
            image: PIL image, uint8 tensor ``[3, H, W]``, or uint8 array ``[H, W, 3]``.
            labels: PIL image of ids, integer tensor ``[H, W]`` or ``[1, H, W]``, or integer array ``[H, W]``.
            key: the sample's name, such as the path of its image.
            instances: its instance ids, in one of the forms of labels.
            panoptic: its panoptic map, in one of the forms of labels or in COCO's colours, and ``segments_info``.

        Raises:
            PocAugError: see the class.
        """
        item, shown = self._compose(open_item((image, labels), key=(name := self._text(key))), name)
        image, labels = item.close()
        insertions = () if shown is None else shown.insertions
        fields = self._instances
        found = fields.instances(item, insertions, instances) if instances is not None or fields.wanted else None
        known = None if self.label_policy.rewrites_base else self.base_schema
        segments = None if panoptic is None else fields.panoptic(item, insertions, panoptic)
        return Composed(image, labels, item.key, shown, dict(self.ids), found, segments, known)

    def close(self) -> None:
        """Close the caches."""
        self.cache.close()

    def __enter__(self) -> Composer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.key if isinstance(self.key, str) else getattr(self.key, "__name__", self.key)
        return (
            f"{type(self).__name__}({described(self.cache)}, {self.label_policy!r}, key={name!r}, p={self.p}, "
            f"redraw={self.redraw!r}, seed={self.seed}, epoch={self.epoch})"
        )

    def _compose(self, item: OpenItem, name: str) -> tuple[OpenItem, Variant | None]:
        """Draw what an open item shows, and write it."""
        self.checks.check_ids(item)
        key = self._find(item, name)
        number = None if key is None else self._numbers.of(key)
        variant = None
        if key is not None and number is not None:
            item.key = key
            draw = self.epoch if self._draws is None else self._draws.take(number, self.epoch)
            reading = Reading(0, 0, key, item)
            self._source.draw(reading, draw, self.p)
            variant = reading.variant
            again = self._ledger.write(number, self.epoch, reading.outcome, 0.0)
            if again and self._warn_again.values[0]:
                self._warn_again.values[0] = False  # once for all workers
                warnings.warn(read_again(repr(key), self.epoch, "insertions", type(self).__name__), stacklevel=4)
        self.write(item, variant, self._instances.fields(item))
        return item, variant

    def _name_of(self, item: Any) -> str:
        if callable(self.key):
            return self._text(self.key(item))
        if isinstance(item, Mapping):
            if self.key in item:
                return self._text(item[self.key])
            others = [name for name in (*PATH_FIELDS, "__key__", "id") if isinstance(item.get(name), str)]
            has = f"an item with the fields {', '.join(map(repr, item))}"
        else:
            if isinstance(getattr(item, self.key, None), str | os.PathLike):
                return self._text(getattr(item, self.key))
            others, has = [], f"an item that is a {type(item).__name__}"
        raise DatasetKeyError(
            f"{has} has no {self.key!r}",
            expected="the field that names it, key=",
            hint=f"key={others[0]!r}"
            if others
            else "key=, a field's name, or a function of the item that returns a "
            "string; or composer.compose(image, labels, key=...)",
        )

    def _text(self, key: object) -> str:
        text = os.fsdecode(key) if isinstance(key, str | bytes | os.PathLike) else None
        if not text:
            raise DatasetKeyError(
                f"the name of an item is {key!r}"[:300],
                expected="a string that is not empty, such as the path of its image",
                hint=f"key= says where it is: now {self.key!r}",
            )
        return text

    def _find(self, item: OpenItem, name: str) -> str | None:
        """The key under which the caches hold an item; ``None`` if they do not."""
        found = [self._certain(finder.find(name), item, number) for number, finder in enumerate(self._finders)]
        key = next((each for each in found if each is not None), None)
        if key is None or self._numbers.of(key) is None:  # a copy in another process may find what was stored since
            self._miss(name)
            return None
        if isinstance(self.cache, UnitedCaches):
            self.cache.name_samples([key], [[key if each is None else each] for each in found])
        return key

    def _certain(self, found: FoundKey | None, item: OpenItem, number: int) -> str | None:
        """The key that was found; if only the file name fits, and the picture does not, there is none."""
        if found is None or found.certain:
            return None if found is None else found.key
        cache = self.cache.caches[number] if isinstance(self.cache, UnitedCaches) else self.cache
        variant = cache.get(found.key, cache.variants(found.key)[0])
        return found.key if variant is not None and matches(variant.digest, digest_of(item.image)) else None

    def _miss(self, name: str) -> None:
        if self.on_miss == "original":
            return
        similar = max((finder.similar(name) for finder in self._finders), key=len)
        if len(similar) > 1:
            raise CacheMissError(
                f"the name {name!r} fits {len(similar)} keys of {described(self.cache)}",
                expected=f"one of them: {', '.join(map(repr, similar[:3]))}{', ...' if len(similar) > 3 else ''}",
                hint='give more of its path: key= may be a function of the item; on_miss="original" leaves it as it is',
            )
        if self.on_miss is None and self._partial:
            if self._warn_missing.values[0]:
                self._warn_missing.values[0] = False
                _logger.warning(
                    "The cache %s was filled in part, and does not hold %r: items like it stay without insertions. "
                    'If that is intended, pass on_miss="original"; otherwise fill it with warm_cache.',
                    described(self.cache), name,
                )  # fmt: skip
            return
        keys = self.cache.keys()
        raise CacheMissError(
            f"the cache {described(self.cache)!r} holds no item {name!r}",
            expected=f"one of its keys ({len(keys)}), such as {', '.join(map(repr, keys[:2])) or '(none)'}",
            hint='key= says what names an item; on_miss="original" leaves items that it does not hold as they are',
        )
