"""Waiting for a DAG to be parsed, with an Airflow that plays back what a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from run_samples import Clock

from harness.airflow.parsing.parsing import wait_for_dag
from harness.airflow.parsing.processor_statistics import ParsedFile, parse_statistics
from harness.airflow.parsing.refused_files import refused_files
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import Dag, DagImportError
from harness.errors import CauseCode, HarnessError

# As Airflow 3.3.2 logs it.
STATISTICS = """\
2026-11-22T19:41:36.831428Z [info     ]
================================================================================
DAG File Processing Stats

Bundle       File Path       PID  Current Duration      # DAGs    # Errors  Last Duration    Last Run At
-----------  ------------  -----  ------------------  --------  ----------  ---------------  -------------------
dags-folder  good.py                                         1           0  0.74s            2026-11-22T19:41:32
dags-folder  two words.py                                    0           1  0.55s            2026-11-22T19:41:31
dags-folder  slow.py          77  3.02s                      0           0
================================================================================ [airflow.dag_processing] loc=1
"""


DONE = STATISTICS.replace(
    "slow.py          77  3.02s                      0           0",
    "slow.py                                         0           0  9.10s            2026-11-22T19:41:41",
)


WHOLE = DONE.replace("0           1  0.55s", "0           0  0.55s")  # no file that is broken


@dataclass
class Parsing:
    """The api-server while DAGs are being parsed: each poll sees the next state, the last one for ever."""

    states: Sequence[tuple[Sequence[str], Sequence[DagImportError]]]
    polls: int = 0

    @property
    def state(self) -> tuple[Sequence[str], Sequence[DagImportError]]:
        return self.states[min(self.polls, len(self.states)) - 1]

    def dag(self, dag_id: str) -> Dag | None:
        self.polls += 1
        return Dag(dag_id, True, f"{dag_id}.py") if dag_id in self.state[0] else None

    def dags(self) -> tuple[Dag, ...]:
        return tuple(Dag(dag_id, True, f"{dag_id}.py") for dag_id in self.state[0])

    def import_errors(self) -> tuple[DagImportError, ...]:
        return tuple(self.state[1])


def broken(file: str, line: int = 9) -> DagImportError:
    return DagImportError(
        file,
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3/site-packages/airflow/importer.py", line 238, in parse\n'
        "    loader.exec_module(new_module)\n"
        f'  File "/opt/airflow/dags/{file}", line {line}, in <module>\n    import skleran\n'
        "ModuleNotFoundError: No module named 'skleran'\n",
    )


def wait(
    states: Sequence[tuple[Sequence[str], Sequence[DagImportError]]],
    dag_id: str = "good",
    *,
    log: Callable[[], str] | None = lambda: WHOLE,
    sources: dict[str, str] | None = None,
    deadline_s: float = 300.0,
) -> tuple[Any, float]:
    """What wait_for_dag returns or raises, and the seconds it took."""
    clock = Clock()
    try:
        result: Any = wait_for_dag(
            cast(AirflowApi, Parsing(states)),
            dag_id,
            deadline_s=deadline_s,
            processor_log=log,
            read_source=(sources or {}).get,
            clock=clock,
            sleep=clock.sleep,
        )
    except HarnessError as error:
        result = error
    return result, clock.now_s - 1000.0


def test_returns_the_dag_as_soon_as_it_is_there() -> None:
    found, took_s = wait([([], []), (["other"], []), (["other", "good"], [])], log=lambda: "")
    assert found.dag.dag_id == "good"
    assert took_s == 0.5


def test_files_broken_beside_a_good_dag_are_warnings() -> None:
    found, _ = wait([(["good"], [broken("other.py")])])
    assert [error.place for error in found.warnings] == ["other.py:9"]


def test_a_dag_whose_file_also_fails_cannot_run() -> None:
    error, _ = wait([(["good"], [broken("good.py"), broken("other.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message.startswith("good.py:9")


def test_an_absent_dag_is_told_once_all_files_are_parsed() -> None:
    logs = iter([STATISTICS, STATISTICS, DONE, DONE])
    error, took_s = wait([(["good", "train"], [])], "goood", log=lambda: next(logs))
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert "is it 'good'?" in error.message
    assert "DAG train" in error.evidence
    assert took_s == 4.0


def test_an_absent_dag_without_statistics_takes_a_quiet_while() -> None:
    error, took_s = wait([([], []), (["train"], [])], "good", log=None)
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert took_s == 32.0  # the change is seen by the second look, and 30 s are over at the first one after


def test_a_relative_import_of_a_dag_file_is_told_with_what_helps() -> None:
    trace = broken("good.py").stack_trace.replace(
        "ModuleNotFoundError: No module named 'skleran'",
        "ImportError: attempted relative import with no known parent package",
    )
    error, _ = wait([([], [DagImportError("good.py", trace)])])
    assert error.hint.startswith("leave out the dot: to Airflow good.py is in no package")


def test_a_file_that_is_no_utf_8_is_told_and_no_file_of_airflows() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3/site-packages/airflow/utils/session.py", line 98, in wrapper\n'
        '  File "<frozen codecs>", line 322, in decode\n'
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xf6 in position 30: invalid start byte\n"
    )
    error, _ = wait([([], [DagImportError("good.py", trace)])])
    assert error.message.startswith("good.py cannot be imported: UnicodeDecodeError")
    assert error.hint.startswith("save good.py as UTF-8")


def test_the_file_that_names_the_dag_is_the_one_to_blame() -> None:
    sources = {"a.py": "dag_id='no-good'", "b.py": "with DAG('good') as dag: ...", "c.py": "good_enough = 1"}
    error, _ = wait([([], [broken("a.py"), broken("b.py", 4), broken("c.py")])], sources=sources)
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message == "b.py:4 cannot be imported: ModuleNotFoundError: No module named 'skleran'"
    assert error.evidence == ("ModuleNotFoundError: No module named 'skleran'", "  b.py:4 in <module>")


def test_the_only_broken_file_is_to_blame() -> None:
    error, _ = wait([(["train"], [broken("a.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message.startswith("a.py:9 cannot be imported")


def test_several_broken_files_that_may_hold_it_are_all_told() -> None:
    error, _ = wait([([], [broken("a.py"), broken("b.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert [line.split(":")[0] for line in error.evidence] == ["a.py", "b.py"]


def test_a_misspelt_id_is_not_blamed_on_a_file_that_has_nothing_to_do_with_it() -> None:
    error, _ = wait([(["good"], [broken("a.py")])], "goood", sources={"a.py": "dag_id='other'"})
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert any("a.py:9" in line for line in error.evidence)


DIED = DONE.replace("0           0  9.10s", "0           1  9.10s")


def test_a_file_whose_process_died_is_known_from_the_statistics_alone() -> None:
    sources = {"slow.py": "import torch\n\n@dag(schedule=None)\ndef train(): ...", "two words.py": "x = 1"}
    error, _ = wait([(["good"], [broken("two words.py")])], "train", log=lambda: DIED, sources=sources)
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message == "slow.py cannot be imported: the process that imported it died"
    assert error.hint.startswith("python slow.py ")


def test_a_file_whose_process_died_and_that_has_nothing_to_do_with_the_dag_is_mentioned() -> None:
    sources = {"slow.py": "dag_id='other'", "two words.py": "x = 1"}
    error, _ = wait([(["good"], [broken("two words.py")])], "goood", log=lambda: DIED, sources=sources)
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert "cannot be imported: slow.py: the process that imported it died" in error.evidence


def test_parsing_that_never_ends_names_the_file() -> None:
    error, took_s = wait([([], [])], log=lambda: STATISTICS, deadline_s=60)
    assert error.cause is CauseCode.DEPLOY_TIMEOUT
    assert error.evidence == ("not parsed yet: slow.py",)
    assert 60 < took_s < 62


def test_statistics_are_read_by_their_columns() -> None:
    assert parse_statistics(STATISTICS) == (
        ParsedFile("good.py", 1, 0, True),
        ParsedFile("two words.py", 0, 1, True),
        ParsedFile("slow.py", 0, 0, False),
    )
    assert parse_statistics(STATISTICS + DONE) == parse_statistics(DONE)
    cut_short = STATISTICS + DONE[: DONE.index("slow.py")]
    assert parse_statistics(cut_short) == parse_statistics(STATISTICS)
    assert parse_statistics("nothing yet") is None


@given(cut=st.integers(0, len(DONE)), tail=st.text())
def test_a_log_may_end_anywhere(cut: int, tail: str) -> None:
    files = parse_statistics(STATISTICS + DONE[:cut] + tail)
    assert files in (parse_statistics(STATISTICS), parse_statistics(DONE))


REFUSED = """\
2026-11-26T06:36:41Z [error    ] Failed to persist parsing result for sub/nan arg.py in bundle dags-folder; keeping
Traceback (most recent call last):
psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type json
LINE 1: ...3-7303-b935-7d9bc0a74279'::uuid::UUID, 'nan_arg'
DETAIL:  Token "Infinity" is invalid.
"""


def test_a_file_that_airflow_cannot_keep_is_told_at_once_and_of_others_after_a_while() -> None:
    assert refused_files(REFUSED) == {"sub/nan arg.py": 'Token "Infinity" is invalid.'}
    assert refused_files(STATISTICS) == {}
    own, took_s = wait([([], [])], log=lambda: REFUSED, sources={"sub/nan arg.py": "DAG('good')"})
    assert (
        own.message == 'sub/nan arg.py defines a DAG that Airflow cannot keep: Token "Infinity" is invalid.'
    )
    assert own.cause is CauseCode.DAG_IMPORT_ERROR
    assert "finite numbers" in own.hint
    assert took_s == 0.0
    other, took_s = wait([(["train"], [])], log=lambda: REFUSED)
    assert other.message == own.message
    assert 20 < took_s < 24
