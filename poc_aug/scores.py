"""Anomaly scores of logits ``[B, C, H, W]``: ``[B, H, W]``, higher is more anomalous.

Scores are float32, computed in float32 from half-precision logits too; float64 of float64. Each raises
`ItemFormatError` for logits of another shape or dtype, and where a score comes out NaN: that is looked for on the CPU
and outside of training only, since elsewhere it would wait for the device, or end what a gradient scaler skips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch

from poc_aug.errors import ItemFormatError, SettingError

Score: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def msp(logits: torch.Tensor) -> torch.Tensor:
    """One minus the largest softmax probability (Hendrycks & Gimpel, ICLR 2017)."""
    logits = checked_logits(logits)
    # Of the other classes' probabilities, not 1 - p: that has no digits left where the model is sure.
    top = logits.argmax(dim=1, keepdim=True)
    return _told(logits.softmax(dim=1).scatter(1, top, 0).sum(dim=1))


def max_logit(logits: torch.Tensor) -> torch.Tensor:
    """The largest logit, negated (Hendrycks et al., ICML 2022)."""
    return _told(-checked_logits(logits).amax(dim=1))


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the softmax in nats, 0 to log C."""
    logits = checked_logits(logits)
    # By what lies below the largest logit: the surest class then adds an exact 0, where its logarithm would round to 0
    # and lose a part of the entropy. The clamp is for logits of -inf, which add 0, not inf * 0.
    below = (logits.amax(dim=1, keepdim=True) - logits).clamp(max=torch.finfo(logits.dtype).max)
    weights = (-below).exp()
    largest = below == 0
    rest = weights.masked_fill(largest, 0).sum(dim=1) + (largest.sum(dim=1) - 1)
    return _told(rest.log1p() + (weights * below).sum(dim=1) / (1 + rest))


def energy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Free energy, ``-T logsumexp(logits / T)`` (Liu et al., NeurIPS 2020).

    Raises:
        SettingError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise SettingError(f"temperature={temperature}", expected="over 0")
    return _told(-temperature * (checked_logits(logits) / temperature).logsumexp(dim=1))


def rba(logits: torch.Tensor) -> torch.Tensor:
    """Rejected by all: the sum of all classes' ``tanh`` logits, negated (Nayal et al., ICCV 2023)."""
    return _told(-checked_logits(logits).tanh().sum(dim=1))


def void_probability(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """Softmax probability of a void class.

    Raises:
        SettingError: a channel that the logits do not have.
    """
    logits = checked_logits(logits)
    return _told(logits.softmax(dim=1)[:, _channel(logits, void_index)])


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
        SettingError: an unknown name, or "void" without a channel.
    """
    if name == "void":
        if void_index is None:
            raise SettingError(
                "score 'void' without void_index",
                expected="the channel of the void class",
                hint="void_index=19",
                command="--void-index 19",
            )
        return lambda logits: void_probability(logits, void_index)
    if name not in SCORES:
        raise SettingError(f"score {name!r}", expected=f"one of: {', '.join(SCORES)}, void")
    function = SCORES[name]
    return function if void_index is None else lambda logits: function(known_logits(logits, void_index))


def known_logits(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """The logits without a void channel, ``[B, C - 1, H, W]``.

    Raises:
        SettingError: a channel that the logits do not have.
    """
    place = _channel(logits, void_index)
    return torch.cat([logits[:, :place], logits[:, place + 1 :]], dim=1)


def checked_logits(logits: torch.Tensor) -> torch.Tensor:
    """The logits in float32 at least.

    Raises:
        ItemFormatError: not floating point ``[B, C, H, W]``, or fewer than two classes.
    """
    if logits.ndim != 4 or logits.shape[1] < 2 or not logits.dtype.is_floating_point:
        raise ItemFormatError(
            f"logits of {logits.dtype} {list(logits.shape)}",
            expected="floating point [B, C, H, W], at least two classes",
        )
    return logits if logits.dtype == torch.float64 else logits.float()


def _channel(logits: torch.Tensor, index: int) -> int:
    count = logits.shape[1]
    if not -count <= index < count:
        raise SettingError(f"void_index={index}", expected=f"a channel of the model's {count}: 0 to {count - 1}")
    return index % count


def _told(scores: torch.Tensor) -> torch.Tensor:
    if scores.device.type == "cpu" and not scores.requires_grad and bool(scores.isnan().any()):
        place = scores.isnan().nonzero()[0].tolist()
        raise ItemFormatError(
            f"logits give a score of NaN at {int(scores.isnan().sum())} of {scores.numel()} pixels, the first {place}",
            expected="finite logits",
            hint="look for half-precision overflow in the model",
        )
    return scores
