"""Tasks that fail."""

from __future__ import annotations

from .case import HEAD, METRICS, Broken, one, tasks

TASKS = (
    Broken(
        "exception",
        "from training import fit\n" + one("exception", "return fit([])"),
        "task_failed",
        ("task work failed at dags/training.py:2 in fit", "ZeroDivisionError: division by zero"),
        evidence="dags/exception.py:",
        beside=(("dags/training.py", "def fit(rows):\n    return 1 / len(rows)\n"),),
    ),
    Broken(
        "fails_again",
        one(
            "fails_again",
            "raise ValueError('no luck')",
            "retries=1, retry_delay=timedelta(seconds=1)",
            "from datetime import timedelta\n",
        ),
        "task_failed",
        ("task work failed", "no luck", "try 2 of 2"),
        slow=True,
    ),
    Broken(
        "root_of_it",
        tasks(
            "root_of_it",
            "@task\ndef load():\n    raise RuntimeError('the source is empty')\n"
            "@task\ndef train():\n    return 1\n"
            "@task(trigger_rule='all_done')\ndef notify():\n    raise RuntimeError('nothing to tell')\n"
            "load() >> train() >> notify()",
        ),
        "task_failed",
        ("task load failed", "the source is empty", "1 more failed"),
    ),
    Broken(
        "skipped_metrics",
        tasks(
            "skipped_metrics",
            "@task\ndef models():\n    return []\n@task\ndef score(model):\n    return 0.9\n"
            "@task\ndef work(scores):\n    return {'best': max(scores)}\n"
            "work(score.expand(model=models()))",
        ),
        "metrics_missing",
        ("task work: it was skipped", "upstream score was skipped", "models returned no elements"),
        hint="trigger_rule",
        toml=METRICS,
    ),
    Broken(
        "missing_library",
        one("missing_library", "import ctypes\nctypes.CDLL('libGL.so.1')"),
        "task_failed",
        ("task work failed at dags/missing_library.py", "the image has no library libGL.so.1"),
        hint="opencv-python-headless",
    ),
    Broken(
        "shell",
        "from airflow.providers.standard.operators.bash import BashOperator\n"
        f"{HEAD}\n\n@dag(schedule=None)\ndef shell():\n"
        "    BashOperator(task_id='work', bash_command='echo the model file is missing; exit 3')\n\n\nshell()\n",
        "task_failed",
        ("task work failed", "exit code 3"),
        evidence="the model file is missing",
        slow=True,
    ),
    Broken(
        "exits",
        one("exits", "import sys\nprint('nothing to do here')\nsys.exit(3)"),
        "task_failed",
        ("task work", "sys.exit(3)"),
        slow=True,
    ),
    Broken(
        "ends_without_a_word",
        one("ends_without_a_word", "import os\nos._exit(0)"),
        "task_failed",
        ("task work", "exit code 0 and told Airflow nothing"),
        slow=True,
    ),
    Broken(
        "aborts",
        one("aborts", "import os\nprint('into native code')\nos.abort()"),
        "task_failed",
        ("task work", "SIGABRT"),
        evidence="into native code",
        slow=True,
    ),
    Broken(
        "segfault",
        one("segfault", "import ctypes\nprint('into native code')\nctypes.string_at(0)"),
        "task_failed",
        ("task work", "SIGSEGV"),
        evidence="into native code",
    ),
    Broken(
        "killed", one("killed", "import os\nos.kill(os.getpid(), 9)"), "task_failed", ("task work", "SIGKILL")
    ),
    Broken(
        "returns_an_object",
        one("returns_an_object", "return open('/etc/hostname')"),
        "task_failed",
        ("task work", "TextIOWrapper"),
        hint="XCom",
        slow=True,
    ),
    Broken(
        "file_of_another_task",
        tasks(
            "file_of_another_task",
            "@task\ndef write():\n    with open('/opt/airflow/dags/data.csv', 'w') as f:\n        f.write('1')\n"
            "@task\ndef read():\n    return open('/opt/airflow/dags/data.csv').read()\n"
            "write() >> read()",
        ),
        "task_failed",
        ("task read failed", "data.csv", "file system of its own"),
        hint="[image] shared",
        slow=True,
    ),
    Broken(
        "file_in_tmp",
        tasks(
            "file_in_tmp",
            "@task\ndef write():\n    with open('/tmp/model.pkl', 'w') as f:\n        f.write('1')\n"
            "@task\ndef read():\n    return open('/tmp/model.pkl').read()\n"
            "write() >> read()",
        ),
        "task_failed",
        ("task read failed", "/tmp/model.pkl", "file system of its own"),
        hint="`shared_tmp = true` under [image]",
    ),
    Broken(
        "no_connection",
        one("no_connection", "from airflow.sdk import Connection\nreturn Connection.get('warehouse').host"),
        "task_failed",
        ("task work failed at dags/no_connection.py", "warehouse"),
        hint="AIRFLOW_CONN_WAREHOUSE",
    ),
    Broken(
        "module_in_task",
        one("module_in_task", "import lightgbm"),
        "task_failed",
        ("No module named 'lightgbm'",),
        hint="lightgbm",
        slow=True,
    ),
    Broken(
        "shell_misses_file",
        HEAD + "from airflow.providers.standard.operators.bash import BashOperator\n\n\n@dag(schedule=None)\n"
        "def shell_misses_file():\n"
        "    train = BashOperator(task_id='train', bash_command='echo 1 > /tmp/model.txt')\n"
        "    train >> BashOperator(task_id='score', bash_command='cat /tmp/model.txt')\n\n\nshell_misses_file()\n",
        "task_failed",
        ("task score", "what an earlier task wrote to /tmp/model.txt"),
        hint="`shared_tmp = true` under [image]",
    ),
    Broken(
        "lacks_a_program",
        one("lacks_a_program", "import subprocess\nsubprocess.run(['java', '-version'], check=True)"),
        "task_failed",
        ("task work", "'java'"),
        hint="the image has no program java",
    ),
)
