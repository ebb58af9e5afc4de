"""What single values in harness.toml may be: each a type that pydantic checks, with words for what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from harness.project.places import link_place

IMPORT_TIMEOUT = "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"
# Variables that a version has a default for, and a team may have another.
THEIRS = frozenset(
    {
        IMPORT_TIMEOUT,
        "AIRFLOW__CORE__PARALLELISM",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
    }
)
MAX_IMPORT_S = 170.0  # a test waits little longer for a DAG to be parsed
MAX_TIMEOUT_S = 7 * 24 * 3600.0
LOGICAL_YEARS = range(1970, 2201)  # what Airflow, PostgreSQL and pandas can all name, in any time zone
MAX_CONF_DEPTH = 100
_DURATION = re.compile(r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m)?(?:(?P<s>[0-9]{1,6})s)?")
_DURATION_EXPECTED = 'expected a duration above 0 and of at most 7 days, such as "10m", "1h30m" or "45s"'
MLFLOW_URL = "http://mlflow:5000"  # of the server that a version has of its own
_MLFLOW_ADDRESS = re.compile(
    r"http://(?P<name>[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?/?"
)
_MLFLOW_SCHEMA = re.sub(r"\?P<\w+>", "", f"^{_MLFLOW_ADDRESS.pattern}$")  # as JavaScript has it too
_TEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}")
_TASK_PATTERN = re.compile(r"[\w.*?\[\]!-]{1,250}")
# https://pkg.go.dev/github.com/distribution/reference: a name, a tag and a digest
_IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_BY_HARNESS = frozenset(
    {"AIRFLOW_HOME", "HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED", "USER"}
)


def parse_duration_s(value: object) -> float:
    """Seconds from "1h30m", "10m", "45s" or a number of seconds; raises ValueError for anything else."""
    seconds: float = 0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = sum(int(match[unit] or 0) * size for unit, size in (("h", 3600), ("m", 60), ("s", 1)))
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise ValueError(_DURATION_EXPECTED)
    return float(seconds)


def import_timeout_s(env: Mapping[str, str]) -> float | None:
    """How many seconds [image.env] gives a DAG file to be imported; None where it says nothing of use."""
    try:
        asked_s = float(env.get(IMPORT_TIMEOUT, ""))
    except ValueError:
        return None
    return min(asked_s, MAX_IMPORT_S) if asked_s > 0 else None


def moment(value: object) -> datetime:
    """A logical date from a time with its zone or such a text; raises ValueError for anything else."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("expected a time with its zone, such as 2026-01-31T00:00:00Z")
    first, last = LOGICAL_YEARS[0], LOGICAL_YEARS[-1]
    with suppress(OverflowError):  # the first and the last hours that there are have no UTC
        if value.astimezone(UTC).year in LOGICAL_YEARS:
            return value
    raise ValueError(f"expected a time in the years {first} to {last}")


