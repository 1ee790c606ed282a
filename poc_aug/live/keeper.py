"""The training process's side: starts the generation process when it is first needed, ends it, and tells how it ended.

Workers of any start method connect to one address. As long as nobody does, nothing is started: a thread of the training
process waits for the first connection, then hands the listening socket to a new process (as inetd does). When that
process dies, the thread listens again, to tell everybody why.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
import weakref
from multiprocessing import connection, process, util
from typing import Any, Literal

from poc_aug.errors import GenerationProcessError
from poc_aug.live.board import Board
from poc_aug.live.messages import Gone, is_same_user, listen, send
from poc_aug.live.server import Work, run_server

_logger = logging.getLogger("poc_aug")
State = Literal["waiting", "starting", "running", "failed", "closed"]


class Keeper:
    """Keeps the generation process of one dataset; dropped or closed, and when the program ends, that ends too.

    Args:
        work: what the process is started with.
        board: what it tells of itself.
        warn: log a warning when it dies, since nobody raises an error then.
    """

    def __init__(self, work: Work, board: Board, *, warn: bool) -> None:
        if getattr(process.current_process(), "_inheriting", False):
            raise GenerationProcessError(
                "a dataset with pipeline= was made while the generation process imported the main module",
                expected="a script whose training runs only when it is the main program",
                hint='put the code that trains under: if __name__ == "__main__":',
            )
        self._inside = _Inside(work, board, warn)
        self.address = self._inside.address
        _in_use.add(self._inside)
        self._inside.thread.start()
        # Before multiprocessing's own exit handler (priority 0), which would wait for the process without a limit.
        self._finalizer = util.Finalize(self, _Inside.close, args=(self._inside,), exitpriority=10)

    def start(self) -> None:
        """Start the process now and wait until it is ready.

        Raises:
            GenerationProcessError: it could not start; the message holds its traceback.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.connect(self.address)
            self._inside.settled.wait()
        if self._inside.why is not None:
            raise GenerationProcessError(
                f"the generation process could not start: {self._inside.why}", hint="correct what its traceback names"
            )

    @property
    def state(self) -> State:
        """What the process does."""
        return self._inside.state

    @property
    def pid(self) -> int | None:
        """The process's id, once it is started."""
        running = self._inside.process
        return None if running is None else running.pid

    def close(self) -> None:
        """End the process: the batch that runs is finished and stored; a second call does nothing."""
        self._finalizer()


