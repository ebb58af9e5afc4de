"""pyproject.toml and requirements.lock against the code: what is imported is declared, what is declared is locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
IMPORTED_AS = {"dotenv": "python-dotenv", "pydantic-core": "pydantic", "yaml": "pyyaml"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.+!-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def _imports() -> set[str]:
    found = set()
    for path in (REPOSITORY / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return {name.replace("_", "-") for name in found - set(sys.stdlib_module_names) - {"harness"}}


def test_dependencies_are_what_is_imported() -> None:
    """But for the plugin's: pytest loads it, and it uses pytest-kind and pytest-xdist where they are."""
    declared = {_NAME.match(requirement)[0] for requirement in _project()["dependencies"]}
    assert {IMPORTED_AS.get(name, name) for name in _imports()} - {
        "pytest",
        "pytest-kind",
        "xdist",
    } == declared


def test_lock_holds_every_requirement_with_hashes_and_no_address() -> None:
    project, text = _project(), (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    locked = _locked(REPOSITORY / "requirements.lock")
    for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
        name, _, version = requirement.partition("==")
        name = _NAME.match(name)[0]
        assert name in locked, f"{name} is not in requirements.lock: CONTRIBUTING.md says how to make it"
        assert not version or locked[name] == version
    assert "://" not in text
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert all("--hash=sha256:" in entry for entry in entries)


def test_tests_run_on_the_samples_versions() -> None:
    sample = _locked(REPOSITORY / "dags/requirements.lock")
    pinned = dict(each.split("==") for each in _project()["optional-dependencies"]["test"] if "==" in each)
    assert {"apache-airflow-core", "pandas", "scikit-learn"} <= set(pinned)
    assert {name: sample[name] for name in pinned} == pinned