def debian_packages(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of Debian packages, sorted, once each; raises ValueError for what can't be one."""
    for name in names:
        if not _DEBIAN_PACKAGE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a Debian package, such as libpq-dev")
    return tuple(sorted(set(names)))


def system_packages(value: object) -> str | tuple[str, ...]:
    """Debian packages by name, or a file that lists them; raises ValueError for anything else."""
    if isinstance(value, str):
        return _repository_path(value)
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return debian_packages(tuple(value))
    raise ValueError('expected names of Debian packages, such as ["libpq-dev"], or a file that lists them')


def mlflow_address(value: str) -> str:
    """The address at which code looks for MLflow's server: of a name that a version can give it.

    Raises ValueError for anything else.
    """
    found = _MLFLOW_ADDRESS.fullmatch(value)
    if (
        found is None
        or found["name"] in {"airflow", "localhost"}
        or int(found["port"] or 80) not in range(1, 65536)
    ):
        raise ValueError(
            f"{value!r} is no address that a version's own MLflow can have: expected http://NAME:PORT with a NAME of "
            "small letters, digits and '-', such as http://mlflow-server:5000"
        )
    return f"http://{found['name']}:{found['port'] or 80}"


def json_object(value: dict[str, Any]) -> dict[str, Any]:
    """What a DAG run's conf may hold: TOML's dates and times and its nan and inf are no JSON."""
    _check_depth(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"conf is sent to Airflow as JSON: {error}") from error
    return value


def _check_depth(value: dict[str, Any]) -> None:
    """Raises ValueError for tables in tables that nothing which writes or reads JSON would follow."""
    level: list[Any] = [value]
    for _ in range(MAX_CONF_DEPTH):
        tables = [each.values() if isinstance(each, dict) else each for each in level]
        level = [inner for table in tables for inner in table if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError(f"conf is nested more than {MAX_CONF_DEPTH} deep")


def _test_name(value: str) -> str:
    if not _TEST_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a test: use letters, digits, '_', '-', '.'")
    return value


def _task_pattern(value: str) -> str:
    if not _TASK_PATTERN.fullmatch(value):
        raise ValueError(f'{value!r} is no task\'s id, nor a pattern of ids such as "notify_*"')
    return value


def is_set_by_harness(name: str) -> bool:
    """Whether this environment variable of a version is harness's own, so that nobody else may set it."""
    return name in _SET_BY_HARNESS or name.startswith("HARNESS_")


def not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    """At least one path; raises ValueError for none."""
    if not value:
        raise ValueError("expected at least one path")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError(f"{value!r} is no name of an environment variable: use letters, digits and '_'")
    if value == "PYTHONPATH":
        raise ValueError(
            "name folders of the repository in `python_path` under [image]: PYTHONPATH is set by harness"
        )
    if is_set_by_harness(value):
        raise ValueError(f"{value} is set by harness itself")
    return value


def _variable_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("it holds a NUL, which no environment variable may")
    return value


def _repository_path(value: str) -> str:
    path = PurePosixPath(value)
    odd = path.is_absolute() or ".." in path.parts or value.startswith("-") or "\\" in value
    if not value or odd or not value.isprintable():
        raise ValueError('expected a path inside the repository, such as "dags"')
    return str(path)


def _link_name(value: str) -> str:
    return link_place(value) if value.startswith("/") else _repository_path(value)


def _image_reference(value: str) -> str:
    if not _IMAGE.fullmatch(value) or len(value) > 500:
        raise ValueError('expected an image\'s name, such as "apache/airflow:3.2.2" or one with @sha256:…')
    return value


# The schemas say to an editor what the functions above say to a command.
_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": r"^(?=.)([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S},
    ],
    "description": _DURATION_EXPECTED,
}
_PATH_SCHEMA = {
    "type": "string",
    "pattern": r"^(?![/-])(?!.*\\)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f]+$",
    "description": 'a path inside the repository, such as "dags"',
}
Duration = Annotated[float, BeforeValidator(parse_duration_s), WithJsonSchema(_DURATION_SCHEMA)]
RepositoryPath = Annotated[str, AfterValidator(_repository_path), WithJsonSchema(_PATH_SCHEMA)]
LinkName = Annotated[
    str,
    AfterValidator(_link_name),
    WithJsonSchema(_PATH_SCHEMA | {"pattern": _PATH_SCHEMA["pattern"].replace("(?![/-])", "(?!-)")}),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Moment = Annotated[
    datetime, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
TestName = Annotated[
    str,
    AfterValidator(_test_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_TEST_NAME.pattern}$"}),
]
_VARIABLE_SCHEMA = {
    "type": "string",
    "pattern": f"^(?!({'|'.join(sorted(_SET_BY_HARNESS))})$)(?!HARNESS_){_VARIABLE.pattern}$",
}
VariableName = Annotated[str, AfterValidator(_variable), WithJsonSchema(_VARIABLE_SCHEMA)]
VariableNames = Annotated[tuple[VariableName, ...], Field(strict=False)]
ImageReference = Annotated[
    str,
    AfterValidator(_image_reference),
    WithJsonSchema({"type": "string", "pattern": f"^{_IMAGE.pattern}$"}),
]
BuildArguments = dict[
    Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Annotated[str, Field(max_length=4096)]
]
Environment = dict[VariableName, Annotated[str, AfterValidator(_variable_text)]]
TaskPattern = Annotated[
    str,
    AfterValidator(_task_pattern),
    WithJsonSchema({"type": "string", "pattern": f"^{_TASK_PATTERN.pattern}$"}),
]
TaskPatterns = Annotated[tuple[TaskPattern, ...], Field(strict=False)]
Paths = Annotated[tuple[RepositoryPath, ...], Field(strict=False)]
MlflowAddress = Annotated[
    str, AfterValidator(mlflow_address), WithJsonSchema({"type": "string", "pattern": _MLFLOW_SCHEMA})
]
SystemPackages = Annotated[str | tuple[str, ...], BeforeValidator(system_packages)]


def name_of(text: str, *, limit: int = 40) -> str:
    """`text` as a name that Kubernetes takes (RFC 1123 label): lower case, digits, '-', beginning with a letter."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not cleaned or not cleaned[0].isalpha():
        cleaned = f"p-{cleaned}".strip("-")
    return cleaned[:limit].strip("-")
