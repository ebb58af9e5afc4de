"""The sample pipeline in a repository to measure with: whole, or its data, model and metrics in one task."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.repositories import CHECKOUT, PROJECT, Repository

DAG_FILE = "dags/breast_cancer.py"
METRICS = {"accuracy": "higher", "roc_auc": "higher", "log_loss": "lower", "calibration_error": "lower"}
REGULARISATION = 0.1
ZONE = 2.0  # standard deviations of the paired difference: what a gate allows here
SEEDS = 200
# Standard deviations of the paired differences in truth, as `python -m benchmarks.sample` computes them in a minute.
SDS = {"accuracy": 0.0223, "roc_auc": 0.00906, "log_loss": 0.0353, "calibration_error": 0.0143}

ONE_TASK = """\
from airflow.sdk import Param, dag, get_current_context, task


@dag(dag_id="{dag_id}", schedule=None, params={{"seed": Param(7, type="integer")}})
def breast_cancer():  # {line}
    @task(multiple_outputs=False)
    def evaluate():
        from breast_cancer_pipeline import data, evaluation, model

        parts = data.split(data.load_raw(), seed=get_current_context()["params"]["seed"] + {other_draws})
        fitted = model.fit(parts.train, C={regularisation})
        found = evaluation.metrics(model.labels(parts.test), model.malignancy(fitted, parts.test))
{worse}        return found

    evaluate()


breast_cancer()
"""


def one_task(
    dag_id: str, line: str = "main", *, other_draws: int = 0, worse: Mapping[str, float] | None = None
) -> str:
    """A DAG of one task that does what the sample's do: splits the data by the seed, trains, and evaluates.

    `line`: a comment that makes it another commit's. `other_draws`: what is added to the seed. `worse`: by how much
    each metric is made worse in truth, whatever the draw.
    """
    changes = [
        f'        found["{name}"] {"-" if METRICS[name] == "higher" else "+"}= {by!r}\n'
        for name, by in (worse or {}).items()
    ]
    return ONE_TASK.format(
        dag_id=dag_id,
        line=line,
        other_draws=other_draws,
        regularisation=REGULARISATION,
        worse="".join(changes),
    )


def whole(dag_id: str, line: str = "main", *, max_active_runs: int | None = None) -> str:
    """The sample's own DAG under another id."""
    text = (CHECKOUT / DAG_FILE).read_text(encoding="utf-8")
    limit = "" if max_active_runs is None else f"    max_active_runs={max_active_runs},\n"
    named = '    dag_id="breast_cancer",\n'
    if text.count(named) != 1:
        raise SystemExit(f"{DAG_FILE} no longer has the line {named.strip()!r}, which the benchmark changes")
    return f"# {line}\n" + text.replace(named, f'    dag_id="{dag_id}",\n{limit}')


def waiting(dag_id: str, line: str = "main", *, max_active_runs: int | None = None) -> str:
    """A DAG of one task that waits 30 seconds before it does what the sample's do."""
    text = one_task(dag_id, line).replace(
        ", schedule=None,", f", schedule=None, max_active_runs={max_active_runs or 16},"
    )
    return text.replace(
        "    def evaluate():\n", "    def evaluate():\n        import time\n\n        time.sleep(30)\n"
    )


def sds() -> dict[str, float]:
    """The standard deviation of each metric's paired difference: over many draws, without a cluster."""
    numbers = [_numbers(seed) for seed in range(2 * SEEDS)]
    found = {}
    for name in METRICS:
        differences = [numbers[SEEDS + seed][name] - numbers[seed][name] for seed in range(SEEDS)]
        found[name] = (sum(each**2 for each in differences) / SEEDS) ** 0.5  # their mean is 0 in truth
    return found


def new_dag_id() -> str:
    """Of a DAG of which no cluster knows anything."""
    return f"breast_cancer_{secrets.token_hex(4)}"


@contextmanager
def repository(dag_id: str, text: str, first_seeds: Mapping[int, int]) -> Iterator[Repository]:
    """A repository with one commit of this DAG, gone afterwards.

    It has a test `draws_N` for each number and its first seed, whose gates allow two standard deviations.
    """
    with tempfile.TemporaryDirectory(prefix="harness-benchmark-") as folder:
        made = Repository(Path(folder) / "benchmark")
        ignored = shutil.ignore_patterns("__pycache__", "requirements.in")
        shutil.copytree(CHECKOUT / "dags", made.root / "dags", ignore=ignored)
        tests = [_test(dag_id, number, seed) for number, seed in first_seeds.items()]
        made.write({"harness.toml": f'project = "{PROJECT}"\n' + "".join(tests), DAG_FILE: text})
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit()
        yield made


def _test(dag_id: str, number: int, seed: int) -> str:
    lines = [
        f"\n[tests.draws_{number}]",
        f'dag = "{dag_id}"',
        f"conf = {{ seed = {seed} }}",
        'metrics = { task = "evaluate" }',
    ]
    for name, better in METRICS.items():
        lines.append(f'gates.{name} = {{ better = "{better}", max_regression = {ZONE * SDS[name]:g} }}')
    return "\n".join(lines) + "\n"


def _numbers(seed: int) -> dict[str, float]:
    sys.path.insert(0, str(CHECKOUT / "dags"))
    try:
        from breast_cancer_pipeline import data, evaluation, model  # noqa: PLC0415  the sample's, by its path
    finally:
        sys.path.pop(0)
    parts = data.split(data.load_raw(), seed=seed)
    fitted = model.fit(parts.train, C=REGULARISATION)
    found: dict[str, float] = evaluation.metrics(
        model.labels(parts.test), model.malignancy(fitted, parts.test)
    )
    return found


if __name__ == "__main__":
    print(sds())
