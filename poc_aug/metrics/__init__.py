"""Metrics as ``torchmetrics.Metric``: pooled over all pixels of a dataset, in constant memory, on any device, over DDP.

In it: anomaly segmentation per pixel, per component and per instance, open-set segmentation, calibration,
    misclassification, the BRAVO index.
May import: errors, masks, number_settings, optional_imports, tensor_inputs.
Gives: `AnomalySegmentation`, `ComponentSegmentation`, `AnomalyInstanceSegmentation`, `OpenSetSegmentation`,
    `SegmentationCalibration`, `MisclassificationDetection`, `bravo_index`.
"""

from __future__ import annotations

from poc_aug.metrics.anomaly import AnomalySegmentation
from poc_aug.metrics.bravo import BravoIndex, bravo_index
from poc_aug.metrics.calibration_error import SegmentationCalibration
from poc_aug.metrics.component import Components, ComponentSegmentation
from poc_aug.metrics.instance import AnomalyInstanceSegmentation, PredictedInstances, score_components
from poc_aug.metrics.misclassification import MisclassificationDetection
from poc_aug.metrics.open_set import OpenSetSegmentation

__all__ = [
    "AnomalyInstanceSegmentation",
    "AnomalySegmentation",
    "BravoIndex",
    "ComponentSegmentation",
    "Components",
    "MisclassificationDetection",
    "OpenSetSegmentation",
    "PredictedInstances",
    "SegmentationCalibration",
    "bravo_index",
    "score_components",
]
