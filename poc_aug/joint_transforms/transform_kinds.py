"""The library of ``transforms``, recognised by the object, and the parts that it consists of.

No library is imported for this: an object of a package that was not imported cannot exist.
"""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from torch import nn

from poc_aug.errors import TransformError

# A transform that holds a whole dataset is not searched completely, nor is the code of libraries.
_MOST_PARTS = 2000
_LIBRARIES = {"torch", "torchvision", "numpy", "PIL", "cv2", "kornia", "albumentations", "builtins"}


class TransformKind(enum.Enum):
    """How ``transforms`` has to be called."""

    V2 = "torchvision.transforms.v2"
    V2_SEQUENCE = "torchvision.transforms.v2 in a container that takes one argument"
    ALBUMENTATIONS = "albumentations"
    KORNIA = "kornia"
    OTHER = "any other callable"


def transform_kind(transforms: Any) -> TransformKind:
    """The library of ``transforms``, looking through ``functools.partial`` and bound methods.

    Raises:
        TransformError: it cannot be called, or can only transform an image alone.
    """
    if not callable(transforms):
        raise TransformError(
            f"transforms={transforms!r:.200}",
            expected="one callable that takes image and labels",
            hint="join a list of transforms: v2.Compose([...]), albumentations.Compose([...]), or "
            "kornia.augmentation.AugmentationSequential(...)",
        )
    target = called_by(transforms)
    if is_albumentations(target):
        return TransformKind.ALBUMENTATIONS
    if _is_from(target, "kornia.augmentation", "AugmentationSequential"):
        return TransformKind.KORNIA
    steps = [*steps_of(target)]
    for step in steps:
        _refuse_image_only(step)
    if not any(is_v2(step) for step in steps):
        return TransformKind.OTHER
    _refuse_to_tensor(steps)
    return TransformKind.V2 if is_v2(target) else TransformKind.V2_SEQUENCE


def name_of(transforms: Any) -> str:
    """A name for messages: its module and class, and its steps."""
    target = called_by(transforms)
    if hasattr(target, "__qualname__"):  # a function, or a class
        return f"{target.__module__}.{target.__qualname__}"
    name = f"{type(target).__module__.partition('._')[0]}.{type(target).__qualname__}"
    steps = list(target.children()) if isinstance(target, nn.Sequential) else getattr(target, "transforms", ())
    if isinstance(steps, list | tuple | nn.ModuleList) and len(steps):
        name += f"({', '.join(getattr(step, '__qualname__', type(step).__qualname__) for step in steps)})"
    return name


def steps_of(target: Any) -> Iterator[Any]:
    """A transform of torchvision, or a container, followed by all its steps and theirs, at any depth."""
    yield target
    steps: Any = ()
    if isinstance(target, nn.ModuleList) or _is_plain_sequential(target):
        steps = target
    elif is_v2(target) or _is_v1_container(target):
        steps = getattr(target, "transforms", ())
        steps = steps if isinstance(steps, Iterable) else ()
    for step in steps:
        yield from steps_of(step)


def parts_of(transforms: Any) -> Iterator[Any]:
    """``transforms`` and everything callable that it holds: steps, attributes, and what a function refers to."""
    visited: set[int] = set()
    waiting = [transforms]
    while waiting and len(visited) < _MOST_PARTS:
        part = waiting.pop()
        if id(part) in visited:
            continue
        visited.add(id(part))
        if callable(part):
            yield part
        waiting.extend(_held_by(part))


def is_v2(part: Any) -> bool:
    """Whether it is a transform of ``torchvision.transforms.v2``, or of a class derived from one."""
    return _is_from(part, "torchvision.transforms.v2", "Transform")


def is_albumentations(part: Any) -> bool:
    """Whether it is a transform or composition of albumentations or AlbumentationsX."""
    return _is_from(part, "albumentations.core.composition", "BaseCompose") or _is_from(
        part, "albumentations.core.transforms_interface", "BasicTransform"
    )


def is_kornia(part: Any) -> bool:
    """Whether kornia's code runs when it is called."""
    return isinstance(part, nn.Module) and getattr(type(part).forward, "__module__", "").startswith("kornia.")


def _is_from(part: Any, module: str, name: str) -> bool:
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(part, cls)


def called_by(transforms: Any) -> Any:
    """The object inside a ``functools.partial`` or a bound ``__call__`` or ``forward``."""
    while True:
        if isinstance(transforms, functools.partial) and not transforms.args:
            transforms = transforms.func
        elif inspect.ismethod(transforms) and transforms.__name__ in ("__call__", "forward"):
            transforms = transforms.__self__
        else:
            return transforms


def _is_v1(part: Any) -> bool:
    # By the class's own module: a class that a user derived from one may take pairs.
    module = type(part).__module__
    return module.startswith("torchvision.transforms.") and not module.startswith("torchvision.transforms.v2")


def _is_v1_container(part: Any) -> bool:
    """Whether it passes its one argument, whatever that is, to other callables."""
    return _is_v1(part) and type(part).__name__ in ("Compose", "RandomApply", "RandomChoice", "RandomOrder", "Lambda")


def _is_plain_sequential(part: Any) -> bool:
    # One with its own forward may call its steps with a pair.
    return isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward


def _refuse_image_only(part: Any) -> None:
    if _is_v1(part) and not _is_v1_container(part):
        name = type(part).__name__
        raise TransformError(
            f"transforms= has torchvision.transforms.{name}, which transforms an image alone",
            expected="a transform of image and labels together",
            hint="use torchvision.transforms.v2 throughout: from torchvision.transforms import v2; v2.Compose([...])",
        )
    if is_kornia(part) and not _is_from(part, "kornia.augmentation", "AugmentationSequential"):
        name = type(part).__name__
        raise TransformError(
            f"transforms= has kornia's {name}, which would transform the image and not the labels",
            expected="kornia.augmentation.AugmentationSequential, which transforms both",
            hint=f"transforms=AugmentationSequential({name}(...), ...)",
        )


def _refuse_to_tensor(steps: list[Any]) -> None:
    names = {type(step).__name__ for step in steps if is_v2(step)}
    if "ToTensor" in names and "ToPILImage" not in names:
        raise TransformError(
            "transforms= has v2.ToTensor, which leaves tv_tensors as they are: the images would stay uint8",
            expected="a conversion that v2 applies to tv_tensors",
            hint="v2.ToDtype(torch.float32, scale=True) instead: images in [0, 1], labels unchanged",
        )


def _held_by(part: Any) -> Iterator[Any]:
    """Everything that one part of a transform holds and that may be a part itself."""
    held: Iterable[Any] = ()
    if isinstance(part, list | tuple | set):
        held = part
    elif isinstance(part, dict):
        held = part.values()
    elif isinstance(part, functools.partial):
        held = (part.func, part.args, part.keywords)
    elif inspect.ismethod(part):
        held = (part.__self__, part.__func__)
    elif isinstance(part, FunctionType):
        if part.__module__ is not None and part.__module__.partition(".")[0] not in _LIBRARIES:
            names = part.__code__.co_names
            held = (*_cells(part), *(part.__globals__[name] for name in names if name in part.__globals__))
    elif callable(part) and not isinstance(part, type):
        held = (*getattr(part, "__dict__", {}).values(), type(part).__call__)
    for value in itertools.islice(held, _MOST_PARTS):
        if callable(value) or isinstance(value, list | tuple | set | dict):
            yield value


def _cells(function: FunctionType) -> Iterator[Any]:
    """Variables of enclosing functions; one that is not assigned yet has no value."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue
