"""Work beside the main thread, which ends when the block that it belongs to is left by an error or by Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakSet

from harness.errors import CauseCode, HarnessError

if TYPE_CHECKING:
    from subprocess import Popen


class Work:
    """The programs that the threads of one block run. Once stopped, these threads can start no others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: WeakSet[Popen[bytes]] = WeakSet()
        self._inner: WeakSet[Work] = WeakSet()
        self._stopped = False

    def start(self, begin: Callable[[], Popen[bytes]]) -> Popen[bytes]:
        """What `begin` starts. Raises HarnessError(INTERRUPTED) when the work was stopped."""
        with self._lock:
            self.check()
            process = begin()
            self._running.add(process)
            return process

    def check(self) -> None:
        """Raises HarnessError(INTERRUPTED) when the work was stopped."""
        if self._stopped:
            raise HarnessError(CauseCode.INTERRUPTED, "stopped, because what it was done for ended")

    def inside(self, inner: Work) -> None:
        """Stop `inner` too when this work is stopped."""
        with self._lock:
            self._inner.add(inner)

    def stop(self, end: Callable[[Popen[bytes]], None]) -> None:
        """End what runs, by `end`."""
        with self._lock:
            self._stopped = True
            running, inner = list(self._running), list(self._inner)
        for process in running:
            if process.returncode is None:
                end(process)
        for work in inner:
            work.stop(end)


_OURS: ContextVar[Work | None] = ContextVar("work", default=None)


def of_this_thread() -> Work | None:
    """The work that the thread belongs to; None in the main thread."""
    return _OURS.get()


def check() -> None:
    """For long work that runs no program: raises HarnessError(INTERRUPTED) in a thread whose work was stopped."""
    work = _OURS.get()
    if work is not None:
        work.check()


@contextmanager
def threads(count: int, end: Callable[[Popen[bytes]], None]) -> Iterator[ThreadPoolExecutor]:
    """Threads beside this one, awaited at the end of the block.

    Ctrl-C raises in the main thread alone, and an error of the main work says nothing to the threads: when the
    block is left by either, `end` is called for each program that they run, and what has not begun never begins.
    """
    work, outer = Work(), _OURS.get()
    if outer is not None:
        outer.inside(work)
    pool = ThreadPoolExecutor(max_workers=count, initializer=_OURS.set, initargs=(work,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        work.stop(end)
        raise
    finally:
        pool.shutdown(wait=True)
