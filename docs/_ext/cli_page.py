"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

import re
from typing import Any

import typer.main

from poc_aug.cli.main import cli


def cli_page() -> str:
    """The page, in Markdown."""
    group: Any = typer.main.get_command(cli)
    parts = [
        "# Command line\n",
        "`poc-aug COMMAND --help` shows the same. `warm_cache` is `poc-aug warm-cache` as a command of its own.\n",
        "| command | what it does |\n|---|---|\n"
        + "".join(f"| [`{name}`](#{name}) | {_first(command)} |\n" for name, command in group.commands.items()),
    ]
    parts += [_section(name, command) for name, command in group.commands.items()]
    return "\n".join(parts)


def _first(command: Any) -> str:
    return _cell((command.help or "").strip().partition("\n\n")[0])


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=f"poc-aug {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {name}\n", _prose(command.help or ""), f"```text\npoc-aug {name} {usage}\n```\n"]
    panels: dict[str, list[str]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None:  # hidden
            continue
        fallback = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panels.setdefault(getattr(parameter, "rich_help_panel", None) or fallback, []).append(_row(*record))
    parts += [
        f"**{panel}**\n\n| {'argument' if panel == 'Arguments' else 'option'} | meaning |\n|---|---|\n{''.join(rows)}"
        for panel, rows in panels.items()
    ]
    return "\n".join(parts)


def _row(names: str, text: str) -> str:
    options, _, value = names.partition(" <")  # --num-variants, --variants <int>
    shown = re.sub(r"[^\s,/]\S*?(?=,|\s|$)", r"`\g<0>`", options)  # also --resume / --no-resume
    return f"| {shown}{f' `<{value}`' if value else ''} | {_cell(text)} |\n"


def _prose(text: str) -> str:
    """Help as Markdown: backticks are the same in both, and what could be mistaken for markup is not."""
    return re.sub(r"[<*\[]", lambda match: "\\" + match[0], text.strip().replace("\b\n", "").replace("\\[", "[")) + "\n"


def _cell(text: str) -> str:
    return _prose(" ".join(text.split())).strip().replace("|", "\\|")
