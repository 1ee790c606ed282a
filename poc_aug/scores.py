"""Anomaly scores of logits ``[B, C, H, W]``: float32 ``[B, H, W]``, higher is more anomalous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch

from poc_aug.errors import ItemFormatError, RecipeError

Score: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def msp(logits: torch.Tensor) -> torch.Tensor:
    """One minus the largest softmax probability (Hendrycks & Gimpel, ICLR 2017)."""
    logits = _checked(logits)
    # Of the other classes' probabilities, not 1 - p: that has no digits left where the model is sure.
    top = logits.argmax(dim=1, keepdim=True)
    return logits.softmax(dim=1).scatter(1, top, 0).sum(dim=1)


def max_logit(logits: torch.Tensor) -> torch.Tensor:
    """The largest logit, negated (Hendrycks et al., ICML 2022)."""
    return -_checked(logits).amax(dim=1)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the softmax in nats, 0 to log C."""
    logs = _checked(logits).log_softmax(dim=1)
    return -(logs.exp() * logs.clamp(min=torch.finfo(logs.dtype).min)).sum(dim=1)


def energy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Free energy, ``-T logsumexp(logits / T)`` (Liu et al., NeurIPS 2020).

    Raises:
        RecipeError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise RecipeError(f"temperature={temperature}", expected="over 0")
    return -temperature * (_checked(logits) / temperature).logsumexp(dim=1)


def rba(logits: torch.Tensor) -> torch.Tensor:
    """Rejected by all: the sum of all classes' ``tanh`` logits, negated (Nayal et al., ICCV 2023, eq. 4)."""
    return -_checked(logits).tanh().sum(dim=1)


def void_probability(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """Softmax probability of a void class.

    Raises:
        RecipeError: a channel that the logits do not have.
    """
    logits = _checked(logits)
    return logits.softmax(dim=1)[:, _channel(logits, void_index)]


SCORES: Mapping[str, Score] = MappingProxyType(
    {"msp": msp, "max-logit": max_logit, "entropy": entropy, "energy": energy, "rba": rba}
)
"""The scores that need nothing but logits, by name."""


def score_named(name: str, *, void_index: int | None = None) -> Score:
    """A score by name.

    Args:
        name: one of `SCORES`, or "void".
        void_index: channel of a void class: for "void", and left out of the logits for all other scores.

    Raises:
        RecipeError: an unknown name, or "void" without a channel.
    """
    if name == "void":
        if void_index is None:
            raise RecipeError(
                "score 'void' without void_index",
                expected="the channel of the void class",
                hint="void_index=19 (--void-index 19)",
            )
        return lambda logits: void_probability(logits, void_index)
    if name not in SCORES:
        raise RecipeError(f"score {name!r}", expected=f"one of: {', '.join(SCORES)}, void")
    function = SCORES[name]
    return function if void_index is None else lambda logits: function(known_logits(logits, void_index))


def known_logits(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """The logits without a void channel, ``[B, C - 1, H, W]``.

    Raises:
        RecipeError: a channel that the logits do not have.
    """
    place = _channel(logits, void_index)
    return torch.cat([logits[:, :place], logits[:, place + 1 :]], dim=1)


def _channel(logits: torch.Tensor, index: int) -> int:
    count = logits.shape[1]
    if not -count <= index < count:
        raise RecipeError(f"void_index={index}", expected=f"a channel of the model's {count}: 0 to {count - 1}")
    return index % count


def _checked(logits: torch.Tensor) -> torch.Tensor:
    if logits.ndim != 4 or logits.shape[1] < 2 or not logits.dtype.is_floating_point:
        raise ItemFormatError(
            f"logits of {logits.dtype} {list(logits.shape)}",
            expected="floating point [B, C, H, W], at least two classes",
        )
    return logits if logits.dtype == torch.float64 else logits.float()
