"""What the engine tells while it works; the report package decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    """A running step of a command."""

    def update(self, detail: str) -> None:
        """Show what the step is doing now, in a few words.

        Words that begin or go on with an amount, as `12.5 of 70 MB` does, are drawn with a bar.
        """

    def done(self, detail: str) -> None:
        """What to show beside the step once it has ended, instead of the last update."""


class Progress(Protocol):
    """Where steps are shown. Steps may overlap: each thread opens its own."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Show `title` until the block ends, then its seconds; a block that raises is shown as failed."""

    def waiting(self, title: str) -> AbstractContextManager[Step]:
        """A step for what is mostly done at once: shown only where it takes its time."""

    def note(self, text: str) -> None:
        """One line for the person who watches."""


class Labelled:
    """Progress of one among several at once: each of its lines begins with its name."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label

    def step(self, title: str) -> AbstractContextManager[Step]:
        return self._progress.step(f"{self._label}: {title}")

    def waiting(self, title: str) -> AbstractContextManager[Step]:
        return self._progress.waiting(f"{self._label}: {title}")

    def note(self, text: str) -> None:
        self._progress.note(f"  {self._label}: {text.strip()}")


class Changed:
    """Progress each of whose texts is changed before it is shown."""

    def __init__(self, progress: Progress, change: Callable[[str], str]) -> None:
        self._progress = progress
        self._change = change

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        with self._progress.step(self._change(title)) as step:
            yield _ChangedStep(step, self._change)

    @contextmanager
    def waiting(self, title: str) -> Iterator[Step]:
        with self._progress.waiting(self._change(title)) as step:
            yield _ChangedStep(step, self._change)

    def note(self, text: str) -> None:
        self._progress.note(self._change(text))


class _ChangedStep:
    def __init__(self, step: Step, change: Callable[[str], str]) -> None:
        self._step = step
        self._change = change

    def update(self, detail: str) -> None:
        self._step.update(self._change(detail))

    def done(self, detail: str) -> None:
        self._step.done(self._change(detail))


class SilentStep:
    """A step that nobody watches."""

    def update(self, detail: str) -> None: ...
    def done(self, detail: str) -> None: ...


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:  # noqa: ARG002
        yield SilentStep()

    @contextmanager
    def waiting(self, title: str) -> Iterator[Step]:  # noqa: ARG002
        yield SilentStep()

    def note(self, text: str) -> None: ...
