"""Fine-tuning: a ControlNet that paints the scenes of a dataset from its label maps and captions (GenVal §3).

In it: settings, crops, captions, loss, checkpoints that survive a kill, validation pictures, and the model card.
May import: nothing.
Gives: `finetune_controlnet`, `plan_finetuning`, `FinetuneSettings`.
"""
