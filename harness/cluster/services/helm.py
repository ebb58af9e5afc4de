"""Helm, by the methods of its subcommands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.errors import CauseCode
from harness.host import cache, disk, process, scratch


def chart(name: str) -> Path:
    """A chart of ours: in an installed wheel beside the package's modules, in a checkout at its top."""
    package = Path(str(files("harness")))
    inside = package / "charts" / name
    return inside if inside.is_dir() else package.parent / "charts" / name


def files_of(chart_path: Path) -> Iterator[tuple[str, Path]]:
    """A chart's files by their names in it, without what pip compiles beside the Python among them."""
    for path in sorted(chart_path.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(chart_path).as_posix(), path


def fingerprint(chart_path: Path, values: Mapping[str, Any]) -> str:
    """A digest of a chart's files and the values it is rendered with."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name, path in files_of(chart_path):
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# Half the processor time of a command is reading the API's whole description, to check our own chart once more.
_UNCHECKED = ("--disable-openapi-validation",)


@dataclass(frozen=True)
class Helm:
    """The program and the cluster it talks to."""

    program: Path
    kubeconfig: Path

    def install(self, release: str, chart_path: Path, namespace: str, values: Mapping[str, Any]) -> None:
        """Install a release that is not there yet. Raises ProgramError(DEPLOY_FAILED)."""
        with _values_file(values) as file:
            self._run("install", release, chart_path, "--namespace", namespace, "--values", file, *_UNCHECKED)

    def rendered(
        self, release: str, chart_path: Path, namespace: str, values: Mapping[str, Any], file: str
    ) -> str:
        """One template of a chart as the values make it; no cluster is asked. Raises ProgramError(DEPLOY_FAILED)."""
        with _values_file(values) as path:
            argv: list[str | Path] = [release, chart_path, "--namespace", namespace, "--values", path]
            return self._run("template", *argv, "--show-only", f"templates/{file}")

    def change(self, release: str, chart_path: Path, namespace: str, values: Mapping[str, Any]) -> None:
        """Make an installed release be as the values say. Raises ProgramError(DEPLOY_FAILED)."""
        with _values_file(values) as file:
            self._run("upgrade", release, chart_path, "--namespace", namespace, "--values", file, *_UNCHECKED)

    def upgrade(self, release: str, chart_path: Path, namespace: str, values: Mapping[str, Any]) -> None:
        """Make a release be as the values say. One that a killed Helm left half-way is first made what it was."""
        status = self.status(release, namespace)
        if status in {"pending-upgrade", "pending-rollback"}:  # to remove it would take its volumes with it
            self._run("rollback", release, "--namespace", namespace)
        elif status not in {None, "deployed", "failed"}:
            self.uninstall(release, namespace)
        with _values_file(values) as file:
            self._run("upgrade", "--install", release, chart_path, "--namespace", namespace, "--values", file)

    def uninstall(self, release: str, namespace: str) -> None:
        """Remove a release and what it made; nothing happens when there is none."""
        self._run("uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait=hookOnly")

    def manifest(self, release: str, namespace: str) -> str:
        """What the release consists of, as it was rendered. Raises ProgramError when there is none."""
        return self._run("get", "manifest", release, "--namespace", namespace)

    def status(self, release: str, namespace: str) -> str | None:
        """`deployed`, `failed`, `pending-install`, …; None when there is no such release."""
        argv = ["list", "--namespace", namespace, "--filter", f"^{release}$", "--output", "json"]
        listed = json.loads(self._run(*argv) or "[]")
        return str(listed[0]["status"]) if listed else None

    def _run(self, *arguments: str | Path) -> str:
        argv = [self.program, *arguments, "--kubeconfig", self.kubeconfig]
        return process.run(argv, cause=CauseCode.DEPLOY_FAILED, hint="harness status", timeout_s=300).stdout


@contextmanager
def _values_file(values: Mapping[str, Any]) -> Iterator[Path]:
    with scratch.folder(disk.folder(cache.root(), variable=cache.ROOT_VARIABLE)) as folder:
        file = folder / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        yield file
