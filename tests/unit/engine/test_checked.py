"""What is asked of a commit before anything is built: its own image once, and again only where it got a new lock."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from own_image_samples import WHOLE

from harness.engine.image import checked as checked_module
from harness.engine.image import own_image as own_image_module
from harness.engine.image.checked import Checked, checked
from harness.image import build
from harness.image.oci import BaseImage
from harness.image.own.docker_image import Known
from harness.image.own.own import OwnImage
from harness.progress import Silent
from harness.project.image_settings import ImageSettings

BASE = BaseImage(layers=(), digest="sha256:0", site_directory="usr/lib/python3/dist-packages", env={})
OWN = OwnImage("Dockerfile", Known("sha256:0", (), (), {}, (), (), "", "amd64", 0, ()), WHOLE, BASE)


class Tree:
    """A commit, or the working tree."""

    def __init__(self, ref: str = "working tree") -> None:
        self.ref = self.tag = ref
        self.is_working_tree = ref == "working tree"

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class Team:
    """A project on an image of the team's own. `asked` are the commits whose image was asked for."""

    settings: ImageSettings
    makes_lock: bool = False
    asked: list[Any] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)

    def commit(self, ref: str | None) -> Tree:
        return Tree(ref or "working tree")

    def image_settings(self, _: Tree) -> ImageSettings:
        return self.settings

    def own_image(self, commit: Tree, *_: object, **__: object) -> OwnImage:
        self.asked.append(commit)
        return OWN

    def ensure(self, *_: object) -> bool:
        self.locked.append("now")
        return self.makes_lock

    def of_commit(self, *_: object, **__: object) -> None:
        self.locked.append("as of its date")


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    def look(team: Team, commit: Tree) -> Checked:
        monkeypatch.setattr(own_image_module, "own_image", team.own_image)
        monkeypatch.setattr(checked_module.lock, "ensure", team.ensure)
        monkeypatch.setattr(checked_module, "lock_as_of_commit", team.of_commit)
        monkeypatch.setattr(checked_module, "check", lambda *_: None)
        monkeypatch.setattr(checked_module, "check_values", lambda *_: None)
        with ExitStack() as opened:
            return checked(team, commit, opened, Silent(), "harness")  # type: ignore[arg-type]

    return look


LOCKED = ImageSettings(dockerfile="Dockerfile", requirements="requirements.txt")
AS_IS = ImageSettings(dockerfile="Dockerfile", as_is=True)


@pytest.mark.parametrize(
    ("settings", "ref", "locked"),
    [
        (LOCKED, "working tree", ["now"]),
        (LOCKED, "main", ["as of its date"]),
        (AS_IS, "working tree", []),
        (AS_IS, "main", []),
    ],
)
def test_an_image_of_ones_own_is_asked_once(
    look: Any, settings: ImageSettings, ref: str, locked: list[str]
) -> None:
    team, commit = Team(settings), Tree(ref)
    found = look(team, commit)
    assert (team.asked, team.locked) == ([commit], locked)
    assert (found.commit, found.own, found.settings.airflow) == (commit, OWN, "3.2.2")


def test_the_working_tree_is_read_again_once_it_has_a_lock(look: Any) -> None:
    team, commit = Team(LOCKED, makes_lock=True), Tree()
    found = look(team, commit)
    assert found.commit is not commit
    assert team.asked == [commit, found.commit]


def test_who_builds_does_not_ask_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "own_image", lambda *_, **__: pytest.fail("it was asked already"))
    monkeypatch.setattr(build, "_foundation", lambda *parts: parts)
    given: Any = build.build_foundation(
        Tree(),  # type: ignore[arg-type]
        AS_IS,
        project="churn",
        own=OWN,
        on_line=lambda _: None,
        log=tmp_path / "log",
    )
    assert given[-1] is OWN
