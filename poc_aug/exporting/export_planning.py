"""Planning of an export: which frames are written, under which names, and what belongs to an export."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import numbers
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import xxhash

from poc_aug.cache import Cache, Manifest
from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.cache.record import record_hash, split_record
from poc_aug.cache.selection import things_in_header
from poc_aug.cache.several_caches import match_united
from poc_aug.cache.united_caches import UnitedCaches
from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.export_report import NO_VARIANT, NOT_STORED
from poc_aug.exporting.frame_names import FramePlace, frame_name, frame_places, telling_key, told_apart
from poc_aug.exporting.frame_writing import PlannedFrame
from poc_aug.exporting.id_conversion import IdConversion
from poc_aug.exporting.layout_protocol import ExportLayout, NumbersFrames, WantsIds
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys, dataset_keys, first_of_each
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import Recipe
from poc_aug.scenes.scene_recipe import split_key
from poc_aug.sharing.licences import model_licences


@dataclasses.dataclass(frozen=True)
class FramePlan:
    """The frames of an export.

    Attributes:
        keys: the key that each sample is stored under.
        work: number of each sample, and its frames.
        skipped: what is left out, by reason.
    """

    keys: list[str]
    work: list[tuple[int, list[PlannedFrame]]]
    skipped: Counter[str]

    @property
    def frames(self) -> list[PlannedFrame]:
        """All frames, in order."""
        return [frame for _, frames in self.work for frame in frames]


def plan_frames(
    dataset: Any,
    cache: Cache | UnitedCaches,
    layout: ExportLayout,
    *,
    keys: Keys | None,
    variants: str | int | Sequence[int],
    split: str | None,
    base_frames: bool,
    adapt: Adapt | None = None,
) -> FramePlan:
    """Find the frames that a dataset and a cache give; see `export`.

    Raises:
        CacheDatasetMismatchError: the cache holds none of the samples.
        ExportError: the split of a sample is not known.
        SettingError: ``variants`` or ``split`` are out of their range.
    """
    wanted_variants = chosen_variants(variants)
    own_keys = dataset_keys(dataset, keys)
    matched, stored = _matched(dataset, cache, own_keys, adapt)
    places = frame_places([telling_key(*pair) for pair in zip(matched, own_keys, strict=True)], dataset, split)
    origin = _Origins(cache)
    skipped: Counter[str] = Counter()
    work: list[tuple[int, list[PlannedFrame]]] = []
    # Of the keys in order: some datasets list their files in any order.
    ranks = {name: rank for rank, name in enumerate(sorted(set(matched)))}
    for name, number in first_of_each(matched).items():
        chosen: list[tuple[str, int | None]] = [(name, None)] if base_frames else []
        for key in stored.get(name, ()):
            held = cache.variants(key)
            wanted = held if wanted_variants is None else [index for index in wanted_variants if index in held]
            skipped[NOT_STORED] += 0 if wanted_variants is None else len(wanted_variants) - len(wanted)
            chosen += [(key, index) for index in wanted]
        skipped[NO_VARIANT] += name not in stored
        place = places[number]
        frames = []
        for key, index in chosen:
            file = _name(place, ranks[name], key, index, layout, shifted=key != name)
            made_of = "" if index is None else origin(key, index)
            frames.append(PlannedFrame(place.split, place.group, file, key, index, made_of))
        if frames:
            work.append((number, frames))
    return FramePlan(matched, _named_apart(work), +skipped)


def chosen_variants(variants: object) -> list[int] | None:
    """The numbers of the variants that are exported; ``None``: all.

    Raises:
        SettingError: neither "all" nor numbers from 0.

    Example:
        >>> chosen_variants("all"), chosen_variants(0), chosen_variants([2, 0])
        (None, [0], [0, 2])
    """
    if isinstance(variants, str) and variants == "all":
        return None
    given = [variants] if isinstance(variants, SupportsIndex) else variants
    if isinstance(given, list | tuple) and given and all(isinstance(index, SupportsIndex) for index in given):
        chosen = sorted({operator.index(index) for index in given})
        if chosen[0] >= 0:
            return chosen
    raise SettingError(
        f"variants={variants!r}",
        expected='"all", or numbers of variants, from 0',
        hint='variants="all", or variants=[0, 1]',
        command="--variants all, or --variants 0,1",
    )


def converted_schema(
    layout: ExportLayout, policy: LabelPolicy, schema: LabelSchema | None, *, keep_ids: bool
) -> tuple[LabelSchema | None, IdConversion | None]:
    """The schema of the labels that the policy rewrites, and how the base's become those.

    Raises:
        ExportError: the layout's readers expect ids that the base's labels cannot be converted to.

    Example:
        >>> from poc_aug.exporting.layouts.pebal import PebalLayout
        >>> from poc_aug.labels.policies import OodLabels
        >>> schema, conversion = converted_schema(PebalLayout(), OodLabels(), SCHEMAS["camvid"], keep_ids=False)
        >>> schema.name, conversion.source.name
        ('cityscapes-trainIds', 'camvid')
    """
    if keep_ids or policy.rewrites_base or not isinstance(layout, WantsIds):
        return schema, None
    target = SCHEMAS[layout.label_schema]
    if schema is None:
        raise ExportError(
            f"layout {layout.name!r} holds {target.name}, and the dataset's label schema is not known",
            expected=f"a schema: one of {', '.join(SCHEMAS)}, or a YAML file",
            hint='pass schema="cityscapes-labelIds", say; or write the ids as they are: keep_ids=True',
            command="--schema cityscapes-labelIds, say; or write the ids as they are: --keep-ids",
        )
    conversion = IdConversion(schema, target)
    return (schema, None) if conversion.changes_nothing else (target, conversion)


def object_names(manifests: Sequence[Manifest], others: Iterable[str] = ()) -> list[str]:
    """Class names of everything that recipes insert: that of each object as a whole, in their order, then other parts.

    Args:
        manifests: they hold the recipes.
        others: class names that journals give, after those of the recipes.

    Example:
        >>> recipe = {"objects": [{"name": "cyclist", "prompts": ["a"], "parts": ["rider", "bicycle"]}]}
        >>> object_names([Manifest.create(recipe, {}, {})])
        ['bicycle', 'rider']
    """
    insertions = [manifest for manifest in manifests if manifest.kind == "insertions"]
    specs = [spec for manifest in insertions for spec in Recipe.from_dict(dict(manifest.recipe)).objects]
    names = [spec.parts[-1] for spec in specs] + [part for spec in specs for part in spec.parts]
    return list(dict.fromkeys([*names, *sorted(others)]))


def check_sigma(sigma_px: Any, manifests: Sequence[Manifest]) -> float:
    """Check a feather against the largest one that the caches have pixels for.

    Raises:
        SettingError: it is no number, negative, or too large.

    Example:
        >>> check_sigma(1, [Manifest.create({"max_sigma_px": 3.0}, {}, {})])
        1.0
    """
    largest = min((most for manifest in manifests if (most := manifest.max_sigma_px) is not None), default=math.inf)
    number = isinstance(sigma_px, numbers.Real) and not isinstance(sigma_px, bool)
    if not number or not 0 <= sigma_px <= largest or sigma_px == math.inf:
        held = f"0 to {largest:g}: the cache holds no pixels beyond that feather"
        other = "make the cache with a larger max_sigma_px in the recipe"
        raise SettingError(
            f"sigma_px={sigma_px!r}",
            expected="a number of pixels, 0 or more" if largest == math.inf else held,
            hint=f"choose a smaller sigma_px, or {other}",
            command=f"choose a smaller --sigma, or {other}",
        )
    return float(sigma_px)


def export_identity(
    layout: ExportLayout,
    policy: LabelPolicy,
    ids: Mapping[str, int],
    schema: LabelSchema | None,
    base_schema: LabelSchema | None,
    manifests: Sequence[Manifest],
    sigma_px: float,
) -> dict[str, Any]:
    """What has to be equal for frames to belong into one folder, as JSON values."""
    frames_only = all(manifest.kind == "frames" for manifest in manifests)
    return {
        "layout": layout.name,
        "layout_settings": dataclasses.asdict(layout) if dataclasses.is_dataclass(layout) else {},
        "labels": policy_text(policy),
        "label_ids": dict(sorted(ids.items())),
        "schema": None if schema is None else schema.name,
        "base_schema": None if base_schema is None else base_schema.name,
        "sigma_px": None if frames_only else sigma_px,
        "recipes": sorted({manifest.fingerprint for manifest in manifests}),
    }


def policy_text(policy: LabelPolicy) -> str:
    """A label policy with its settings, the same in each process.

    Example:
        >>> from poc_aug.labels.policies import AnomalyLabels
        >>> policy_text(AnomalyLabels(ring_px=2))
        'AnomalyLabels(known=None, ring_px=2)'
    """
    kind = type(policy)
    if kind.__repr__ is not object.__repr__:
        return repr(policy)
    return f"{kind.__module__}.{kind.__qualname__}({vars(policy) if hasattr(policy, '__dict__') else ''})"


def export_provenance(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What frames were made from, for the manifest: recipes, backends with their models, datasets, versions."""
    return {
        "caches": [
            {
                "fingerprint": manifest.fingerprint,
                "kind": manifest.kind,
                "recipe": dict(manifest.recipe),
                "backends": dict(manifest.backends),
                "models": [dataclasses.asdict(model) for model in model_licences(manifest.backends)],
                "dataset": dict(manifest.dataset),
                "created_by": manifest.created_by,
            }
            for manifest in manifests
        ],
        "versions": {name: importlib.metadata.version(name) for name in ("poc_aug", "torch", "numpy", "pillow")},
    }


