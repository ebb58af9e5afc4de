"""A Kubernetes, programs and a clock that play back what a test says, and remember what was asked of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster.api import KubernetesApi, KubernetesError
from harness.host.process import Completed


@dataclass
class Clock:
    """Stands for the module `time`: it passes only while the code under test sleeps."""

    now_s: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        assert len(self.slept) < 10_000, "the code under test waits for ever"

    def at(self, offset_s: float) -> str:
        """A moment as Kubernetes writes it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now_s + offset_s))


@dataclass(frozen=True)
class Request:
    """What was asked of Kubernetes."""

    method: str
    path: str
    body: Any


class Kubernetes(KubernetesApi):
    """Answers by method and path, 404 where a GET has none; an answer may be a function, or an error to raise.

    A list of answers is played back in order, its last one for ever. The query is no part of the path.
    """

    def __init__(self, answers: Mapping[tuple[str, str], Any] | None = None) -> None:
        self.answers: dict[tuple[str, str], Any] = dict(answers or {})
        self.logs: dict[str, str] = {}
        self.requests: list[Request] = []

    def request(self, method: str, path: str, body: object = None, **_: Any) -> Any:
        self.requests.append(Request(method, path, body))
        answer = self.answers.get((method, path), self._default(method, path, body))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def text(self, path: str, **query: str) -> str | None:
        return self.logs.get(f"{path}#{query['container']}" if "container" in query else path)

    def asked(self, method: str, path: str = "") -> list[Request]:
        """The requests of a method whose path begins so."""
        return [each for each in self.requests if each.method == method and each.path.startswith(path)]

    @staticmethod
    def _default(method: str, path: str, body: object) -> Any:
        return refusal(404, method, path) if method == "GET" else body


def refusal(status: int, method: str = "POST", path: str = "/") -> KubernetesError:
    """What the API raises for an HTTP status."""
    return KubernetesError(status, method, path, f"status {status}")


def items(*listed: object) -> dict[str, Any]:
    """The answer to a request for a collection."""
    return {"items": list(listed)}


@dataclass
class Programs:
    """Stands for harness.host.process.run: each call is kept and answered by `answer`."""

    answer: Callable[[Sequence[str]], str | Completed] = lambda _: ""
    calls: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)

    def run(self, argv: Iterable[str | Path], *, input_text: str | None = None, **_: Any) -> Completed:
        words = tuple(str(word) for word in argv)
        self.calls.append((words, input_text))
        answer = self.answer(words)
        return answer if isinstance(answer, Completed) else Completed(words, 0, answer, "")

    @property
    def commands(self) -> list[tuple[str, ...]]:
        return [words for words, _ in self.calls]
