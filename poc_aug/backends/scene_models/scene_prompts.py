"""Prompts of scene shifts: templates, and the words for each domain."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline
from poc_aug.backends.diffusion.text_limits import tokens_of
from poc_aug.errors import SettingError

DOMAIN_PHRASES: Mapping[str, str] = {"low-sun": "low evening sun with glare"}
"""What follows "in" in a prompt as GenVal's, if it is not the domain's name."""

EDIT_PHRASES: Mapping[str, str] = {
    "fog": "a foggy day",
    "night": "night, with street lamps and headlights lit",
    "rain": "a rainy day with wet, mirroring streets",
    "snow": "a snowy winter day",
    "low-sun": "evening, with glare from a sun near the horizon",
}
"""What follows "make it" in an instruction."""


def domain_words(phrases: Mapping[str, str], domain: str) -> str:
    """The words for a domain: those of its own, otherwise its name.

    Example:
        >>> domain_words(DOMAIN_PHRASES, "low-sun"), domain_words(DOMAIN_PHRASES, "heavy-rain")
        ('low evening sun with glare', 'heavy rain')
    """
    return phrases.get(domain, domain.replace("-", " "))


def check_template(who: str, setting: str, template: str, fields: Sequence[str]) -> None:
    """Check that a template has only the fields that it may have, and names the domain.

    Raises:
        SettingError: another field, braces that do not match, or no ``{domain}``.

    Example:
        >>> check_template("ControlNetShifter", "prompt", "a street in {weather}", ["caption", "domain"])
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: ControlNetShifter: prompt='a street in {weather}'
        Expected: a text with {domain}, and no fields but {caption}, {domain}
    """
    try:
        used = {name for _, name, form, conversion in string.Formatter().parse(template) if name is not None}
    except ValueError:
        used = {""}
    if "domain" not in used or not used <= set(fields):
        known = ", ".join(f"{{{name}}}" for name in fields)
        raise SettingError(
            f"{who}: {setting}={template!r}", expected=f"a text with {{domain}}, and no fields but {known}"
        )


def check_text(loaded: LoadedPipeline, text: str, owner: str) -> None:
    """Check that a text fits the model's limit.

    Raises:
        SettingError: it does not; the message names its owner, its tokens and the limit.
    """
    used, limit = tokens_of(loaded, text)
    if used > limit:
        raise SettingError(
            f"{owner}: the prompt {text!r} takes {used} tokens",
            expected=f"at most {limit} for {loaded.family.pipeline}, start and end tokens included",
            hint="shorten it, or the caption: text beyond the limit would be cut off",
        )
