"""Label policies and schemas from the plain values of a config file: strings, numbers, lists and dicts."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from poc_aug.errors import SettingError
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema

_POLICIES: dict[str, type[Any]] = {policy.__name__: policy for policy in (OodLabels, NewClassLabels, AnomalyLabels)}


def policy_from_config(value: Any) -> LabelPolicy:
    """A label policy from ``dict(type="OodLabels", ood_id=254)``, the name of one, or a policy itself.

    Args:
        value: a dict with ``type``, the name of a policy (or a class) and its arguments; a name; a policy; ``None`` for
            ``OodLabels(254)``.

    Raises:
        SettingError: no such policy, or an argument that it does not have.
        LabelPolicyError: arguments that the policy does not take.

    Example:
        >>> policy_from_config({"type": "NewClassLabels", "ids": {"cat": 19}})
        NewClassLabels(ring_px=0, ignore_id=None, ids={'cat': 19}, merge=False)
        >>> policy_from_config(None).ood_id
        254
    """
    if value is None:
        return OodLabels()
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        if callable(getattr(value, "resolve", None)) and not inspect.isclass(value):
            return cast(LabelPolicy, value)
        raise SettingError(
            f"label_policy={value!r}",
            expected=f"a label policy, or dict(type=..., ...) of {', '.join(_POLICIES)}",
            hint=f"label_policy=dict(type='OodLabels', ood_id={value})"
            if isinstance(value, int)
            else "pass one of them",
        )
    settings = {name: _plain(setting) for name, setting in value.items()}
    kind = settings.pop("type", None)
    policy = kind if inspect.isclass(kind) else _POLICIES.get(str(kind).rpartition(".")[2])
    if policy is None:
        raise SettingError(
            f"label_policy: type {kind!r}",
            expected=f"one of {', '.join(_POLICIES)}",
            hint="label_policy=dict(type='OodLabels', ood_id=254)",
        )
    fields = [field.name for field in dataclasses.fields(policy)] if dataclasses.is_dataclass(policy) else None
    if fields is not None:
        check_config_keys(f"label_policy of type {policy.__name__}", settings, fields)
    if policy is AnomalyLabels and isinstance(settings.get("known"), list):
        settings["known"] = tuple(settings["known"])
    return cast(LabelPolicy, policy(**settings))


def schema_from_config(value: Any) -> LabelSchema | None:
    """A label schema from its name, a YAML file, the fields of one, or a schema itself.

    Raises:
        SchemaError: a name, file or dict that is not a schema.

    Example:
        >>> schema_from_config("camvid").ignore, schema_from_config({"ids": {"road": 0}}).name
        ((11,), 'custom')
    """
    if value is None or isinstance(value, LabelSchema):
        return value
    if isinstance(value, Mapping):
        return LabelSchema.from_dict({name: _plain(setting) for name, setting in value.items()})
    if isinstance(value, str | Path):
        return LabelSchema.load(value)
    raise SettingError(
        f"schema={value!r}", expected="the name of a schema, a YAML file, or dict(ids={class name: label id}, ...)"
    )


def check_config_keys(what: str, given: Mapping[str, Any], known: Collection[str] | Callable[..., Any]) -> None:
    """Check that a config has no key that nobody reads.

    Args:
        what: what the config is of, for the message.
        given: the config.
        known: the keys that are read, or the function whose parameters they are.

    Raises:
        SettingError: another key, with the one that was probably meant.

    Example:
        >>> check_config_keys("PocInsert", {"redrow": "read"}, ["cache", "redraw"])
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: PocInsert has no setting 'redrow'
        Expected: one of cache, redraw
        Next step: did you mean 'redraw'?
    """
    if callable(known):
        hidden = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        parameters = inspect.signature(known).parameters.values()
        known = [each.name for each in parameters if each.kind not in hidden and each.name != "self"]
    for name in given:
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            raise SettingError(
                f"{what} has no setting {name!r}",
                expected=f"one of {', '.join(known)}",
                hint=f"did you mean {close[0]!r}?" if close else "leave it out",
            )


def _plain(value: Any) -> Any:
    """A value without the dict and list classes of config files, which do not print or compare as plain ones."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
