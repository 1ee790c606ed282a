"""``poc-aug evaluate``: a model on datasets with anomalies, to a table, JSON and pictures."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from poc_aug.cli.arguments import (
    check_device,
    load_callable,
    load_dataset,
    parse_arguments,
    parse_size,
    run_own,
    shortened,
)
from poc_aug.cli.bravo_tables import bravo_tables
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console
from poc_aug.cli.evaluate_shift_options import check_datasets_given, requested_shifts, shift_plot_names
from poc_aug.cli.evaluate_shift_run import ShiftedBase, evaluate_shifted, labelled_schema_named, write_shift_plots
from poc_aug.cli.evaluate_tables import classes_shared, further_tables
from poc_aug.cli.former_maps import FOLDER, foreign_maps, remove_former_maps
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.errors import ModelError, SettingError
from poc_aug.evaluation.figure_values import percent
from poc_aug.files.outputs import check_outputs

if TYPE_CHECKING:
    from poc_aug.evaluation.anomalies import EvaluationResult
    from poc_aug.evaluation.closed_set import ClassResult

_OWN_SIZE = "the frames' own size"
_COLUMNS = ("AuPRC", "FPR95", "TPR5", "AUROC", "F1")


@with_report("evaluate")
def evaluate_command(
    *,
    model: Annotated[str, typer.Option("--model", help="The model: 'module:callable key=value ...'.")],
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", help="A dataset with anomalies: 'module:callable key=value ...'; repeatable."),
    ] = None,
    labelled: Annotated[
        list[str] | None,
        typer.Option("--labelled", help="A dataset with known classes, for closed-set mIoU; repeatable."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Label schema whose names, by id, are the model's channels: mIoU, open-IoU."),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option("--score", help=f"msp, max-logit, entropy, energy, rba, void; repeatable. {shown_default('msp')}"),
    ] = None,
    labelled_schema: Annotated[
        str | None,
        typer.Option("--labelled-schema", help=f"Label schema of the --labelled datasets. {shown_default('detected')}"),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help=f"Evaluate at HEIGHT,WIDTH. {shown_default(_OWN_SIZE)}")
    ] = None,
    void_index: Annotated[
        int | None, typer.Option("--void-index", help="Channel of a void class; the other scores leave it out.")
    ] = None,
    track: Annotated[
        str | None, typer.Option("--components", help="Component-wise metrics too: anomaly or obstacle.")
    ] = None,
    anomalous_only: Annotated[
        bool, typer.Option("--anomalous-only", help="Leave out frames without an anomaly.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N frames of each dataset.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option("--schema", help=f"Label schema of the datasets with anomalies. {shown_default('detected')}"),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(
            "--shift",
            help="Also evaluate shifted frames: fog:1-5, night:3, corruption:contrast:1,3, or a cache of warm-scenes; "
            "repeatable.",
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera",
            help=f"Camera of --shift's weather: cityscapes, kitti, generic, file. {shown_default('generic')}",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help=f"Seed of --shift. {shown_default('0')}")] = None,
    device: Annotated[str, typer.Option("--device", help="Where the model runs.")] = "cpu",
    maps: Annotated[
        int | None,
        typer.Option(
            "--maps", min=0, help=f"Frames per dataset whose score maps are drawn into --out. {shown_default('8')}"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for report.json and the pictures.")] = None,
    reported: dict[str, Any],
) -> None:
    """Evaluate a model on anomalies and known classes: tables, and with --out also JSON, score maps and plots.

    With --shift, the same frames are evaluated in other domains too, and the plots are over severity.

    The model is a callable that returns a torch module: float32 [1, 3, H, W] in [0, 1] to logits [1, C, h, w].
    """
    from poc_aug.environment import environment, write_json
    from poc_aug.evaluation.anomalies import Frame, evaluate
    from poc_aug.evaluation.frame_checks import check_anomalies, check_classes, check_model, check_score_names

    if out is None and maps is not None:
        raise SettingError("--maps without --out", expected="a folder to draw them into: --out report")
    if labelled_schema is not None and not labelled:
        raise SettingError(
            "--labelled-schema without --labelled", expected="the dataset that it is the schema of: --labelled"
        )
    dataset, labelled = dataset or [], labelled or []
    check_datasets_given(
        dataset,
        labelled,
        {
            **{"--score": score, "--void-index": void_index, "--components": track, "--schema": schema},
            **{"--anomalous-only": anomalous_only, "--maps": maps},
        },
    )
    requests = requested_shifts(shift or [], camera=camera, seed=seed, maps=maps)
    wanted = tuple(score or ("msp",))
    check_score_names(wanted, void_index, track)  # type: ignore[arg-type]
    check_device(device)
    names, known_names = _names(dataset), _names(labelled)
    plots = shift_plot_names(names, known_names) if requests else ["precision_recall.png", "scores.png"] * bool(dataset)
    if out is not None:
        check_outputs(out, "report.json", *plots)  # before hours of evaluation
    drawn_maps = 8 if maps is None else maps
    size_hw = None if size is None else parse_size(size)
    channels = _channels(classes, labelled)
    datasets = [load_dataset(*_parts("--dataset", text)) for text in dataset]
    shared = classes_shared(datasets, schema, channels, classes, labelled)
    known = [load_dataset(*_parts("--labelled", text)) for text in labelled]
    reported.update(
        model=model,
        datasets=dict(zip(names, dataset, strict=True)),
        labelled=dict(zip(known_names, labelled, strict=True)),
        settings={
            "scores": list(wanted),
            "size": None if size_hw is None else list(size_hw),
            "limit": limit,
            "anomalous_only": anomalous_only,
            "components": track,
            "void_index": void_index,
            "schema": schema,
            "labelled_schema": labelled_schema,
            "classes": classes,
            "device": device,
            **({"shifts": shift, "camera": camera, "seed": seed or 0} if requests else {}),
        },
    )
    network = _load_model(model)
    with progress(console, "datasets checked"):
        settings: dict[str, Any] = {"size_hw": size_hw, "device": device}
        for name, base, known_channels in zip(names, datasets, shared, strict=True):
            counts: dict[str, Any] = {"scores": wanted, "void_index": void_index, "classes": len(known_channels)}
            check_model(network, base, name=name, **counts, **settings)
        for name, base in zip(known_names, known, strict=True):
            check_model(network, base, name=name, classes=len(channels), **settings)
        for name, base in zip(names, datasets, strict=True):
            check_anomalies(base, name=name, schema=schema, limit=limit, size_hw=size_hw)
        for name, base in zip(known_names, known, strict=True):
            with labelled_schema_named():
                check_classes(base, channels, name=name, schema=labelled_schema, limit=limit, size_hw=size_hw)
    if out is not None:
        remove_former_maps(out)
    if requests:
        bases = [ShiftedBase(*parts, wanted, schema) for parts in zip(names, datasets, shared, strict=True)]
        bases += [ShiftedBase(*parts, channels, (), labelled_schema) for parts in zip(known_names, known, strict=True)]
        of_anomalies = {"void_index": void_index, "components": track, "anomalous_only": anomalous_only}
        reports = evaluate_shifted(
            network,
            bases,
            requests,
            camera=camera,
            seed=seed or 0,
            of_anomalies=of_anomalies,
            settings={**settings, "limit": limit},
        )
        reported["shifts"] = [report.to_dict() for report in reports]
        if out is not None:
            write_json(out / "report.json", {**reported, "maps": [], "environment": environment()})
            write_shift_plots(reports, out, plots)
            console.print(f"written: {out}/report.json, {', '.join(plots)}")
        return
    written: list[str] = []
    results: list[EvaluationResult] = []
    for name, base, known_channels in zip(names, datasets, shared, strict=True):
        drawn: list[str] = []

        def draw(frame: Frame, drawn: list[str] = drawn, name: str = name) -> None:
            if out is not None and len(drawn) < drawn_maps and bool((frame.labels == 1).any()):
                from poc_aug.evaluation.plots import write_maps

                drawn.append(write_maps(frame, out / FOLDER / name).relative_to(out).as_posix())

        with progress(console, f"frames of {name}") as show:
            result = evaluate(
                network,
                base,
                wanted,
                name=name,
                size_hw=size_hw,
                void_index=void_index,
                components=track,  # type: ignore[arg-type]
                classes=known_channels,
                anomalous_only=anomalous_only,
                limit=limit,
                schema=schema,
                device=device,
                on_frame=draw,
                on_progress=show,
            )
        results.append(result)
        written += drawn
    if results:
        console.print(_table(results))
    for table in further_tables(results):
        console.print(table)
    closed: list[ClassResult] = []
    for name, base in zip(known_names, known, strict=True):
        from poc_aug.evaluation.closed_set import evaluate_classes

        with progress(console, f"frames of {name}") as show:
            where: dict[str, Any] = {"size_hw": size_hw, "limit": limit, "device": device, "schema": labelled_schema}
            closed.append(evaluate_classes(network, base, channels, name=name, **where, on_progress=show))
    if closed:
        tables = bravo_tables(results, closed)
        console.print(_class_table(closed), *(tables if results else tables[:1]), sep="\n")
    reported["results"] = [result.to_dict() for result in results]
    if closed:
        from poc_aug.evaluation.bravo_report import bravo_values

        reported["classes"] = [result.to_dict() for result in closed]
        if results:
            reported["bravo"] = bravo_values(results, closed)
    if out is not None:
        from poc_aug.evaluation.plots import plot_boxes, plot_precision_recall

        write_json(out / "report.json", {**reported, "maps": written, "environment": environment()})
        if results:
            plot_precision_recall(results, out / "precision_recall.png")
            plot_boxes(results, out / "scores.png")
        console.print(f"written: {out}/{', '.join(['report.json', *plots, *(['maps/'] * bool(written))])}")
        others = foreign_maps(out, written)
        if others:
            console.print(f"warning: not of this run, but in {out}: {', '.join(others)}")


def _parts(option: str, text: str) -> tuple[str, dict[str, Any]]:
    expected = "'module:callable key=value ...'"
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise SettingError(f"{option} {shortened(text)}: {error}", expected=expected) from error
    if not parts:
        raise SettingError(f"{option} {text!r} is empty", expected=expected)
    return parts[0], parse_arguments(parts[1:])


def _names(texts: list[str]) -> list[str]:
    """Names of the datasets: that of the callable, with a number if several are of the same one."""
    short = [_parts("--dataset", text)[0].rpartition(":")[2] for text in texts]
    return [name if short.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(short, 1)]


def _load_model(text: str) -> Any:
    from torch import nn

    name, arguments = _parts("--model", text)
    factory = load_callable(name, "model")
    model = run_own(lambda: factory(**arguments), text, ModelError, hint="correct its key=value arguments")
    if not isinstance(model, nn.Module):
        raise ModelError(f"{name} gave a {type(model).__name__}", expected="a torch.nn.Module")
    return model


def _channels(classes: str | None, labelled: list[str]) -> list[str]:
    """Names of the model's channels; the first one if an id has several."""
    if classes is None:
        if labelled:
            raise SettingError(
                "--labelled without --classes",
                expected="a label schema whose names, by id, are the model's channels",
                hint="--classes cityscapes-trainIds",
            )
        return []
    from poc_aug.labels.schema import LabelSchema

    schema = LabelSchema.load(classes)
    by_id = {label_id: name for name, label_id in reversed(list(schema.ids.items())) if label_id not in schema.ignore}
    if sorted(by_id) != list(range(len(by_id))):
        raise SettingError(
            f"--classes {classes}: ids {sorted(by_id)}",
            expected="ids from 0 upwards, without a gap: the model's channels",
        )
    return [by_id[channel] for channel in range(len(by_id))]


def _table(results: list[EvaluationResult]) -> Table:
    frames = ", ".join(
        f"{result.dataset}: {result.frames} frame{'' if result.frames == 1 else 's'}" for result in results
    )
    table = Table(
        title=f"anomaly segmentation, % ({frames})", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("dataset", "score", *_COLUMNS):
        text = column in ("dataset", "score")
        table.add_column(column, justify="left" if text else "right", no_wrap=text)
    for result in results:
        for name, score in result.scores.items():
            table.add_row(result.dataset, name, *(percent(score.pixels[column]) for column in _COLUMNS))
    return table


def _class_table(results: list[ClassResult]) -> Table:
    table = Table(title="known classes, %", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("dataset", "frames", "classes", "mIoU", "lowest"):
        table.add_column(column, justify="left" if column in ("dataset", "lowest") else "right")
    for result in results:
        lowest = min(result.iou, key=lambda name: result.iou[name])
        table.add_row(
            result.dataset,
            str(result.frames),
            str(len(result.iou)),
            f"{100 * result.mean_iou:.2f}",
            f"{lowest} {100 * result.iou[lowest]:.2f}",
        )
    return table
