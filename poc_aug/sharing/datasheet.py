"""The datasheet of a packed cache: the ``README.md`` that a hub of datasets shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from poc_aug.counting import count_of
from poc_aug.sharing.datasheet_counts import RecipeCounts
from poc_aug.sharing.licence_conflicts import licence_conflicts
from poc_aug.sharing.licences import UNKNOWN, ModelLicence, licence_terms, model_licences
from poc_aug.sharing.pack_redaction import KEPT_PROVENANCE
from poc_aug.version import __version__

_MOST_CLASSES = 60
_MOST_FILES = 20
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
    10**9: "100M<n<1B",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~])")
_BENCHMARKS = """| benchmark | what it says of such data |
|---|---|
| BRAVO 2024 | forbids generative augmentation: an entry may not be trained on it |
| SegmentMeIfYouCan † | entries say whether they were trained with OOD data |
| Fishyscapes † | entries say whether they were trained with OOD data |
| others | not known here: read their rules before you enter |

† As their leaderboards list it; not checked against their rules. The archive's `pack.json` and the provenance in its
records show what was used."""


@dataclass(frozen=True)
class DatasheetFacts:
    """What a datasheet says.

    Attributes:
        title: name of the cache, as the code examples call it, without ``.cache``.
        recipes: the counts of each recipe.
        sizes: bytes of each file.
        sums: SHA-256 of each file.
        left_out: "prompts", "provenance".
        licence: the licence that whoever shares the cache gives it, as an id of the hub; "" if none was given.
        pictures: names of pictures, and what they show.
        rejected: number of pictures of rejected attempts.
    """

    title: str
    recipes: Sequence[RecipeCounts]
    sizes: Mapping[str, int]
    sums: Mapping[str, str]
    left_out: Sequence[str] = ()
    licence: str = ""
    pictures: Sequence[tuple[str, str]] = field(default=())
    rejected: int = 0

    @property
    def holds_frames(self) -> bool:
        """Whether a recipe made whole frames."""
        return any(one.manifest.kind == "frames" for one in self.recipes)


def datasheet(facts: DatasheetFacts) -> str:
    """The text of ``README.md``: front matter in the form of the hub, then what people ask.

    Example:
        >>> from poc_aug.cache import Manifest
        >>> counts = RecipeCounts(Manifest.create({}, {}, {}), made_with="")
        >>> text = datasheet(DatasheetFacts("street", [counts], sizes={}, sums={}))
        >>> text.splitlines()[:2], "size_categories" in text
        (['---', 'license: other'], True)
    """
    sections = {
        "What it is": _about(facts),
        "Counts": _counts(facts),
        "Rejections": _rejections(facts),
        "Pictures": _pictures(facts),
        "How it was made": _making(facts),
        "How to read it": _reading(facts),
        "Files": _files(facts),
        "Benchmarks": _BENCHMARKS,
        "Licences": _licences(facts),
        "Limits": _limits(facts),
    }
    body = "\n".join(f"## {title}\n\n{text}\n" for title, text in sections.items() if text)
    return f"---\n{_front_matter(facts)}---\n\n# {_plain(facts.title)}\n\n{body}"


def size_category(count: int) -> str:
    """The hub's name for a number of records.

    Example:
        >>> size_category(12), size_category(60_000)
        ('n<1K', '10K<n<100K')
    """
    return next((name for most, name in _SIZES.items() if count < most), "n>1T" if count >= 10**12 else "1B<n<10B")


def non_commercial(facts: DatasheetFacts) -> tuple[list[str], int]:
    """The models whose licence bans commercial use, and the number of insertions whose picture's licence does."""
    models = sorted({one.model for one in _models(facts.recipes) if one.non_commercial})
    banned = (n for licence, n in _total(one.licences for one in facts.recipes).items() if _is_banned(licence))
    return models, sum(banned)