def _matched(
    dataset: Any, cache: Cache | UnitedCaches, own_keys: list[str], adapt: Adapt | None
) -> tuple[list[str], dict[str, list[str]]]:
    """The key that each sample is stored under, and the keys that its variants have, by this key."""
    frames = manifests_of(cache)[0].kind == "frames"
    if isinstance(cache, UnitedCaches) and not frames:
        matched, _ = match_united(cache, own_keys, dataset, misses_allowed=True, adapt=adapt)
        return matched, {key: [key] for key in cache.keys()}
    stored: dict[str, list[str]] = defaultdict(list)
    for key in cache.keys():
        stored[split_key(key)[0] if frames else key].append(key)
    held = set(stored) if frames or isinstance(cache, UnitedCaches) else HeldKeys(cache)
    matched = stored_keys(own_keys, held, dataset, adapt)
    shown = [key for name in dict.fromkeys(matched) for key in stored.get(name, (name,))]
    first = cache.caches[0] if isinstance(cache, UnitedCaches) else cache
    if not any(name in stored for name in matched):
        check_held(shown, own_keys, first, dataset, misses_allowed=True)  # raises an error that says why
    return matched, dict(stored)


class _Origins:
    """Names what a frame is composed from: the recipe, the variant's number there, its record, and what is left out."""

    def __init__(self, cache: Cache | UnitedCaches) -> None:
        self._cache = cache

    def __call__(self, key: str, index: int) -> str:
        if isinstance(self._cache, UnitedCaches):
            cache, key, index = self._cache.place_of(key, index)
        else:
            cache = self._cache
        # A record may be another one under the same name: `compact` and `pack` cut what was dropped out of it.
        data = cache.raw(key, index) or b""
        made = f"{cache.manifest.fingerprint}/{index}/{record_hash(data).hex()}"
        if data and cache.journal:
            states = cache.journal.states(things_in_header(split_record(data)[0]))
            made += "".join(f"-{number}" for number, state in enumerate(states) if state.is_dropped)
            names = {number: sorted(state.names.items()) for number, state in enumerate(states) if state.names}
            if names:  # they may be of any length
                made += f"-{xxhash.xxh3_64_hexdigest(json.dumps(names).encode())}"
        return made


