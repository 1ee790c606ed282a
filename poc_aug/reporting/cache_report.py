"""`write_report`: a cache's figures, charts and samples in one file that any browser shows, without a network."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from poc_aug.cache import Cache
from poc_aug.cache.kept_summary import ReviewCounts, renamed_counts, summarize_kept
from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.errors import OutputError, RecipeError, SettingError
from poc_aug.files.outputs import check_outputs, writing, writing_whole
from poc_aug.inspection.decision_facts import outcome_counts
from poc_aug.inspection.notebook_view import plain_line
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys, dataset_keys
from poc_aug.recipe import Recipe
from poc_aug.reporting.insertion_figures import InsertionFigures
from poc_aug.reporting.report_charts import data_address, heat_map, histogram, scatter
from poc_aug.reporting.report_samples import Frames, SampleChoice, SampleDraw, fitted, names_of, samples_of
from poc_aug.scenes.scene_recipe import split_key
from poc_aug.version import __version__

MAX_DRAWN = 20_000
"""Variants of a recipe that sizes, places and brightness are measured on; of more, as many at equal distances."""
_MAX_DOTS = 1500
_MAX_PICTURES = 600
"""Pictures of a recipe: of 200 classes, three each are shown at most."""
_MAX_CHARS = 200
_MARK, _MARK_WITHIN = b", written by poc_aug ", 1 << 16
"""What the beginning of a report holds."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class RecipeReport:
    """What a report says of one recipe of a cache.

    Attributes:
        name: name of the cache, without its folder.
        fingerprint: of the recipe.
        kind: "insertions" or "frames".
        inserter: name of the backend.
        samples: samples that are held.
        variants: variants that are held.
        empty: variants without an object or a frame.
        accepted: objects, or frames.
        classes: objects by the name that they are read with, or frames by domain and severity.
        decisions: decisions in its journal that were not undone.
        relabelled: parts that got another class in review: the old name, the new one, and how many.
        decided: objects or frames by what was decided about them in review.
        rejections: rejected attempts by reason.
        rejected_objects: rejected attempts by object.
        figures: of insertions.
        agreements: agreement of the labels of frames.
        measured: variants that were measured.
        galleries: class names, each with pictures (as addresses) and what is said of them.
        created_by: name and version of the library that made it.
    """

    name: str
    fingerprint: str
    kind: str
    inserter: str
    samples: int
    variants: int
    empty: int
    accepted: int
    classes: list[tuple[str, int]]
    decisions: int
    relabelled: list[tuple[str, str, int]]
    decided: list[tuple[str, int]]
    rejections: list[tuple[str, int]]
    rejected_objects: list[tuple[str, int]]
    figures: InsertionFigures = field(default_factory=InsertionFigures)
    agreements: list[float] = field(default_factory=list)
    measured: int = 0
    galleries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    created_by: str = ""

    @property
    def attempts(self) -> int:
        """Attempts in all: accepted, and rejected ones."""
        return self.accepted + sum(count for _, count in self.rejections)

    @property
    def acceptance(self) -> float:
        """Share of the attempts that were accepted; 0 without any."""
        return self.accepted / self.attempts if self.attempts else 0.0

    def charts(self) -> list[tuple[str, str, str]]:
        """Title, chart, and what it shows."""
        figures, made = self.figures, []
        for title, chart, text in (
            ("Height", histogram(figures.heights_px, "pixels", logarithmic=True), "of the visible object"),
            ("Share of the frame", histogram(figures.areas, "% of its area", logarithmic=True), "covered by an object"),
            (
                "Foot",
                histogram(figures.foot_rows, "% of the frame's height"),
                "lowest pixel; 0 is the top of the frame",
            ),
            ("Distance", histogram(figures.distances_m, "metres", logarithmic=True), _DISTANCE),
            ("Brightness", scatter(_thinned(figures.brightness), "scene", "object"), self._brightness_text()),
            ("Agreement", histogram(self.agreements, "mIoU of the labels"), _AGREEMENT),
        ):
            if chart:
                made.append((title, chart, text))
        return made

    def places(self) -> str:
        """The map of places, as the address of a picture; "" without objects."""
        sizes = self.figures.sizes_hw
        if not sizes:
            return ""
        height, width = max(sizes, key=lambda size: sizes[size])
        return heat_map(self.figures.places / max(1, self.figures.frames), width / height)

    def most_covered(self) -> float:
        """Share of the frames with objects in which the place that is covered most often is."""
        return float(self.figures.places.max(initial=0.0)) / max(1, self.figures.frames)

    def _brightness_text(self) -> str:
        differences = [of_object - scene for of_object, scene in self.figures.brightness]
        if not differences:
            return ""
        middle = statistics.median(differences)
        text = f"{abs(middle):.0f} levels {'brighter' if middle > 0 else 'darker'} than the scene (median)"
        return f"mean luma, 0 to 255; objects are {text}" if round(middle) else "mean luma, 0 to 255"