def _front_matter(facts: DatasheetFacts) -> str:
    given = {"license": facts.licence} if facts.licence else {"license": "other", "license_name": "see-licences"}
    kinds = ["scene-shifts"] if facts.holds_frames else []
    kinds += ["out-of-distribution-detection", "anomaly-segmentation"] * (
        any(one.manifest.kind == "insertions" for one in facts.recipes)
    )
    head = {
        **given,
        "pretty_name": facts.title,
        "task_categories": ["image-segmentation"],
        "tags": ["semantic-segmentation", *kinds, "synthetic", "poc_aug"],
        "size_categories": [size_category(sum(one.variants for one in facts.recipes))],
        "viewer": False,
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)


def _about(facts: DatasheetFacts) -> str:
    samples = len(set().union(*(one.samples for one in facts.recipes))) if facts.recipes else 0
    parts = []
    if any(one.manifest.kind == "insertions" for one in facts.recipes):
        parts.append(
            "Objects to insert into the frames of a segmentation dataset, with masks and class names: patches that are "
            "composed onto the frames when they are read. **The frames themselves are not in it**, nor any of their "
            "pixels but those that show through an object's edge: whoever reads it needs the base dataset."
        )
    if facts.holds_frames:
        parts.append(
            "Whole frames of a segmentation dataset in other domains (weather, night, ...). **They are made from the "
            "base dataset's frames and show what these show**: its licence applies to them. Labels are read from it."
        )
    variants = sum(one.variants for one in facts.recipes)
    recipes = f" by {len(facts.recipes)} recipes" if len(facts.recipes) > 1 else ""
    parts.append(
        f"{count_of(variants, 'variant')} of {count_of(samples, 'sample')}{recipes}, made and read by poc_aug."
    )
    return "\n\n".join(parts)


def _counts(facts: DatasheetFacts) -> str:
    rows = []
    for one in facts.recipes:
        accepted = one.accepted
        rows.append([_name(one), len(one.samples), one.variants, accepted, one.empty, f"{one.rejection_rate:.1%}"])
    header = ["recipe", "samples", "variants", "insertions or frames", "variants without", "attempts rejected"]
    text = [_table(header, rows)]
    objects, classes = (_total(getattr(one, name) for one in facts.recipes) for name in ("objects", "classes"))
    rejected = _total(one.rejected_objects for one in facts.recipes if one.manifest.kind == "insertions")
    objects.update(dict.fromkeys(rejected, 0))  # objects that were always rejected
    if objects:
        rows = [[_plain(name), count, rejected[name]] for name, count in _most(objects)]
        text.append(_table(["object", "insertions", "attempts rejected"], rows) + _more(objects, "objects"))
    if classes != +objects:
        rows = [[_plain(name), count] for name, count in _most(classes)]
        text.append(_table(["class", "masks"], rows) + _more(classes, "classes"))
    shifts = _total(one.shifts for one in facts.recipes)
    if shifts:
        agreements: dict[str, list[tuple[float, int]]] = {}
        for one in facts.recipes:
            for domain, value in one.agreements.items():
                agreements.setdefault(domain, []).append(value)
        rows = [
            [_plain(domain), severity, count, _mean(agreements.get(domain, []))]
            for (domain, severity), count in sorted(shifts.items())
        ]
        text.append(_table(["domain", "severity", "frames", "agreement of labels, domain"], rows))
    return "\n\n".join(text)


def _rejections(facts: DatasheetFacts) -> str:
    reasons = _total(one.rejections for one in facts.recipes)
    accepted = sum(one.accepted for one in facts.recipes)
    total = sum(reasons.values())
    if not total:
        return "No attempt was rejected."
    rows = [[_plain(reason), count, f"{count / (total + accepted):.1%}"] for reason, count in reasons.most_common()]
    kept = f"\n\n`rejected/` holds pictures of {facts.rejected} of them." if facts.rejected else ""
    note = "\n\n`dropped`: made and accepted, then taken out by whoever looked at them." if reasons["dropped"] else ""
    intro = f"{total} of {count_of(total + accepted, 'attempt')} gave nothing:\n\n"
    return intro + _table(["reason", "attempts", "of all attempts"], rows) + note + kept


