"""Which sources a cluster is made from: what it was made from, what was asked for, what can be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.kind.kind import NodeContainer
from harness.cluster.kind.node_image.program import Tools
from harness.cluster.kind.sourcing import Materials
from harness.engine.up import origin
from harness.errors import CauseCode, HarnessError
from harness.host.sources import choice as sources
from harness.host.sources.choice import Sources
from harness.host.sources.release_tools import Tool

TOOLS = Tools(Path("kind"), Path("helm"), Path("kubectl"))
ON_PATH = (Tool("kind", Path("kind"), "v0.33.0", key=""),)
RELEASE = Materials(Sources.RELEASE, TOOLS, "kindest/node@sha256:1", {}, published=ON_PATH)
UNREACHABLE = HarnessError(CauseCode.SOURCE_UNREACHABLE, "github.com can't be reached: no route")
WRONG = HarnessError(CauseCode.CHECKSUM_MISMATCH, "https://github.com/kind was refused and deleted")
FULL = HarnessError(CauseCode.DISK_FULL, "no space left")


class Told:
    """Every line that a person sees once the command has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Told]:
        self._title = title
        yield self

    def update(self, detail: str) -> None: ...

    def done(self, detail: str) -> None:
        self.lines.append(f"{self._title}: {detail}")

    def note(self, text: str) -> None:
        self.lines.append(text)


class World:
    """What is there, and what can be had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.container: NodeContainer | None = None
        self.release: Materials | HarnessError = RELEASE
        self.pull: HarnessError | None = None
        self.asked: list[bool] = []
        monkeypatch.delenv(sources.VARIABLE, raising=False)
        monkeypatch.setattr(origin.sourcing, "from_release", self.from_release)
        monkeypatch.setattr(origin.sourcing, "ensure_node_image", self.ensure_node_image)
        monkeypatch.setattr(origin.platform, "system", lambda: "Linux")
        self.told = Told()

    def from_release(self, *, use_path: bool, on_line: Any) -> Materials:
        self.asked.append(use_path)
        if isinstance(self.release, HarnessError):
            raise self.release
        return self.release

    def ensure_node_image(self, found: Materials, **_: Any) -> None:
        assert found is RELEASE
        if self.pull is not None:
            raise self.pull

    def chosen(self, option: Sources | None = None) -> Materials | None:
        return origin.chosen("harness", origin.made_from(self.container), option, self.told, Path("log"))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_release_where_it_can_be_had(world: World) -> None:
    assert world.chosen() is RELEASE
    assert world.told.lines == ["sources: release: kind v0.33.0 on PATH"]
    assert world.asked == [True]


@pytest.mark.parametrize("error", [UNREACHABLE, WRONG])
@pytest.mark.parametrize("late", [False, True])
def test_else_packages_and_why_in_one_line(world: World, error: HarnessError, late: bool) -> None:
    if late:
        world.pull = error  # files and images are there, the node image is not
    else:
        world.release = error
    assert world.chosen() is None
    assert world.told.lines == [f"sources: packages, because the release can't be had: {error.message}"]


def test_a_full_disk_would_meet_packages_too(world: World) -> None:
    world.release = FULL
    with pytest.raises(HarnessError, match="no space left"):
        world.chosen()


@pytest.mark.parametrize("error", [UNREACHABLE, WRONG])
def test_who_asks_for_a_release_gets_no_other(world: World, error: HarnessError) -> None:
    world.release = error
    with pytest.raises(HarnessError) as caught:
        world.chosen(Sources.RELEASE)
    assert caught.value is error
    assert world.asked == [False]  # published files, whatever is on PATH
    assert world.told.lines == []


def test_without_linux_there_are_no_packages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin.platform, "system", lambda: "Darwin")
    world.release = UNREACHABLE
    with pytest.raises(HarnessError) as caught:
        world.chosen()
    assert caught.value is UNREACHABLE
    with pytest.raises(HarnessError, match="on Linux alone") as caught:
        world.chosen(Sources.PACKAGES)
    assert caught.value.cause is CauseCode.TOOL_MISSING


def test_packages_as_asked_for_ask_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.VARIABLE, "packages")
    assert world.chosen() is None
    assert world.asked == []
    assert world.told.lines == ["sources: packages, as asked for"]


class TestThereAlready:
    def test_made_from_packages(self, world: World) -> None:
        world.container = NodeContainer("running", "harness.local/node:1", 1)
        assert world.chosen() is None
        assert world.chosen(Sources.PACKAGES) is None
        assert world.told.lines == []
        assert world.chosen(Sources.RELEASE) is None
        (line,) = world.told.lines
        assert "as cluster harness was made from" in line
        assert "harness down && harness up --sources release" in line
        assert world.asked == []

    def test_made_from_a_release(self, world: World) -> None:
        world.container = NodeContainer("exited", "mirror.example/kindest/node@sha256:1", 1)
        world.pull = UNREACHABLE  # its node is there: no image is needed
        assert world.chosen(Sources.PACKAGES) is RELEASE
        assert len(world.told.lines) == 2
        world.release = UNREACHABLE
        with pytest.raises(HarnessError):  # never the other half of a cluster from elsewhere
            world.chosen()
