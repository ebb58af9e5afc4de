"""Which packages a repository names, in which of its files, and which of them its code imports."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.source import Imported

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
REQUIREMENTS = ("requirements.txt", "requirements.in", "requirements-airflow.txt", "airflow-requirements.txt")
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_PINNED = re.compile(
    r"^\s*apache-airflow(?:-core)?(?:\[[^\]]*\])?\s*(?P<how>==|~=|>=|<|<=)\s*(?P<version>\d[\w.*]*)", re.I
)
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement)[\s=]+(\S+)")
_SAME_NAME = (
    *(
        "boto3",
        "catboost",
        "datasets",
        "duckdb",
        "evidently",
        "fastapi",
        "httpx",
        "joblib",
        "kagglehub",
        "keras",
    ),
    *(
        "lightgbm",
        "matplotlib",
        "minio",
        "mlflow",
        "networkx",
        "nltk",
        "numpy",
        "onnx",
        "openai",
        "openpyxl",
        "optuna",
    ),
    *(
        "pandas",
        "pandera",
        "pendulum",
        "plotly",
        "polars",
        "prophet",
        "pyarrow",
        "pydantic",
        "pymongo",
        "redis",
    ),
    *(
        "requests",
        "scipy",
        "seaborn",
        "shap",
        "spacy",
        "sqlalchemy",
        "statsmodels",
        "tensorflow",
        "textblob",
        "torch",
    ),
    *("torchvision", "tqdm", "transformers", "wandb", "xgboost", "yfinance"),
)
# Packages by what is imported of them, where the names differ or nobody could tell that it is a package's.
PACKAGES = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cosmos": "astronomer-cosmos",
    "cv2": "opencv-python-headless",
    "dagfactory": "dag-factory",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.storage": "google-cloud-storage",
    "great_expectations": "great-expectations",
    "imblearn": "imbalanced-learn",
    "jwt": "pyjwt",
    "psycopg2": "psycopg2-binary",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "umap": "umap-learn",
    "yaml": "pyyaml",
    **{name: name for name in _SAME_NAME},
}
# What each lock has: Airflow's own, and that of the providers which harness adds.
_WITH_AIRFLOW = frozenset(
    {
        "airflow",
        "cryptography",
        "httpx",
        "jinja2",
        "kubernetes",
        "packaging",
        "pendulum",
        "psycopg2-binary",
        "pydantic",
    }
    | {"pyjwt", "python-dateutil", "pyyaml", "requests", "rich", "sqlalchemy", "tabulate", "tenacity"}
)
_PROVIDERS_WITH_AIRFLOW = frozenset(
    {"cncf-kubernetes", "common-compat", "common-io", "common-sql", "postgres", "smtp", "standard"}
)
_BROUGHT = {
    "apache-airflow-providers-amazon": ("boto3",),
    "dbt-duckdb": ("duckdb",),
    "lightgbm": ("numpy", "scipy"),
    "mlflow": ("joblib", "matplotlib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy"),
    "pandas": ("numpy",),
    "scikit-learn": ("joblib", "numpy", "scipy"),
    "seaborn": ("matplotlib", "numpy", "pandas"),
    "statsmodels": ("numpy", "pandas", "scipy"),
    "xgboost": ("numpy", "scipy"),
}


@dataclass(frozen=True)
class Dependencies:
    """The file that names the packages, empty where none does. `names` are what it and its includes ask for.

    `locked` tells whether it holds versions of everything, so that nothing can be added; `airflow` is the version
    that it asks for, with its place.
    """

    path: str = ""
    locked: bool = False
    names: frozenset[str] = frozenset()
    airflow: tuple[str, Place] | None = None
    lines: tuple[str, ...] = field(default=(), repr=False)


def dependencies_of(files: RepositoryFiles, dags_folder: str, home: str, told: Iterable[str]) -> Dependencies:
    """What fits the DAGs best: a lock, else the file that their image installs, else the nearest one.

    `home` is Airflow's home in the repository, `told` the requirements files that a Dockerfile installs.
    """
    folders = list(dict.fromkeys([dags_folder, home, *_parents(home)]))
    in_order = [
        *(path for path in _in(folders, ["requirements.lock"]) if "--hash=" in (files.read_text(path) or "")),
        *told,
        *_in(folders, LOCKS),
        *_in(folders, REQUIREMENTS),
        *_in(folders, ["pyproject.toml"]),
        *(name for name in files.named(*REQUIREMENTS) if name.count("/") <= 2),
        *(name for name in files.below("requirements") if name.endswith((".txt", ".in"))),
    ]
    for path in in_order:
        plain = path.isprintable() and not path.startswith("-") and "\\" not in path
        text = files.read_text(path) if plain and files.is_file(path) else None
        if text is not None:
            found = _read(path, text, files)
            if found is not None:
                return found
    return Dependencies()


def normalized(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0]).lower()


def package_of(found: Imported) -> tuple[str, bool]:
    """The package that an import needs, and whether that is sure; empty where Airflow itself brings it."""
    parts = found.module.split(".")
    if parts[0] == "airflow":
        provider = _provider(parts)
        return (f"apache-airflow-providers-{provider}", True) if provider else ("", True)
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in PACKAGES:
            return ("" if normalized(PACKAGES[name]) in _WITH_AIRFLOW else PACKAGES[name]), True
    return ("" if parts[0] in _WITH_AIRFLOW else parts[0]), False


def with_brought(names: Iterable[str]) -> set[str]:
    """These packages, and those that they need themselves and code imports as well."""
    found = set(names)
    for name in tuple(found):
        found.update(_BROUGHT.get(name, ()))
    return found


def _provider(parts: list[str]) -> str:
    if len(parts) < 3 or parts[1] != "providers":
        return ""
    two = {"apache", "common", "cncf", "microsoft", "atlassian", "dbt", "ibm"}
    name = f"{parts[2]}-{parts[3]}" if parts[2] in two and len(parts) > 3 else parts[2]
    name = name.replace("_", "-")
    return "" if name in _PROVIDERS_WITH_AIRFLOW else name


def _read(path: str, text: str, files: RepositoryFiles) -> Dependencies | None:
    name = posixpath.basename(path)
    if name.endswith(".toml") or name in LOCKS:
        try:
            data: dict[str, Any] = tomllib.loads(text)
        except (ValueError, RecursionError):
            return None
        return _project(path, data) if name == "pyproject.toml" else _lock(path, data)
    lines = list(_lines(path, text, files, set()))
    names = frozenset(normalized(match[1]) for _, line in lines if (match := _NAME.match(line)))
    pinned = ((_PINNED.match(line), place) for place, line in lines)
    airflow = next(
        ((match["version"], place) for match, place in pinned if match and match["how"] in {"==", "~="}), None
    )
    return Dependencies(path, "--hash=" in text, names, airflow, tuple(line for _, line in lines))


def _lines(path: str, text: str, files: RepositoryFiles, seen: set[str]) -> Iterator[tuple[Place, str]]:
    seen.add(path)
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition(" #")[0].strip()
        include = _INCLUDE.match(plain)
        if include:
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), include[1]))
            inner_text = None if inner in seen or len(seen) > 20 else files.read_text(inner)
            yield from _lines(inner, inner_text, files, seen) if inner_text is not None else ()
        elif plain and not plain.startswith(("#", "-")):
            yield Place(path, number), plain


def _lock(path: str, data: dict[str, Any]) -> Dependencies:
    listed = data.get("package") or data.get("packages") or []
    versions = {
        normalized(str(each["name"])): str(each.get("version", ""))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and "name" in each
    }
    airflow = versions.get("apache-airflow-core") or versions.get("apache-airflow")
    said = (airflow, Place(path, 0)) if airflow else None
    return Dependencies(path, True, frozenset(versions), said)


def _project(path: str, data: dict[str, Any]) -> Dependencies | None:
    """What pyproject.toml asks for; None where it asks for nothing."""
    project, tool = data.get("project"), data.get("tool")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    named = poetry.get("dependencies") if isinstance(poetry, dict) else None
    if isinstance(listed, list) and listed:
        lines = [str(each) for each in listed]
        place = path
    elif isinstance(named, dict):
        lines = [_of_poetry(name, wanted) for name, wanted in named.items() if name.lower() != "python"]
        place = ""  # such a table is poetry's own: its lines are copied
    else:
        return None
    names = frozenset(normalized(match[1]) for line in lines if (match := _NAME.match(line)))
    pinned = (_PINNED.match(line) for line in lines)
    airflow = next(
        ((match["version"], Place(path, 0)) for match in pinned if match and match["how"] in {"==", "~="}),
        None,
    )
    return Dependencies(place, False, names, airflow, tuple(lines))


def _of_poetry(name: str, wanted: object) -> str:
    """A line of poetry's as pip writes it: `^1.2` is at least that."""
    version = wanted.get("version", "") if isinstance(wanted, dict) else wanted
    text = str(version).strip()
    if re.fullmatch(r"\d[\w.]*", text):
        return f"{name}=={text}"
    found = re.fullmatch(r"[~^](\d[\w.]*)", text)
    if found:
        return f"{name}>={found[1]}"
    return f"{name}{text}" if re.fullmatch(r"[<>=!~][\w.,<>=!~ *]*", text) else name


def _in(folders: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    return (posixpath.join(folder, name) for folder in folders for name in names)


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder
