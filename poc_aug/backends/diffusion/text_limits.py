"""Prompts that a text encoder would cut off, found before any long work."""

from __future__ import annotations

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline
from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe


def tokens_of(loaded: LoadedPipeline, text: str) -> tuple[int, int]:
    """Tokens that the text takes with the tokenizer whose limit counts, and tokens there are."""
    family = loaded.family
    tokenizer = getattr(loaded.pipe, family.tokenizer, None) or loaded.pipe.tokenizer
    limit = family.text_tokens if tokenizer is getattr(loaded.pipe, family.tokenizer, None) else None
    return len(tokenizer(text, truncation=False, verbose=False).input_ids), int(limit or tokenizer.model_max_length)


def check_prompts(loaded: LoadedPipeline, recipe: Recipe, negative_prompt: str | None = None) -> None:
    """Check every prompt that a recipe can ask for.

    Raises:
        RecipeError: a prompt over the text limit; the message names the object, the tokens and the limit.
    """
    templates = {recipe.prompt_template, *(each.prompt for each in recipe.passes if each.prompt is not None)}
    texts = {
        (f"object {spec.name!r}", template.replace("{object}", prompt))
        for spec in recipe.objects
        for prompt in spec.prompts
        for template in templates
    }
    negatives = {negative_prompt, *(each.negative_prompt for each in recipe.passes)}
    texts |= {("the negative prompt", text) for text in negatives if text}
    for owner, text in sorted(texts):
        used, limit = tokens_of(loaded, text)
        if used > limit:
            raise RecipeError(
                f"{owner}: the prompt {text!r} takes {used} tokens",
                expected=f"at most {limit} for {loaded.family.pipeline}, start and end marks included",
                hint="shorten it: what is over the limit would be cut off",
            )
