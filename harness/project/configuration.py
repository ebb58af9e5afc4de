"""harness.toml, or [tool.harness] in pyproject.toml, as frozen settings; all violations reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from harness.errors import CauseCode, HarnessError
from harness.project.contradictions import (
    GATE_SCHEMA,
    NO_METRICS,
    contradictions,
    gate_contradictions,
    image_contradictions,
)
from harness.project.image_settings import ImageSettings, Settings
from harness.project.values import (
    Duration,
    Finite,
    MlflowAddress,
    Moment,
    RepositoryPath,
    TaskPatterns,
    TestName,
    VariableNames,
    json_object,
)

FILE_NAMES = ("harness.toml", "pyproject.toml")
LOCK_FILE = "harness.lock"  # what `harness lock` makes of requirements that are no lock themselves
DEFAULT_TIMEOUT_S = 600.0
DEFAULT_COMPARISON_S = 1200.0
RETURN_VALUE = "return_value"  # what Airflow calls the XCom with a task's return value
SHOWN = 50
_Model = TypeVar("_Model", bound=Settings)
_BYTE_ORDER_MARK = "\ufeff"  # some editors of Windows begin every file with it


class AirflowSettings(Settings):
    """[airflow]: values of Airflow's official chart, which a version's Airflow takes as far as they mean something."""

    values: RepositoryPath | None = None


class SecretsSettings(Settings):
    """[secrets]: where the asking side has what a version's code may read and nobody else: names, never values."""

    from_env: VariableNames = ()
    env_file: RepositoryPath | None = None
    airflow_settings: RepositoryPath | None = None


class MetricsSource(Settings):
    """Where the numbers are: what a task returns (or another XCom key), a file that the run writes, or MLflow.

    `address`: where the code says that MLflow's server is; the version's own is reached there too.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["task"]},
                {"required": ["file"]},
                {"required": ["mlflow"], "properties": {"mlflow": {"const": True}}},
            ]
        }
    )

    task: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    key: Annotated[str, Field(min_length=1, max_length=512)] = RETURN_VALUE
    name: Annotated[str, Field(min_length=1, max_length=190)] | None = None
    file: RepositoryPath | None = None
    mlflow: bool = False
    address: MlflowAddress | None = None

    @model_validator(mode="after")
    def _one_place(self) -> MetricsSource:
        if [self.task is not None, self.file is not None, self.mlflow].count(True) != 1:
            raise ValueError('expected one of task = "…", file = "…" and mlflow = true')
        if self.task is None and self.key != RETURN_VALUE:
            raise ValueError("`key` is that of a task's XCom")
        if self.task is None and self.name is not None:
            raise ValueError("`name` is that of a task's number")
        if self.address is not None and not self.mlflow:
            raise ValueError("`address` is that of MLflow's server")
        return self


class Gate(Settings):
    """Bounds of one metric. `max_regression` is against the base version, in the metric's own unit.

    `max_relative_regression` is the same as a share of the base's value.
    """

    model_config = ConfigDict(json_schema_extra=GATE_SCHEMA)

    min: Finite | None = None
    max: Finite | None = None
    better: Literal["higher", "lower"] | None = None
    max_regression: Annotated[Finite, Field(ge=0)] | None = None
    max_relative_regression: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Gate:
        for problem in gate_contradictions(self.model_dump(exclude_none=True)):
            raise ValueError(problem)
        return self


class TestSettings(Settings):
    """[tests.NAME]: one DAG run and what its metrics must satisfy.

    `seed`: the key of `conf` that each run of a comparison gets another number for. `undecided`: what a comparison is
    that ends without an answer, after `max_comparison_time` (seconds) or the most pairs.
    """

    __test__ = False  # not a pytest class
    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"gates": ["metrics"]}})

    dag: Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[\w.-]+$")]
    conf: Annotated[dict[str, Any], AfterValidator(json_object)] = Field(default_factory=dict)
    logical_date: Moment | None = None
    seed: Annotated[str, Field(min_length=1, max_length=250)] = "seed"
    timeout: Duration = DEFAULT_TIMEOUT_S
    retries: Annotated[int, Field(ge=0)] | None = None
    follow: bool = True
    metrics: MetricsSource | None = None
    skip: TaskPatterns = ()
    undecided: Literal["pass", "fail"] = "pass"
    max_comparison_time: Duration = DEFAULT_COMPARISON_S
    gates: dict[str, Gate] = Field(default_factory=dict)

    def skips(self, task_id: str) -> bool:
        """Whether the test leaves this task out."""
        return any(fnmatchcase(task_id, pattern) for pattern in self.skip)

    @field_validator("gates")
    @classmethod
    def _gates_have_metrics(cls, gates: dict[str, Gate], info: ValidationInfo) -> dict[str, Gate]:
        if gates and info.data.get("metrics", ...) is None:  # not there when it is invalid itself
            raise ValueError(NO_METRICS)
        return gates


class Configuration(Settings):
    """The whole file. `project` names what is made for it; the repository's directory name unless set."""

    project: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")] | None = None
    image: ImageSettings = Field(default_factory=ImageSettings)
    airflow: AirflowSettings = Field(default_factory=AirflowSettings)
    secrets: SecretsSettings = Field(default_factory=SecretsSettings)
    tests: dict[TestName, TestSettings] = Field(default_factory=dict)

    def uses_mlflow(self) -> bool:
        """Whether a test takes its metrics from MLflow."""
        return any(test.metrics is not None and test.metrics.mlflow for test in self.tests.values())


