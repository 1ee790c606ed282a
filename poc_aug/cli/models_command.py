"""``poc-aug models``: the models that are known to fit."""

from __future__ import annotations

from poc_aug.backends.known_models import known_models
from poc_aug.cli.console import console


def models_command() -> None:
    """List models that are known to fit: task, size, licence. The default of each task is marked."""
    task = ""
    for model in known_models():
        if model.task != task:
            task = model.task
            console.print(f"\n{task}", style="bold")
        marks = ["NON-COMMERCIAL"] * model.non_commercial + ["default"] * model.default + ["gated"] * model.gated
        style = "red" if model.non_commercial else "green" if model.default else None
        size = f"{model.weights_gb:g} GB"
        console.print(f"  {model.id:<50} {size:>7}  {model.licence:<24} {', '.join(marks)}".rstrip(), style=style)
        console.print(f"      {model.family}" + (f"; {model.note}" if model.note else ""), style="dim")
    console.print(
        "\nSizes are those of the weights as loaded by default; running a model takes more memory. Read each licence "
        "on its author's page.\nAny other model of these classes can be named by hub id or path."
    )