def _pictures(facts: DatasheetFacts) -> str:
    return "\n\n".join(f"![{_plain(caption)}]({name})\n\n{_plain(caption)}." for name, caption in facts.pictures)


def _making(facts: DatasheetFacts) -> str:
    rows = []
    for one in facts.recipes:
        manifest = one.manifest
        made_with = f" (made with {one.made_with}, before prompts or paths were left out)" * (
            one.made_with != manifest.fingerprint
        )
        rows += [
            [f"recipe {_name(one)}", f"{manifest.kind}, codec {manifest.codec}, {_plain(manifest.created_by)}"],
            ["fingerprint", f"`{_plain(manifest.fingerprint)}`{made_with}"],
            ["backends", _plain(", ".join(_backends(manifest.backends)) or "not stated")],
            ["base dataset", _plain(", ".join(f"{k}: {v}" for k, v in manifest.dataset.items()) or "not stated")],
        ]
    left_out = ""
    if "prompts" in facts.left_out:
        left_out += "\n\nPrompts were left out of recipes and records."
    if "provenance" in facts.left_out:
        kept = ", ".join(f"`{name}`" for name in KEPT_PROVENANCE)
        left_out += f"\n\nProvenance was left out of the records, but for {kept}; so were the details of rejections."
    recipe = "`poc-aug info CACHE --recipe` prints the whole recipe, which `manifest.json` holds."
    packed = f"Packed with poc_aug {__version__}."
    return f"{_table(['', ''], rows)}\n\n{recipe} {packed}{left_out}"


def _reading(facts: DatasheetFacts) -> str:
    name = f"{facts.title}.cache"
    wrapper = "SceneShiftDataset" if facts.holds_frames else "POCAugmentedDataset"
    one = next((one for one in facts.recipes if one.manifest.kind == "frames"), None)
    domain = f"{sorted(one.shifts)[0][0]!r}, " if one is not None and one.shifts else ""
    severity = f", severity={sorted(one.shifts)[0][1]}" if one is not None and one.shifts else ""
    objects = "[insertion.object_name for insertion in variant.insertions]"
    what = "variant.frame is not None" if facts.holds_frames else objects
    return f"""```bash
poc-aug unpack {facts.title}.tar --out {name}    # or the .zip, or the folder
```

Without the base dataset:

```python
from poc_aug.cache import Cache

with Cache.open({name!r}) as cache:
    for key, index in cache:
        variant = cache.get(key, index)
        print(key, index, {what})
```

With it, `base` being a map-style dataset of images and label maps, in the keys that the cache was made with:

```text
from poc_aug import {wrapper}

dataset = {wrapper}(base, {domain}{name!r}{severity})
image, labels = dataset[0]
```"""


def _files(facts: DatasheetFacts) -> str:
    total = sum(facts.sizes.values())
    text = f"{count_of(len(facts.sizes), 'file')}, {total} bytes ({total / 1e6:.1f} MB), apart from this page and "
    text += "the list of hashes. "
    text += "`SHA256SUMS` has the hash of every file (`sha256sum -c SHA256SUMS`); `poc-aug unpack` compares them and "
    text += (
        "verifies every record. Hashes are no signature: compare that of the archive with what its source published."
    )
    if len(facts.sizes) > _MOST_FILES:
        return text
    rows = [[f"`{name}`", size, f"`{facts.sums[name]}`"] for name, size in sorted(facts.sizes.items())]
    return f"{text}\n\n{_table(['file', 'bytes', 'SHA-256'], rows)}"


