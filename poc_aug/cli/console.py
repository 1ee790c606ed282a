"""Where the commands print."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class _Output(Console):
    """A console that leaves a pipe without a reader to `poc_aug.cli.main`: rich's own ends the process."""

    def on_broken_pipe(self) -> NoReturn:
        """Called while the `BrokenPipeError` is handled: pass it on."""
        raise


# The output contains the user's paths, keys and errors, so nothing in it is read as markup.
console = _Output(soft_wrap=True, markup=False, emoji=False)
errors = _Output(soft_wrap=True, markup=False, emoji=False, highlight=False, stderr=True)
