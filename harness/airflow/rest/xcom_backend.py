"""Values that an XCom backend of the team's own keeps elsewhere: Airflow's API tells only where."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import CauseCode, HarnessError

SETTING = "AIRFLOW__CORE__XCOM_BACKEND"
# As a task reads it. Numbers of NumPy and the like come as the plain ones.
_READ = """
import json, os, sys, types
sys.path += [os.environ["AIRFLOW__CORE__DAGS_FOLDER"], os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"]]
value, names = json.loads(sys.argv[1]), json.loads(sys.argv[2])
def plain(entry):
    return entry.item() if hasattr(entry, "item") else str(entry)
try:
    from airflow.sdk.execution_time.xcom import XCom
    found = {"value": XCom.deserialize_value(types.SimpleNamespace(value=value, **names))}
    said = json.dumps(found, default=plain)
except Exception as error:
    said = json.dumps({"error": f"{type(error).__name__}: {error}"})
print("\\n" + said)
"""


def read(
    execute: Callable[[Sequence[str]], str],
    value: Any,  # noqa: ANN401
    *,
    key: str,
    task_id: str,
    dag_id: str,
    run_id: str,
) -> object:
    """What `value`, as the database has it, stands for by the version's XCom backend.

    `execute` runs a program in the version's control plane, which has its image's settings, and returns what it prints.
    Raises HarnessError(METRICS_INVALID) when the backend can't read it there.
    """
    names = {"key": key, "task_id": task_id, "dag_id": dag_id, "run_id": run_id, "map_index": -1}
    said = execute(("python", "-c", _READ, json.dumps(value), json.dumps(names)))
    found = json.loads(said.strip().splitlines()[-1])
    if "error" in found:
        raise HarnessError(
            CauseCode.METRICS_INVALID,
            f"its XCom backend keeps the numbers elsewhere ({str(value)[:200]}), and could not read them: "
            f"{found['error']}",
            hint=f"see {SETTING} below [image.env] in harness.toml, and what the backend needs to read what it wrote",
        )
    return found["value"]
