"""The tests of harness.toml as items of pytest, so that `-k`, `--lf`, JUnit files and editors know them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin import cluster
from harness.pytest_plugin.runs import autopsy, report
from harness.pytest_plugin.settings import request_of, setting

if TYPE_CHECKING:
    from harness.report.model import Result

RESULT = pytest.StashKey["Result"]()


class VerdictFailed(Exception):  # noqa: N818  what pytest prints of it is the verdict
    """A test of harness.toml that did not pass."""


class ConfigurationFile(pytest.File):
    """harness.toml, or pyproject.toml with [tool.harness]."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item per test."""
        from harness.project.project import load

        for name in load(self.path.parent).configuration.tests:
            yield HarnessTest.from_parent(self, name=name)


class HarnessTest(pytest.Item):
    """One test of the configuration."""

    def runtest(self) -> None:
        """The test's verdict. The first item that runs has all that were selected run at once, in one version."""
        from harness.pytest_plugin.fixtures import head_of

        result = _tested(self.session)
        found = head_of(result, self.name)
        if found.cause is not None:
            report(self, f"harness: {self.name}", autopsy(found))
            raise VerdictFailed(found.cause.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """The cause in a line: the autopsy stands in its own section."""
        from harness.errors import HarnessError

        error = excinfo.value
        if isinstance(error, HarnessError):
            hint = f"\n\nhint: {error.hint}" if error.hint else ""
            return "\n".join([error.message, *(f"  {line}" for line in error.evidence)]) + hint
        if isinstance(error, VerdictFailed):
            return str(error)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is configured."""
        return self.path, None, f"[tests.{self.name}]"


def collected(session: pytest.Session) -> list[pytest.Item]:
    """The items of the configuration around the root folder. Raises pytest.UsageError for one that can't be used."""
    from harness.errors import HarnessError
    from harness.project.project import load

    root = Path(str(session.config.rootpath))
    try:
        project = load(root)
        file = ConfigurationFile.from_parent(session, path=project.repository.root / project.file)
        return list(file.collect())
    except HarnessError as error:
        lines = [error.message, *(f"  {line}" for line in error.evidence)]
        raise pytest.UsageError("\n".join([*lines, "", f"hint: {error.hint}"])) from error


def _tested(session: pytest.Session) -> Result:
    """The result of all items that were selected, made once."""
    from harness.engine.testing.testing import test
    from harness.progress import Silent

    if RESULT not in session.stash:
        config = session.config
        cluster.obtain(config)
        names = tuple(item.name for item in session.items if isinstance(item, HarnessTest))
        request = request_of(config, names, setting(config, "base") or None)
        session.stash[RESULT] = test(Path(str(config.rootpath)), request, Silent())
    return session.stash[RESULT]
