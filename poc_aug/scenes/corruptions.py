"""ImageNet-C's corruptions (Hendrycks and Dietterich, ICLR 2019) as shifts of scenes, by imagecorruptions-imaug."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import MissingDependencyError, SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.optional_imports import require
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.types import MAX_SEVERITY, Json, Rejection

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("speckle_noise", "gaussian_blur", "spatter", "saturate"),
)
"""Their names: noise, blur, weather, digital, and the four that ImageNet-C holds out for validation."""

LEAST_SIDE_PX = 32
"""Smaller frames than that are not corrupted: blurs and patterns have fixed sizes in pixels."""

_PACKAGE = "imagecorruptions-imaug"
_OWN_GENERATORS = ("impulse_noise", "glass_blur")  # they draw elsewhere than from NumPy's global generator


class CorruptionShifter:
    """Shifts frames by one of ImageNet-C's corruptions, at its severities 1 to 5.

    Every corruption is reproduced by the frame's seed, and equals what the package makes after
    ``numpy.random.seed(seed % 2**32)``. No global random state is read or written: neither NumPy's, nor Python's, nor
    Numba's. Labels stay where they are; ``elastic_transform`` and ``glass_blur`` move pixels by a few, as the originals
    do.

    Args:
        name: one of `CORRUPTIONS`. The package is only needed when frames are made, not to read them from a cache.

    Raises:
        SettingError: another name.

    Example:
        >>> frame = SceneFrame(
        ...     torch.full((3, 48, 64), 200, dtype=torch.uint8), torch.zeros(48, 64), "a", severity=1, seed=7
        ... )
        >>> shifter = CorruptionShifter("brightness")
        >>> shifter.domain, int(shifter.shift([frame])[0].image.max())
        ('corruption:brightness', 225)
    """

    def __init__(self, name: str) -> None:
        check_corruption(name)
        self.name = name

    @property
    def domain(self) -> str:
        """``corruption:NAME``."""
        return f"corruption:{self.name}"

    def describe(self) -> dict[str, Json]:
        """The corruption and the version of the package.

        Raises:
            MissingDependencyError: as in `check_schema`.
        """
        self.check_schema(None)
        return {"shifter": "corruption", "corruption": self.name, "package": f"{_PACKAGE} {_version()}"}

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Check that frames can be made; any labels will do.

        Raises:
            MissingDependencyError: the extra ``corruptions`` is not installed, or the package that it replaces is,
                whose ``impulse_noise`` and ``glass_blur`` cannot be reproduced by a seed.
        """
        _check_reproducible(self.name, _functions_module())

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        """Corrupt each frame.

        Raises:
            MissingDependencyError: as in `check_schema`.
            SettingError: a frame with a side of less than 32 pixels, or a severity that is not 1 to 5.
        """
        return [self._shift(frame) for frame in frames]

    def _shift(self, frame: SceneFrame) -> Shifted:
        if frame.severity not in range(1, MAX_SEVERITY + 1):
            raise SettingError(f"severity = {frame.severity!r}", expected=f"a whole number, 1 to {MAX_SEVERITY}")
        height, width = frame.size_hw
        if min(height, width) < LEAST_SIDE_PX:
            raise SettingError(
                f"{self.domain}: the frame {frame.key!r} has {height} by {width} pixels",
                expected=f"at least {LEAST_SIDE_PX} by {LEAST_SIDE_PX}: the patterns have fixed sizes in pixels",
                hint="give larger frames, or another shift",
            )
        seed = frame.seed % 2**32  # what NumPy's and Numba's older generators take
        original = np.ascontiguousarray(frame.image.detach().cpu().permute(1, 2, 0).numpy())
        corrupted = corrupt(original, self.name, frame.severity, seed)
        image = torch.from_numpy(corrupted).permute(2, 0, 1).contiguous().to(frame.image.device)
        return Shifted(image, {"corruption": self.name, "numpy_seed": seed})


def check_corruption(name: str) -> None:
    """Check that there is a corruption of that name.

    Raises:
        SettingError: lists the known ones, and says which are like it.
    """
    if name not in CORRUPTIONS:
        close = get_close_matches(str(name), CORRUPTIONS, n=3)
        raise SettingError(
            f"unknown corruption {name!r}",
            expected=f"one of: {', '.join(CORRUPTIONS)}",
            hint=f"did you mean {' or '.join(close)}?" if close else "",
        )


def corrupt(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt a picture, uint8 ``[H, W, 3]``, RGB; a new array.

    Args:
        image: the picture; not modified.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: below 2**32.
    """
    module = _functions_module()
    function = _with_generator(module, np.random.RandomState(seed))[name]
    arguments = {"seed": seed} if name in _OWN_GENERATORS else {}
    result = np.asarray(_in_own_thread(lambda: function(Image.fromarray(image), severity, **arguments)))
    if result.dtype != np.uint8:
        # A small frame in which "spatter" has no drop: the package divides by the largest drop.
        result = np.where(np.isfinite(result), result, image).astype(np.uint8)
    return np.array(result)


def _functions_module() -> ModuleType:
    return require("imagecorruptions.corruptions", extra="corruptions", purpose="the shift 'corruption:NAME'")


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def _check_reproducible(name: str, module: ModuleType) -> None:
    """Check that the corruption takes a seed: those of the older package imagecorruptions do not."""
    if name in _OWN_GENERATORS and "seed" not in inspect.signature(getattr(module, name)).parameters:
        raise MissingDependencyError(
            f"the installed package 'imagecorruptions' cannot reproduce {name!r} by a seed",
            expected=f"{_PACKAGE} in its place",
            hint="pip uninstall imagecorruptions; pip install 'poc_aug[corruptions]'",
        )


class _NumPy:
    """NumPy, with ``random`` drawing from a generator of our own."""

    def __init__(self, generator: np.random.RandomState) -> None:
        self.random = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _with_generator(module: ModuleType, generator: np.random.RandomState) -> dict[str, Any]:
    """The module's functions, drawing from ``generator`` where they would draw from NumPy's global one.

    That one belongs to the user, and to every thread at once: to seed it and to put it back is not enough.
    """
    names = dict(vars(module))
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            own = FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
            own.__kwdefaults__ = value.__kwdefaults__
            names[name] = own
    # It prints where it pastes a layer of another size; that is no news on the output of a command.
    names.update(np=_NumPy(generator), print=lambda *values: None)
    return names


def _in_own_thread(run: Callable[[], Any]) -> Any:
    """Run in a thread of its own: Numba's generator, which ``glass_blur`` seeds, is one per thread."""
    outcome = SimpleNamespace(value=None, error=None)

    def keep() -> None:
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # see `corrupt`; it is one per thread, too
                outcome.value = run()
        except BaseException as error:
            outcome.error = error

    thread = threading.Thread(target=keep, name="corruption")
    thread.start()
    thread.join()
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
