"""The wheel, installed into an environment of its own outside of any checkout: it carries all that it needs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from harness import __version__
from harness.host import process

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """What the wheel put into its environment, and a folder that is no repository."""

    program: Path
    folder: Path

    def __call__(self, *arguments: str) -> process.Completed:
        env = {"HARNESS_STATE_DIR": str(self.folder / "state"), "PYTHONPATH": ""}
        return process.run([self.program, *arguments], cwd=self.folder, env=env, check=False, timeout_s=120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """By `uv tool install`, with the packages that the lock names."""
    root = tmp_path_factory.mktemp("wheel")
    env = {
        "UV_TOOL_DIR": str(root / "tools"),
        "UV_TOOL_BIN_DIR": str(root / "bin"),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    uv = find_uv_bin()
    process.run(
        [uv, "build", "--wheel", "--quiet", "--out-dir", root / "dist"], cwd=REPOSITORY, timeout_s=300
    )
    (wheel,) = (root / "dist").glob("airflow_harness-*-py3-none-any.whl")
    argv = [uv, "tool", "install", "--quiet", "--python", sys.executable, wheel]
    process.run([*argv, "--constraints", REPOSITORY / "requirements.lock"], env=env, timeout_s=300)
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    return Installed(root / "bin/harness", elsewhere)


def test_it_says_its_version(installed: Installed) -> None:
    assert installed("--version").stdout == f"harness {__version__}\n"


def test_charts_and_pins_are_in_it(installed: Installed) -> None:
    done = installed("version", "--json")
    assert done.returncode == 0, done
    digests = json.loads(done.stdout)["environment"]["digests"]
    assert digests["airflow chart"].startswith("sha256:")
    assert digests["cluster chart"].startswith("sha256:")


def test_the_doctor_looks_at_the_machine(installed: Installed) -> None:
    done = installed("doctor", "--json")
    assert done.returncode in {0, 3}, done
    assert {check["name"] for check in json.loads(done.stdout)["checks"]} >= {"git", "docker cli", "memory"}


def test_the_schema_is_printed(installed: Installed) -> None:
    assert json.loads(installed("schema", "config").stdout)["title"] == "harness.toml"


def test_a_folder_that_is_no_repository_is_told(installed: Installed) -> None:
    done = installed("test")
    assert done.returncode == 2
    assert "is in no git repository" in done.stdout
