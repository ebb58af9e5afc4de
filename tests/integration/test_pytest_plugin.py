"""The pytest plugin without a cluster: its options, its items, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import git

pytest_plugins = ["pytester"]
CONFIGURATION = """
[tests.churn]
dag = "churn"
[tests.chess]
dag = "chess"
"""


@pytest.fixture
def repository(
    pytester: pytest.Pytester, git_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    git(pytester.path, "init", "--initial-branch=main")
    (pytester.path / "harness.toml").write_text(CONFIGURATION, encoding="utf-8")
    pytester.makepyfile(test_one="def test_one(): pass")
    return pytester


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_every_option_begins_with_harness(repository: pytest.Pytester) -> None:
    shown = run(repository, "--help").stdout.str()
    for option in ("--harness ", "--harness-ref", "--harness-base", "--harness-cluster", "--harness-keep"):
        assert option in shown
    assert "--keep-cluster" in shown  # pytest-kind's: both are loaded
    assert "@pytest.mark.harness(dag" in run(repository, "--markers").stdout.str()


def test_nothing_is_collected_unless_asked_for(repository: pytest.Pytester) -> None:
    run(repository, "--collect-only", "-q").stdout.fnmatch_lines(
        ["test_one.py::test_one", "", "1 test collected*"]
    )


def test_each_test_of_the_configuration_is_an_item(repository: pytest.Pytester) -> None:
    lines = run(repository, "--harness", "--collect-only", "-q").stdout.str().splitlines()
    assert {"test_one.py::test_one", "harness.toml::churn", "harness.toml::chess"} <= set(lines)


def test_k_chooses_among_them(repository: pytest.Pytester) -> None:
    shown = run(repository, "--harness", "--collect-only", "-q", "-k", "churn").stdout.str()
    assert "harness.toml::churn" in shown
    assert "chess" not in shown


def test_the_configuration_of_pyproject_is_taken_too(repository: pytest.Pytester) -> None:
    (repository.path / "harness.toml").unlink()
    (repository.path / "pyproject.toml").write_text(
        '[tool.harness.tests.fraud]\ndag = "fraud"', encoding="utf-8"
    )
    assert "pyproject.toml::fraud" in run(repository, "--harness", "--collect-only", "-q").stdout.str()


@pytest.mark.parametrize("text", ["[tests.a]", "[tests", "nonsense = 1"])
def test_a_configuration_that_cannot_be_used_is_told(repository: pytest.Pytester, text: str) -> None:
    (repository.path / "harness.toml").write_text(text, encoding="utf-8")
    result = run(repository, "--harness")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "hint: " in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    "test, told",
    [
        ("def test_x(harness_run): harness_run()", "UsageError|needs a DAG|there is no"),
        ("def test_x(harness_compare): harness_compare('churn')", "needs a base|there is no"),
    ],
)
def test_a_word_that_is_no_keep_is_told(repository: pytest.Pytester, test: str, told: str) -> None:
    repository.makepyfile(test_two=test)
    result = run(repository, "--harness", "--harness-keep", "sometimes", "--harness-cluster", "A bad name")
    assert result.ret != 0
    assert "Traceback (most recent call last)" not in result.stdout.str()


def test_ctrl_c_is_known_before_fixtures_end(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        test_one="""
        import pytest
        from harness.pytest_plugin.settings import INTERRUPTED


        @pytest.fixture(scope="session")
        def version(request):
            yield
            print("interrupted:", request.config.stash[INTERRUPTED].is_set())


        def test_one(version):
            raise KeyboardInterrupt
        """
    )
    result = run(repository, "-s")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "interrupted: True" in result.stdout.str()
    repository.makepyfile(
        test_one=(repository.path / "test_one.py").read_text().replace("raise K", "assert K")
    )
    assert "interrupted: False" in run(repository, "-s").stdout.str()
