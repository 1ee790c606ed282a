"""Losses for fine-tuning on inserted objects: logits ``[B, C, H, W]`` with our label maps ``[B, H, W]`` as they are.

Pixels of ``ood_id`` are out-of-distribution, those of ``ignore`` do not count, all others are in-distribution. Each
loss is a float32 scalar, a mean over its pixels. Where there are none it is a zero that still belongs to the graph, so
that processes of distributed training do not wait for each other's gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from poc_aug.errors import ItemFormatError
from poc_aug.scores import energy, rba

OOD_ID = 254
IGNORE = (255,)


def outlier_exposure(
    logits: torch.Tensor, labels: torch.Tensor, *, ood_id: int = OOD_ID, ignore: Sequence[int] = IGNORE
) -> torch.Tensor:
    """Cross-entropy of the uniform distribution and the softmax, on OOD pixels (Hendrycks et al., ICLR 2019)."""
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    return _mean(-logits.log_softmax(dim=1).mean(dim=1), ood)


def entropy_maximisation(
    logits: torch.Tensor, labels: torch.Tensor, *, ood_id: int = OOD_ID, ignore: Sequence[int] = IGNORE
) -> torch.Tensor:
    """Negative entropy of the softmax, in shares of its largest value, on OOD pixels (Chan et al., ICCV 2021).

    Between -1 (uniform) and 0 (sure).
    """
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    logs = logits.log_softmax(dim=1)
    most = torch.log(torch.tensor(float(logits.shape[1]), dtype=logits.dtype, device=logits.device))
    return _mean((logs.exp() * logs).sum(dim=1) / most, ood)


def energy_margin(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    margin_in: float = -12.0,
    margin_out: float = -6.0,
    temperature: float = 1.0,
    ood_id: int = OOD_ID,
    ignore: Sequence[int] = IGNORE,
) -> torch.Tensor:
    """Squared hinges of the free energy: below ``margin_in`` in-distribution, above ``margin_out`` on OOD pixels.

    Liu et al., NeurIPS 2020, section 3.3, eq. 8.
    """
    logits, ood, known = _split(logits, labels, ood_id, ignore)
    values = energy(logits, temperature)
    return _mean((values - margin_in).relu().square(), known) + _mean((margin_out - values).relu().square(), ood)


def rba_hinge(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    margin: float = 5.0,
    ood_id: int = OOD_ID,
    ignore: Sequence[int] = IGNORE,
) -> torch.Tensor:
    """Squared hinge of the RbA score: above ``margin`` on OOD pixels (Nayal et al., ICCV 2023, section 3.3)."""
    logits, ood, _ = _split(logits, labels, ood_id, ignore)
    return _mean((margin - rba(logits)).relu().square(), ood)


def _split(
    logits: torch.Tensor, labels: torch.Tensor, ood_id: int, ignore: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits in float32 at least, and masks of OOD and of in-distribution pixels."""
    fits = logits.ndim == 4 and labels.ndim == 3 and logits.shape[0] == labels.shape[0]
    if not fits or logits.shape[2:] != labels.shape[1:] or logits.shape[1] < 2:
        raise ItemFormatError(
            f"logits of shape {list(logits.shape)} with labels of shape {list(labels.shape)}",
            expected="[B, C, H, W], at least two classes, and [B, H, W]",
            hint="resize the logits to the labels' size",
        )
    if not logits.dtype.is_floating_point or labels.dtype.is_floating_point:
        raise ItemFormatError(f"logits of {logits.dtype}, labels of {labels.dtype}", expected="floating point, integer")
    ood = labels == ood_id
    known = ~ood
    for label_id in ignore:
        known &= labels != label_id
    return logits if logits.dtype == torch.float64 else logits.float(), ood, known


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    # where, not a product: 0 * inf would be NaN.
    return torch.where(mask, values, torch.zeros_like(values)).sum() / mask.sum().clamp(min=1)
