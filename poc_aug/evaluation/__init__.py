"""Evaluation: models on anomaly segmentation and closed-set datasets.

In it: running a model, figures, plots, temperature scaling, and whether synthetic results agree with real ones.
May import: errors, files, items, joint_transforms, keys, labels, metrics, optional_imports, scores, seeding, types.
Gives: `evaluate`, `evaluate_classes`, `reliability`.
"""
