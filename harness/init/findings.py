"""What `harness init` says: what it found, what it decided, and what only a person can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.errors import CauseCode, HarnessError

MOST_REASONS = 20
Kind = Literal["found", "decided", "yours"]


@dataclass(frozen=True)
class Finding:
    """One line of the table. `place` is where it was seen, `add` the line that a person may add to harness.toml."""

    kind: Kind
    about: str
    text: str
    place: str = ""
    add: str = ""


@dataclass(frozen=True)
class ProposedTest:
    """A test of one DAG. `reasons` say why it can't run yet; `skip` are tasks that are left out.

    Its metrics are what `metrics_task` returns (one number alone is called `metrics_name`) or hands over as
    `metrics_key`, what lies in `metrics_file`, or what goes to MLflow, whose server the code may have another
    `mlflow_address` of than its own; `metrics` are their names, where the code tells.
    One that follows another DAG's assets (`follows`, `produces`) is no test of its own, but `runs_with` that one's.
    """

    name: str
    dag: str
    place: str
    schedule: str = ""
    metrics_task: str = ""
    metrics_key: str = ""
    metrics_name: str = ""
    metrics_file: str = ""
    mlflow: bool = False
    mlflow_address: str = ""
    metrics: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    retries: bool = False
    follows: frozenset[str] = frozenset()
    produces: frozenset[str] = frozenset()
    runs_with: str = ""

    @property
    def can_run(self) -> bool:
        return not self.reasons and not self.runs_with


@dataclass(frozen=True)
class UnnamedDag:
    """A DAG whose id only running the code would tell, and why it can't be tested yet."""

    place: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ImageTable:
    """[image] as it is proposed; what is empty stays at its default."""

    requirements: str
    airflow: str = ""
    python: str = ""
    code: tuple[str, ...] = ()
    root: str = ""
    python_path: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    shared_tmp: bool = False
    system_packages: str | tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """What would be written, and all that is said about it.

    `project` is a name for the repository, empty where its directory's does; `extra` are further files by their path.
    """

    image: ImageTable
    tests: tuple[ProposedTest, ...]
    findings: tuple[Finding, ...]
    project: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    env_file: str = ""
    airflow_settings: str = ""
    values: str = ""
    from_env: tuple[str, ...] = ()
    unnamed: tuple[UnnamedDag, ...] = ()

    @property
    def can_run(self) -> bool:
        """Whether one test at least can run."""
        return any(test.can_run for test in self.tests)

    def nothing_runs(self, file: str) -> HarnessError:
        """Why none can, as the error that ends the command; `file` is what was written."""
        reasons = dict.fromkeys(
            reason
            for each in (*(test.reasons for test in self.tests), *(dag.reasons for dag in self.unnamed))
            for reason in each
        )
        return HarnessError(
            CauseCode.CONFIG_INVALID,
            "no DAG of this repository can run in a version yet",
            evidence=list(reasons)[:MOST_REASONS],
            hint=f"mend what is named above{_by_ruff(reasons)}, then harness init --force; "
            f"or write [tests.NAME] into {file} yourself",
        )


def chained(tests: Sequence[ProposedTest]) -> tuple[ProposedTest, ...]:
    """The tests, each that follows what another leads to with the name of the one that it runs with.

    A run of that one leads to it; alone it would lack what the other hands over. All that a DAG follows must be there.
    """
    able = [test for test in tests if not test.reasons]
    led = {test.name: _led_to(test, able) for test in able}
    heads = [test for test in able if not any(test.name in names for names in led.values())]
    found = []
    for test in tests:
        head = next((each for each in heads if test.name in led[each.name]), None)
        found.append(test if head is None else replace(test, runs_with=head.name))
    return tuple(found)


def _led_to(head: ProposedTest, tests: Sequence[ProposedTest]) -> set[str]:
    """The names of those that a run of `head` leads to."""
    names: set[str] = set()
    produced = set(head.produces)
    others = [test for test in tests if test is not head and test.follows]
    while more := [test for test in others if test.name not in names and test.follows <= produced]:
        names |= {test.name for test in more}
        produced.update(*(test.produces for test in more))
    return names


def _by_ruff(reasons: Iterable[str]) -> str:
    """What mends Airflow 2's idioms by itself: not all, such as provide_context and days_ago."""
    older = any(
        "Airflow 3 has no a" in reason and ".py:" in reason for reason in reasons
    )  # argument, airflow.…
    return " (ruff check --select AIR30 --fix --unsafe-fixes does much of it)" if older else ""


def listed(names: Iterable[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
