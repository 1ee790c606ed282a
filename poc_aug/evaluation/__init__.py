"""Evaluation: models on anomaly segmentation and closed-set datasets.

In it: running a model, figures, plots, shifted frames by domain and severity, temperature scaling, whether synthetic
    results agree with real ones, and whether the labels of shifted frames still hold.
May import: cache, camera_spec, counting, errors, files, items, joint_transforms, keys, labels, metrics,
    number_settings, optional_imports, scene_dataset, scenes, scores, seeding, stores, tensor_inputs, types.
Gives: `evaluate`, `evaluate_classes`, `evaluate_shifts`, `reliability`, `LabelConsistency`.
"""
