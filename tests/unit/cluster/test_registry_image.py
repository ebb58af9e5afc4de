"""The image of the registry beside a cluster: the published one where it can be had, else one from packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doubles import Programs

from harness.cluster.kind import registry_image as module
from harness.errors import CauseCode, HarnessError
from harness.host.sources.choice import Sources

BUILT = f"harness.local/registry:{module.RECIPE.key[:12]}"


@dataclass
class Machine:
    """What Docker has, and what it did."""

    images: set[str] = field(default_factory=set)
    unreachable: bool = False
    pulled: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    programs: Programs = field(default_factory=Programs)

    def pull(self, name: str, **_: Any) -> None:
        if self.unreachable:
            raise HarnessError(CauseCode.SOURCE_UNREACHABLE, "docker.io can't be reached")
        self.pulled.append(name)


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Machine, Sources, str], str]:
    def image(machine: Machine, source: Sources, system: str = "Linux") -> str:
        monkeypatch.setattr(module, "known", lambda name: object() if name in machine.images else None)
        monkeypatch.setattr(module, "pull", machine.pull)
        monkeypatch.setattr(module, "rootfs", lambda *_, **__: tmp_path / "rootfs.tar")
        monkeypatch.setattr(module.process, "run", machine.programs.run)
        monkeypatch.setattr(module.platform, "system", lambda: system)
        return module.registry_image(source, on_line=machine.told.append, log=tmp_path / "log")

    return image


def test_the_published_one(image: Callable[..., str]) -> None:
    machine = Machine()
    name = image(machine, Sources.RELEASE)
    assert machine.pulled == [name]
    assert "registry" in name and "@sha256:" in name
    again = Machine(images={name})
    assert image(again, Sources.RELEASE) == name
    assert again.pulled == []


def test_what_is_there_is_not_made_again(image: Callable[..., str]) -> None:
    machine = Machine(images={BUILT})
    assert image(machine, Sources.PACKAGES) == BUILT
    assert machine.programs.calls == []


def test_where_it_can_not_be_had_it_is_made_from_packages(image: Callable[..., str]) -> None:
    machine = Machine(unreachable=True)
    assert image(machine, Sources.RELEASE) == BUILT
    assert machine.told[-2] == "from packages: docker.io can't be reached"
    (argv,) = machine.programs.commands
    assert argv[:2] == ("docker", "import")
    assert argv[-1] == BUILT


def test_elsewhere_than_on_linux_that_is_told(image: Callable[..., str]) -> None:
    with pytest.raises(HarnessError, match="can't be reached"):
        image(Machine(unreachable=True), Sources.RELEASE, "Darwin")
