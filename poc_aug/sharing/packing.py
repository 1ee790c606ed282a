"""Packing a cache: one archive with its records, a datasheet and a list of hashes, the same bytes each time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from poc_aug.cache import MANIFEST, Cache
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.cache.journal_files import JOURNAL, JOURNAL_SUFFIX
from poc_aug.cache.journal_remaining import RemainingDecisions
from poc_aug.cache.lock import is_locked
from poc_aug.cache.members import RECIPES, member_paths
from poc_aug.cache.record import header_of_record, pack_record, split_record
from poc_aug.cache.record_cutting import cut_record
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.selection import things_in_header
from poc_aug.cache.shard import SHARDS, shard_paths
from poc_aug.errors import CacheBusyError, CacheFormatError, CacheMissError, SettingError
from poc_aug.files.outputs import writing
from poc_aug.files.stray_files import is_stray
from poc_aug.inspection.contact_sheet import contact_sheet, tiles_of
from poc_aug.inspection.frame_sheet import frame_sheet, rows_of
from poc_aug.sharing.datasheet import DatasheetFacts, attributions, datasheet, non_commercial
from poc_aug.sharing.datasheet_counts import RecipeCounts
from poc_aug.sharing.licence_conflicts import warn_of_conflicts
from poc_aug.sharing.licences import UNKNOWN, model_licences
from poc_aug.sharing.pack_archives import PackWriter, archive_form
from poc_aug.sharing.pack_members import ATTRIBUTIONS, FACTS, PICTURES, README, is_member
from poc_aug.sharing.pack_pictures import PictureDraw, objects_picture
from poc_aug.sharing.pack_redaction import Redaction, holds_path
from poc_aug.sharing.pack_shards import SHARD_NBYTES, write_shards
from poc_aug.sharing.pack_work import put_in_place, work_folder
from poc_aug.upkeep.compacting import is_recipe_dropped
from poc_aug.version import __version__

_OBJECTS_SHOWN = 18
_FRAMES_SHOWN = 6
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")


@dataclass(frozen=True, slots=True)
class PackReport:
    """What was packed.

    Attributes:
        out: the archive.
        nbytes: its bytes; of a folder, those of its files.
        sha256: of the archive; "" for a folder.
        records: in all recipes.
        recipes: how many.
        insertions: or frames.
        non_commercial: insertions whose picture's licence bans commercial use.
        non_commercial_models: models whose licence does.
        unknown_licences: insertions whose picture's licence is not known.
        licence_conflicts: sources whose licences forbid what the given licence allows.
    """

    out: Path
    nbytes: int
    sha256: str
    records: int
    recipes: int
    insertions: int
    non_commercial: int
    non_commercial_models: tuple[str, ...]
    unknown_licences: int
    licence_conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class FramesToShow:
    """A base dataset for pictures of composed frames in the datasheet: they show the base's frames.

    Attributes:
        dataset: the dataset that the cache was made from.
        keys: see `POCAugmentedDataset`.
    """

    dataset: Any
    keys: Any = None


def pack_cache(
    cache: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    leave_out: Collection[str] = (),
    rejected: bool = False,
    frames: FramesToShow | None = None,
    reviewers: bool = False,
    licence: str = "",
    absolute_keys: bool = False,
    shard_nbytes: int = SHARD_NBYTES,
    progress: Callable[[int, int], None] | None = None,
) -> PackReport:
    """Pack a cache, with all its recipes, into one archive that anybody can unpack: see `unpack_cache`.

    Packed are the records as they are read: what the journal leaves out is not in them, and what was accepted and
    relabelled goes along as a journal. Lock files, claims, indices and the names of shards, which hold the name of a
    machine, stay behind, and so do the names of reviewers, and absolute paths in provenance and manifest. The same
    records give the same bytes, whatever shards they were in.

    Args:
        cache: the ``NAME.cache`` directory; no process may be writing to it.
        out: ``NAME.tar``, ``NAME.zip``, or a folder, which can be read as a cache as it is. Nothing may be there yet.
        leave_out: "prompts": texts that models were given, in records and manifest, which gives the recipe another
            fingerprint; "provenance": all of the records' provenance but `KEPT_PROVENANCE`, and details of rejections.
        rejected: add the pictures of rejected attempts. They show parts of the base's frames.
        frames: add a picture of composed frames to the datasheet. It shows the base's frames.
        reviewers: name who accepted and relabelled insertions.
        licence: the licence that you give the packed cache, as an id of the Hugging Face hub: "cc-by-4.0". One that
            allows what those of its sources forbid gets a warning.
        absolute_keys: accept keys that are absolute paths; they cannot be changed, since reading looks for them.
        shard_nbytes: bytes of records per shard of the archive.
        progress: called with the number of records packed and their total.

    Raises:
        CacheNotFoundError, CacheFormatError, CacheCorruptError: no sound cache; `verify` says what is wrong.
        CacheBusyError: a process is writing to it.
        CacheDiskError, OutputError: ``out`` exists or cannot be written, or the disk is full. Nothing remains of it.
        SettingError: an argument that is none of the above; keys that are absolute paths.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     first, second = (pack_cache(f"{folder}/a.cache", f"{folder}/{n}.zip").sha256 for n in (1, 2))
        ...     first == second
        True
    """
    redaction, source, target = Redaction.of(leave_out), absolute_path(cache), absolute_path(out)
    _check_settings(licence, rejected, redaction, shard_nbytes)
    form = archive_form(target)
    with ExitStack() as stack:
        caches = [stack.enter_context(Cache.open(path)) for path in member_paths(source)]
        caches = [one for one in caches if not is_recipe_dropped(one.journal)]
        if not caches:
            raise CacheMissError(
                f"every recipe of cache {str(source)!r} was dropped",
                expected="one that is not",
                hint="restore one of them first",
                command=f"restore one of them first: poc-aug drop {source} --recipe FINGERPRINT --restore",
            )
        for one in caches:
            check_entries(one.path, rejected=rejected)
        _check_sealed([one.path for one in caches])
        work = stack.enter_context(work_folder(target, "an archive"))
        place, scratch = work / "content", work / "scratch"
        with writing(target):
            scratch.mkdir()
            writer = PackWriter(place, form, scratch)
            packing = _Packing(writer, scratch, redaction, reviewers, absolute_keys, shard_nbytes)
            with ExitStack() as closing:
                closing.callback(writer.abandon)
                packing.records(caches, progress)
                packing.rejected(caches if rejected else [])
                packing.pictures(caches, frames)
                packing.texts(_title(source), sorted({*leave_out}), licence)
                writer.finish()
            nbytes, sha256 = _size_and_hash(place, writer)
        put_in_place(place, target)
    return packing.report(target, nbytes, sha256)


class _Packing:
    """The parts of an archive, in their order."""

    def __init__(
        self,
        writer: PackWriter,
        scratch: Path,
        redaction: Redaction,
        reviewers: bool,
        absolute_keys: bool,
        shard_nbytes: int,
    ) -> None:
        self._writer, self._scratch = writer, scratch
        self._redaction, self._absolute_keys, self._shard_nbytes = redaction, absolute_keys, shard_nbytes
        self._reviewers = reviewers
        self._recipes: list[RecipeCounts] = []
        self._draws: list[PictureDraw] = []
        self._shown: list[tuple[str, str]] = []
        self._rejected = 0

    def records(self, caches: list[Cache], progress: Callable[[int, int], None] | None) -> None:
        total, done = sum(map(len, caches)), 0

        def advance() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        for cache in caches:
            manifest = self._redaction.manifest(cache.manifest)
            folder = f"{RECIPES}/{manifest.fingerprint}/" if self._recipes else ""
            if folder and not is_member(f"{folder}{MANIFEST}"):
                raise CacheFormatError(
                    f"cache {str(cache.path)!r} has the fingerprint {manifest.fingerprint[:200]!r}",
                    expected="letters and digits, as they name the recipe's folder",
                    hint="pack that recipe on its own: give its folder as the cache",
                )
            counts = RecipeCounts(manifest, made_with=cache.manifest.fingerprint, folder=folder)
            draw = PictureDraw()
            self._recipes.append(counts)
            self._draws.append(draw)
            remaining = RemainingDecisions(cache.journal, ops=("accept", "relabel"))
            records = self._packed_records(cache, counts, draw, remaining, advance)
            for shard in write_shards(records, self._scratch, shard_nbytes=self._shard_nbytes):
                self._writer.move(f"{folder}{SHARDS}/{shard.name}", shard)
            text = json.dumps(manifest.to_dict(), indent=1, sort_keys=True, allow_nan=False)
            self._writer.add_text(f"{folder}{MANIFEST}", f"{text}\n")
            self._decisions(f"{folder}{JOURNAL}/packed{JOURNAL_SUFFIX}", remaining, manifest.fingerprint)

    def _decisions(self, name: str, remaining: RemainingDecisions, fingerprint: str) -> None:
        entries = remaining.entries(fingerprint, only_found=True)
        if not self._reviewers:
            entries = [replace(entry, by="", _hash="") for entry in entries]
        if entries:
            self._writer.add_text(name, "".join(f"{entry.line().decode()}\n" for entry in entries))

    def _packed_records(
        self,
        cache: Cache,
        counts: RecipeCounts,
        draw: PictureDraw,
        remaining: RemainingDecisions,
        advance: Callable[[], None],
    ) -> Iterator[tuple[bytes, bytes]]:
        # LMDB takes names only in the order of their bytes, when each is added at the end.
        for name, key, index in sorted((encode_key(key, index), key, index) for key, index in cache):
            if holds_path(key) and not self._absolute_keys:
                raise SettingError(
                    f"the key {key!r} in cache {str(cache.path)!r} is an absolute path",
                    expected="keys relative to the dataset's root: others fit no other machine, and tell of yours",
                    hint="make the cache with keys=..., or pass absolute_keys=True to pack it as it is",
                    command="make the cache with --keys, or add --absolute-keys to pack it as it is",
                )
            data = cache.raw(key, index)
            assert data is not None  # just listed
            things = things_in_header(header_of_record(data))
            states = cache.journal.states(things)
            remaining.add(things, [number for number, state in enumerate(states) if state.is_dropped])
            data = cut_record(data, cache.journal)
            header, blobs = split_record(data)
            changed = self._redaction.record(header)
            counts.add(changed, [state.names for state in states if not state.is_dropped])
            draw.add(changed)
            yield name, data if changed == header else pack_record(changed, [blobs])
            advance()

    def rejected(self, caches: list[Cache]) -> None:
        for counts, cache in zip(self._recipes, caches, strict=False):
            pictures = sorted(
                picture for picture in (cache.path / REJECTED).glob("*/*.png") if not is_stray(picture.name)
            )
            for picture in pictures:
                name = f"{counts.folder}{REJECTED}/{picture.parent.name}/{picture.name}"
                if is_member(name):
                    self._writer.add(name, picture)
                    self._rejected += 1

    def pictures(self, caches: list[Cache], frames: FramesToShow | None) -> None:
        for number, (cache, draw) in enumerate(zip(caches, self._draws, strict=True)):
            chosen = draw.chosen(_OBJECTS_SHOWN)
            picture = objects_picture(cache, chosen)
            if picture is not None:
                names = ", ".join(choice.name for choice in chosen)
                self._add_picture(picture, f"objects-{number}.png", f"As they are stored, row by row: {names}")
            if frames is not None and len(cache):
                caption = "Frames of the base dataset, before and after"
                self._add_picture(_frames_picture(cache, frames), f"frames-{number}.png", caption)

    def _add_picture(self, picture: Image.Image, name: str, caption: str) -> None:
        path = self._scratch / name
        picture.save(path, format="PNG")
        self._writer.move(f"{PICTURES}/{name}", path)
        self._shown.append((f"{PICTURES}/{name}", caption))

    def texts(self, title: str, left_out: list[str], licence: str) -> None:
        named = attributions(self._recipes)
        if named:
            rows = [(one, name) for one, names in sorted(named.items()) for name in sorted(names)]
            self._writer.add_text(ATTRIBUTIONS, _csv(("licence", "attribution"), rows))
        facts = {
            "format": "poc_aug-pack",
            "version": 1,
            "packed_by": f"poc_aug {__version__}",
            "left_out": left_out,
            "licence": licence or None,
            "recipes": [_facts_of(one) for one in self._recipes],
        }
        self._writer.add_text(FACTS, json.dumps(facts, indent=1, allow_nan=False) + "\n")
        sizes, sums = dict(self._writer.sizes), dict(self._writer.sums)
        sheet = DatasheetFacts(title, self._recipes, sizes, sums, left_out, licence, self._shown, self._rejected)
        self._facts = sheet
        self._writer.add_text(README, datasheet(sheet))

    def report(self, out: Path, nbytes: int, sha256: str) -> PackReport:
        models, banned = non_commercial(self._facts)
        return PackReport(
            out,
            nbytes,
            sha256,
            records=sum(one.variants for one in self._recipes),
            recipes=len(self._recipes),
            insertions=sum(one.accepted for one in self._recipes),
            non_commercial=banned,
            non_commercial_models=tuple(models),
            unknown_licences=sum(one.licences[UNKNOWN] for one in self._recipes),
            licence_conflicts=warn_of_conflicts(self._facts.licence, self._recipes),
        )


def _check_settings(licence: str, rejected: bool, redaction: Redaction, shard_nbytes: int) -> None:
    if licence and not _LICENCE_ID.fullmatch(licence):
        raise SettingError(
            f"licence={licence[:100]!r}",
            expected="an id as the Hugging Face hub has it: cc-by-4.0, cc-by-nc-sa-4.0, mit, other, ...",
            hint="see the list of licences of the hub",
        )
    if rejected and (redaction.prompts or redaction.provenance):
        raise SettingError(
            "pictures of rejected attempts, with prompts or provenance left out",
            expected="one of the two: these pictures say inside what their prompts were",
            hint="leave out the pictures, or nothing",
            command="give --with-rejected or --leave-out",
        )
    if type(shard_nbytes) is not int or shard_nbytes < 1:
        raise SettingError(f"shard_nbytes={shard_nbytes!r}", expected="a whole number of bytes, at least 1")


def _check_sealed(paths: list[Path]) -> None:
    for path in paths:
        for shard in shard_paths(path):
            if is_locked(shard.with_suffix(".lock")):
                raise CacheBusyError(
                    f"shard {shard.name!r} of cache {str(path)!r} is being written",
                    expected="a cache that nobody writes to: an archive would hold a part of it",
                    hint="wait until it is filled, or stop the process that fills it",
                )


def _frames_picture(cache: Cache, frames: FramesToShow) -> Image.Image:
    if cache.manifest.kind == "frames":
        return frame_sheet(rows_of(frames.dataset, cache, _FRAMES_SHOWN, keys=frames.keys))
    return contact_sheet(tiles_of(frames.dataset, cache, _FRAMES_SHOWN, keys=frames.keys))


def _facts_of(one: RecipeCounts) -> dict[str, Any]:
    return {
        "folder": one.folder.rstrip("/"),
        "fingerprint": one.manifest.fingerprint,
        "made_with": one.made_with,
        "kind": one.manifest.kind,
        "samples": len(one.samples),
        "variants": one.variants,
        "empty": one.empty,
        "objects": dict(sorted(one.objects.items())),
        "classes": dict(sorted(one.classes.items())),
        "shifts": {f"{domain}-{severity}": count for (domain, severity), count in sorted(one.shifts.items())},
        "rejections": dict(sorted(one.rejections.items())),
        "licences": dict(sorted(one.licences.items())),
        "models": [asdict(model) for model in model_licences(one.manifest.backends)],
    }


def _title(cache: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", cache.name.removesuffix(".cache")).strip("-.") or "cache"


def _size_and_hash(place: Path, writer: PackWriter) -> tuple[int, str]:
    if place.is_dir():
        return sum(writer.sizes.values()), ""
    with place.open("rb") as file:
        return place.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
