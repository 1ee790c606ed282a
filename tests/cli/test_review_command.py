"""``poc-aug review``: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poc_aug.cache.journal import Journal
from poc_aug.cli.main import app
from poc_aug.review.serving import login_name
from poc_aug.upkeep import drop
from tests.helpers.command_line import run
from tests.helpers.review_cases import Client, street_cache
from tests.helpers.waiting import wait_until

STREETS = ["--dataset", "tests.helpers.review_cases:Streets"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_cache(tmp_path_factory.mktemp("command") / "a.cache")


class Command:
    """The command in another process."""

    def __init__(self, *arguments: object, folder: Path) -> None:
        self.printed, self.complained = folder / "out.txt", folder / "err.txt"
        reads, writes = os.pipe()
        self.process = os.fork()  # a new interpreter would take seconds
        if not self.process:
            code = 99
            try:
                os.close(reads)
                os.dup2(writes, 1)
                os.dup2(os.open(self.complained, os.O_WRONLY | os.O_CREAT), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                sys.argv = ["poc-aug", "review", *map(str, arguments)]
                app()
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(writes)
        self.told = open(reads)
        self.first = self.told.readline()

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; the exit status, and what was printed besides the first line."""
        os.kill(self.process, number)
        with self.told:
            rest = self.told.read()
        return os.waitpid(self.process, 0)[1], rest, self.complained.read_text()


def test_the_address_is_all_that_it_prints_and_ctrl_c_ends_it(path: Path, tmp_path: Path) -> None:
    command = Command(path, *STREETS, "--by", "anna", "--class", "gnu", folder=tmp_path)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/\?token=[\w-]{32}&class=gnu\n", command.first)
    client = Client(command.first.strip()).open()
    thing = client.things()[0]
    assert client.get(f"/picture/{thing['id']}/after").status == 200
    assert client.decide([thing], "accept")["things"][0]["by"] == "anna"
    assert command.end(signal.SIGINT) == (0, "", "")
    assert [entry.op for entry in Journal.read(path).entries] == ["accept"]


def test_an_address_for_others_is_warned_of(path: Path, tmp_path: Path) -> None:
    command = Command(path, "--host", "0.0.0.0", folder=tmp_path)
    address = command.first.strip().replace(socket.gethostname(), "127.0.0.1", 1)
    assert Client(address).open().get("/api/state").json["reviewer"] == login_name()
    status, rest, complained = command.end(signal.SIGTERM)
    assert (os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)) in (0, signal.SIGTERM)
    assert rest == ""
    assert complained.startswith("warning: --host 0.0.0.0: whoever has the page's address")


def test_a_dry_run_says_what_is_decided(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    drop(path, key="street/0000")
    assert run("review", path, *STREETS, "--dry-run") == "32 to review: 4 rejected, 28 undecided\n"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_that_is_taken(path: Path, taken: int) -> None:
    told = run("review", path, "--port", taken, fails=True)
    assert f"port {taken} of 127.0.0.1 is taken" in told
    assert "leave --port out" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", ""], "host=''"),
        (["--host", "["], "host='['"),
        (["--host", "a\0b"], "cannot listen at 'a\\x00b'"),
        (["--host", "no.such.host.invalid"], "cannot listen at 'no.such.host.invalid'"),
        (["--host", "203.0.113.5"], "cannot listen at '203.0.113.5'"),
        (["--by", "a\nb"], "the reviewer's name 'a\\nb'"),
        (["--decision", "cow"], "--decision 'cow'"),
        (["--class", "gnou"], "a.cache has no class 'gnou' Expected: one of: gnu Next step: did you mean 'gnu'?"),
        (["--sigma", "inf"], "--sigma 1.0"),
        (["--recipe", "0000"], "holds no recipe '0000'"),
        (["root=data"], "root=data without --dataset"),
        (["--keys", "name"], "--keys without --dataset"),
        (["--schema", "no such schema"], "no such schema"),
        (["--dataset", "tests.helpers.fakes:Frames", "length=2", "size_hw=8,8"], "a.cache"),
        (["b.cache"], "b.cache"),
        (["s3://bucket/b.cache"], "a review of s3://bucket/b.cache"),
    ],
)
def test_what_it_refuses(path: Path, arguments: list[str], told: str) -> None:
    assert told in " ".join(run("review", path, *arguments, "--dry-run", fails=True).split())


@pytest.mark.parametrize(
    "arguments", [["--class", "cow"], ["--class", "gnu"], ["--decision", "conflict"]], ids=lambda each: each[1]
)
def test_what_is_shown_first_is_taken(arguments: list[str], path: Path, tmp_path: Path) -> None:
    # A name that came in by relabelling is a class, too, and what was relabelled is found by its first name.
    relabelled = shutil.copytree(path, tmp_path / "b.cache")
    drop(relabelled, insertion=0, relabel="cow")
    assert run("review", relabelled, *arguments, "--dry-run").startswith("32 to review: ")


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2"])
def test_a_package_that_is_missing_is_named(package: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    told = run("review", path, fails=True)
    assert f"the package {package!r} is not installed; the review page needs it" in told
    assert "pip install 'poc_aug[review]'" in told


def test_the_browser_is_opened_on_wish(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tmp_path / "opened.txt"
    monkeypatch.setattr("webbrowser.open", lambda address: opened.write_text(address))
    command = Command(path, "--open", "--class", "gnu", folder=tmp_path)
    assert wait_until(lambda: opened.exists() and opened.read_text().endswith("gnu"))
    base, _, query = opened.read_text().partition("/?")
    assert Client(command.first.strip()).token not in query  # it could be read in the list of processes
    browser = Client(command.first.strip())
    answers = [browser.send("GET", f"/?{query}") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 403]  # once
    browser.cookie = answers[0].headers["set-cookie"].partition(";")[0]
    assert browser.get("/api/state").status == 200
    assert base == command.first.partition("/?")[0]
    assert command.end(signal.SIGINT)[0] == 0
