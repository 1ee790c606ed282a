"""Samples that cannot be read: what is reported of them, and the advice to continue without them."""

from __future__ import annotations

from dataclasses import dataclass

from poc_aug.errors import NextStep, PocAugError, SampleReadError, in_one_line


@dataclass(frozen=True)
class UnreadableSample:
    """What the dataset raised on a sample.

    The advice of an error of ours is kept apart, for Python (``hint``) and for the command line (``command``).
    """

    key: str
    error: str
    expected: str = ""
    hint: str = ""
    command: str = ""

    @classmethod
    def of(cls, key: str, error: BaseException) -> UnreadableSample:
        """What is reported of an error."""
        kind = type(error).__name__
        if isinstance(error, PocAugError):
            return cls(key, f"{kind}: {error.problem}", error.expected, error.hint, error.command)
        if isinstance(error, SystemExit):
            return cls(key, f"{kind}: it called sys.exit({error.code!r})", "a dataset that returns items or raises")
        return cls(key, in_one_line(error))

    def to_error(self) -> SampleReadError:
        """The error to raise if nothing is skipped."""
        step = or_skip("repair or remove it, or continue without it", self.hint, self.command)
        problem = f"sample {self.key!r} could not be read: {self.error}"
        return SampleReadError(problem, expected=self.expected, hint=step.hint, command=step.command)


def or_skip(skip: str, hint: str, command: str = "") -> NextStep:
    """A next step, or to continue without what failed, for Python and for the command line."""
    steps = (hint, f"{skip}: on_error='skip'"), (command or hint, f"{skip}: --on-error skip")
    return NextStep(*("; ".join(filter(None, step)) for step in steps))
