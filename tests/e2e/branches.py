"""A repository whose branches differ in their model: one of few numbers, which may sleep before it tells them."""

from __future__ import annotations

from pathlib import Path

import scratch
from scratch import Scratch

TOML = """\
[tests.several]
dag = "several"
conf = { seed = 7 }
timeout = "10m"
metrics = { task = "evaluate" }
[tests.several.gates.accuracy]
min = 0.3
better = "higher"
max_regression = 0.05
"""
DAG = """\
from airflow.sdk import dag, get_current_context, task


@dag(dag_id="several", schedule=None)
def several():
    @task(multiple_outputs=False)
    def evaluate():
        import random
        import time

        from several_model import ACCURACY, LUCK, SLEEP

        seed = get_current_context()["dag_run"].conf["seed"]
        time.sleep(SLEEP)
        shared, own = random.Random(seed), random.Random(1000 * LUCK + seed)
        return {"accuracy": ACCURACY + shared.uniform(-0.02, 0.02) + own.uniform(-0.01, 0.01)}

    evaluate()


several()
"""
MODELS = {
    "main": (0.80, 1, 0),
    "better": (0.85, 2, 0),
    "worse": (0.60, 3, 0),
    "same": (0.801, 4, 0),
    "sleepy": (0.82, 5, 45),
    "sleepier": (0.83, 6, 45),
    "doomed": (0.84, 7, 240),
}


def model(accuracy: float, luck: int, sleep_s: int) -> str:
    return f"ACCURACY, LUCK, SLEEP = {accuracy}, {luck}, {sleep_s}\n"


def repository(root: Path) -> Scratch:
    """A branch for each model, and one whose model can't be imported."""
    made = scratch.empty(root)
    (made.root / "dags").mkdir()
    (made.root / "dags" / "requirements.lock").write_bytes(
        (scratch.CHECKOUT / "dags" / "requirements.lock").read_bytes()
    )
    made.write("harness.toml", TOML)
    made.write("dags/several.py", DAG)
    made.write("dags/several_model.py", model(*MODELS["main"]))
    made.commit("main")
    for name, parts in MODELS.items():
        if name != "main":
            made.git("checkout", "--quiet", "-b", name, "main")
            made.write("dags/several_model.py", model(*parts))
            made.commit(name)
    made.git("checkout", "--quiet", "-b", "broken", "main")
    made.write("dags/several_model.py", "raise RuntimeError('no model')\n")
    made.commit("broken")
    made.git("checkout", "--quiet", "main")
    return made
