"""Scene models: diffusion that shifts whole frames, captions for its prompts, and depth for weather.

In it: ControlNet and editing shifters, palettes, tiles, captioners with their file of captions, and depth models.
May import: backends.common, backends.diffusion, backends.finders, errors, files, items, labels, masks,
    optional_imports, scenes, seeding, types.
Gives: `ControlNetShifter`, `EditShifter`, `Palette`, `TransformersCaptioner`, `CaptionFile`, `TransformersDepth`.
"""
