"""Paste: cut-outs of real objects, harmonised with the frame.

In it: banks of cut-outs (folders, COCO, datasets), matting, colours, contact shadow, sharpness and grain.
May import: camera_model, errors, files, gaussian, items, keys, labels, luma, masks, presets, recipe, seeding, types.
Gives: `ObjectBank`, `PasteInserter`, `bank_recipe`.
"""
