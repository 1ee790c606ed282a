"""``poc-aug doctor``: whether everything that generation needs is there, and what to do if not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from poc_aug.backends.known_models import default_model, known_models
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console
from poc_aug.errors import in_one_line

Status = Literal["ok", "note", "fail"]
_GENERATE = ("diffusers", "transformers", "accelerate", "peft", "segment_anything", "groundingdino")
_DISTRIBUTIONS = {"segment_anything": "segment-anything", "groundingdino": "groundingdino-py"}
_NETWORK_SECONDS = 5.0
_LEAST_FREE_GB = 5.0
_STYLES = {"ok": "green", "note": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Finding:
    """What was checked, the result, and what to do about it."""

    what: str
    status: Status
    result: str
    advice: str = ""


def doctor_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help=f"Hub ids and paths. {shown_default('the default models')}"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where caches will be written.")] = Path(),
) -> None:
    """Check CUDA, package versions, disk, and that the chosen weights are there or can be fetched."""
    chosen = models or [default_model("inpaint"), default_model("detector"), default_model("segmenter")]
    failed = 0
    for finding in examine(chosen, out):
        failed += finding.status == "fail"
        console.print(f"{finding.status:4}  {finding.what}: {finding.result}", style=_STYLES[finding.status])
        if finding.advice:
            console.print(f"      -> {finding.advice}")
    if failed:
        console.print(f"{failed} problem{'s' if failed > 1 else ''}", style="red")
        raise typer.Exit(1)


def examine(models: Sequence[str], folder: Path) -> Iterator[Finding]:
    """Check Python, CUDA, packages, disk, and the chosen models.

    Args:
        models: hub ids and paths of the weights that will be used.
        folder: where caches will be written.
    """
    yield Finding("python", "ok", platform.python_version())
    yield _cuda()
    yield from (_package(name) for name in _GENERATE)
    yield _disk("disk for the cache", folder)
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ModuleNotFoundError:
        if models:
            yield Finding("models", "fail", "huggingface_hub is not installed", "pip install 'poc_aug[generate]'")
        return
    yield _disk("disk for models", Path(HF_HUB_CACHE))
    yield from (_model(model) for model in models)


def _cuda() -> Finding:
    version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding("CUDA", "ok", f"{version}, {name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
    if torch.version.cuda is None:
        advice = "generation runs on the CPU, slowly; for a GPU install a CUDA build of torch"
    else:
        advice = (
            "generation runs on the CPU, slowly; for a GPU check that nvidia-smi lists one and its driver is new enough"
        )
    return Finding("CUDA", "note", f"{version} finds no CUDA device", advice)


def _package(name: str) -> Finding:
    distribution = _DISTRIBUTIONS.get(name, name)
    try:
        importlib.import_module(name)
        return Finding(distribution, "ok", importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return Finding(distribution, "ok", "installed, of unknown version")
    except ModuleNotFoundError as error:
        return Finding(distribution, "fail", f"{error.name} is not installed", "pip install 'poc_aug[generate]'")
    except Exception as error:
        # A package that is installed but broken may raise anything, and the report names it.
        result = f"importing it fails: {in_one_line(error)}"
        return Finding(distribution, "fail", result, f"pip install --force-reinstall {distribution}")


def _disk(what: str, folder: Path) -> Finding:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.exists(path))
    try:
        free = shutil.disk_usage(existing).free / 1e9
    except OSError as error:
        return Finding(what, "fail", f"{existing}: {error.strerror}", "give another folder")
    result = f"{free:.0f} GB free at {existing}"
    if free < _LEAST_FREE_GB:
        return Finding(what, "note", result, "models take some GB, see poc-aug models; HF_HOME moves their cache")
    return Finding(what, "ok", result)


def _model(model: str) -> Finding:
    try:
        path = Path(model).expanduser()
        if model and path.exists():
            return _local(model, path)
    except (OSError, RuntimeError) as error:  # a name that is too long, a circular link; ~user without a home
        return Finding(model, "fail", f"no path: {getattr(error, 'strerror', None) or error}", "check the path")
    if path.is_absolute() or model.startswith(".") or model.count("/") != 1:
        return Finding(model, "fail", "no such file or folder, and not a hub id", "check the path")
    return _on_hub(model)


def _local(model: str, path: Path) -> Finding:
    if path.is_file():
        size = path.stat().st_size / 1e9
        if size == 0:
            return Finding(model, "fail", "an empty file", "fetch it again")
        return Finding(model, "ok", f"a file, {size:.2f} GB")
    if not any((path / name).is_file() for name in ("model_index.json", "config.json")):
        return Finding(
            model,
            "fail",
            "a folder without model_index.json (diffusers) or config.json (transformers)",
            "give the folder that save_pretrained wrote, or fetch the model: hf download ID --local-dir FOLDER",
        )
    weights = [file for kind in ("*.safetensors", "*.bin") for file in path.rglob(kind)]
    if not weights:
        return Finding(model, "fail", "a folder without weights", "fetch it again, with its .safetensors files")
    return Finding(model, "ok", f"a folder, weights of {sum(file.stat().st_size for file in weights) / 1e9:.2f} GB")


def _on_hub(model: str) -> Finding:
    """Whether a model is in the local hub cache or can be fetched.

    One request of a few seconds, without the hub library's long retries.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(model)
    except HFValidationError:
        return Finding(model, "fail", "no such file or folder, and not a hub id", "check the path, or give OWNER/NAME")
    for name in ("model_index.json", "config.json"):
        if isinstance(try_to_load_from_cache(model, name), str):
            return Finding(model, "ok", "in the local hub cache")
    if constants.HF_HUB_OFFLINE:
        return Finding(
            model, "fail", "not in the local hub cache, and HF_HUB_OFFLINE is set", f"unset it, or: hf download {model}"
        )
    try:
        HfApi().model_info(model, timeout=_NETWORK_SECONDS)
    except GatedRepoError:
        advice = "accept its licence on its page, then: hf auth login"
        return Finding(model, "fail", "gated, and this account has no access", advice)
    except RepositoryNotFoundError:
        advice = "check the spelling; a private model needs: hf auth login"
        return Finding(model, "fail", "not on the hub, or private", advice)
    except Exception as error:
        # Which network library the hub's library uses, and so which errors it raises, depends on its version.
        advice = f"check the network, or fetch it on a machine that has one: hf download {model}"
        result = f"not in the local hub cache, and the hub cannot be reached ({type(error).__name__})"
        return Finding(model, "fail", result, advice)
    known = next((known for known in known_models() if known.id == model), None)
    size = "" if known is None else f", {known.weights_gb:g} GB"
    return Finding(model, "ok", f"on the hub, fetched at first use{size}")
