"""Checks that no prompt is longer than the text encoder takes, before any long computation."""

from __future__ import annotations

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline
from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe


def tokens_of(loaded: LoadedPipeline, text: str) -> tuple[int, int]:
    """Tokens that the text takes with the tokenizer whose limit counts, and that limit."""
    family = loaded.family
    tokenizer = getattr(loaded.pipe, family.tokenizer, None) or loaded.pipe.tokenizer
    limit = family.text_tokens if tokenizer is getattr(loaded.pipe, family.tokenizer, None) else None
    return len(tokenizer(text, truncation=False, verbose=False).input_ids), int(limit or tokenizer.model_max_length)


def check_prompts(loaded: LoadedPipeline, recipe: Recipe, negative_prompt: str | None = None) -> None:
    """Check every prompt that a recipe can ask for.

    Raises:
        RecipeError: a prompt over the text limit; the message names the object, the tokens and the limit.
    """
    templates = {recipe.prompt_template, *(pass_.prompt for pass_ in recipe.passes if pass_.prompt is not None)}
    texts = {
        (f"object {spec.name!r}", template.replace("{object}", prompt))
        for spec in recipe.objects
        for prompt in spec.prompts
        for template in templates
    }
    negatives = {negative_prompt, *(pass_.negative_prompt for pass_ in recipe.passes)}
    texts |= {("the negative prompt", text) for text in negatives if text}
    for owner, text in sorted(texts):
        used, limit = tokens_of(loaded, text)
        if used > limit:
            raise RecipeError(
                f"{owner}: the prompt {text!r} takes {used} tokens",
                expected=f"at most {limit} for {loaded.family.pipeline}, start and end tokens included",
                hint="shorten it: text beyond the limit would be cut off",
            )
