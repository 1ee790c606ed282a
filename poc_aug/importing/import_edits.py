"""The import of edited frames into a cache: resumable, safe to kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from torch.utils.data import Dataset

from poc_aug.cache import Cache, CacheWriter, Codec, Manifest, has_manifest
from poc_aug.cache.codec import CODECS
from poc_aug.errors import ImportFilesError, SettingError
from poc_aug.generation.dataset_manifest import type_name
from poc_aug.generation.frame_loading import load_frames
from poc_aug.generation.unreadable import UnreadableSample, or_skip
from poc_aug.generation.warm_report import OnError
from poc_aug.importing.edit_groups import EditGroups, ImportedEdit
from poc_aug.importing.edit_reach import Beyond
from poc_aug.importing.edited_pairs import EditedPair, EditedPairs
from poc_aug.importing.import_report import ImportReport
from poc_aug.importing.imported_classes import ImportedClasses
from poc_aug.items.open_item import Adapt
from poc_aug.joint_transforms.joint_transform import check_base_transforms
from poc_aug.keys import Keys, check_repeats, dataset_keys, first_of_each
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import Recipe
from poc_aug.types import Variant

_COMMIT_EVERY = 16
_COMMIT_SECONDS = 2.0


def import_pairs(
    dataset: Dataset[Any],
    edited: EditedPairs,
    cache: str | Path,
    classes: ImportedClasses,
    *,
    schema: LabelSchema | str | Path | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    beyond: Beyond = "keep",
    codec: Codec = "delta-zstd",
    limit: int | None = None,
    workers: int = 2,
    on_error: OnError = "raise",
    on_progress: Callable[[ImportReport], None] | None = None,
    report: ImportReport | None = None,
) -> ImportReport:
    """Store edited frames as insertions into their base frames.

    What is stored already is skipped, so an import that was interrupted or killed goes on with the same command.
    Composing a variant of the cache shows the edited frame to the bit, with ``beyond="keep"`` and a lossless codec.

    Args:
        dataset: the base dataset, map-style, of the frames before the edit.
        edited: the edited frames, see `poc_release_pairs` and `matched_pairs`.
        cache: path of the cache, made if it is not there.
        classes: what the edited labels mean.
        schema: label schema of the dataset, its name, or a YAML file; ``None``: that of a known dataset.
        keys: stable names of the samples, see `POCAugmentedDataset`; the same that ``edited`` was made with.
        adapt: how to take image and labels out of items of another form.
        beyond: what becomes of changes farther than a feather reaches from the objects, as of shadows or a model that
            repainted the whole frame: "keep" stores them, "shade" only shadows, as a smooth darkening, "drop" leaves
            them out. They are counted in any case, per frame in the provenance of each insertion (``edit``).
        codec: codec of the patches.
        limit: only the first ``limit`` edited frames; ``None``: all.
        workers: processes that read and compare; 0: this one.
        on_error: "raise", or "skip" and count files that cannot be imported (``ImportReport.skipped``).
        on_progress: called with the report so far.
        report: an empty one that is filled as the run goes, and still says what was done if an error ends it.

    Returns:
        What was done: ``report``, if it was given.

    Raises:
        SettingError: an argument out of its range.
        ImportFilesError: a file that cannot be imported, with ``on_error="raise"``.
        SchemaError: the dataset's label schema is not known.
        CacheMismatchError: the cache was made from other edited frames, or with other settings.
        CacheDatasetMismatchError: the cache was made from another dataset.
        SampleReadError: a base frame cannot be read, with ``on_error="raise"``.
        CacheDiskError: the disk is full.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from PIL import Image
        >>> from poc_aug.importing import ImportedClasses, import_pairs, matched_pairs
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> schema = SCHEMAS["cityscapes-trainIds"]
        >>> base = [(torch.full((3, 16, 16), 90, dtype=torch.uint8), torch.zeros(16, 16, dtype=torch.uint8))]
        >>> picture, labels = Image.new("RGB", (16, 16), (90, 90, 90)), Image.new("L", (16, 16))
        >>> picture.paste((200, 30, 30), (4, 4, 9, 9)), labels.paste(19, (4, 4, 9, 9))
        (None, None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     picture.save(f"{folder}/street_7.png"), labels.save(f"{folder}/street_7_labels.png")
        ...     edited = matched_pairs(folder, "*_7.png", "*_7_labels.png", keys=["street"])
        ...     classes = ImportedClasses(schema, {"dog": 19})
        ...     report = import_pairs(
        ...         base, edited, f"{folder}/a.cache", classes, schema=schema, keys=["street"], workers=0
        ...     )
        (None, None)
        >>> report.stored, dict(report.by_object)
        (1, {'dog': 1})
    """
    started = time.perf_counter()
    _check_settings(edited, classes, beyond, codec, limit, workers, on_error)
    report = ImportReport() if report is None else report
    check_base_transforms(dataset)
    names = dataset_keys(dataset, keys)
    label_schema = require_schema(dataset, schema)
    check_repeats(dataset, names, adapt, keys)
    if edited.problems and on_error == "raise":
        raise _problem(edited)
    wanted = edited.pairs if limit is None else edited.pairs[:limit]
    report.total = len(wanted) + len(edited.problems)
    report.skipped.extend(edited.problems)
    _check_keys(wanted, names)
    manifest = import_manifest(edited, classes, beyond, type_name(dataset), label_schema, codec, len(set(names)))
    present = _stored(Path(cache), manifest)
    missing = [pair for pair in wanted if (pair.key, pair.index) not in present]
    report.present = len(wanted) - len(missing)

    def progress() -> None:
        report.seconds = time.perf_counter() - started
        if on_progress is not None:
            on_progress(report)

    progress()
    if report.present and not missing:
        return report  # a complete cache may be read-only
    groups: dict[str, list[EditedPair]] = {}
    for pair in missing:
        groups.setdefault(pair.key, []).append(pair)
    first = first_of_each(names)
    numbers = sorted(first[key] for key in groups)
    CacheWriter.create(cache, manifest)  # a path that cannot be written is noticed before any frame is read
    read = EditGroups(dataset, names, numbers, adapt, label_schema, groups, classes, beyond, codec)
    frames = load_frames(read, workers)  # before the writer opens its file: a forked child must not inherit it (lmdb)
    with frames.deaths_explained(), CacheWriter(cache, manifest) as writer:
        _write(writer, _edits(cast(Iterator[Any], frames), groups, on_error, report), report, progress)
    progress()
    return report


def import_manifest(
    edited: EditedPairs,
    classes: ImportedClasses,
    beyond: Beyond,
    dataset: str,
    schema: LabelSchema,
    codec: Codec,
    samples: int,
) -> Manifest:
    """The manifest of a cache of edited frames: a recipe of the objects' names, and where they come from.

    Args:
        edited: the edited frames.
        classes: what their labels mean.
        beyond: what becomes of changes beyond the objects.
        dataset: name of the base dataset's type.
        schema: its label schema.
        codec: codec of the patches.
        samples: how many samples it has.
    """
    backend = {
        "inserter": "import",
        "layout": edited.layout,
        "source": edited.source,
        "files": edited.digest,
        "beyond": beyond,
        "labels": {"schema": classes.schema.name, "new": dict(classes.new)},
    }
    manifest = Manifest.create(
        recipe=Recipe(objects=classes.objects).to_dict(),
        backends={"inserter": backend},
        dataset={"type": dataset, "schema": schema.name},
        codec=codec,
    )
    return replace(manifest, samples=samples)


def _edits(
    frames: Iterator[Any], groups: dict[str, list[EditedPair]], on_error: OnError, report: ImportReport
) -> Iterator[ImportedEdit]:
    """The edited frames that can be imported."""
    for group in frames:
        if isinstance(group, UnreadableSample):
            if on_error == "raise":
                raise group.to_error()
            report.skipped += [(pair.name, group.error) for pair in groups[group.key]]
            continue
        for edit in group:
            if edit.error is None:
                yield edit
            elif on_error == "skip":
                report.skipped.append((edit.pair.name, edit.error.problem))
            else:
                step = or_skip("or continue without it", edit.error.hint, edit.error.command)
                raise edit.error.with_hint(step.hint, step.command)


def _write(
    writer: CacheWriter, edits: Iterator[ImportedEdit], report: ImportReport, progress: Callable[[], None]
) -> None:
    """Store edits as they come; whatever is raised, all that came is stored."""
    pending: list[ImportedEdit] = []
    committed = time.perf_counter()

    def commit() -> None:
        nonlocal committed
        writer.put_records([(Variant(edit.pair.key, edit.pair.index, b"", ()), edit.record) for edit in pending])
        for edit in pending:
            assert edit.reach is not None  # of all that can be imported
            report.count(edit.pair.name, list(edit.objects), edit.reach)
        pending.clear()
        committed = time.perf_counter()
        progress()

    try:
        for edit in edits:
            pending.append(edit)
            if len(pending) >= _COMMIT_EVERY or time.perf_counter() - committed > _COMMIT_SECONDS:
                commit()
    finally:
        commit()


def _stored(cache: Path, manifest: Manifest) -> set[tuple[str, int]]:
    """The variants that a cache holds, after a check that it is one of the same frames."""
    if not has_manifest(cache):
        return set()
    with Cache.open(cache) as opened:
        if not opened.keys():  # nothing that could be continued, or would be lost: the writer decides
            return set()
        manifest.check_continues(opened.manifest, cache)
        return set(opened)


def _problem(edited: EditedPairs) -> ImportFilesError:
    name, reason = edited.problems[0]
    count = len(edited.problems)
    step = or_skip("or continue without them", "check the dataset, its split, and the classes that were inserted")
    return ImportFilesError(
        f"{count} of {count + len(edited.pairs)} files cannot be imported, the first: {reason}",
        expected=f"files that are each of one base frame and a known object, as {name!r} is not",
        hint=step.hint,
        command=step.command,
    )


def _check_keys(pairs: tuple[EditedPair, ...], names: list[str]) -> None:
    known = set(names)
    unknown = next((pair for pair in pairs if pair.key not in known), None)
    if unknown is not None:
        raise ImportFilesError(
            f"{unknown.name!r} is of {unknown.key!r}, which is no sample of the dataset",
            expected="edited frames that were listed with the keys of this dataset",
            hint="pass the same keys= to both: keys=dataset_keys(dataset, keys)",
        )


def _check_settings(
    edited: object, classes: object, beyond: str, codec: str, limit: int | None, workers: int, on_error: str
) -> None:
    if not isinstance(edited, EditedPairs):
        raise SettingError(
            f"edited is of type {type(edited).__name__}",
            expected="edited frames as matched_pairs or poc_release_pairs list them",
            hint='matched_pairs("out", "images/*.png", "labels/*.png", dataset_keys(dataset))',
        )
    if not isinstance(classes, ImportedClasses):
        raise SettingError(
            f"classes is of type {type(classes).__name__}",
            expected="an ImportedClasses",
            hint='ImportedClasses(schema, {"dog": 19}), or classes_of_preset("poc-alt")',
        )
    for name, value, known in (
        ("beyond", beyond, get_args(Beyond)),
        ("codec", codec, CODECS),
        ("on_error", on_error, get_args(OnError)),
    ):
        if value not in known:
            raise SettingError(f"{name}={value!r}", expected=f"one of: {', '.join(known)}")
    if limit is not None and limit < 1:
        raise SettingError(f"limit={limit}", expected="at least 1, or None for all edited frames")
    if workers < 0:
        raise SettingError(f"workers={workers}", expected="0 or more")
