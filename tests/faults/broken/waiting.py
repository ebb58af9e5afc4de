"""Tasks that wait, for longer than they may."""

from __future__ import annotations

from .case import Broken, one, tasks

DEADLINES = (
    Broken(
        "pool_loses_a_process",
        one(
            "pool_loses_a_process",
            "import multiprocessing\nfrom dies import batch\n"
            "with multiprocessing.get_context('fork').Pool(2) as pool:\n    return len(pool.map(batch, range(4)))",
        ),
        "task_failed",
        ("task work lost a process", "by SIGSEGV", "had not ended after 25s"),
        hint="concurrent.futures",
        toml='timeout = "25s"',
        beside=(
            (
                "dags/dies.py",
                "import ctypes\n\n\ndef batch(number):\n    return ctypes.string_at(0) if number == 1 else number\n",
            ),
        ),
    ),
    Broken(
        "awaits_input",
        tasks(
            "awaits_input",
            "from airflow.providers.standard.operators.hitl import ApprovalOperator\n"
            "ApprovalOperator(task_id='approve', subject='Deploy?')",
        ),
        "task_failed",
        ("task approve waits for a person to answer",),
        hint="`skip`",
    ),
    Broken(
        "trigger_beside",
        tasks("trigger_beside", "from waits import Wait\nWait(task_id='wait')"),
        "task_failed",
        ("task wait failed", "No module named 'waits_trigger'"),
        hint="plugins",
        beside=(
            (
                "dags/waits.py",
                "from airflow.sdk import BaseOperator\nfrom waits_trigger import WaitTrigger\n\n\n"
                "class Wait(BaseOperator):\n    def execute(self, context):\n"
                "        self.defer(trigger=WaitTrigger(), method_name='execute')\n",
            ),
            (
                "dags/waits_trigger.py",
                "from airflow.triggers.base import BaseTrigger, TriggerEvent\n\n\n"
                "class WaitTrigger(BaseTrigger):\n    def serialize(self):\n"
                "        return 'waits_trigger.WaitTrigger', {}\n\n"
                "    async def run(self):\n        yield TriggerEvent(1)\n",
            ),
        ),
    ),
    Broken(
        "sensor_gives_up",
        tasks(
            "sensor_gives_up",
            "@task.sensor(poke_interval=1, timeout=4)\ndef wait():\n    return False\nwait()",
        ),
        "task_failed",
        ("task wait", "timed out"),
        hint="timeout",
        slow=True,
    ),
    Broken(
        "sensor_waits",
        tasks(
            "sensor_waits",
            "@task.sensor(poke_interval=5, mode='reschedule')\ndef wait():\n    return False\nwait()",
        ),
        "run_timeout",
        ("sensor_waits", "25s", "task wait, a sensor, had waited"),
        toml='timeout = "25s"',
    ),
    Broken(
        "too_slow",
        one("too_slow", "import time\nprint('epoch 1 of 900')\ntime.sleep(600)"),
        "run_timeout",
        ("too_slow", "20s", "task work was running"),
        hint="timeout",
        evidence="epoch 1 of 900",
        toml='timeout = "20s"',
    ),
    Broken(
        "budget_of_a_task",
        one(
            "budget_of_a_task",
            "import time\ntime.sleep(600)",
            "execution_timeout=timedelta(seconds=3)",
            "from datetime import timedelta\n",
        ),
        "task_failed",
        ("task work ran longer than its execution_timeout at dags/budget_of_a_task.py:",),
        slow=True,
    ),
    Broken(
        "waits_for_its_retry",
        one("waits_for_its_retry", "raise ValueError('columns differ')", "retries=2"),
        "run_timeout",
        ("task work was up_for_retry", "try 2 of 3", "waits_for_its_retry.py:", "ValueError: columns differ"),
        hint="`retries = 0` of the test",
        toml='timeout = "15s"',
    ),
)