class _Inside:
    """What the keeper's thread works on; it does not know the `Keeper`, so that this can be dropped."""

    def __init__(self, work: Work, board: Board, warn: bool) -> None:
        self.work, self.board, self.warn = work, board, warn
        self.state: State = "waiting"
        self.why: str | None = None
        self.settled = threading.Event()
        self.process: Any = None
        self.listener, self.address = listen()
        self._closed_by, self._closing = connection.Pipe(duplex=False)
        self._control: connection.Connection | None = None
        self.thread = threading.Thread(target=self._run, name="poc-aug-keeper", daemon=True)

    def close(self) -> None:
        try:
            self._closing.send_bytes(b"close")
        except OSError:  # the thread has ended, and closed it
            pass
        if threading.current_thread() is not self.thread:  # a collection may drop the keeper in any thread
            self.thread.join()

    def let_go_in_child(self) -> None:
        """A forked child keeps nothing of this open: the address must not outlive the training process."""
        self.listener.close()
        for end in (self._closed_by, self._closing, self._control):
            if end is not None:
                end.close()

    def _run(self) -> None:
        # Ctrl-C is for the main thread; the mask is inherited by the process, which must not see it either.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            knocked = connection.wait([self.listener, self._closed_by])
            if self._closed_by not in knocked and self._serve():
                self._tell_everybody()
        finally:
            self.state = "closed"
            self.board["over"] = 1
            self.why = self.why or "it was closed"
            self.settled.set()
            self.listener.close()
            self._closed_by.close()
            self._closing.close()
            if self.work.temporary:
                shutil.rmtree(self.work.cache.parent, ignore_errors=True)

    def _serve(self) -> bool:
        """Run the process; returns whether it failed."""
        spawn = multiprocessing.get_context("spawn")
        for_child, self._control = connection.Pipe(duplex=False)
        report, reported = connection.Pipe(duplex=False)
        self.state = "starting"
        try:
            self.process = spawn.Process(
                target=run_server,
                args=(self.work, self.listener, for_child, reported, self.board, os.getpid()),
                name="poc-aug-generation",
                daemon=True,
            )
            self.process.start()
        except Exception as error:
            # Whatever cannot be pickled raises what it likes; those who wait are told.
            self._fail(f"it could not be started: {type(error).__name__}: {error}", _UNPICKLED)
            return True
        finally:
            for_child.close()
            reported.close()
        try:
            return self._watch(report)
        finally:
            report.close()
            self._control.close()

    def _watch(self, report: connection.Connection) -> bool:
        told: str | None = None
        watched: list[Any] = [report, self.process.sentinel, self._closed_by]
        while True:
            came = connection.wait(watched)
            if report in came:
                try:
                    kind, text = report.recv()
                except EOFError:
                    watched.remove(report)
                    continue
                if kind == "ready":
                    self.state = "running"
                    self.settled.set()
                else:
                    told = text
            elif self.process.sentinel in came:
                self._fail(*((told, "") if told is not None else _how_it_ended(_exit_code(self.process))))
                return True
            elif self._closed_by in came:
                self._end()
                return False

    def _end(self) -> None:
        assert self._control is not None
        grace_s = self.work.settings.grace_s
        try:
            self._control.send_bytes(b"stop")
        except OSError:  # it has just ended by itself
            pass
        if not connection.wait([self.process.sentinel], grace_s):
            _logger.warning("The generation process did not finish its batch in %g s and is killed.", grace_s)
            self.process.kill()
        _exit_code(self.process)

    def _fail(self, why: str, hint: str = "") -> None:
        self.why = f"{why}\n{hint}" if hint else why
        self.state = "failed"
        self.board["over"] = 1
        self.settled.set()
        if self.warn:
            _logger.warning("Training goes on without new insertions: the generation process is gone: %s", self.why)

    def _tell_everybody(self) -> None:
        """Tell everybody who connects why there is no process, until the dataset is closed."""
        while self._closed_by not in connection.wait([self.listener, self._closed_by]):
            caller, _ = self.listener.accept()
            with caller:
                caller.settimeout(1.0)
                if is_same_user(caller):
                    try:
                        send(caller, 0, Gone(self.why or ""))
                    except OSError:  # it has gone itself
                        continue


_UNPICKLED = (
    "A pipeline is sent to the generation process with pickle. Where it cannot be, pass a function at module level "
    "that builds it there: pipeline=make_pipeline"
)


def _exit_code(ended: Any) -> int | None:
    """The exit code of a process that has ended or is about to; ``None`` where another part of the program took it.

    Whoever starts a process also collects those that have ended (`multiprocessing` does, for the workers of a loader).
    If that happens in another thread at this moment, the code is here as soon as that thread has noted it.
    """
    ended.join()
    noted_by = time.monotonic() + 2.0
    while ended.exitcode is None and time.monotonic() < noted_by:
        time.sleep(0.001)
    code: int | None = ended.exitcode
    return code


def _how_it_ended(code: int | None) -> tuple[str, str]:
    if code is None:
        return "it ended; its exit code was collected by another part of this program", ""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "Often that is the kernel, out of memory: a smaller batch_size or queue_size" if -code == 9 else ""
        return f"it was killed by {name}", hint
    hint = 'A script has to hold its training under: if __name__ == "__main__":' if code else ""
    return f"it ended with exit code {code} and said nothing more than what is printed above", hint


_in_use: weakref.WeakSet[_Inside] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for inside in list(_in_use):
        inside.let_go_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
