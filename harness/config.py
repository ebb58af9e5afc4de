"""harness.toml, or [tool.harness] in pyproject.toml, as frozen settings; all violations reported at once."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from harness.errors import CauseCode, HarnessError

FILE_NAMES = ("harness.toml", "pyproject.toml")
DEFAULT_TIMEOUT_S = 600.0
MAX_TIMEOUT_S = 7 * 24 * 3600.0
_DURATION = re.compile(r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m)?(?:(?P<s>[0-9]{1,6})s)?")
_DURATION_EXPECTED = 'expected a duration of at most 7 days, such as "10m", "1h30m" or "45s"'
_TEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Settings(BaseModel):
    """Frozen, and strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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


def _moment(value: object) -> object:
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("expected a time with its zone, such as 2026-01-31T00:00:00Z")
    return value


def _json_object(value: dict[str, Any]) -> dict[str, Any]:
    """What a DAG run's conf may hold: TOML's dates and times and its nan and inf are no JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"conf is sent to Airflow as JSON: {error}") from error
    return value


def _test_name(value: str) -> str:
    if not _TEST_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a test: use letters, digits, '_', '-', '.'")
    return value


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("expected at least one path")
    return value


def _repository_path(value: str) -> str:
    path = PurePosixPath(value)
    odd = path.is_absolute() or ".." in path.parts or value.startswith("-") or "\\" in value
    if not value or odd or not value.isprintable():
        raise ValueError('expected a path inside the repository, such as "dags"')
    return str(path)


Duration = Annotated[float, BeforeValidator(parse_duration_s)]
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
TestName = Annotated[str, AfterValidator(_test_name)]


class ImageSettings(Settings):
    """[image]: what a version's image is made of."""

    python: Annotated[str, Field(pattern=r"^3\.[0-9]{1,2}$")] = "3.11"
    requirements: RepositoryPath = "dags/requirements.lock"
    code: Annotated[tuple[RepositoryPath, ...], Field(strict=False), AfterValidator(_not_empty)] = ("dags",)
    shared: Annotated[tuple[RepositoryPath, ...], Field(strict=False)] = ()

    @field_validator("shared")
    @classmethod
    def _shared_is_code(cls, shared: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        code = info.data.get("code")  # not there when it is invalid itself
        for folder in shared:
            if code is not None and not any(PurePosixPath(folder).is_relative_to(path) for path in code):
                raise ValueError(f"{folder!r} is not inside one of the folders that `code` lists")
        return shared

    @property
    def dags_folder(self) -> str:
        """The folder Airflow reads DAGs from: the one named `dags`, else the first of `code`."""
        return next((path for path in self.code if PurePosixPath(path).name == "dags"), self.code[0])


class MetricsSource(Settings):
    """The task whose return value (or another XCom key) holds the numbers."""

    task: Annotated[str, Field(min_length=1, max_length=250)]
    key: Annotated[str, Field(min_length=1, max_length=512)] = "return_value"


class Gate(Settings):
    """Bounds of one metric. `max_regression` is against the base version, in the metric's own unit.

    `max_relative_regression` is the same as a share of the base's value.
    """

    min: Finite | None = None
    max: Finite | None = None
    better: Literal["higher", "lower"] | None = None
    max_regression: Annotated[Finite, Field(ge=0)] | None = None
    max_relative_regression: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Gate:
        regression = self.max_regression is not None or self.max_relative_regression is not None
        if self.min is None and self.max is None and not regression:
            raise ValueError("a gate needs at least one of min, max, max_regression, max_relative_regression")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing can pass")
        if regression and self.better is None:
            name = "max_regression" if self.max_regression is not None else "max_relative_regression"
            raise ValueError(f'{name} needs better = "higher" or "lower"')
        return self


class TestSettings(Settings):
    """[tests.NAME]: one DAG run and what its metrics must satisfy."""

    __test__ = False  # not a pytest class

    dag: Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[\w.-]+$")]
    conf: Annotated[dict[str, Any], AfterValidator(_json_object)] = Field(default_factory=dict)
    logical_date: Moment | None = None
    timeout: Duration = DEFAULT_TIMEOUT_S
    metrics: MetricsSource | None = None
    gates: dict[str, Gate] = Field(default_factory=dict)

    @field_validator("gates")
    @classmethod
    def _gates_have_metrics(cls, gates: dict[str, Gate], info: ValidationInfo) -> dict[str, Gate]:
        if gates and info.data.get("metrics", ...) is None:  # not there when it is invalid itself
            raise ValueError('gates need metrics = { task = "…" }: the task that returns the numbers')
        return gates


class Configuration(Settings):
    """The whole file. `project` names what is made for it; the repository's directory name unless set."""

    project: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")] | None = None
    image: ImageSettings = Field(default_factory=ImageSettings)
    tests: dict[TestName, TestSettings] = Field(default_factory=dict)


def parse(text: str, *, origin: str) -> Configuration | None:
    """Settings from the text of harness.toml or pyproject.toml (`origin` says which, for messages).

    None when it is a pyproject.toml without [tool.harness]. Raises HarnessError(CONFIG_INVALID) with every
    violation, each with its place in the file.
    """
    found = _settings(text, origin)
    if found is None:
        return None
    data, prefix = found
    problems = []
    try:
        configuration = Configuration.model_validate(data)
    except ValidationError as error:
        problems = [_violation(prefix, detail) for detail in error.errors(include_url=False)]
    problems += [_violation(prefix, detail) for detail in _same_runs(data)]
    if problems:
        raise _invalid(problems, origin)
    return configuration


def parse_image(text: str, *, origin: str) -> ImageSettings | None:
    """[image] alone from such a text: all that counts of the configuration of an older commit.

    None when there is no configuration in it. Raises HarnessError(CONFIG_INVALID), for nothing but [image].
    """
    found = _settings(text, origin)
    if found is None:
        return None
    data, prefix = found
    image = data.get("image", {}) if isinstance(data, Mapping) else data
    try:
        return ImageSettings.model_validate(image)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise _invalid([_violation((*prefix, "image"), detail) for detail in details], origin) from error


def _settings(text: str, origin: str) -> tuple[Any, tuple[str, ...]] | None:
    """What the file holds for us, and the keys that lead there. Raises HarnessError(CONFIG_INVALID)."""
    try:
        data: Any = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or nesting
        raise HarnessError(
            CauseCode.CONFIG_INVALID, f"{origin} is no valid TOML: {error}", hint=f"edit {origin}"
        ) from error
    if PurePosixPath(origin.rsplit(":", 1)[-1]).name != "pyproject.toml":
        return data, ()
    prefix = ("tool", "harness")
    for key in prefix:
        data = data.get(key) if isinstance(data, Mapping) else None
    return None if data is None else (data, prefix)


def _same_runs(data: object) -> Iterator[ErrorDetails]:
    """Tests that ask for a run which another one asks for: Airflow takes one of a DAG per logical date.

    Looks at the file as it was read, so that these are told together with all else that is wrong in it.
    """
    tests = data.get("tests") if isinstance(data, Mapping) else None
    seen: dict[tuple[str, datetime], str] = {}
    for name, test in tests.items() if isinstance(tests, Mapping) else ():
        if not isinstance(test, Mapping):
            continue
        dag = test.get("dag")
        try:
            moment = _moment(test.get("logical_date"))
        except ValueError:  # none, or an invalid one, which is told as such
            continue
        if not isinstance(dag, str) or not isinstance(moment, datetime):
            continue
        first = seen.setdefault((dag, moment), name)
        if first != name:
            message = f"tests.{first} runs DAG {dag} at this logical date too, and Airflow takes one such run"
            yield ErrorDetails(
                type="same_run", loc=("tests", name, "logical_date"), msg=message, input=moment.isoformat()
            )


def _invalid(problems: list[str], origin: str) -> HarnessError:
    one = len(problems) == 1
    return HarnessError(
        CauseCode.CONFIG_INVALID,
        f"{origin} has 1 problem: {problems[0]}" if one else f"{origin} has {len(problems)} problems",
        evidence=() if one else problems,
        hint=f"edit {origin}; docs/configuration.md lists every key",
    )


def _violation(prefix: tuple[str, ...], detail: ErrorDetails) -> str:
    parts = [*prefix, *(str(part) for part in detail["loc"] if part != "[key]")]
    place = ".".join(_shortened(part)[1:-1] for part in parts) or "(top level)"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{place}: unknown key"
    if kind == "missing":
        return f"{place}: missing"
    message = str(detail["msg"]).removeprefix("Value error, ")
    given = detail.get("input")
    shown = f" (got {_shortened(given)})" if isinstance(given, str | int | float | bool) else ""
    return f"{place}: {message}{shown}"


def _shortened(value: object) -> str:
    """As Python writes it, without control characters, on one line, and not too long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:60]}…{text[-1]}"
