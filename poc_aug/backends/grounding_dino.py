"""Grounding DINO with its original checkpoints, by groundingdino-py (Liu et al., ECCV 2024)."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from poc_aug.backends.checkpoints import load_checkpoint
from poc_aug.backends.device import require, resolve_device, resolve_dtype
from poc_aug.backends.diffusion_load import identity_of
from poc_aug.backends.finding import Detections
from poc_aug.backends.halving import Halving
from poc_aug.errors import ModelError, RecipeError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LONGEST = 1333 / 800
_TOKENS = 256
_EXPECTED = "a Grounding DINO checkpoint such as groundingdino_swint_ogc.pth"


class GroundingDinoDetector:
    """Text to boxes.

    Args:
        checkpoint: a ``.pth`` file of Grounding DINO.
        config: its ``.py`` configuration; ``None``: groundingdino-py's own for Swin-T.
        text_encoder: folder or hub id of BERT, for its tokenizer and shape.
        box_threshold: least score of a box (paper: 0.3).
        text_threshold: least score of a token that counts as named (paper: 0.25).
        size_px: shorter side of the model's input; the longer one is at most 1333 / 800 of it.
        device: "cpu", "cuda", ...; ``None``: CUDA where there is one.
        dtype: "float32" (default), or "bfloat16" and "float16" by autocasting.
        batch_size: most images in one run of the model.

    Raises:
        MissingDependencyError: groundingdino-py is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: a file is not there, or is not such a checkpoint.
        RecipeError: a setting outside its limits.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        config: str | Path | None = None,
        *,
        text_encoder: str | Path = "bert-base-uncased",
        box_threshold: float = 0.3,
        text_threshold: float = 0.25,
        size_px: int = 800,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 8,
    ) -> None:
        for name, value in (("box_threshold", box_threshold), ("text_threshold", text_threshold)):
            if not 0 <= value < 1:
                raise RecipeError(f"{name}={value}", expected="0 or more, less than 1")
        require("groundingdino")
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(dtype or "float32", self.device)
        self.box_threshold, self.text_threshold, self.size_px = box_threshold, text_threshold, size_px
        weights = load_checkpoint(checkpoint, _EXPECTED)
        self._told = {"checkpoint": identity_of(checkpoint), "config": "swint" if config is None else Path(config).name}
        self.model = _load(build_model(config, text_encoder), weights, checkpoint).to(self.device)
        self._halving = Halving("GroundingDinoDetector", batch_size)

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "detector": "groundingdino",
            **self._told,
            "box_threshold": self.box_threshold,
            "text_threshold": self.text_threshold,
            "size_px": self.size_px,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and tokens there are."""
        return len(self.model.tokenizer(caption_of(text), verbose=False).input_ids), _TOKENS

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        """Boxes over the thresholds for one text an image, best first.

        Images of one size and texts of one length run together: the model looks at the padding of shorter texts too,
        so that what is found would depend on what shares the batch.
        """
        groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
        for i, image in enumerate(images):
            tokens, _ = self.text_limit(texts[i])
            groups.setdefault((tokens, self._input_hw(image.shape[-2], image.shape[-1])), []).append(i)
        results: dict[int, Detections] = {}
        for (_, size_hw), members in groups.items():
            pairs = [(images[i], texts[i], size_hw) for i in members]
            results.update(zip(members, self._halving.run(self._run, pairs), strict=True))
        return [results[i] for i in range(len(images))]

    def _input_hw(self, h: int, w: int) -> tuple[int, int]:
        scale = min(self.size_px / min(h, w), self.size_px * _LONGEST / max(h, w))
        return max(1, int(h * scale)), max(1, int(w * scale))

    @torch.no_grad()
    def _run(self, pairs: Sequence[tuple[torch.Tensor, str, tuple[int, int]]]) -> list[Detections]:
        inputs = torch.stack([self._input(image, size_hw) for image, _, size_hw in pairs])
        with (
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32),
            warnings.catch_warnings(),
        ):
            # groundingdino-py 0.4.0 itself uses the older spelling.
            warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast.*", category=FutureWarning)
            output = self.model(inputs, captions=[caption_of(text) for _, text, _ in pairs])
        scores = output["pred_logits"].float().sigmoid().amax(dim=-1).cpu()
        boxes = output["pred_boxes"].float().cpu()
        return [self._select(own, box, image) for own, box, (image, _, _) in zip(scores, boxes, pairs, strict=True)]

    def _select(self, scores: torch.Tensor, boxes: torch.Tensor, image: torch.Tensor) -> Detections:
        # A box whose tokens are all under the text threshold names nothing.
        keep = (scores > max(self.box_threshold, self.text_threshold)).nonzero()[:, 0]
        keep = keep[scores[keep].argsort(descending=True, stable=True)]
        h, w = image.shape[-2:]
        centre, size = boxes[keep, :2], boxes[keep, 2:]
        corners = torch.cat([centre - size / 2, centre + size / 2], dim=1) * torch.tensor([w, h, w, h])
        return Detections(corners.clamp(min=0).minimum(torch.tensor([w, h, w, h])), scores[keep])

    def _input(self, image: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
        values = image.to(self.device).float()[None] / 255
        values = F.interpolate(values, size=size_hw, mode="bilinear", antialias=True)[0]
        mean, std = (torch.tensor(each, device=self.device)[:, None, None] for each in (_MEAN, _STD))
        return (values - mean) / std


def caption_of(text: str) -> str:
    """A text in the form that the model was trained on: lower case, a full stop at its end."""
    caption = text.lower().strip()
    return caption if caption.endswith(".") else f"{caption}."


def build_model(config: str | Path | None, text_encoder: str | Path) -> Any:
    """The network of a configuration, with the weights that its initialisation gives it.

    Raises:
        ModelError: no such configuration, or the text encoder cannot be loaded.
    """
    with _quiet():
        import groundingdino
        from groundingdino.models import build_model as build
        from groundingdino.util.slconfig import SLConfig
    own = Path(groundingdino.__file__).parent / "config" / "GroundingDINO_SwinT_OGC.py"
    path = own if config is None else Path(config)
    if not path.is_file():
        raise ModelError(f"no configuration at {str(path)!r}", expected="a .py configuration of Grounding DINO")
    arguments = SLConfig.fromfile(str(path))
    arguments.device = "cpu"
    arguments.text_encoder_type = str(text_encoder)
    # Checkpointing saves memory in training; without gradients it only costs time.
    arguments.use_checkpoint = arguments.use_transformer_ckpt = False
    try:
        with _quiet(), _public_bert():
            return build(arguments)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the text encoder {str(text_encoder)!r} cannot be loaded: {error}",
            expected="the folder or hub id of BERT (bert-base-uncased)",
            hint="fetch it where there is a network: hf download google-bert/bert-base-uncased",
        ) from error


def _load(model: Any, weights: dict[str, Any], checkpoint: str | Path) -> Any:
    from groundingdino.util.misc import clean_state_dict

    missing, _ = model.load_state_dict(clean_state_dict(weights.get("model", weights)), strict=False)
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing:
        raise ModelError(
            f"the checkpoint {str(checkpoint)!r} lacks {len(missing)} of the model's tensors, {missing[0]!r} first",
            expected=_EXPECTED,
            hint="give the configuration that belongs to the checkpoint: detector_config=",
        )
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without groundingdino-py's prints, and the warnings of the versions of its own dependencies."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
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
