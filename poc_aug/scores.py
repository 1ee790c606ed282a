"""Anomaly scores of logits ``[B, C, H, W]``: ``[B, H, W]``, higher is more anomalous.

Scores are float32, also of half-precision logits; of float64 logits they are float64. Each function raises
`ItemFormatError` for logits of another shape or dtype, and for a score that is NaN. NaN is checked on the CPU and
without gradients only: on a GPU the check would wait for the device, and in training a gradient scaler skips NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.tensor_inputs import FLOATS, check_tensors

Score: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def msp(logits: torch.Tensor) -> torch.Tensor:
    """Maximum softmax probability, as one minus it (Hendrycks & Gimpel, ICLR 2017).

    Args:
        logits: floating point ``[B, C, H, W]``.

    Returns:
        Scores ``[B, H, W]`` in [0, 1 - 1 / C].

    Example:
        >>> import torch
        >>> from poc_aug.scores import msp
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 0.0]])[None, :, None]  # 2 classes, a sure and an unsure pixel
        >>> msp(logits)
        tensor([[[0.0180, 0.5000]]])
    """
    logits = checked_logits(logits)
    # Sum of the other classes' probabilities, not 1 - p, which has no digits left if the model is sure.
    top = logits.argmax(dim=1, keepdim=True)
    return _checked_scores(logits.softmax(dim=1).scatter(1, top, 0).sum(dim=1))


def max_logit(logits: torch.Tensor) -> torch.Tensor:
    """The largest logit, negated (Hendrycks et al., ICML 2022).

    Args:
        logits: floating point ``[B, C, H, W]``.

    Returns:
        Scores ``[B, H, W]``.

    Example:
        >>> import torch
        >>> from poc_aug.scores import max_logit
        >>> max_logit(torch.tensor([[4.0, 0.5], [0.0, 0.0]])[None, :, None])
        tensor([[[-4.0000, -0.5000]]])
    """
    return _checked_scores(-checked_logits(logits).amax(dim=1))


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the softmax, in nats.

    Args:
        logits: floating point ``[B, C, H, W]``.

    Returns:
        Scores ``[B, H, W]``, from 0 (sure) to log C (uniform).

    Example:
        >>> import torch
        >>> from poc_aug.scores import entropy
        >>> entropy(torch.tensor([[4.0, 0.0], [0.0, 0.0]])[None, :, None])
        tensor([[[0.0901, 0.6931]]])
    """
    logits = checked_logits(logits)
    # From the distances below the largest logit: the surest class then adds exactly 0, whereas its log-probability
    # would round to 0 and lose a part of the entropy. The clamp is for logits of -inf, which add 0, not inf * 0.
    below = (logits.amax(dim=1, keepdim=True) - logits).clamp(max=torch.finfo(logits.dtype).max)
    weights = (-below).exp()
    largest = below == 0
    rest = weights.masked_fill(largest, 0).sum(dim=1) + (largest.sum(dim=1) - 1)
    return _checked_scores(rest.log1p() + (weights * below).sum(dim=1) / (1 + rest))


