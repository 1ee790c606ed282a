"""Building Grounding DINO with groundingdino-py and loading a checkpoint, with errors that say what is wrong."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from poc_aug.backends.common.checkpoints import load_checkpoint
from poc_aug.errors import MissingDependencyError, ModelError
from poc_aug.optional_imports import require

_EXPECTED = "a Grounding DINO checkpoint such as groundingdino_swint_ogc.pth"
_HUB_BERT = "bert-base-uncased"
# What has been observed for configurations with a missing or wrong value, and related exceptions.
_BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_OTHER_CONFIG = "give the configuration that belongs to the checkpoint: detector_config="
# What the published checkpoints hold in addition to the model (IDEA-Research/GroundingDINO issue 271): the label
# embedding of denoising training, and the indices 0, 1, 2, ... that older versions of transformers stored with BERT.
_LEFTOVERS = ("label_enc.weight", "bert.embeddings.position_ids")


def build_model(config: str | Path | None, text_encoder: str | Path) -> Any:
    """The network of a configuration, randomly initialised.

    Raises:
        MissingDependencyError: a package that groundingdino-py needs is not installed.
        ModelError: no such configuration, one that cannot be run or built, or the text encoder cannot be loaded.
    """
    if str(text_encoder) != _HUB_BERT and not Path(text_encoder).is_dir():
        raise _no_text_encoder(text_encoder, "there is no such folder")
    with _quiet():
        build = _groundingdino("models").build_model
        arguments = _read_config(config_path(config))
        arguments.device = "cpu"
        arguments.text_encoder_type = str(text_encoder)
        # Checkpointing saves memory in training; without gradients it only costs time.
        arguments.use_checkpoint = arguments.use_transformer_ckpt = False
        try:
            with _public_bert():
                return build(arguments)
        except OSError as error:
            raise _no_text_encoder(text_encoder, str(error)) from error
        except _BROKEN as error:
            raise ModelError(
                f"no model can be built from the configuration {str(config_path(config))!r} and the text encoder "
                f"{str(text_encoder)!r}: {type(error).__name__}: {error}",
                expected="a .py configuration of Grounding DINO with all its values",
                hint="start from groundingdino-py's own: groundingdino/config/GroundingDINO_SwinT_OGC.py",
            ) from error


def _groundingdino(module: str = "") -> ModuleType:
    name = f"groundingdino.{module}" if module else "groundingdino"
    return require(name, extra="generate", purpose="Grounding DINO's original checkpoint")


def _no_text_encoder(text_encoder: str | Path, why: str) -> ModelError:
    return ModelError(
        f"the text encoder {str(text_encoder)!r} cannot be loaded: {why}",
        expected=f"the folder of BERT, or {_HUB_BERT}",
        hint="fetch it while online: hf download google-bert/bert-base-uncased --local-dir bert",
    )


def config_path(config: str | Path | None) -> Path:
    """The configuration's file; ``None``: groundingdino-py's own for Swin-T."""
    if config is None:
        return Path(str(_groundingdino().__file__)).parent / "config" / "GroundingDINO_SwinT_OGC.py"
    return Path(config)


def _read_config(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"no configuration at {str(path)!r}", expected="a .py configuration of Grounding DINO")
    searched = sys.path.copy()
    try:
        if path.suffix == ".py":
            # Run first on its own: if it raises, groundingdino-py leaves a half-closed temporary file behind.
            runpy.run_path(str(path))
        return _groundingdino("util.slconfig").SLConfig.fromfile(str(path))
    except MissingDependencyError:
        raise
    except Exception as error:
        # A configuration is a program: it may raise anything.
        raise ModelError(
            f"the configuration {str(path)!r} cannot be read: {type(error).__name__}: {error}",
            expected="a .py configuration of Grounding DINO",
        ) from error
    finally:
        # If the configuration raises, groundingdino-py leaves the folder of its copy in the path.
        sys.path[:] = searched


def read_tensors(checkpoint: str | Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by the model's own names (training on several GPUs prefixes them with "module.").

    Raises:
        ModelError: no such file, or not a checkpoint of tensors.
    """
    content = load_checkpoint(checkpoint, _EXPECTED)
    tensors = content.get("model", content)
    wrong_type = None if isinstance(tensors, dict) else type(tensors).__name__
    if isinstance(tensors, dict):
        wrong_type = next((type(x).__name__ for x in tensors.values() if not isinstance(x, torch.Tensor)), None)
    if wrong_type is not None:
        raise ModelError(
            f"the checkpoint {str(checkpoint)!r} holds a value of type {wrong_type} among its tensors",
            expected=_EXPECTED,
        )
    return {str(name).removeprefix("module."): value for name, value in tensors.items()}


def load_weights(model: Any, weights: dict[str, torch.Tensor], checkpoint: str | Path) -> Any:
    """The model with a checkpoint's tensors, ready to run.

    Raises:
        ModelError: tensors that are missing, of another size, or not the model's.
    """
    state = model.state_dict()
    missing = [name for name in state if name not in weights]
    unknown = [name for name in weights if name not in state and name not in _LEFTOVERS]
    resized = [name for name, value in state.items() if name in weights and weights[name].shape != value.shape]
    problem = ""
    if missing:
        problem = f"lacks {len(missing)} of the model's tensors, {missing[0]!r} first"
    elif unknown:
        problem = f"holds {len(unknown)} tensors that the model does not have, {unknown[0]!r} first"
    elif resized:
        shapes = f"{list(weights[resized[0]].shape)} instead of {list(state[resized[0]].shape)}"
        problem = f"holds {len(resized)} tensors of another size, {resized[0]!r} first: {shapes}"
    if problem:
        raise ModelError(f"the checkpoint {str(checkpoint)!r} {problem}", expected=_EXPECTED, hint=_OTHER_CONFIG)
    model.load_state_dict({name: weights[name] for name in state})
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses what groundingdino-py prints while its model is built, and its dependencies' warnings."""
    with contextlib.redirect_stdout(io.StringIO()), silence_deprecations():
        yield


@contextlib.contextmanager
def silence_deprecations() -> Iterator[None]:
    """Suppresses the warnings about three deprecated names that groundingdino-py 0.4.0 uses; all three still work."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Importing from timm.models.layers", category=FutureWarning)
        warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast.*", category=FutureWarning)
        yield


@contextlib.contextmanager
def _public_bert() -> Iterator[None]:
    """While the model is built, replaces groundingdino-py's copy of BERT's forward pass by transformers' own BERT.

    The copy calls methods of BERT that transformers 5 removed. The tensors keep their names.
    """
    from groundingdino.models.GroundingDINO import groundingdino as module

    original = module.BertModelWarper
    module.BertModelWarper = _with_wide_masks
    try:
        yield
    finally:
        module.BertModelWarper = original


def _with_wide_masks(bert_model: Any) -> Any:
    """A BERT that takes Grounding DINO's mask of token pairs ``[B, T, T]`` (texts do not attend to each other)."""

    def widen(module: Any, _: Any, kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        pairs = kwargs["attention_mask"][:, None].to(module.dtype)
        return (), {**kwargs, "attention_mask": (1 - pairs) * torch.finfo(module.dtype).min}

    bert_model.register_forward_pre_hook(widen, with_kwargs=True)
    return bert_model