def manifests_of(cache: Cache | UnitedCaches) -> list[Manifest]:
    """The manifests of a cache, or of all caches that are read as one."""
    return [each.manifest for each in caches_of(cache)]


def caches_of(cache: Cache | UnitedCaches) -> tuple[Cache, ...]:
    """A cache, or all caches that are read as one."""
    return cache.caches if isinstance(cache, UnitedCaches) else (cache,)


def _name(place: FramePlace, rank: int, key: str, variant: int | None, layout: ExportLayout, *, shifted: bool) -> str:
    if isinstance(layout, NumbersFrames):
        if shifted:
            raise ExportError(
                f"layout {layout.name!r} with shifted frames",
                expected="a cache of insertions: its frames are pictures of objects",
                hint="choose another layout",
            )
        return layout.number_name(rank, variant)
    _, domain, severity = split_key(key) if shifted else ("", "", 0)
    return frame_name(place, variant, f"{domain}-{severity}" if shifted else "")


def _named_apart(work: list[tuple[int, list[PlannedFrame]]]) -> list[tuple[int, list[PlannedFrame]]]:
    frames = [frame for _, planned in work for frame in planned]
    names = iter(told_apart([(frame.split, frame.name) for frame in frames], [frame.key for frame in frames]))
    return [(number, [dataclasses.replace(frame, name=next(names)) for frame in planned]) for number, planned in work]
