"""Building Grounding DINO by groundingdino-py and filling it with a checkpoint, with errors that say what is wrong."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.common.checkpoints import load_checkpoint
from poc_aug.backends.common.device import require
from poc_aug.errors import MissingDependencyError, ModelError

_EXPECTED = "a Grounding DINO checkpoint such as groundingdino_swint_ogc.pth"
_HUB_BERT = "bert-base-uncased"
# What was seen to be raised for configurations that lack a value or hold a wrong one, and their relatives.
_BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_OTHER_CONFIG = "give the configuration that belongs to the checkpoint: detector_config="
# What the published checkpoints hold beside the model (IDEA-Research/GroundingDINO issue 271): the label embedding of
# training by denoising, and the numbers 0, 1, 2, ... that older versions of transformers stored with BERT.
_LEFTOVERS = ("label_enc.weight", "bert.embeddings.position_ids")


def build_model(config: str | Path | None, text_encoder: str | Path) -> Any:
    """The network of a configuration, with the weights that its initialisation gives it.

    Raises:
        MissingDependencyError: a package that groundingdino-py needs is not installed.
        ModelError: no such configuration, one that cannot be run or built, or the text encoder cannot be loaded.
    """
    if str(text_encoder) != _HUB_BERT and not Path(text_encoder).is_dir():
        raise _no_text_encoder(text_encoder, "there is no such folder")
    with _quiet():
        build = require("groundingdino.models").build_model
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
                f"no model can be built of the configuration {str(config_path(config))!r} and the text encoder "
                f"{str(text_encoder)!r}: {type(error).__name__}: {error}",
                expected="a .py configuration of Grounding DINO with all its values",
                hint="begin with groundingdino-py's own: groundingdino/config/GroundingDINO_SwinT_OGC.py",
            ) from error


def _no_text_encoder(text_encoder: str | Path, why: str) -> ModelError:
    return ModelError(
        f"the text encoder {str(text_encoder)!r} cannot be loaded: {why}",
        expected=f"the folder of BERT, or {_HUB_BERT}",
        hint="fetch it where there is a network: hf download google-bert/bert-base-uncased --local-dir bert",
    )


def config_path(config: str | Path | None) -> Path:
    """The configuration's file; ``None``: groundingdino-py's own for Swin-T."""
    if config is None:
        return Path(str(require("groundingdino").__file__)).parent / "config" / "GroundingDINO_SwinT_OGC.py"
    return Path(config)


def _read_config(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"no configuration at {str(path)!r}", expected="a .py configuration of Grounding DINO")
    searched = sys.path.copy()
    try:
        if path.suffix == ".py":
            # Once on its own: where it raises, groundingdino-py leaves a half-closed temporary file behind.
            runpy.run_path(str(path))
        return require("groundingdino.util.slconfig").SLConfig.fromfile(str(path))
    except MissingDependencyError:
        raise
    except Exception as error:
        # A configuration is a program: it may raise anything.
        raise ModelError(
            f"the configuration {str(path)!r} cannot be read: {type(error).__name__}: {error}",
            expected="a .py configuration of Grounding DINO",
        ) from error
    finally:
        # groundingdino-py leaves the folder of its copy there where the configuration raises.
        sys.path[:] = searched


def read_tensors(checkpoint: str | Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by the model's own names (training with several GPUs puts "module." before them).

    Raises:
        ModelError: no such file, or not a checkpoint of tensors.
    """
    found = load_checkpoint(checkpoint, _EXPECTED)
    held = found.get("model", found)
    strange = None if isinstance(held, dict) else type(held).__name__
    if isinstance(held, dict):
        strange = next((type(value).__name__ for value in held.values() if not isinstance(value, torch.Tensor)), None)
    if strange is not None:
        raise ModelError(
            f"the checkpoint {str(checkpoint)!r} holds a value of type {strange} among its tensors", expected=_EXPECTED
        )
    return {str(name).removeprefix("module."): value for name, value in held.items()}


def load_weights(model: Any, weights: dict[str, torch.Tensor], checkpoint: str | Path) -> Any:
    """The model with a checkpoint's tensors, ready to run.

    Raises:
        ModelError: tensors that are missing, of another size, or not the model's.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in weights]
    unknown = [name for name in weights if name not in own and name not in _LEFTOVERS]
    other = [name for name, value in own.items() if name in weights and weights[name].shape != value.shape]
    problem = ""
    if missing:
        problem = f"lacks {len(missing)} of the model's tensors, {missing[0]!r} first"
    elif unknown:
        problem = f"holds {len(unknown)} tensors that the model does not have, {unknown[0]!r} first"
    elif other:
        shapes = f"{list(weights[other[0]].shape)} instead of {list(own[other[0]].shape)}"
        problem = f"holds {len(other)} tensors of another size, {other[0]!r} first: {shapes}"
    if problem:
        raise ModelError(f"the checkpoint {str(checkpoint)!r} {problem}", expected=_EXPECTED, hint=_OTHER_CONFIG)
    model.load_state_dict({name: weights[name] for name in own})
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what groundingdino-py prints while its model is built, nor its dependencies' warnings."""
    with contextlib.redirect_stdout(io.StringIO()), silence_deprecations():
        yield


@contextlib.contextmanager
def silence_deprecations() -> Iterator[None]:
    """Without the warnings of three names that groundingdino-py 0.4.0 uses; all still do what it means by them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Importing from timm.models.layers", category=FutureWarning)
        warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast.*", category=FutureWarning)
        yield


@contextlib.contextmanager
def _public_bert() -> Iterator[None]:
    """While the model is built: transformers' own BERT in the place of groundingdino-py's copy of its forward pass.

    That copy calls methods of BERT that transformers 5 took away. The tensors keep their names, and only the name
    inside groundingdino-py changes, for as long as the model is built.
    """
    from groundingdino.models.GroundingDINO import groundingdino as module

    original = module.BertModelWarper
    module.BertModelWarper = _with_wide_masks
    try:
        yield
    finally:
        module.BertModelWarper = original


def _with_wide_masks(bert_model: Any) -> Any:
    """A BERT that takes Grounding DINO's mask of token pairs ``[B, T, T]`` (texts do not see each other)."""

    def widen(module: Any, _: Any, kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        pairs = kwargs["attention_mask"][:, None].to(module.dtype)
        return (), {**kwargs, "attention_mask": (1 - pairs) * torch.finfo(module.dtype).min}

    bert_model.register_forward_pre_hook(widen, with_kwargs=True)
    return bert_model
