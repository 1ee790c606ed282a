"""Diffusion: inpainting and text-to-image with diffusers (POC §3.1, §4).

In it: loading, model families, texts, masks, and the two inserters.
May import: backends.common, errors, optional_imports, recipe, seeding, types.
Gives: `DiffusionInserter`, `TextToImageInserter`.
"""
