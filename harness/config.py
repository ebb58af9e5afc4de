"""harness.toml, or [tool.harness] in pyproject.toml, as frozen settings; every violation is reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harness.errors import CauseCode, HarnessError

FILE_NAMES = ("harness.toml", "pyproject.toml")
DEFAULT_TIMEOUT_S = 600.0
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")
_TEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Settings(BaseModel):
    """Frozen, and strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def parse_duration_s(value: object) -> float:
    """Seconds from "1h30m", "10m", "45s" or a number of seconds; raises ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError('expected a duration such as "10m", "1h30m" or "45s"')
    if isinstance(value, int | float) and 0 < value < float("inf"):
        return float(value)
    if isinstance(value, str) and value and (match := _DURATION.fullmatch(value)):
        seconds = sum(int(match[unit] or 0) * size for unit, size in (("h", 3600), ("m", 60), ("s", 1)))
        if seconds > 0:
            return float(seconds)
    raise ValueError('expected a duration such as "10m", "1h30m" or "45s"')


def _repository_path(value: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or "\\" in value or not value.isprintable():
        raise ValueError("expected a path inside the repository, such as \"dags\"")
    return str(path)


Duration = Annotated[float, BeforeValidator(parse_duration_s)]
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=False)]


class ImageSettings(Settings):
    """[image]: what a version's image is made of."""

    python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")] = "3.11"
    requirements: RepositoryPath = "dags/requirements.lock"
    code: Annotated[tuple[RepositoryPath, ...], Field(min_length=1, strict=False)] = ("dags",)
    shared: Annotated[tuple[RepositoryPath, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _shared_is_code(self) -> ImageSettings:
        for folder in self.shared:
            if not any(PurePosixPath(folder).is_relative_to(code) for code in self.code):
                raise ValueError(f"shared: {folder!r} is not inside one of the folders that `code` lists")
        return self

    @property
    def dags_folder(self) -> str:
        """The folder Airflow reads DAGs from: the one named `dags`, else the first of `code`."""
        return next((path for path in self.code if PurePosixPath(path).name == "dags"), self.code[0])


class MetricsSource(Settings):
    """The task whose return value (or another XCom key) holds the numbers."""

    task: Annotated[str, Field(min_length=1, max_length=250)]
    key: Annotated[str, Field(min_length=1, max_length=512)] = "return_value"


class Gate(Settings):
    """Bounds of one metric. `max_regression` is against the base version, in the metric's own unit."""

    min: Finite | None = None
    max: Finite | None = None
    better: Literal["higher", "lower"] | None = None
    max_regression: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Gate:
        if self.min is None and self.max is None and self.max_regression is None:
            raise ValueError("a gate needs at least one of min, max, max_regression")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing can pass")
        if self.max_regression is not None and self.better is None:
            raise ValueError('max_regression needs better = "higher" or "lower"')
        return self


class TestSettings(Settings):
    """[tests.NAME]: one DAG run and what its metrics must satisfy."""

    __test__ = False  # not a pytest class

    dag: Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[\w.-]+$")]
    conf: dict[str, Any] = Field(default_factory=dict)
    logical_date: AwareDatetime | None = None
    timeout: Duration = DEFAULT_TIMEOUT_S
    metrics: MetricsSource | None = None
    gates: dict[str, Gate] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _date_from_text(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("logical_date"), str):
            return {**data, "logical_date": datetime.fromisoformat(data["logical_date"])}
        return data

    @model_validator(mode="after")
    def _gates_have_metrics(self) -> TestSettings:
        if self.gates and self.metrics is None:
            raise ValueError('gates need metrics = { task = "…" }: the task that returns the numbers')
        return self


class Configuration(Settings):
    """The whole file. `project` names what is made for it; the repository's directory name unless set."""

    project: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")] | None = None
    image: ImageSettings = Field(default_factory=ImageSettings)
    tests: dict[str, TestSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names(self) -> Configuration:
        for name in self.tests:
            if not _TEST_NAME.fullmatch(name):
                raise ValueError(f"tests: {name!r} is no name of a test: use letters, digits, '_', '-', '.'")
        return self


def parse(text: str, *, origin: str) -> Configuration | None:
    """Settings from the text of harness.toml or pyproject.toml (`origin` says which, for messages).

    None when it is a pyproject.toml without [tool.harness]. Raises HarnessError(CONFIG_INVALID) with every
    violation, each with its place in the file.
    """
    try:
        data: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(
            CauseCode.CONFIG_INVALID, f"{origin} is no valid TOML: {error}", hint=f"edit {origin}"
        ) from error
    prefix: tuple[str, ...] = ()
    if PurePosixPath(origin.rsplit(":", 1)[-1]).name == "pyproject.toml":
        prefix = ("tool", "harness")
        for key in prefix:
            data = data.get(key) if isinstance(data, Mapping) else None
        if data is None:
            return None
    try:
        return Configuration.model_validate(data)
    except ValidationError as error:
        problems = [_violation(prefix, detail) for detail in error.errors(include_url=False)]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"{origin} has {count}: {problems[0]}" if len(problems) == 1 else f"{origin} has {count}",
            evidence=problems if len(problems) > 1 else (),
            hint=f"edit {origin}; docs/configuration.md lists every key",
        ) from error


def _violation(prefix: tuple[str, ...], detail: Any) -> str:
    place = ".".join([*prefix, *(str(part) for part in detail["loc"])]) or "(top level)"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{place}: unknown key"
    if kind == "missing":
        return f"{place}: missing"
    message = str(detail["msg"]).removeprefix("Value error, ")
    given = detail.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{place}: {message}{shown}"
