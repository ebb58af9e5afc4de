"""An api-server that does not answer is told of while it is waited for: once, by whichever thread sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import httpx2
import pytest
from doubles import Clock

from harness.airflow.rest import session, silence
from harness.airflow.rest.session import Session
from harness.airflow.rest.silence import Silence
from harness.errors import CauseCode, HarnessError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silence, "time", clock)
    monkeypatch.setattr(session, "time", clock)
    return clock


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def watched(clock: Clock, told: list[str]) -> Silence:
    return Silence("the server", told.append)


class TestSilence:
    def test_a_request_that_hangs(self, watched: Silence, clock: Clock, told: list[str]) -> None:
        with watched.request(180.0):
            for _ in range(30):
                watched.look()
                clock.now_s += 1
        assert told == [
            "the server has not answered for 5 s: waiting for it, 180 s at most",
            "the server answers again",
        ]

    def test_one_that_is_refused_again_and_again_says_why(
        self, watched: Silence, clock: Clock, told: list[str]
    ) -> None:
        with pytest.raises(KeyError), watched.request(60.0):
            for _ in range(10):
                watched.failed("HTTP 502")
                clock.now_s += 1
            raise KeyError
        assert told == ["the server has not answered for 5 s (HTTP 502): waiting for it, 60 s at most"]

    def test_quick_ones_and_none_at_all_are_no_silence(
        self, watched: Silence, clock: Clock, told: list[str]
    ) -> None:
        for _ in range(20):
            with watched.request(60.0):
                clock.now_s += 4
                watched.look()
            clock.now_s += 40  # nobody asks anything
            watched.look()
        assert told == []

    def test_a_slow_request_beside_those_that_are_answered(
        self, watched: Silence, clock: Clock, told: list[str]
    ) -> None:
        with watched.request(60.0):
            for _ in range(20):
                with watched.request(60.0):
                    clock.now_s += 1
                watched.look()
        assert told == []

    def test_several_that_wait_are_one_outage(self, watched: Silence, clock: Clock, told: list[str]) -> None:
        with watched.request(60.0), watched.request(180.0):
            clock.now_s += 10
            watched.look()
            watched.failed("refused")
        assert [line.partition(":")[0] for line in told] == [
            "the server has not answered for 10 s",
            "the server answers again",
        ]
        assert "180 s at most" in told[0]

    def test_the_next_outage_is_told_too(self, watched: Silence, clock: Clock, told: list[str]) -> None:
        for _ in range(2):
            with watched.request(60.0):
                clock.now_s += 6
                watched.look()
        assert len(told) == 4

    def test_it_watches_until_it_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(silence, "LOOK_EVERY_S", 0.01)
        monkeypatch.setattr(silence, "SILENT_S", 0.02)
        told, closed = threading.Event(), threading.Event()
        watched = Silence("the server", lambda _: told.set())
        thread = threading.Thread(target=watched.watch, args=(closed,))
        thread.start()
        try:
            with watched.request(60.0):
                assert told.wait(10)
        finally:
            closed.set()
            thread.join(10)
        assert not thread.is_alive()


Answer = httpx2.Response | Exception
REFUSED = httpx2.ConnectError("connection refused")
LOGIN = httpx2.Response(201, json={"access_token": "t"})
FOUND = httpx2.Response(200, json={"found": 1})


def watching() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "silence"}


@pytest.fixture
def opened(clock: Clock, told: list[str]) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def open_one(answers: Iterator[Answer], *, watched: bool = True) -> Session:
        def take(request: httpx2.Request) -> httpx2.Response:
            found = next(answers)
            if isinstance(found, Exception):
                raise found
            return found

        transport = httpx2.MockTransport(take)
        on_silence = told.append if watched else None
        made.append(Session("http://127.0.0.1:1", "", "u", "p", transport=transport, on_silence=on_silence))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


class TestSession:
    def test_it_tells_and_goes_on(self, opened: Callable[..., Session], told: list[str]) -> None:
        made = opened(iter([*[REFUSED] * 12, LOGIN, FOUND]))
        assert made.get("x", deadline_s=180.0) == {"found": 1}
        assert len(told) == 2
        assert told[0].startswith("Airflow's api-server has not answered for ")
        assert told[0].endswith("(connection refused): waiting for it, 180 s at most")
        assert told[1] == "Airflow's api-server answers again"

    def test_a_short_outage_is_not_worth_a_word(
        self, opened: Callable[..., Session], told: list[str], clock: Clock
    ) -> None:
        opened(iter([*[REFUSED] * 4, LOGIN, FOUND])).get("x")
        assert 0 < sum(clock.slept) < silence.SILENT_S
        assert told == []

    def test_giving_up_is_told_by_the_error(self, opened: Callable[..., Session], told: list[str]) -> None:
        def for_ever() -> Iterator[Answer]:
            while True:
                yield REFUSED

        with pytest.raises(HarnessError, match="did not answer for 60 s") as caught:
            opened(for_ever()).get("x")
        assert caught.value.cause is CauseCode.API_SERVER_LOST
        assert len(told) == 1

    def test_nobody_watches_unasked_and_nobody_after_the_end(self, opened: Callable[..., Session]) -> None:
        before = watching()  # those of earlier tests may end at any moment
        opened(iter([]), watched=False)
        assert watching() <= before
        made = opened(iter([]))
        (mine,) = watching() - before
        made.close()
        mine.join(10)
        assert not mine.is_alive()
