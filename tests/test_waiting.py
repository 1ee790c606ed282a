"""No test has a time limit that a busy machine reaches, and none asserts how long something takes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
LEAST_S = 600.0
POLL_S = 0.1  # up to here it is no limit, but how often a loop looks
WAITS = ("join", "wait", "result", "settimeout", "communicate")  # their first argument is a limit in seconds
CLOCKS = ("time.monotonic", "time.perf_counter", "time.time", "time.process_time")
PROGRAMS = ("fuzz", "kills")  # folders of what also runs by hand, for as long as it is told


def short(node: ast.expr | None) -> bool:
    """Whether an argument is a number of seconds that is too few for a limit."""
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and POLL_S < node.value < LEAST_S


def is_clock(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS


def limits(source: str) -> list[str]:
    """What a test has of short time limits, and of measured times."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Sub)
            and (is_clock(node.left) or is_clock(node.right))
        ):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if not isinstance(node, ast.Call):
            continue
        name, first = ast.unparse(node.func), node.args[0] if node.args else None
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        is_wait = isinstance(node.func, ast.Attribute) and node.func.attr in WAITS and short(first)
        is_mark = name == "pytest.mark.timeout" and short(first)
        is_deadline = name == "settings" and not isinstance(keywords.get("deadline"), ast.Constant | None)
        is_deadline |= name == "settings" and getattr(keywords.get("deadline"), "value", None) is not None
        is_bound = name.endswith("wait_until") and (short(keywords.get("seconds")) or short(node.args[-1]))
        if is_wait or is_mark or is_deadline or is_bound or short(keywords.get("timeout")):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_waits_are_for_events_with_a_generous_bound() -> None:
    paths = [path for path in TESTS.rglob("*.py") if path.parent.name not in PROGRAMS or path.name.startswith("test_")]
    found = {path: limits(path.read_text(encoding="utf-8")) for path in paths}
    assert {path.relative_to(TESTS).as_posix(): calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("process.join(60)", True),
        ("process.join()", False),
        ("event.wait(30.0)", True),
        ("event.wait(WATCHDOG_S)", False),
        ("future.result(0)", False),
        ("subprocess.run(command, timeout=200)", True),
        ("subprocess.run(command, timeout=1500)", False),
        ("pytest.mark.timeout(120)", True),
        ("settings(max_examples=9, deadline=500)", True),
        ("settings(max_examples=9, deadline=None)", False),
        ("settings(max_examples=9)", False),
        ("wait_until(lambda: ready, 5)", True),
        ("wait_until(lambda: ready, seconds=5)", True),
        ("wait_until(lambda: ready)", False),
        ("time.monotonic() - began", True),
        ("client.answer(time.monotonic() + 1000)", False),
        ("passed.acquire(timeout=0.01)", False),
        ("', '.join(names)", False),
    ],
)
def test_short_limits_are_found(code: str, is_found: bool) -> None:
    assert bool(limits(code)) == is_found


def test_the_watchdog_is_longer_than_what_the_tests_wait(pytestconfig: pytest.Config) -> None:
    from tests.helpers.waiting import WATCHDOG_S

    assert LEAST_S <= WATCHDOG_S < float(pytestconfig.getini("timeout"))
