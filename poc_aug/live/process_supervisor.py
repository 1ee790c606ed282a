"""`GenerationProcess`: starts the process when it is first needed, watches it and ends it, in the training process.

Workers of any start method connect to one address. As long as none does, no process is started: a thread of the
training process waits for the first connection, then passes the listening socket to a new process (as inetd does). When
that process dies, the thread listens again, and answers everyone who connects with the reason.
"""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
import weakref
from contextlib import ExitStack
from multiprocessing import connection, util
from typing import Any, Literal

from poc_aug.errors import GenerationProcessError
from poc_aug.live.counters import LiveCounters
from poc_aug.live.message_stream import send_within
from poc_aug.live.messages import Gone
from poc_aug.live.open_files import is_too_many_files, naming_too_many_files, too_many_files
from poc_aug.live.server import GenerationSetup, run_server
from poc_aug.live.socket_address import connect, is_same_user, listen, remove_address

_logger = logging.getLogger("poc_aug")
State = Literal["waiting", "starting", "running", "failed", "closed"]

_PROCESS_NAME = "poc-aug-generation"
_PAUSE_S = 0.5
_SEND_S = 1.0


class GenerationProcess:
    """The generation process of one dataset; it ends when this object is closed or deleted, or the program ends.

    Args:
        setup: what the process is started with.
        counters: what it reports of itself.
        warn: log a warning when it dies, for a dataset that raises no error then.

    Attributes:
        owner_pid: id of the process that made this object: a forked copy can neither start nor end it.
    """

    def __init__(self, setup: GenerationSetup, counters: LiveCounters, *, warn: bool) -> None:
        self.owner_pid = os.getpid()
        self._supervisor = _Supervisor(setup, counters, warn)
        self.address = self._supervisor.address
        _supervisors.add(self._supervisor)
        self._supervisor.thread.start()
        # Before multiprocessing's own exit handler (priority 0), which would wait for the process without a limit.
        self._finalizer = util.Finalize(self, _Supervisor.close, args=(self._supervisor,), exitpriority=10)

    def start(self) -> None:
        """Start the process now and wait until it is ready.

        Raises:
            GenerationProcessError: it could not start, and the message holds its traceback; or it was closed.
        """
        supervisor = self._supervisor
        try:
            with connect(self.address):
                supervisor.settled.wait()
        except (ConnectionRefusedError, FileNotFoundError):
            # The thread that listened has ended, or is about to: `reason` says why.
            supervisor.thread.join()
        if supervisor.reason is not None:
            closed = supervisor.state == "closed"
            raise GenerationProcessError(
                f"the generation process could not start: {supervisor.reason}",
                expected="a dataset that is not closed" if closed else "",
                hint="make the dataset again" if closed else "correct what its traceback names",
            )

    @property
    def state(self) -> State:
        """What the process is doing."""
        return self._supervisor.state

    @property
    def pid(self) -> int | None:
        """The process's id, once it is started."""
        process = self._supervisor.process
        return None if process is None else process.pid

    def close(self) -> None:
        """End the process: the batch that runs is finished and stored. A second call does nothing."""
        self._finalizer()


