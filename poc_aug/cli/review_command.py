"""``poc-aug review``: a page in the browser on which people accept, reject and relabel what caches hold."""

from __future__ import annotations

from typing import Annotated

import typer

from poc_aug.cli.arguments import load_dataset, parse_arguments, split_caches
from poc_aug.cli.cache_argument import CacheToRead
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console, errors
from poc_aug.cli.shared_options import DatasetArguments, DatasetName, KeysName, RecipeNames, SchemaName
from poc_aug.errors import SettingError
from poc_aug.stores import is_store_url


def review_command(
    cache: CacheToRead,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    schema: SchemaName = None,
    keys: KeysName = None,
    recipe: RecipeNames = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Name that decisions carry. " + shown_default("the login name"))
    ] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Class that the page shows first.")] = None,
    decision: Annotated[
        str | None,
        typer.Option("--decision", help="Decision shown first: undecided, accept, reject, relabel, skip or conflict."),
    ] = None,
    sigma: Annotated[float, typer.Option("--sigma", min=0, help="Feather of insertions, in pixels.")] = 1.0,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; another one than 127.0.0.1 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0 takes any that is free.")
    ] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-browser", help="Open the page in a browser, or only print its address.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only open everything, and say how much is decided.")
    ] = False,
) -> None:
    """Serve a page on which people accept, reject and relabel insertions or frames; Ctrl-C ends it.

    Decisions go to the caches' journals, one by one. Without --dataset, patches are shown on grey. Several caches of
    one dataset may be given, one after the other.
    """
    # Loaded here: the extra `review` is needed for it.
    from poc_aug.review.decisions import OPS
    from poc_aug.review.review_access import is_loopback
    from poc_aug.review.serving import check_installed, serve

    check_installed()
    shown = ("undecided", *OPS, "conflict")
    if decision is not None and decision not in shown:
        raise SettingError(f"--decision {decision[:60]!a}", expected=f"one of {', '.join(shown)}")
    if addresses := [value for value in (cache, *(arguments or [])) if is_store_url(value)]:
        raise SettingError(
            f"a review of {addresses[0]}",
            expected="the path of a cache: decisions are written there",
            hint="fetch it with `poc-aug pull`, review the copy, and send it back with `poc-aug push`",
        )
    caches, pairs = split_caches(cache, arguments or [])
    if dataset is None and (pairs or keys is not None):
        raise SettingError(
            f"{'--keys' if keys is not None else pairs[0][:60]} without --dataset",
            expected="--dataset, the dataset that the cache was made from",
        )
    base = None if dataset is None else load_dataset(dataset, parse_arguments(pairs))

    def tell(address: str) -> None:
        if not is_loopback(host) and not dry_run:
            errors.print(
                f"warning: --host {host}: whoever has the page's address, and can reach this machine, sees the frames "
                "and may decide; the connection is not encrypted",
                style="yellow",
            )
        console.print(address, highlight=False)
        console.file.flush()

    filters = {name: value for name, value in (("class", class_name), ("decision", decision)) if value is not None}
    serve(
        caches,
        base,
        reviewer=by,
        host=host,
        port=port,
        keys=keys,
        schema=schema,
        recipes=recipe,
        sigma_px=sigma,
        filters=filters,
        dry_run=dry_run,
        open_browser=open_browser,
        on_start=tell,
    )
