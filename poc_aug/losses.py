"""Losses for fine-tuning on inserted objects: logits ``[B, C, H, W]`` with this library's label maps ``[B, H, W]``.

Pixels of ``ood_id`` are out-of-distribution (OOD), those of ``ignore`` do not count, all others are in-distribution.
Each loss is a scalar, a mean over its pixels, computed in float32 also from half-precision logits (in float64 from
float64). Without such pixels it is a zero that still belongs to the graph, so that the processes of distributed
training do not wait for each other's gradients. Logits that are not finite give a loss that is not finite, for a
gradient scaler to skip.

Each raises `ItemFormatError` for values that are no tensors, on different devices or without a pixel, and for shapes or
dtypes that do not fit; and `SettingError` for ids that are no integers, or if ``ood_id`` is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.number_settings import checked_integer, checked_integers, checked_number
from poc_aug.tensor_inputs import FLOATS, INTEGERS, check_tensors

OOD_ID = 254
"""Default label id of OOD pixels."""

IGNORE = (255,)
"""Default label ids of pixels that do not count."""


def outlier_exposure(
    logits: torch.Tensor, labels: torch.Tensor, *, ood_id: int = OOD_ID, ignore: int | Sequence[int] = IGNORE
) -> torch.Tensor:
    """Cross-entropy of the uniform distribution and the softmax on OOD pixels, in nats; its minimum is log C.

    Hendrycks et al., *Deep Anomaly Detection with Outlier Exposure*, ICLR 2019.

    Args:
        logits: floating point ``[B, C, H, W]``.
        labels: integer ``[B, H, W]``.
        ood_id: label id of OOD pixels.
        ignore: label id, or ids, of pixels that do not count.

    Example:
        >>> import torch
        >>> from poc_aug.losses import outlier_exposure
        >>> logits = torch.tensor([[4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])[None, :, None]  # 2 classes, 3 pixels
        >>> labels = torch.tensor([[[0, 254, 255]]])  # in-distribution, OOD, ignored
        >>> outlier_exposure(logits, labels)
        tensor(2.0181)
    """
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    return _mean(-logits.log_softmax(dim=1).mean(dim=1), ood)


def entropy_maximisation(
    logits: torch.Tensor, labels: torch.Tensor, *, ood_id: int = OOD_ID, ignore: int | Sequence[int] = IGNORE
) -> torch.Tensor:
    """Negative entropy of the softmax on OOD pixels, as a share of the largest entropy: -1 (uniform) to 0 (sure).

    Chan et al., *Entropy Maximization and Meta Classification*, ICCV 2021.

    Args:
        logits: floating point ``[B, C, H, W]``.
        labels: integer ``[B, H, W]``.
        ood_id: label id of OOD pixels.
        ignore: label id, or ids, of pixels that do not count.

    Example:
        >>> import torch
        >>> from poc_aug.losses import entropy_maximisation
        >>> logits = torch.tensor([[4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])[None, :, None]
        >>> entropy_maximisation(logits, torch.tensor([[[0, 254, 255]]]))
        tensor(-0.1300)
    """
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    logs = logits.log_softmax(dim=1)
    largest = torch.log(torch.tensor(float(logits.shape[1]), dtype=logits.dtype, device=logits.device))
    # -inf becomes the smallest number: a class of probability 0 adds 0, not 0 * inf.
    return _mean((logs.exp() * logs.clamp(min=torch.finfo(logs.dtype).min)).sum(dim=1) / largest, ood)


def energy_margin(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    margin_in: float = -12.0,
    margin_out: float = -6.0,
    temperature: float = 1.0,
    ood_id: int = OOD_ID,
    ignore: int | Sequence[int] = IGNORE,
) -> torch.Tensor:
    """Squared hinges: free energy below ``margin_in`` on in-distribution, above ``margin_out`` on OOD pixels.

    Liu et al., *Energy-based Out-of-distribution Detection*, NeurIPS 2020; the margins are those of PEBAL (Tian et al.,
    ECCV 2022) for Cityscapes. Each hinge is a mean over its own pixels.

    Args:
        logits: floating point ``[B, C, H, W]``.
        labels: integer ``[B, H, W]``.
        margin_in: energy that in-distribution pixels should stay below, in units of logits; both margins are best near
            the model's mean energies before fine-tuning.
        margin_out: energy that OOD pixels should stay above.
        temperature: temperature of the energy.
        ood_id: label id of OOD pixels.
        ignore: label id, or ids, of pixels that do not count.

    Raises:
        SettingError: a temperature that is not positive, or a margin that is not finite.

    Example:
        >>> import torch
        >>> from poc_aug.losses import energy_margin
        >>> logits = torch.tensor([[8.0, 8.0], [0.0, 0.0]])[None, :, None]  # energies just below -8
        >>> energy_margin(logits, torch.tensor([[[0, 254]]]))  # 4 above the one margin, 2 below the other
        tensor(19.9987)
    """
    checked_number("temperature", temperature, above=0)
    checked_number("margin_in", margin_in)
    checked_number("margin_out", margin_out)
    logits, ood, known = _split(logits, labels, ood_id, ignore)
    values = -temperature * (logits / temperature).logsumexp(dim=1)
    return _mean((values - margin_in).relu().square(), known) + _mean((margin_out - values).relu().square(), ood)


def rba_hinge(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    margin: float = 5.0,
    ood_id: int = OOD_ID,
    ignore: int | Sequence[int] = IGNORE,
) -> torch.Tensor:
    """Squared hinge that pushes the RbA score above ``margin`` on OOD pixels (Nayal et al., ICCV 2023).

    Args:
        logits: floating point ``[B, C, H, W]``.
        labels: integer ``[B, H, W]``.
        margin: score to exceed; scores lie between -C (all classes claimed) and C (all rejected). The authors train
            with 5.
        ood_id: label id of OOD pixels.
        ignore: label id, or ids, of pixels that do not count.

    Raises:
        SettingError: a margin that is not finite.

    Example:
        >>> import torch
        >>> from poc_aug.losses import rba_hinge
        >>> logits = torch.tensor([[9.0, 9.0], [-9.0, -9.0]])[None, :, None]  # scores of 0
        >>> rba_hinge(logits, torch.tensor([[[0, 254]]]), margin=2.0)
        tensor(4.)
    """
    checked_number("margin", margin)
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    return _mean((margin + logits.tanh().sum(dim=1)).relu().square(), ood)


def _split(
    logits: torch.Tensor, labels: torch.Tensor, ood_id: int, ignore: int | Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits in float32 at least, and masks of OOD and of in-distribution pixels."""
    check_tensors(logits=logits, labels=labels)
    fits = logits.ndim == 4 and labels.ndim == 3 and logits.shape[0] == labels.shape[0]
    if not fits or logits.shape[2:] != labels.shape[1:] or logits.shape[1] < 2:
        raise ItemFormatError(
            f"logits of shape {list(logits.shape)} with labels of shape {list(labels.shape)}",
            expected="[B, C, H, W], at least two classes, and [B, H, W]",
            hint="resize the logits to the labels' size",
        )
    ood_id = checked_integer("ood_id", ood_id)
    ignored = checked_integers("ignore", ignore)
    if ood_id in ignored:
        raise SettingError(f"ood_id={ood_id} is one of ignore={ignored}", expected="an id that counts")
    if logits.dtype not in FLOATS or labels.dtype not in INTEGERS:
        raise ItemFormatError(f"logits of {logits.dtype}, labels of {labels.dtype}", expected="floating point, integer")
    ood = labels == ood_id
    known = ~ood
    for label_id in ignored:
        known &= labels != label_id
    return logits if logits.dtype == torch.float64 else logits.float(), ood, known


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    # torch.where instead of a product, because 0 * inf would be NaN.
    return torch.where(mask, values, torch.zeros_like(values)).sum() / mask.sum().clamp(min=1)
