"""Finders: text to masks, for annotating what was inserted and for locating where objects may stand.

In it: Grounding DINO, Segment Anything, SAM 3 and models of transformers; checks of their answers.
May import: backends.common, errors, masks, optional_imports, recipe, types.
Gives: `GroundedSamAnnotator`, `TransformersAnnotator`, `Sam3Annotator`, `PromptLocator`.
"""
