"""Verification of a cache: the page tree of every shard, every record, and whether manifest and index fit them.

It is what to run before the first reading of a cache from elsewhere: it maps no shard whose page tree is damaged, and
finds whatever reading would refuse, or would take without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import lmdb

from poc_aug.cache.entries import unknown_entries
from poc_aug.cache.index_check import IndexCheck
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.journal_files import journal_problems
from poc_aug.cache.lock import is_locked
from poc_aug.cache.manifest import MANIFEST, Manifest
from poc_aug.cache.manifest_checks import recipe_names
from poc_aug.cache.record import check_canonical, decode_record, record_hash, record_name
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import decode_key, encode_key
from poc_aug.cache.registry import Environment, acquire, release
from poc_aug.cache.shard import SHARDS, SUFFIX, read_meta, structure_problems
from poc_aug.counting import count_of
from poc_aug.errors import CacheFormatError
from poc_aug.items.image_digest import DIGEST_BYTES
from poc_aug.labels.label_digest import check_label_digest
from poc_aug.types import Variant

_NAMES_PER_TRANSACTION = 1000  # short transactions, see registry: "Why readers need no lock file"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; ``key`` and ``variant`` are ``None`` if it concerns a whole shard.

    ``shard`` is the name of a shard, or the path within the cache of another entry.

    Example:
        >>> print(Problem("local-0.lmdb", "a.png", 2, "the record's hash does not fit its bytes"))
        shard 'local-0.lmdb', variant 2 of 'a.png': the record's hash does not fit its bytes
    """

    shard: str
    key: str | None
    variant: int | None
    problem: str

    def __str__(self) -> str:
        record = "" if self.key is None else f", variant {self.variant} of {self.key!r}"
        place = f"shard {self.shard!r}" if self.shard.endswith(SUFFIX) and "/" not in self.shard else repr(self.shard)
        return f"{place}{record}: {self.problem}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of `Cache.verify`.

    Attributes:
        shards: number of shards.
        records: number of records that were checked.
        nbytes: bytes of the shards that are in use.
        problems: what is wrong.
        being_written: shards whose page tree was not checked, because a writer has them open; their records were
            checked.

    Example:
        >>> VerifyReport(shards=1, records=8, nbytes=40_960, problems=()).ok
        True
    """

    shards: int
    records: int
    nbytes: int
    problems: tuple[Problem, ...]
    being_written: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_shards(
    shards: list[Environment], progress: Callable[[int, int], None] | None, manifest: Manifest, cache: Path
) -> VerifyReport:
    """Check first the page trees (without mapping the files, since a damaged tree can crash LMDB), then each record.

    The journal's lines are checked too. A record is sound if `decode_record` takes it, and if its objects and classes
    are those of the recipe, every insertion has parts and pixels for every feather that the recipe allows, and its
    digests are some.

    Args:
        shards: the shards of one cache.
        progress: called with the number of records checked and their total.
        manifest: of that cache.
        cache: its ``NAME.cache`` directory.
    """
    foreign = [*unknown_entries(cache), *journal_problems(cache)]
    problems = [Problem(name, None, None, fault) for name, fault in foreign]
    if not manifest.has_own_fingerprint():
        text = f"fingerprint {manifest.fingerprint!r} is not the hash of the recipe and backends in it"
        problems.insert(0, Problem(MANIFEST, None, None, text))
    being_written: list[str] = []
    sound: list[Environment] = []
    for shard in shards:
        faults: list[str] = []
        if is_locked(shard.path.with_suffix(".lock")):
            being_written.append(shard.path.name)
        else:
            faults = structure_problems(shard.path)
        problems += [Problem(shard.path.name, None, None, fault) for fault in faults]
        if not faults:
            sound.append(shard)

    counts: dict[Environment, int] = {}
    for shard in sound:
        try:
            counts[shard] = _count(shard)
        except lmdb.Error as error:  # such as a map that is larger than memory can be
            problems.append(Problem(shard.path.name, None, None, f"cannot be opened: {error}"))
    total = sum(counts.values())
    hashes: dict[tuple[str, int], tuple[str, bytes]] = {}
    done = 0
    index = IndexCheck(cache)
    for shard in counts:
        names: list[bytes] = []
        try:
            for name in lmdb_keys(shard):
                names.append(name)
                problem, record = _check(shard, name, manifest)
                done += 1
                if problem is not None:
                    problems.append(problem)
                elif record is not None:
                    other, digest = hashes.setdefault(record[0], (shard.path.name, record[1]))
                    if digest != record[1]:
                        text = f"shard {other!r} holds other content under this name"
                        problems.append(Problem(shard.path.name, *record[0], text))
                if progress is not None:
                    progress(done, max(done, total))
            if shard.path.name not in being_written:
                index.compare(shard.path.name, names)
        except (RecordError, lmdb.Error) as error:
            problems.append(Problem(shard.path.name, None, None, f"cannot be listed: {error}"))
    problems += [Problem(INDEX, None, None, problem) for problem in index.problems]
    nbytes = sum(read_meta(shard.path).nbytes for shard in shards)
    return VerifyReport(len(shards), done, nbytes, tuple(problems), tuple(being_written))


def index_problems(cache: Path) -> list[str]:
    """What is wrong with the index of a cache whose shards can be listed; reads their names, and no record.

    Raises:
        RecordError, lmdb.Error: a shard cannot be listed.

    Example:
        >>> index_problems(Path("no such folder"))
        []
    """
    check = IndexCheck(cache)
    for name in check.shards:
        shard = acquire(cache / SHARDS / name)
        try:
            check.compare(name, list(lmdb_keys(shard)))
        finally:
            release(shard)
    return check.problems


def lmdb_keys(shard: Environment) -> Iterator[bytes]:
    """LMDB keys of a shard in their order, read in short transactions, without touching the records.

    Raises:
        RecordError: they are not in order: the page tree is damaged.
        lmdb.Error: damaged pages.
    """
    last: bytes | None = None
    while True:
        with shard.read() as transaction, transaction.cursor() as cursor:
            has_next = cursor.first() if last is None else cursor.set_range(last)
            if has_next and cursor.key() == last:
                has_next = cursor.next()
            names = list(islice(cursor.iternext(keys=True, values=False), _NAMES_PER_TRANSACTION)) if has_next else []
        if not names:
            return
        if last is not None and names[0] <= last:
            # A branch page with a wrong key in it sends the search to the wrong leaf, again and again.
            raise RecordError(f"its names are not in order: {names[0][:40]!r} comes after {last[:40]!r}")
        yield from names
        last = names[-1]


def listed_name(shard: Environment, name: bytes) -> tuple[str, int]:
    """Sample key and variant index of an LMDB key; long keys are read from the record's header.

    Raises:
        RecordError: a key that is not a record's name, or a damaged record.
        lmdb.Error: damaged pages.
    """
    try:
        key, index = decode_key(name)
    except ValueError as error:
        raise RecordError(str(error)) from error
    if key is not None:
        return key, index
    return record_name(shard.record(name) or b"")


def _count(shard: Environment) -> int:
    with shard.read() as transaction:
        return int(transaction.stat()["entries"])


def _content_problem(variant: Variant, manifest: Manifest) -> str | None:
    """What is wrong with a variant that decoding does not find."""
    if variant.insertions and len(variant.digest) != DIGEST_BYTES:
        return f"the digest of its base image has {len(variant.digest)} bytes, expected {DIGEST_BYTES}"
    try:
        check_label_digest(variant.label_digest)
    except CacheFormatError as error:
        return error.problem
    if manifest.kind == "frames":
        return _frame_problem(variant, manifest)
    if variant.frame is not None:
        return "holds a shifted frame, in a cache of insertions"
    names = recipe_names(manifest.recipe)
    most_px = manifest.max_sigma_px
    for number, insertion in enumerate(variant.insertions):
        if not insertion.parts:
            return f"insertion {number} has no parts"
        if names is not None and insertion.object_name not in names[0]:
            return f"insertion {number} is of {insertion.object_name[:60]!a}, which is no object of the recipe"
        if most_px is not None and insertion.max_sigma_px < most_px:
            return f"insertion {number} holds pixels for a feather of {insertion.max_sigma_px:g} px, not {most_px:g} px"
    return None


def _frame_problem(variant: Variant, manifest: Manifest) -> str | None:
    """What is wrong with a variant of a cache of frames that decoding does not find."""
    if variant.insertions:
        return f"holds {count_of(len(variant.insertions), 'insertion')}, in a cache of frames"
    if variant.frame is None:
        return None if variant.rejections else "holds neither a frame nor a reason why there is none"
    domains, severities = manifest.recipe.get("domains"), manifest.recipe.get("severities")
    if not isinstance(domains, list) or variant.frame.domain not in domains:
        return f"its domain {variant.frame.domain[:60]!a} is none of the recipe"
    if not isinstance(severities, list) or variant.frame.severity not in severities:
        return f"its severity {variant.frame.severity} is none of the recipe"
    return None


def check_stored(name: bytes, key: str, index: int, data: bytes, manifest: Manifest) -> None:
    """Check that a record is sound, that of a sample's variant, and stored under its name; see `verify_shards`.

    Raises:
        RecordError: it is not.
    """
    names = recipe_names(manifest.recipe)
    variant = decode_record(data, key, index, None if names is None else names[1])
    check_canonical(data)
    if content := _content_problem(variant, manifest):
        raise RecordError(content)
    if encode_key(key, index) != name:
        raise RecordError(f"stored under the name {name[:40]!r}")


def _check(
    shard: Environment, name: bytes, manifest: Manifest
) -> tuple[Problem | None, tuple[tuple[str, int], bytes] | None]:
    key: str | None = None
    index: int | None = None
    try:
        key, index = listed_name(shard, name)
        data = shard.record(name)
        if data is None:
            raise RecordError("the record is listed but not found: a damaged page tree")
        check_stored(name, key, index, data, manifest)
    except (RecordError, lmdb.Error) as error:
        return Problem(shard.path.name, key, index, str(error)), None
    return None, ((key, index), record_hash(data))
