"""Metrics as ``torchmetrics.Metric``: pooled over all pixels of a dataset, in constant memory, on any device, over DDP.

In it: anomaly segmentation per pixel and per component, calibration.
May import: errors, masks, optional_imports.
Gives: `AnomalySegmentation`, `ComponentSegmentation`, `SegmentationCalibration`.
"""

from __future__ import annotations

from poc_aug.metrics.anomaly import AnomalySegmentation
from poc_aug.metrics.calibration_error import SegmentationCalibration
from poc_aug.metrics.component import Components, ComponentSegmentation

__all__ = ["AnomalySegmentation", "ComponentSegmentation", "Components", "SegmentationCalibration"]
