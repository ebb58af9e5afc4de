"""Unit tests run no program and talk to nobody: who tries fails, even where the error is swallowed."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

FORBIDDEN = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "pty.spawn",
    }
)
_LOOPBACK = ("127.", "::1", "localhost")

_seen: list[str] | None = None  # what the running test tried; None while no test runs


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is None:
        return
    if event in FORBIDDEN:
        what = f"ran a program ({event} {arguments[0] if arguments else ''!s})"
    elif event in {"socket.connect", "socket.sendto"} and not _is_loopback(arguments[1]):
        what = f"connected to {arguments[1]}"
    else:
        return
    _seen.append(what)
    pytest.fail(f"a unit test {what}: put it into tests/integration, or give the code a double")


def _is_loopback(address: object) -> bool:
    return isinstance(address, tuple) and str(address[0]).startswith(_LOOPBACK)


sys.addaudithook(_watch)  # below every library, so nothing needs to be replaced


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    global _seen  # noqa: PLW0603  an audit hook can't be removed, only told to look away
    _seen = seen = []
    try:
        result = yield
    finally:
        _seen = None
    if seen:
        pytest.fail(f"{item.name} {seen[0]} and caught the error that this raised")
    return result