class _Supervisor:
    """The thread that starts and watches the process. It has no reference to its owner, which may be deleted."""

    def __init__(self, setup: GenerationSetup, counters: LiveCounters, warn: bool) -> None:
        self.setup, self.counters, self.warn = setup, counters, warn
        self.state: State = "waiting"
        self.reason: str | None = None  # why there is no process
        self.settled = threading.Event()  # it is ready, or it will never be
        self.process: Any = None
        self.listener, self.address = listen()
        try:
            with naming_too_many_files():
                self._close_requested, self._closing = connection.Pipe(duplex=False)
        except BaseException:
            self.listener.close()
            remove_address(self.address)
            raise
        self._control: connection.Connection | None = None
        self.thread = threading.Thread(target=self._run, name="poc-aug-supervisor", daemon=True)

    def close(self) -> None:
        try:
            self._closing.send_bytes(b"close")
        except BrokenPipeError:  # the thread has ended, and has closed the other end
            _logger.debug("The generation process is closed already.")
        if threading.current_thread() is not self.thread:  # garbage collection may delete the owner in any thread
            self.thread.join()
            self._closing.close()

    def close_in_forked_child(self) -> None:
        """Close what a forked child has inherited: the address must not outlive the training process."""
        self.listener.close()
        for end in (self._close_requested, self._closing, self._control):
            if end is not None:
                end.close()

    def _run(self) -> None:
        # Ctrl-C is for the main thread; the mask is inherited by the process, which must not see it either.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            ready = connection.wait([self.listener, self._close_requested])
            if self._close_requested not in ready and self._run_process():
                self._answer_with_reason()
        finally:
            self.state = "closed"
            self.counters["over"] = 1
            self.reason = self.reason or "it was closed"
            self.settled.set()
            self.listener.close()
            remove_address(self.address)
            self._close_requested.close()  # the other end is that of `close`, which may use it at this moment
            if self.setup.temporary:
                shutil.rmtree(self.setup.cache.parent, ignore_errors=True)

    def _run_process(self) -> bool:
        """Start the process and watch it until it ends; returns whether it failed."""
        spawn = multiprocessing.get_context("spawn")
        self.state = "starting"
        with ExitStack() as stack, ExitStack() as of_child:
            try:
                for_child, self._control = connection.Pipe(duplex=False)
                of_child.callback(for_child.close)
                stack.callback(self._control.close)
                report, for_report = connection.Pipe(duplex=False)
                of_child.callback(for_report.close)
                stack.callback(report.close)
                self.process = spawn.Process(
                    target=run_server,
                    args=(self.setup, self.listener, self.address, for_child, for_report, self.counters, os.getpid()),
                    name=_PROCESS_NAME,
                    daemon=True,
                )
                self.process.start()
            except Exception as error:
                # Objects that cannot be pickled raise errors of any type; those who wait get to know it.
                if isinstance(error, OSError) and is_too_many_files(error):
                    self._fail(f"it could not be started: {too_many_files()}")
                else:
                    self._fail(f"it could not be started: {type(error).__name__}: {error}", _CANNOT_PICKLE)
                return True
            of_child.close()
            return self._watch(report)

    def _watch(self, report: connection.Connection) -> bool:
        watched: list[Any] = [report, self.process.sentinel, self._close_requested]
        while True:
            ready = connection.wait(watched)
            if report in ready:
                try:
                    text = report.recv_bytes().decode()
                except (EOFError, OSError):  # it has ended, perhaps in the middle of its report
                    watched.remove(report)
                    continue
                if not text:
                    self.state = "running"
                    self.settled.set()
                else:  # its traceback, reported now: what it still has to end may take a while
                    self._fail(text)
            elif self.process.sentinel in ready:
                code = _exit_code(self.process)
                if self.reason is None:
                    self._fail(*_describe_exit(code))
                return True
            elif self._close_requested in ready:
                self._stop_process()
                return False

    def _stop_process(self) -> None:
        assert self._control is not None
        grace_s = self.setup.settings.grace_s
        try:
            self._control.send_bytes(b"stop")
        except OSError:  # it has just ended by itself
            pass
        if not connection.wait([self.process.sentinel], grace_s):
            _logger.warning("The generation process did not finish its batch in %g s and is killed.", grace_s)
            self.process.kill()
        _exit_code(self.process)

    def _fail(self, reason: str, hint: str = "") -> None:
        self.reason = f"{reason}\n{hint}" if hint else reason
        self.state = "failed"
        self.counters["over"] = 1
        self.settled.set()
        if self.warn:
            _logger.warning(
                "Training continues without new insertions: the generation process is gone: %s", self.reason
            )

    def _answer_with_reason(self) -> None:
        """Send everyone who connects the reason why there is no process, until the dataset is closed."""
        while self._close_requested not in connection.wait([self.listener, self._close_requested]):
            try:
                client, _ = self.listener.accept()
            except OSError as error:
                # Who connects waits until there is a descriptor again; one that has disconnected is not there any more.
                _logger.debug("The training process cannot accept a connection: %s", error)
                connection.wait([self._close_requested], _PAUSE_S)
                continue
            with client:
                if is_same_user(client):
                    try:
                        send_within(client, 0, Gone(self.reason or ""), _SEND_S)
                    except OSError:  # it has disconnected
                        continue


_CANNOT_PICKLE = (
    "A pipeline is sent to the generation process with pickle. If it cannot be pickled, pass a function at module "
    "level that builds it there: pipeline=make_pipeline, or shift=make_pipeline for frames"
)


def _exit_code(ended: Any) -> int | None:
    """The exit code of a process that has ended or is about to; ``None`` if another part of the program collected it.

    `multiprocessing` collects all processes that have ended whenever it starts one, such as the workers of a loader. If
    another thread does that at this moment, the code is here as soon as that thread has recorded it.
    """
    ended.join()
    deadline = time.monotonic() + 2.0
    while ended.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.001)
    code: int | None = ended.exitcode
    return code


def _describe_exit(code: int | None) -> tuple[str, str]:
    if code is None:
        return "it ended; its exit code was collected by another part of this program", ""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "Often that is the kernel, out of memory: a smaller batch_size or queue_size" if -code == 9 else ""
        return f"it was killed by {name}", hint
    hint = 'A script has to hold its training under: if __name__ == "__main__":' if code else ""
    return f"it ended with exit code {code} and reported nothing more than what is printed above", hint


def check_main_guard() -> None:
    """Check that the caller is not the main module of the program while a process that was spawned imports it.

    `multiprocessing` gives that module the name ``__mp_main__`` there, so that what is under ``if __name__ ==
    "__main__":`` is not run.

    Raises:
        GenerationProcessError: it is: each process would start another one.
    """
    frame = inspect.currentframe() if multiprocessing.parent_process() is not None else None
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__":
            raise GenerationProcessError(
                "a dataset with pipeline= was made while a child process, such as the generation process, imported the "
                "main module",
                expected="a script whose training runs only when it is the main program",
                hint='put the code that trains under: if __name__ == "__main__":',
            )
        frame = frame.f_back


_supervisors: weakref.WeakSet[_Supervisor] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for supervisor in list(_supervisors):
        supervisor.close_in_forked_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
