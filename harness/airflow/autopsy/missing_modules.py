"""What to do about a module that a task or a DAG file could not import."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from harness.hints import toml_text
from harness.project.places import CodeFiles

_NO_MODULE = re.compile(
    r"No module named '?(?P<name>[\w.]+)'?(?P<hidden>; '(?P<by>[\w.]+)' is not a package)?"
)
_PACKAGES = {  # whose modules are named unlike themselves
    "Crypto": "pycryptodome",
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "git": "GitPython",
    "pkg_resources": "setuptools<81",
    "psycopg2": "psycopg2-binary",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
_MOVED = {  # modules of Airflow 2, by a part of their name
    "contrib": "take the provider's own package",
    "datasets": "take Asset of airflow.sdk",
    "dummy": "take EmptyOperator of airflow.providers.standard.operators.empty",
    "dummy_operator": "take EmptyOperator of airflow.providers.standard.operators.empty",
    "subdag": "take a TaskGroup of airflow.sdk",
    "subdag_operator": "take a TaskGroup of airflow.sdk",
}
_GONE = {  # arguments and names of Airflow 2, and what to do about each
    "concurrency": "take max_active_tasks in its place",
    "days_ago": "take pendulum.today('UTC').add(days=-1) in its place",
    "default_view": "leave it out",
    "fail_stop": "take fail_fast in its place",
    "orientation": "leave it out",
    "provide_context": "leave it out, as the context is always handed over",
    "schedule_interval": "take schedule in its place",
    "sla": "leave it out",
    "sla_miss_callback": "leave it out",
    "timetable": "take schedule in its place",
}
_NAMED = re.compile(
    r"unexpected keyword argument '(\w+)'|\*\*kwargs: \{'(\w+)'|cannot import name '(\w+)' from 'airflow"
)
LOCK = "harness.lock"
_BREAK_WITH_MAJORS = {"keras", "mlflow", "numpy", "pandas", "polars", "pydantic", "sqlalchemy"}
_COMPILED = (".pyx", ".pxi")
_CHANGED = re.compile(  # how packages say that something is gone, and Python of names that are
    r"is no longer supported|(?:was|has been) removed in|module '(?P<module>\w+)(?:\.\w+)*' has no attribute"
    r"|cannot import name '\w+' from '(?P<cannot>\w+)(?:\.\w+)*' \(.*(?:site|dist)-packages"
    r"|(?P<frame>'(?:DataFrame|Series)' object has no attribute '(?:append|iteritems|ix|mad)')"
)
_PROVIDERS = ["airflow", "providers"]
_PROVIDER_FAMILIES = {"apache", "atlassian", "cncf", "common", "dbt", "microsoft"}  # each of several packages
_DAG_FILE = "unusual_prefix_"  # what Airflow calls a DAG file's own module
REQUIREMENTS = "the file that [image] requirements names in harness.toml"


def missing_module(message: str, trace: str = "") -> str:
    """What helps against a ModuleNotFoundError; empty for other messages. `trace` may hold the import's line."""
    found = _NO_MODULE.search(message)
    if found is None:
        return ""
    if found["hidden"]:
        return f"a file named {found['by'].rpartition('.')[2]}.py is found before the package {found['by']}: rename it"
    name = found["name"].strip(".")
    if name.startswith(_DAG_FILE):
        return "put that class into a module of its own beside the DAG file: the triggerer can't import a DAG file"
    parts = name.split(".")
    if parts[:2] == _PROVIDERS and len(parts) > 2:
        return _missing_provider(parts, trace)
    if parts[0] == "airflow":
        look = "look for it in airflow.sdk and airflow.providers.standard"
        return f"Airflow 3 has no {name}: {next((_MOVED[part] for part in parts if part in _MOVED), look)}"
    return _missing_package(name, parts)


def gone_in_airflow_3(message: str) -> str:
    """What takes the place of an argument or a name of Airflow 2; empty for other messages."""
    found = _NAMED.search(message)
    name = next(filter(None, found.groups()), "") if found else ""
    return f"Airflow 3 no longer has {name}: {_GONE[name]}" if name in _GONE else ""


