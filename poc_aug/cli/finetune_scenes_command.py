"""``poc-aug finetune-scenes``: train a ControlNet that paints a dataset's scenes from label maps and captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.cli.command_options import with_options
from poc_aug.cli.console import console
from poc_aug.cli.finetune_scenes_options import FinetuneScenesOptions
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import run_report
from poc_aug.cli.shared_options import DatasetArguments
from poc_aug.errors import SettingError


@with_options(FinetuneScenesOptions)
def finetune_scenes_command(
    *,
    arguments: DatasetArguments = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A YAML file of these options; those given here win.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, train nothing.")] = False,
    **given: Any,
) -> None:
    """Train a ControlNet on a dataset's images, label maps and captions. Run it again to resume."""
    values = {} if config is None else FinetuneScenesOptions.from_yaml(config)
    job = FinetuneScenesOptions.from_values({**values, **FinetuneScenesOptions.given_values(given)}, "options")
    if job.dataset is None:
        raise SettingError("--dataset is missing", expected="--dataset poc_aug:SyntheticStreet size=512,1024")
    if job.out is None:
        raise SettingError("--out is missing", expected="--out run")
    settings = job.settings()
    with run_report(job.report, "finetune-scenes", job.out) as result:
        # Loaded here: they import torch's and the models' packages.
        from poc_aug.backends.scene_models.captioner import TransformersCaptioner, check_captioner
        from poc_aug.backends.scene_models.captioner_file import CaptionFile
        from poc_aug.finetuning.finetune_controlnet import FinetuneReport, finetune_controlnet, plan_finetuning

        dataset = load_dataset(job.dataset.type, {**job.dataset.args, **parse_arguments(arguments or [])})
        captions = None if job.captions is None else CaptionFile(job.captions)
        what: dict[str, Any] = {"schema": job.label_schema, "keys": job.keys, "limit": job.limit}
        if job.captioner is not None:
            check_captioner(job.captioner)
            # Everything besides the captions, before a captioner is loaded.
            known: dict[str, Any] = {"prompt": "-"}
        else:
            known = {"captions": captions, "prompt": job.prompt}
        plan = plan_finetuning(dataset, job.out, settings, **known, **what)
        console.print(
            f"{len(plan.keys)} frames, schema {plan.schema.name}, condition {settings.condition} "
            f"({plan.channels} channels), {plan.device.type}, precision {plan.precision}"
            f"{f', captions by {job.captioner}' if job.captioner else ''}"
        )
        if dry_run:
            console.print(f"nothing was written: {job.out} would {'be continued' if plan.continues else 'be begun'}")
            result.update(frames=len(plan.keys), continues=plan.continues, precision=plan.precision)
            return
        captioner = None if job.captioner is None else TransformersCaptioner(job.captioner, device=job.device)
        report = FinetuneReport()
        try:
            with _stages() as show:
                finetune_controlnet(
                    dataset,
                    job.out,
                    settings,
                    captions=captions,
                    captioner=captioner,
                    prompt=job.prompt,
                    on_progress=show,
                    report=report,
                    **what,
                )
        finally:
            result.update(report.to_dict())
        made = report.step - report.resumed_at
        before = f", {report.resumed_at} were there before" if report.resumed_at else ""
        console.print(f"{made} update{'' if made == 1 else 's'} on {report.frames} frames{before}")
        if report.validation:
            (first, last) = (list(report.validation.items())[index] for index in (0, -1))
            console.print(f"validation loss {first[1]:.4f} after {first[0]}, {last[1]:.4f} after {last[0]} updates")
        console.print(f"ControlNet: {report.model}")


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int, str], None]]:
    """Progress of what is counted, one after the other."""
    with ExitStack() as stack:
        shown: dict[str, Callable[..., None]] = {}
        first: dict[str, int] = {}

        def show(what: str, done: int, total: int, note: str) -> None:
            if what not in shown:
                stack.close()
                shown[what] = stack.enter_context(progress(console, what))
                first[what] = done
            shown[what](done, total, note, before=first[what] - 1)

        yield show
