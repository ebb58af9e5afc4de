"""Whoever asks a version for runs may be interrupted where the version's own thread can't see it."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Timer

import pytest

from harness.engine.asking import NOBODY, Asking


def test_an_interruption_ends_the_wait_for_a_result() -> None:
    asking = Asking()
    timer = Timer(0.05, asking.interrupted.set)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        asking.result_of(Future())
    timer.join()


@pytest.mark.parametrize("asking", [Asking(), NOBODY])
def test_a_result_and_an_error_are_what_they_are(asking: Asking) -> None:
    there: Future[int] = Future()
    there.set_result(7)
    assert asking.result_of(there) == 7
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        asking.result_of(failed)