def energy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Free energy, ``-T logsumexp(logits / T)`` (Liu et al., NeurIPS 2020).

    Args:
        logits: floating point ``[B, C, H, W]``.
        temperature: ``T``.

    Returns:
        Scores ``[B, H, W]``.

    Raises:
        SettingError: a temperature that is not positive.

    Example:
        >>> import torch
        >>> from poc_aug.scores import energy
        >>> energy(torch.tensor([[4.0, 0.0], [0.0, 0.0]])[None, :, None])
        tensor([[[-4.0181, -0.6931]]])
    """
    checked_number("temperature", temperature, above=0)
    return _checked_scores(-temperature * (checked_logits(logits) / temperature).logsumexp(dim=1))


def rba(logits: torch.Tensor) -> torch.Tensor:
    """Rejected by all (RbA): the sum of all classes' ``tanh`` logits, negated (Nayal et al., ICCV 2023).

    Args:
        logits: floating point ``[B, C, H, W]``.

    Returns:
        Scores ``[B, H, W]`` in [-C, C].

    Example:
        >>> import torch
        >>> from poc_aug.scores import rba
        >>> rba(torch.tensor([[4.0, -4.0], [-4.0, -4.0]])[None, :, None])
        tensor([[[-0.0000, 1.9987]]])
    """
    return _checked_scores(-checked_logits(logits).tanh().sum(dim=1))


def void_probability(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """Softmax probability of a void class.

    Args:
        logits: floating point ``[B, C, H, W]``.
        void_index: channel of the void class; negative ones count from the end.

    Returns:
        Scores ``[B, H, W]`` in [0, 1].

    Raises:
        SettingError: a channel that the logits do not have.

    Example:
        >>> import torch
        >>> from poc_aug.scores import void_probability
        >>> void_probability(torch.tensor([[4.0, 0.0], [0.0, 0.0]])[None, :, None], void_index=1)
        tensor([[[0.0180, 0.5000]]])
    """
    logits = checked_logits(logits)
    return _checked_scores(logits.softmax(dim=1)[:, _channel(logits, void_index)])


SCORES: Mapping[str, Score] = MappingProxyType(
    {"msp": msp, "max-logit": max_logit, "entropy": entropy, "energy": energy, "rba": rba}
)
"""The scores that need only logits, by name."""


def score_named(name: str, *, void_index: int | None = None) -> Score:
    """The score function of a name.

    Args:
        name: one of `SCORES`, or "void".
        void_index: channel of a void class: used by "void", left out of the logits by all other scores.

    Raises:
        SettingError: an unknown name, or "void" without a channel.

    Example:
        >>> import torch
        >>> from poc_aug.scores import score_named
        >>> logits = torch.tensor([4.0, 0.0, 6.0])[None, :, None, None]
        >>> score_named("max-logit")(logits), score_named("max-logit", void_index=2)(logits)
        (tensor([[[-6.]]]), tensor([[[-4.]]]))
    """
    channel = None if void_index is None else checked_integer("void_index", void_index)
    if name == "void":
        if channel is None:
            raise SettingError(
                "score 'void' without void_index",
                expected="the channel of the void class",
                hint="void_index=19",
                command="--void-index 19",
            )
        return lambda logits: void_probability(logits, channel)
    if not isinstance(name, Hashable) or name not in SCORES:
        raise SettingError(f"score {name!r}", expected=f"one of: {', '.join(SCORES)}, void")
    function = SCORES[name]
    return function if channel is None else lambda logits: function(known_logits(logits, channel))


def known_logits(logits: torch.Tensor, void_index: int) -> torch.Tensor:
    """The logits of the known classes, without the void channel: ``[B, C - 1, H, W]``.

    Raises:
        SettingError: a channel that the logits do not have.

    Example:
        >>> import torch
        >>> from poc_aug.scores import known_logits
        >>> known_logits(torch.tensor([4.0, 0.0, 6.0])[None, :, None, None], void_index=-1).flatten()
        tensor([4., 0.])
    """
    logits = _plain_logits(logits)
    place = _channel(logits, void_index)
    return torch.cat([logits[:, :place], logits[:, place + 1 :]], dim=1)


def checked_logits(logits: torch.Tensor) -> torch.Tensor:
    """The logits in float32 at least.

    Raises:
        ItemFormatError: no tensor of floating point ``[B, C, H, W]`` with a pixel, or fewer than two classes.

    Example:
        >>> import torch
        >>> from poc_aug.scores import checked_logits
        >>> checked_logits(torch.zeros(1, 19, 4, 8, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> checked_logits(torch.zeros(19, 4, 8))
        Traceback (most recent call last):
        poc_aug.errors.ItemFormatError: logits of torch.float32 [19, 4, 8]
        Expected: floating point [B, C, H, W], at least two classes
    """
    logits = _plain_logits(logits)
    return logits if logits.dtype == torch.float64 else logits.float()


def _plain_logits(logits: torch.Tensor) -> torch.Tensor:
    check_tensors(logits=logits)
    if logits.ndim != 4 or logits.shape[1] < 2 or logits.dtype not in FLOATS:
        raise ItemFormatError(
            f"logits of {logits.dtype} {list(logits.shape)}",
            expected="floating point [B, C, H, W], at least two classes",
        )
    return logits


def _channel(logits: torch.Tensor, index: int) -> int:
    count, index = logits.shape[1], checked_integer("void_index", index)
    if not -count <= index < count:
        raise SettingError(f"void_index={index}", expected=f"a channel of the model's {count}: 0 to {count - 1}")
    return index % count


def _checked_scores(scores: torch.Tensor) -> torch.Tensor:
    if scores.device.type == "cpu" and not scores.requires_grad and bool(scores.isnan().any()):
        place = scores.isnan().nonzero()[0].tolist()
        raise ItemFormatError(
            f"logits give a score of NaN at {int(scores.isnan().sum())} of {scores.numel()} pixels, the first {place}",
            expected="finite logits",
            hint="look for half-precision overflow in the model",
        )
    return scores
