"""The sample pipeline in a repository to measure with: its models, its four gates, and as few tasks as it can have."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from benchmarks.repositories import CHECKOUT, PROJECT, Repository

DAG_FILE = "dags/breast_cancer.py"
METRICS = {"accuracy": "higher", "roc_auc": "higher", "log_loss": "lower", "calibration_error": "lower"}
CANDIDATE = 0.1  # in place of three: a run of five tasks
ZONE = 2.0  # standard deviations of the paired difference: what a gate allows here
SEEDS = 200

_CANDIDATES = 'CANDIDATES = [{"C": 0.01}, {"C": 0.1}, {"C": 1.0}]'
_CANDIDATE = f'CANDIDATES = [{{"C": {CANDIDATE}}}]'
_SEED = 'seed=context["params"]["seed"]'
_METRICS = "        return evaluation.metrics(model.labels(rows), probabilities)\n"
_DECORATOR = '    dag_id="breast_cancer",\n'


def dag(
    dag_id: str,
    *,
    line: str = "",
    other_draws: int = 0,
    worse: Mapping[str, float] | None = None,
    is_whole: bool = False,
    max_active_runs: int | None = None,
) -> str:
    """The DAG's file under another id.

    `line`: a comment that makes it another commit's. `other_draws`: what is added to the seed. `worse`: by how much
    each metric is made worse in truth, whatever the draw. `is_whole`: with all of its candidates.
    """
    text = (CHECKOUT / DAG_FILE).read_text(encoding="utf-8")
    returned = "        found = evaluation.metrics(model.labels(rows), probabilities)\n"
    for name, by in (worse or {}).items():
        returned += f'        found["{name}"] {"-" if METRICS[name] == "higher" else "+"}= {by!r}\n'
    limit = "" if max_active_runs is None else f"    max_active_runs={max_active_runs},\n"
    changes = {
        _CANDIDATES: f"{_CANDIDATES if is_whole else _CANDIDATE}  # {line}",
        _SEED: f"{_SEED} + {other_draws}",
        _METRICS: returned + "        return found\n",
        _DECORATOR: f'    dag_id="{dag_id}",\n{limit}',
    }
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SystemExit(
                f"{DAG_FILE} no longer has the line {old.strip()!r}, which the benchmark changes"
            )
        text = text.replace(old, new)
    return text


@lru_cache
def sds() -> dict[str, float]:
    """The standard deviation of each metric's paired difference in truth: over many draws, without a cluster."""
    numbers = [_numbers(seed) for seed in range(2 * SEEDS)]
    found = {}
    for name in METRICS:
        differences = [numbers[SEEDS + seed][name] - numbers[seed][name] for seed in range(SEEDS)]
        found[name] = (sum(each**2 for each in differences) / SEEDS) ** 0.5  # their mean is 0 in truth
    return found


@contextmanager
def repository(
    first_seeds: Sequence[int], *, is_whole: bool = False, max_active_runs: int | None = None
) -> Iterator[tuple[Repository, str]]:
    """A repository with one commit, gone afterwards, and the id of its DAG, which nothing is known of anywhere.

    It has a test `draws_N` for each first seed, whose gates allow two standard deviations.
    """
    dag_id = f"breast_cancer_{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="harness-benchmark-") as folder:
        made = Repository(Path(folder) / "benchmark")
        ignored = shutil.ignore_patterns("__pycache__", "requirements.in")
        shutil.copytree(CHECKOUT / "dags", made.root / "dags", ignore=ignored)
        text = dag(dag_id, is_whole=is_whole, max_active_runs=max_active_runs)
        tests = [_test(dag_id, number, seed) for number, seed in enumerate(first_seeds, 1)]
        made.write({"harness.toml": f'project = "{PROJECT}"\n' + "".join(tests), DAG_FILE: text})
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit()
        yield made, dag_id


def _test(dag_id: str, number: int, seed: int) -> str:
    lines = [
        f"\n[tests.draws_{number}]",
        f'dag = "{dag_id}"',
        f"conf = {{ seed = {seed} }}",
        'metrics = { task = "evaluate" }',
    ]
    for name, better in METRICS.items():
        lines.append(f'gates.{name} = {{ better = "{better}", max_regression = {ZONE * sds()[name]!r} }}')
    return "\n".join(lines) + "\n"


def _numbers(seed: int) -> dict[str, float]:
    sys.path.insert(0, str(CHECKOUT / "dags"))
    try:
        from breast_cancer_pipeline import data, evaluation, model  # noqa: PLC0415  the sample's, by its path
    finally:
        sys.path.pop(0)
    parts = data.split(data.load_raw(), seed=seed)
    fitted = model.fit(parts.train, C=CANDIDATE)
    found: dict[str, float] = evaluation.metrics(
        model.labels(parts.test), model.malignancy(fitted, parts.test)
    )
    return found
