"""The progress bar of `warm_cache`: rate, acceptance, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poc_aug.warming import WarmReport


@contextmanager
def warm_progress(console: Console) -> Iterator[Callable[[WarmReport], None]]:
    """A live bar; yields the ``on_progress`` of `poc_aug.warm_cache`."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[accepted]}"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("variants", total=None, rate="", accepted="")

        def show(report: WarmReport) -> None:
            lost = len(report.unreadable)
            bar.update(
                task,
                total=report.total,
                completed=report.present + report.made,
                rate=f"{report.made / max(report.seconds, 1e-6):.1f}/s",
                accepted=f"{report.acceptance:.0%} accepted" + (f", {lost} unreadable" if lost else ""),
            )

        yield show


def print_report(console: Console, report: WarmReport, path: object) -> None:
    """Say what a run did."""
    if report.made == 0 and not report.unreadable:
        console.print(f"nothing to do: all {report.total} variants are in {path}", markup=False)
        return
    console.print(
        f"{report.made} variants with {report.objects} objects in {report.seconds:.1f} s "
        f"({report.made / max(report.seconds, 1e-6):.1f}/s, {report.acceptance:.0%} of the attempts accepted); "
        f"{report.present} were there before"
    )
    for reason, count in report.rejections.most_common():
        console.print(f"  rejected: {count} x {reason}", markup=False)
    for key, error in report.unreadable:
        console.print(f"  unreadable: {key}: {error}", style="yellow", markup=False)
    console.print(f"cache: {path}", markup=False)
