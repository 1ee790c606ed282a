"""The progress bar and the report of `poc_aug.warm_cache`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.cli.progress_lines import progress
from poc_aug.counting import count_of
from poc_aug.generation.warm_report import WarmReport
from poc_aug.inspection.empty_variants import without_object_text
from poc_aug.inspection.rejected_sheet import all_attempts
from poc_aug.protocols import Inserter


@contextmanager
def warm_progress(console: Console, unit: str = "variants") -> Iterator[Callable[[WarmReport], None]]:
    """Progress with rate, acceptance and time left; yields the ``on_progress`` of `poc_aug.warm_cache`."""
    with progress(console, unit) as show:

        def show_report(report: WarmReport) -> None:
            note = f"{report.acceptance:.0%} accepted"
            note += f", {len(report.unreadable)} unreadable" if report.unreadable else ""
            note += f", {len(report.failed)} failed" if report.failed else ""
            others = report.present + report.elsewhere  # what this run did not make
            show(others + report.made, report.total, note, before=others)

        yield show_report


def print_objects(console: Console, inserter: Inserter) -> None:
    """Print what a bank of cut-outs contains, its source, and what it leaves out."""
    if isinstance(inserter, PasteInserter):
        console.print(f"objects: {inserter.bank.summary()}", markup=False)


def print_report(console: Console, report: WarmReport, path: object, *, frames: bool = False) -> None:
    """Print what a run did: counts, a table of its attempts per object, time per stage, and what was skipped.

    Args:
        console: where.
        report: what the run did.
        path: the cache.
        frames: it holds shifted frames: attempts are per domain.
    """
    one, first = ("frame", "domain") if frames else ("variant", "object")
    if report.replacements or report.unreplaced:
        console.print(_replaced_text(report, frames))
    if report.made == 0 and not report.unreadable and not report.failed:
        stored = f"the only {one} is" if report.total == 1 else f"all {report.total} {one}s are"
        what = f"{stored} in {path}" if report.total else "there are more jobs than samples, and none is for this one"
        console.print(f"nothing to do: {what}", markup=False)
        if report.nothing_accepted:
            console.print(_rejected_table(report, first))
        return
    accepted = f", {report.acceptance:.0%} of the attempts accepted" if report.statistics.attempts else ""
    made = f"{report.made} variant{'' if report.made == 1 else 's'} with {report.objects} object"
    made += "" if report.objects == 1 else "s"
    if frames:
        made = f"{report.objects} frame{'' if report.objects == 1 else 's'}"
    others = f", {report.elsewhere} were made by other processes meanwhile" if report.elsewhere else ""
    console.print(
        f"{made} in {report.seconds:.1f} s ({report.made / max(report.seconds, 1e-6):.1f}/s{accepted}); "
        f"{report.present} were there before" + others
    )
    if report.nothing_accepted:
        console.print(_rejected_table(report, first))
    elif report.statistics.attempts:
        console.print(_attempts_table(report.statistics.to_dict()["classes"], first))
    if report.statistics.attempts:
        spent = [f"{name} {value:.1f}" for name, value in report.statistics.seconds.items() if value >= 0.05]
        if spent:
            console.print(f"seconds: {', '.join(spent)} (models run in parallel with the rest)", markup=False)
    if (text := without_object_text(report.without_object, report.made, frames=frames)) and not report.nothing_accepted:
        console.print(text, style="yellow" if text.startswith("warning") else None, markup=False)
    for name, count in report.cutouts.items():
        console.print(
            f"  cut-out skipped {count} time{'' if count == 1 else 's'}: {name}", style="yellow", markup=False
        )
    for key, error in report.unreadable:
        console.print(f"  unreadable: {key}: {error}", style="yellow", markup=False)
    for key, index, error in report.failed:
        console.print(f"  failed: {key}, variant {index}: {error}", style="yellow", markup=False)
    console.print(f"cache: {path}", markup=False)


def _replaced_text(report: WarmReport, frames: bool) -> str:
    """What is said of variants that were asked for in place of dropped ones."""
    what = "frame" if frames else "variant"
    text = f"{count_of(report.replacements, what)} {_were(report.replacements)} asked for in place of dropped ones"
    if report.unreplaced:
        text += f"; {count_of(report.unreplaced, what)} {_were(report.unreplaced)} not replaced: what is made is "
        text += "dropped by the same decisions"
    return text


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def nothing_accepted_text(report: WarmReport, path: object, *, frames: bool = False) -> str:
    """What is said after a run that leaves no variant with an object, or no frame: the next steps."""
    change = "--min-agreement, --attempts, --strength" if frames else "--sizes, --location, --set attempts=10"
    return (
        f"error: nothing was accepted: {all_attempts(report.rejected.total())} rejected\n"
        f"Next step: change what rejects them ({change}) and fill another cache (--out); "
        f"--keep-rejected 5 keeps pictures of them, which `poc-aug preview CACHE --rejected` shows; {path} holds the "
        "reasons"
    )


def _rejected_table(report: WarmReport, first: str) -> Table:
    classes = {
        name: {"attempts": sum(reasons.values()), "accepted": 0, "rejections": reasons}
        for name, reasons in report.rejections_by_object().items()
    }
    return _attempts_table(classes, first)


def _attempts_table(classes: Mapping[str, Mapping[str, Any]], first: str) -> Table:
    """Attempts, accepted ones, and rejections by reason: one row per object or domain and one for all."""
    table = Table(box=None)
    table.add_column(first, overflow="fold")
    table.add_column("attempts", justify="right")
    table.add_column("accepted", justify="right")
    table.add_column("rejected", overflow="fold")
    reasons: Counter[str] = Counter()
    for name, counts in classes.items():
        reasons.update(counts["rejections"])
        table.add_row(Text(name), str(counts["attempts"]), str(counts["accepted"]), Text(_counts(counts["rejections"])))
    attempts, accepted = (sum(counts[name] for counts in classes.values()) for name in ("attempts", "accepted"))
    table.add_row("all", str(attempts), str(accepted), Text(_counts(reasons)), style="bold")
    return table


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