def changed_package(message: str, innermost: str, code: CodeFiles) -> str:
    """What helps where a package no longer has what code of an older time asks of it; empty for other messages.

    `innermost` is the file that raised it. The version is that of the repository's lock.
    """
    found = _CHANGED.search(message)
    if found is None:
        return ""
    parts = PurePosixPath(innermost).parts
    at = next((parts.index(each) + 1 for each in ("site-packages", "dist-packages") if each in parts), 0)
    inside = innermost.removeprefix(f"{code.root}/").split("/")[0] if innermost.endswith(_COMPILED) else ""
    module = found["module"] or found["cannot"] or (at and parts[at]) or inside
    if found["frame"] and not module:
        module = "pandas"
    name = canonicalize_name(_PACKAGES.get(module or "", module or ""))
    locked = re.search(
        rf"^{re.escape(name)}==(?P<version>(?P<major>\d+)(?P<minor>\.\d+)?\S*)",
        code.read(LOCK) or "",
        re.MULTILINE,
    )
    if not name or locked is None:
        return ""
    bound = f"{name}<{locked['major']}{'' if name in _BREAK_WITH_MAJORS else locked['minor'] or ''}"
    return (
        f"{LOCK} has {name} {locked['version']}, which may be newer than that code: change the code, or bound it by "
        f"`{bound}` in {REQUIREMENTS}"
    )


def own_module(message: str, code: CodeFiles) -> str:
    """What makes a module of the repository's own importable; empty where the repository has none of that name."""
    path, top = _own(message, code)
    lines = [] if not path or code.in_image(path) else [code.with_code(path)]
    lines += [f"python_path = [{toml_text(top)}]"] if top else []
    told = " and ".join(f"`{line}`" for line in lines)
    return f"the repository has {path}: put {told} under [image] in harness.toml" if lines else ""


def module_said_missing(lines: Sequence[str], code: CodeFiles) -> str:
    """What helps against a module that a program of a task did not find, as it printed; empty where it told of none."""
    line = next((each for each in reversed(lines) if _NO_MODULE.search(each)), "")
    path, top = _own(line, code)
    if path and not top and code.in_image(path):
        return (
            f"the image has {path} at {code.place(path)}: begin the command with `cd {code.root} && "
            f"PYTHONPATH={code.root}`, as BashOperator works in a folder of its own, and its `env` takes the image's "
            "PYTHONPATH away"
        )
    return missing_module(line)


def _own(message: str, code: CodeFiles) -> tuple[str, str]:
    """The repository's file of the module that a message calls missing, and the folder it is imported from."""
    found = _NO_MODULE.search(message)
    if found is None or found["hidden"]:
        return "", ""
    tail = found["name"].strip(".").replace(".", "/")
    ends = (f"{tail}.py", f"{tail}/__init__.py", tail)
    paths = [path for path in code.paths() if any(f"/{path}".endswith(f"/{end}") for end in ends)]
    if not paths:
        return "", ""
    path = min(paths, key=lambda each: (each.count("/"), each))
    return path, next(
        path[: len(path) - len(end)].rstrip("/") for end in ends if f"/{path}".endswith(f"/{end}")
    )


def _missing_package(name: str, parts: list[str]) -> str:
    if parts[:2] == ["google", "cloud"] and len(parts) == 3:
        return f"add google-cloud-{_dashed(parts[2])} to {REQUIREMENTS}"
    if len(parts) > 1:  # Python names the first module that is missing: what it is in was found
        return _missing_part(name)
    if name in _PACKAGES:
        return f"add {_PACKAGES[name]} to {REQUIREMENTS}: it has the module {name}"
    return f"add {name} to {REQUIREMENTS}; if it is a module of your own, list its folder in [image] code"


def _missing_provider(parts: list[str], trace: str) -> str:
    family = parts[2] in _PROVIDER_FAMILIES
    if family and len(parts) == 3:
        member = re.search(rf"{re.escape('.'.join(parts))}\.(?P<name>\w+)", trace)
        if member is None:
            return f"add the package apache-airflow-providers-{parts[2]}-… that the import is from to {REQUIREMENTS}"
        parts = [*parts, member["name"]]
    own = 4 if family else 3
    if len(parts) > own:
        return _missing_part(".".join(parts))
    return f"add apache-airflow-providers-{_dashed('-'.join(parts[2:]))} to {REQUIREMENTS}"


def _missing_part(name: str) -> str:
    package, _, part = name.rpartition(".")
    return (
        f"{package} is in the image, but has no {part}: check the name, and the version in {REQUIREMENTS}; "
        "if it is a module of your own, commit it and list its folder in [image] code"
    )


def _dashed(name: str) -> str:
    return name.replace("_", "-")
