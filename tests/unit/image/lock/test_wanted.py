"""What the known kinds of files ask for: packages, bounds, and Airflow's version."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Mapping

import pytest

from harness.errors import HarnessError
from harness.image.lock.inputs import read_inputs
from harness.image.lock.target import Target
from harness.image.lock.wanted import PROVIDERS, Wanted, wanted

COMMIT = "0" * 39 + "1"
CONSTRAINTS = "https://raw.githubusercontent.com/apache/airflow/constraints-3.0.6/constraints-3.11.txt"
PROJECT = """
[project]
name = "team"
dependencies = ["Apache-Airflow==3.1.8", "scikit_learn>=1.5 ; python_version > '3'", "ours"]
"""
UV = f"""
[[package]]
name = "apache-airflow"
version = "3.1.8"
source = {{ registry = "https://x.test/simple" }}
[[package]]
name = "numpy"
version = "1.26.4"
source = {{ registry = "https://x.test/simple" }}
resolution-markers = ["python_full_version >= '3.13'"]
[[package]]
name = "numpy"
version = "2.2.0"
source = {{ registry = "https://x.test/simple" }}
resolution-markers = ["python_full_version < '3.13'"]
[[package]]
name = "ours"
version = "1"
source = {{ git = "https://x.test/ours?branch=main&subdirectory=lib#{COMMIT}" }}
[[package]]
name = "team"
version = "0"
source = {{ virtual = "." }}
"""
POETRY_PROJECT = """
[tool.poetry.dependencies]
python = "^3.11"
apache-airflow = { version = "^3.1", extras = ["postgres"] }
ours = { git = "https://x.test/ours" }
docs = { version = "*", optional = true }
tomli = { version = "*", markers = "python_version < '3.11'" }
"""
POETRY = f"""
[[package]]
name = "apache-airflow"
version = "3.1.8"
python-versions = ">=3.10,<3.14"
[[package]]
name = "numpy"
version = "2.2.0"
python-versions = "<3.12"
[[package]]
name = "numpy"
version = "2.4.0"
python-versions = ">=3.12"
[[package]]
name = "ours"
version = "1"
python-versions = "*"
[package.source]
type = "git"
url = "https://x.test/ours"
reference = "HEAD"
resolved_reference = "{COMMIT}"
"""
PDM = f"""
[[package]]
name = "apache-airflow"
version = "3.1.8"
requires_python = ">=3.10"
[[package]]
name = "ours"
version = "1"
git = "https://x.test/ours"
revision = "{COMMIT}"
"""
PYLOCK = f"""
lock-version = "1.0"
[[packages]]
name = "apache-airflow-core"
version = "3.2.2"
[[packages]]
name = "pywin32"
version = "300"
marker = "sys_platform == 'win32'"
[[packages]]
name = "ours"
vcs = {{ type = "git", url = "https://x.test/ours", commit-id = "{COMMIT}" }}
"""


def of(source: str, files: Mapping[str, str], airflow: str = "") -> Wanted:
    inputs = read_inputs(
        source,
        lambda path: files[path].encode() if path in files else None,
        python="3.11",
        airflow=airflow,
    )
    return wanted(inputs, Target("3.11"))


def test_requirements_with_airflows_constraints() -> None:
    found = of("r.txt", {"r.txt": f"# ours\n-c {CONSTRAINTS}\npandas==2.2.3\nScikit_Learn\n"})
    assert found.airflow == "3.0.6"
    assert found.texts["r.txt"] == "# ours\n\npandas==2.2.3\nScikit_Learn\n"
    assert found.pinned == {"pandas": "2.2.3"}
    assert "apache-airflow-core==3.0.6" in found.requirements
    assert found.added == PROVIDERS


def test_what_is_only_bounded_is_not_asked_for() -> None:
    found = of("r.txt", {"r.txt": "apache-airflow==3.2.2\n-c c.txt\n", "c.txt": f"{PROVIDERS[0]}==10.9.0\n"})
    assert found.added == PROVIDERS
    assert found.pinned == {"apache-airflow": "3.2.2", PROVIDERS[0]: "10.9.0"}


def test_the_version_of_the_configuration_counts_where_requirements_name_none() -> None:
    assert "apache-airflow-core==3.1.8" in of("r.txt", {"r.txt": "pandas\n"}, "3.1.8").requirements
    assert "apache-airflow-core" in of("r.txt", {"r.txt": "pandas\n"}).requirements


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("uv.lock", {"uv.lock": UV, "pyproject.toml": PROJECT}),
        ("poetry.lock", {"poetry.lock": POETRY, "pyproject.toml": POETRY_PROJECT}),
        ("pdm.lock", {"pdm.lock": PDM, "pyproject.toml": PROJECT}),
    ],
)
def test_versions_of_a_projects_lock(source: str, files: Mapping[str, str]) -> None:
    found = of(source, files)
    assert found.airflow == "3.1.8"
    assert "apache-airflow==3.1.8" in found.constraints
    assert ("numpy==2.2.0" in found.constraints) == (source != "pdm.lock")
    ours = [line for line in found.requirements if line.startswith("ours")]
    folder = "#subdirectory=lib" if source == "uv.lock" else ""
    assert ours == [f"ours @ git+https://x.test/ours@{COMMIT}{folder}"]
    assert not any(line.startswith(("team", "docs")) for line in found.requirements)


def test_extras_and_markers_of_a_project_stay() -> None:
    uv = of("uv.lock", {"uv.lock": UV, "pyproject.toml": PROJECT}).requirements
    assert 'scikit-learn ; python_version > "3"' in uv
    poetry = of("poetry.lock", {"poetry.lock": POETRY, "pyproject.toml": POETRY_PROJECT}).requirements
    assert "apache-airflow[postgres]" in poetry
    assert "tomli ; python_version < '3.11'" in poetry


def test_pylock_is_asked_for_whole_as_far_as_it_is_for_linux() -> None:
    found = of("pylock.toml", {"pylock.toml": PYLOCK})
    assert found.airflow == "3.2.2"
    assert found.requirements[:2] == (
        "apache-airflow-core==3.2.2",
        f"ours @ git+https://x.test/ours@{COMMIT}",
    )
    assert not any("pywin32" in line for line in found.requirements)


@pytest.mark.parametrize(
    ("source", "files", "words"),
    [
        ("r.txt", {"r.txt": "apache-airflow==2.11.0\n"}, "Airflow 2.11.0"),
        ("pyproject.toml", {"pyproject.toml": "[tool.poetry]\n"}, "no list of dependencies under [project]"),
        ("pyproject.toml", {"pyproject.toml": "[project\n"}, "no valid TOML"),
        ("uv.lock", {"uv.lock": "", "pyproject.toml": ""}, "asks for no package"),
        ("r.txt", {"r.txt": "\udcff"}, "no UTF-8"),
    ],
)
def test_what_is_refused(source: str, files: Mapping[str, str], words: str) -> None:
    with pytest.raises(HarnessError) as caught:
        inputs = read_inputs(
            source,
            lambda path: files[path].encode(errors="surrogateescape") if path in files else None,
            python="3.11",
        )
        wanted(inputs, Target("3.11"))
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


INDEXES = {
    "uv.lock": {
        "uv.lock": """
            [[package]]
            name = "apache-airflow-core"
            version = "3.2.2"
            source = { registry = "https://pypi.org/simple" }
            [[package]]
            name = "style"
            version = "1.4"
            source = { registry = "https://house.test/simple" }
        """,
        "pyproject.toml": """
            [project]
            dependencies = ["apache-airflow-core", "style"]
            [[tool.uv.index]]
            name = "house"
            url = "https://house.test/simple/"
            explicit = true
        """,
    },
    "poetry.lock": {
        "poetry.lock": """
            [[package]]
            name = "apache-airflow-core"
            version = "3.2.2"
            [[package]]
            name = "style"
            version = "1.4"
            [package.source]
            type = "legacy"
            url = "https://house.test/simple"
            reference = "house"
        """,
        "pyproject.toml": """
            [tool.poetry.dependencies]
            apache-airflow-core = "*"
            style = { version = "*", source = "house" }
            [[tool.poetry.source]]
            name = "house"
            url = "https://house.test/simple"
        """,
    },
}


@pytest.mark.parametrize("source", INDEXES)
def test_a_package_of_another_index_is_asked_of_that_index_by_its_name(source: str) -> None:
    found = of(source, {name: textwrap.dedent(text) for name, text in INDEXES[source].items()})
    (asked,) = (tomllib.loads(text) for text in found.texts.values())
    assert asked["project"]["dependencies"] == ["style==1.4"]
    (index,) = asked["tool"]["uv"]["index"]
    assert (index["name"], index["url"]) == ("house", "https://house.test/simple")
    assert asked["tool"]["uv"]["sources"] == {"style": {"index": "house"}}
    assert (found.files, found.bound) == (tuple(found.texts), {"style"})


def test_a_mirror_that_has_everything_is_the_usual_index() -> None:
    files = {
        name: textwrap.dedent(text).replace("https://pypi.org", "https://house.test")
        for name, text in INDEXES["uv.lock"].items()
    }
    assert of("uv.lock", files).texts == {}


OWN = {
    "uv.lock": """
        [[package]]
        name = "team"
        version = "0"
        source = { editable = "." }
        dependencies = [{ name = "ml-core", extra = ["gpu"] }]
        [[package]]
        name = "ml-core"
        version = "0.1"
        source = { editable = "packages/ml_core" }
        dependencies = [
            { name = "pandas" },
            { name = "torch", extra = ["opt"], marker = "python_version > '3'" },
            { name = "base" },
        ]
        [[package]]
        name = "base"
        version = "0.1"
        source = { directory = "packages/base" }
        dependencies = [{ name = "ml-core" }, { name = "attrs" }]
    """,
    "poetry.lock": """
        [[package]]
        name = "ml-core"
        version = "0.1"
        [package.dependencies]
        pandas = "*"
        torch = { version = "^2", extras = ["opt"], markers = "python_version > '3'" }
        base = { path = "../base" }
        tests = { version = "*", optional = true }
        [package.source]
        type = "directory"
        url = "packages/ml_core"
        [[package]]
        name = "base"
        version = "0.1"
        [package.dependencies]
        attrs = "*"
        [package.source]
        type = "directory"
        url = "packages/base"
    """,
    "pdm.lock": """
        [[package]]
        name = "ml-core"
        version = "0.1"
        path = "./packages/ml_core"
        dependencies = ["pandas", "torch[opt]>=2; python_version > '3'", "base"]
        [[package]]
        name = "base"
        version = "0.1"
        path = "./packages/base"
        dependencies = ["attrs"]
    """,
}


@pytest.mark.parametrize("source", list(OWN))
def test_no_index_is_asked_for_a_projects_own_folders_but_for_what_these_need(source: str) -> None:
    table = "[tool.poetry.dependencies]\nml_core = { path = 'packages/ml_core' }\n"
    project = (
        table
        if source == "poetry.lock"
        else "[project]\nname = 'team'\ndependencies = ['ml_core', 'httpx']\n"
    )
    found = of(source, {source: textwrap.dedent(OWN[source]), "pyproject.toml": project})
    asked = [line for line in found.requirements if not line.startswith("apache-airflow")]
    expected = ["pandas", "torch[opt] ; python_version > '3'", "attrs"]
    assert [line.replace('"', "'") for line in asked if line != "httpx"] == expected
    assert not {"ml-core", "base"} & found.named
    assert not [line for line in found.constraints if line.startswith(("ml-core", "base"))]


@pytest.mark.parametrize(
    ("airflow", "bounds"), [("3.0.0", ">=10.5,<10.6"), ("3.0.1", ">=10.5,<10.6"), ("3.0.2", ">=10.5")]
)
def test_the_provider_whose_pods_have_another_image_is_not_taken(airflow: str, bounds: str) -> None:
    found = of("r.txt", {"r.txt": f"apache-airflow=={airflow}\n"})
    assert found.requirements[-2:] == (f"{PROVIDERS[0]}{bounds}", PROVIDERS[1])
