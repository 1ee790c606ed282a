"""Metrics as ``torchmetrics.Metric``: pooled over all pixels of a dataset, in constant memory, on any device, over DDP.

In it: anomaly segmentation per pixel, per component and per instance, open-set segmentation, calibration.
May import: errors, masks, optional_imports.
Gives: `AnomalySegmentation`, `ComponentSegmentation`, `OpenSetSegmentation`, `SegmentationCalibration`.
"""

from __future__ import annotations

from poc_aug.metrics.anomaly import AnomalySegmentation
from poc_aug.metrics.calibration_error import SegmentationCalibration
from poc_aug.metrics.component import Components, ComponentSegmentation
from poc_aug.metrics.instance import AnomalyInstanceSegmentation, PredictedInstances, score_components
from poc_aug.metrics.open_set import OpenSetSegmentation

__all__ = [
    "AnomalyInstanceSegmentation",
    "AnomalySegmentation",
    "ComponentSegmentation",
    "Components",
    "OpenSetSegmentation",
    "PredictedInstances",
    "SegmentationCalibration",
    "score_components",
]