def parse(text: str, *, origin: str) -> Configuration | None:
    """Settings from the text of harness.toml or pyproject.toml (`origin` says which, for messages).

    None when it is a pyproject.toml without [tool.harness]. Raises HarnessError(CONFIG_INVALID) with every
    violation, each with its place in the file.
    """
    found = _settings(text, origin)
    if found is None:
        return None
    data, prefix = found
    details = contradictions(data)
    try:
        configuration = Configuration.model_validate(data)
    except ValidationError as error:
        details = [*error.errors(include_url=False), *details]
    if details:
        raise _invalid(prefix, details, origin)
    return configuration


def parse_image(text: str, *, origin: str) -> ImageSettings | None:
    """[image] alone from such a text: with [airflow], all that counts of the configuration of an older commit.

    None when there is no configuration in it. Raises HarnessError(CONFIG_INVALID), for nothing but [image].
    """
    return _table(text, origin, "image", ImageSettings, image_contradictions)


def parse_airflow(text: str, *, origin: str) -> AirflowSettings | None:
    """[airflow] alone, likewise."""
    return _table(text, origin, "airflow", AirflowSettings, lambda _: [])


def _table(
    text: str, origin: str, name: str, model: type[_Model], check: Callable[[object], list[ErrorDetails]]
) -> _Model | None:
    found = _settings(text, origin)
    if found is None:
        return None
    data, prefix = found
    table = data.get(name, {}) if isinstance(data, Mapping) else data
    details = check(table)
    try:
        settings = model.model_validate(table)
    except ValidationError as error:
        details = [*error.errors(include_url=False), *details]
    if details:
        for each in details:
            each["loc"] = each["loc"] if each["loc"][:1] == (name,) else (name, *each["loc"])
        raise _invalid(prefix, details, origin)
    return settings


def _settings(text: str, origin: str) -> tuple[Any, tuple[str, ...]] | None:
    """What the file holds for us, and the keys that lead there. Raises HarnessError(CONFIG_INVALID)."""
    try:
        data: Any = tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
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


def _invalid(prefix: tuple[str, ...], details: Iterable[ErrorDetails], origin: str) -> HarnessError:
    # Once each: a contradiction in what is valid otherwise is found by its model, too.
    problems = list(dict.fromkeys(_violation(prefix, detail) for detail in details))
    one = len(problems) == 1
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return HarnessError(
        CauseCode.CONFIG_INVALID,
        f"{origin} has 1 problem: {problems[0]}" if one else f"{origin} has {len(problems)} problems",
        evidence=() if one else [*problems[:SHOWN], *more],
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
    is_key = "[key]" in detail["loc"]  # then it is the last part of the place
    shown = f" (got {_shortened(given)})" if isinstance(given, str | int | float) and not is_key else ""
    return f"{place}: {message}{shown}"


def _shortened(value: object) -> str:
    """As Python writes it, without control characters, on one line, and not too long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:60]}…{text[-1]}"
