"""Fine-tuning: a ControlNet that paints the scenes of a dataset from its label maps and captions (GenVal §3).

In it: settings, crops, captions, loss, checkpoints that survive a kill, validation pictures, and the model card.
May import: backends.common, backends.diffusion, backends.scene_models, cache, errors, files, generation, items, keys,
    labels, number_settings, optional_imports, scenes, seeding, types, version.
Gives: `finetune_controlnet`, `plan_finetuning`, `FinetuneSettings`.
"""
