"""Metrics as ``torchmetrics.Metric``: pooled over all pixels of a dataset, in constant memory, on any device, over DDP.

In it: anomaly segmentation per pixel and per component, calibration, misclassification, the BRAVO index.
May import: errors, masks, number_settings, optional_imports, tensor_inputs.
Gives: `AnomalySegmentation`, `ComponentSegmentation`, `SegmentationCalibration`, `MisclassificationDetection`,
    `bravo_index`.
"""

from __future__ import annotations

from poc_aug.metrics.anomaly import AnomalySegmentation
from poc_aug.metrics.bravo import BravoIndex, bravo_index
from poc_aug.metrics.calibration_error import SegmentationCalibration
from poc_aug.metrics.component import Components, ComponentSegmentation
from poc_aug.metrics.misclassification import MisclassificationDetection

__all__ = [
    "AnomalySegmentation",
    "BravoIndex",
    "ComponentSegmentation",
    "Components",
    "MisclassificationDetection",
    "SegmentationCalibration",
    "bravo_index",
]
