"""``poc-aug try``: insert one object into one picture, with a picture of every stage."""

from __future__ import annotations

from typing import Any

import typer

from poc_aug.cli.command_options import with_options
from poc_aug.cli.run_report import run_report
from poc_aug.cli.try_image import run_try
from poc_aug.cli.try_options import TryOptions
from poc_aug.cli.unused_options import check_backend_options


@with_options(TryOptions)
def try_command(**given: Any) -> None:
    """Insert one object into one picture, and draw every stage.

    These are: valid area, posts of 1.7 m on the ground, region, crop, detections, mask, result.
    """
    options = TryOptions.from_values(TryOptions.given_values(given), "options")
    check_backend_options(options)
    with run_report(options.report, "try") as reported:
        if not run_try(options, reported):
            raise typer.Exit(1)