def _licences(facts: DatasheetFacts) -> str:
    text = [
        f"Whoever shares this cache gives it the licence `{_plain(facts.licence)}`."
        if facts.licence
        else "Whoever shares this cache has named no licence for it. What it was made with has these:"
    ]
    if conflicts := licence_conflicts(facts.licence, facts.recipes):
        text.append(f"**It contradicts those of its sources**: {'; '.join(map(_plain, conflicts))}.")
    models = _models(facts.recipes)
    if models:
        commercial = {True: "banned", False: "not banned", None: UNKNOWN}
        rows = [
            [_plain(one.role), _plain(one.model), _plain(one.licence), commercial[one.non_commercial]] for one in models
        ]
        text.append(_table(["model for", "model", "licence", "commercial use"], rows))
    licences = _total(one.licences for one in facts.recipes)
    if licences:
        named = {licence: len(names) for licence, names in attributions(facts.recipes).items()}
        counted = [
            [_plain(licence), count, named.get(licence, 0), ", ".join(licence_terms(licence))]
            for licence, count in licences.most_common()
        ]
        text.append(_table(["licence of objects", "insertions", "pictures named", "terms"], counted))
        if named:
            text.append("`attributions.csv` names the pictures, by licence.")
    banned_models, banned = non_commercial(facts)
    if licences or models:
        of = f"{banned} of {count_of(sum(licences.values()), 'insertion')}" if licences else "no insertions"
        by = f", models: {_plain(', '.join(banned_models))}" if banned_models else ""
        text.append(f"**Non-commercial**: {of}{by}.")
    text.append("Licences are as stated by the authors of models and by the files that objects came from; what nobody "
                "states is unknown. The base dataset has its own licence, which is not in here.")  # fmt: skip
    return "\n\n".join(text)


def _limits(facts: DatasheetFacts) -> str:
    lines = [
        "Objects were placed by a program, and nobody has looked at all of them.",
        "Masks that an annotator found follow the objects roughly; scores below 1 in the records mark them.",
        "It fits one release of the base dataset: each record holds a digest of its frame, which reading compares.",
        "A model that is trained on it may learn how the insertions were made instead of what is unusual.",
    ]
    if facts.holds_frames:
        lines[0] = "Frames were changed by a program, and nobody has looked at all of them."
        lines[1] = "Labels are those of the original frames: what a model moved or removed keeps its old label."
    return "\n".join(f"- {line}" for line in lines)


def attributions(recipes: Iterable[RecipeCounts]) -> dict[str, set[str]]:
    """The pictures that are named, by licence."""
    found: dict[str, set[str]] = {}
    for one in recipes:
        for licence, names in one.attributions.items():
            found.setdefault(licence, set()).update(names)
    return found


def _models(recipes: Iterable[RecipeCounts]) -> list[ModelLicence]:
    found = {model: None for one in recipes for model in model_licences(one.manifest.backends)}
    return list(found)


def _is_banned(licence: str) -> bool:
    return "non-commercial" in licence_terms(licence)


def _backends(backends: Mapping[str, Any]) -> Iterable[str]:
    for role, value in backends.items():
        inner = value if isinstance(value, Mapping) else {}
        names = [inner.get(name) for name in (role, role.rstrip("s"), "name") if isinstance(inner.get(name), str)]
        yield f"{role}: {names[0]}" if names else f"{role}: {', '.join(map(str, inner)) or value}"


def _name(one: RecipeCounts) -> str:
    return f"`{_plain(one.manifest.fingerprint)[:12]}`"


def _total(counters: Iterable[Counter[Any]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CLASSES]


def _more(counts: Counter[str], what: str) -> str:
    return f"\n\nand {len(counts) - _MOST_CLASSES} more {what}" if len(counts) > _MOST_CLASSES else ""


def _mean(values: Iterable[tuple[float, int]]) -> str:
    sums = [sum(column) for column in zip(*values, strict=True)]
    return f"{sums[0] / sums[1]:.3f}" if sums and sums[1] else "not checked"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(value) for value in line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text of a cache on one line, without what Markdown or HTML would act upon."""
    shown = "".join(char if char.isprintable() else " " for char in text[:500])
    return _MARKDOWN.sub(r"\\\1", shown.encode("utf-8", "replace").decode("utf-8"))