_AGREEMENT = "of a frame's labels with what a segmenter found in the shifted frame"
_DISTANCE = "along the ground, by the horizon that the object was placed with"


def write_report(
    caches: Sequence[Cache],
    out: str | os.PathLike[str],
    *,
    dataset: Any = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    samples: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> list[RecipeReport]:
    """Write one self-contained HTML file about caches.

    It holds: counts by class and recipe, acceptance with reasons, histograms of size, place and distance, a map of
    places, the objects' brightness against the scenes', and samples of each class. What the journal of a cache leaves
    out is not counted. It holds no path of this machine, and loads nothing.

    Args:
        caches: opened caches, or members of them; of insertions, or of shifted frames.
        out: the file; an earlier report is replaced.
        dataset: the dataset that they were made from; samples then show objects in their frames. ``None``: on grey.
        keys: see `POCAugmentedDataset`.
        adapt: see `POCAugmentedDataset`.
        samples: pictures of each class.
        progress: called with the number of variants that were read, and how many there are.

    Returns:
        What the report says, per cache.

    Raises:
        SettingError: no cache, or a negative number of samples.
        CacheError: a cache cannot be read, or holds none of the dataset's samples.
        OutputError: the file cannot be written, or is there and no report.

    Example:
        >>> import tempfile
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.types import Variant
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     with Cache.open(f"{folder}/a.cache") as cache:
        ...         reports = write_report([cache], f"{folder}/report.html")
        >>> reports[0].variants, reports[0].accepted
        (1, 0)
    """
    if not caches:
        raise SettingError("no cache", expected="at least one")
    if samples < 0:
        raise SettingError(f"samples={samples}", expected="0 or more pictures of each class")
    path = check_report_path(out)
    total, done = sum(min(len(cache), MAX_DRAWN) for cache in caches), 0
    reports = []
    for cache in caches:
        frames = None if dataset is None else _frames(cache, dataset, keys, adapt)

        def show(number: int, before: int = done) -> None:
            if progress is not None:
                progress(before + number, total)

        reports.append(_report(cache, frames, samples, show))
        done += min(len(cache), MAX_DRAWN)
    page = _page(reports, with_frames=dataset is not None)
    with writing_whole(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return reports


def check_report_path(out: str | os.PathLike[str]) -> Path:
    """Check that a report can be written to a file, and that no other file than an earlier report is lost by it.

    Raises:
        OutputError: names what is in the way.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "thesis.html").write_text("<p>three years of work</p>")
        ...     check_report_path(f"{folder}/thesis.html")
        Traceback (most recent call last):
        poc_aug.errors.OutputError: '...thesis.html' exists, and is no report of a cache
        Expected: a new path, or an earlier report
        Next step: give another path, or remove that file
    """
    path = Path(out)
    check_outputs(path.parent, path.name)
    with writing(path):
        if not path.is_file():  # or /dev/null
            return path
        with path.open("rb") as file:
            begin = file.read(_MARK_WITHIN)
    if begin and _MARK not in begin:
        raise OutputError(
            f"{str(path)!r} exists, and is no report of a cache",
            expected="a new path, or an earlier report",
            hint="give another path, or remove that file",
            command="give another path with --out, or remove that file",
        )
    return path


def _frames(cache: Cache, dataset: Any, keys: Keys | None, adapt: Adapt | None) -> Frames | None:
    if cache.manifest.kind == "frames":
        return None
    own = dataset_keys(dataset, keys)
    names = stored_keys(own, HeldKeys(cache), dataset, adapt)
    check_held(names, own, cache, dataset, misses_allowed=True)
    return Frames(dataset, names, cache, adapt)


def _report(cache: Cache, frames: Frames | None, samples: int, show: Callable[[int], None]) -> RecipeReport:
    review = ReviewCounts()
    summary = summarize_kept(cache, review=review)
    report = _counted(cache, summary, review)
    recipe = None
    if report.kind == "insertions":
        try:
            recipe = Recipe.from_dict(dict(cache.manifest.recipe))
        except RecipeError:
            if summary.objects:
                raise
    draw = SampleDraw(samples)
    step = max(1, -(-len(cache) // MAX_DRAWN))
    for number, (key, index) in enumerate(cache):
        if number % step:
            continue
        variant = cache.get(key, index)
        if variant is None:
            continue
        report.measured += 1
        report.figures.add(variant, recipe)
        for place, insertion in enumerate(variant.insertions):
            for name in names_of(insertion):
                draw.add(name, key, index, place)
        if variant.frame is not None:
            draw.add(f"{variant.frame.domain}, severity {variant.frame.severity}", key, index, 0)
            agreement = variant.frame.provenance.get("agreement")
            if isinstance(agreement, int | float) and not isinstance(agreement, bool):
                report.agreements.append(float(agreement))
        show(report.measured)
    chosen = dict(draw.chosen()) if samples else {}
    most = max(1, _MAX_PICTURES // max(1, len(chosen)))
    chosen = {name: choices[:most] for name, choices in chosen.items()}
    if report.kind == "frames":
        report.galleries = _frame_galleries(cache, chosen)
    else:
        report.galleries = [
            (name, [(data_address(picture), text) for picture, text in pictures])
            for name, pictures in samples_of(cache, chosen, frames)
        ]
    return report


def _frame_galleries(
    cache: Cache, chosen: Mapping[str, Sequence[SampleChoice]]
) -> list[tuple[str, list[tuple[str, str]]]]:
    galleries = []
    for name, choices in chosen.items():
        pictures = []
        for choice in choices:
            variant = cache.get(choice.key, choice.index)
            if variant is not None and variant.frame is not None:
                agreement = variant.frame.provenance.get("agreement")
                text = f"agreement {agreement:.2f}" if isinstance(agreement, float) else ""
                pictures.append((data_address(fitted(variant.frame.image)), text))
        galleries.append((name, pictures))
    return galleries


def _counted(cache: Cache, summary: RecordSummary, review: ReviewCounts) -> RecipeReport:
    frames = cache.manifest.kind == "frames"
    shifts = sorted(summary.shifts.items())
    classes = (
        [(f"{domain}, severity {severity}", counts.frames) for (domain, severity), counts in shifts]
        if frames
        else renamed_counts(summary.objects, review.names, cache.manifest.recipe).most_common()
    )
    inserter = cache.manifest.backends.get("inserter")
    name = inserter.get("inserter") if isinstance(inserter, Mapping) else None
    return RecipeReport(
        name=cache.path.name if cache.path.parent.name != "recipes" else cache.path.parent.parent.name,
        fingerprint=cache.manifest.fingerprint,
        kind=cache.manifest.kind,
        inserter=str(name) if name is not None else "",
        samples=len({split_key(key)[0] for key in cache.keys()}) if frames else cache.samples,
        variants=len(cache),
        empty=summary.empty,
        accepted=sum(count for _, count in classes),
        classes=[(name, count) for name, count in classes if count],
        decisions=len(cache.journal.counting),
        relabelled=[(old, new, count) for (old, new), count in review.names.most_common()],
        decided=outcome_counts(review),
        rejections=summary.rejections.most_common(),
        rejected_objects=Counter(
            {name: sum(reasons.values()) for name, reasons in summary.rejected_objects.items()}
        ).most_common(),
        created_by=cache.manifest.created_by,
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, -(-len(points) // _MAX_DOTS))
    return list(points[::step])


def _page(reports: Sequence[RecipeReport], *, with_frames: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # torch brings it

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters["line"] = lambda text: plain_line(text, _MAX_CHARS)
    template = environment.get_template("cache_report.html")
    names = list(dict.fromkeys(report.name for report in reports))
    return template.render(
        title=", ".join(names), reports=reports, with_frames=with_frames, version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d"),
    )  # fmt: skip
