"""Scene models: diffusion that shifts whole frames, captions for its prompts, and depth for weather.

In it: ControlNet and editing shifters, palettes, tiles, captioners with their file of captions, and depth models.
May import: backends.common, backends.finders, errors, files, optional_imports, scenes, types.
Gives: `TransformersCaptioner`, `CaptionFile`, `TransformersDepth`.
"""
