"""Metrics as ``torchmetrics.Metric``: pooled over all pixels of a dataset, in constant memory, on any device, over DDP.

Rooms: ``anomaly`` (AuPRC, FPR95, AUROC, F1), ``component`` (SegmentMeIfYouCan), ``calibration`` (ECE, KS), ``ranked``
(counts of values in bounded memory), ``states`` (those as states of a metric), ``inputs`` (checks). The closed set's
mIoU is torchmetrics' own: ``torchmetrics.classification.MulticlassJaccardIndex``.
"""

from __future__ import annotations

from poc_aug.metrics.anomaly import AnomalySegmentation
from poc_aug.metrics.calibration_error import SegmentationCalibration
from poc_aug.metrics.component import Components, ComponentSegmentation

__all__ = ["AnomalySegmentation", "ComponentSegmentation", "Components", "SegmentationCalibration"]
