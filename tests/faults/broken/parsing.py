"""What Airflow can't parse, and what it reads as it starts."""

from __future__ import annotations

from .case import HEAD, METRICS, Broken, one, tasks

PARSING = (
    Broken(
        "never_called",
        one("never_called", "return 1").removesuffix("never_called()\n"),
        "dag_not_found",
        ("dags/never_called.py", "nothing calls it"),
        hint="never_called()",
    ),
    Broken(
        "syntax_error",
        f"{HEAD}\n\n@dag(schedule=None)\ndef syntax_error()\n    pass\n",
        "dag_import_error",
        ("dags/syntax_error.py:5", "SyntaxError"),
        hint="dags/syntax_error.py",
    ),
    Broken(
        "missing_package",
        "import xgboost\n" + one("missing_package", "return xgboost.__version__"),
        "dag_import_error",
        ("dags/missing_package.py:1", "No module named 'xgboost'"),
        hint="requirements",
    ),
    Broken(
        "error_in_a_module_beside",
        "from module_beside import THRESHOLD\n" + one("error_in_a_module_beside", "return THRESHOLD"),
        "dag_import_error",
        ("KeyError: 'THRESHOLD'", "dags/module_beside.py:3"),
        beside=(("dags/module_beside.py", "import os\n\nTHRESHOLD = os.environ['THRESHOLD']\n"),),
    ),
    Broken(
        "cycle",
        tasks(
            "cycle",
            "@task\ndef a():\n    return 1\n@task\ndef b():\n    return 2\nx, y = a(), b()\nx >> y >> x",
        ),
        "dag_import_error",
        ("dags/cycle.py", "ycle"),
    ),
    Broken(
        "twice_in_a_file",
        one("twice_in_a_file", "return 1").replace("@dag(", "@dag('twice_in_a_file', ")
        + "\n\n@dag('twice_in_a_file', schedule=None)\ndef other():\n"
        "    @task\n    def x():\n        return 2\n\n    x()\n\n\nother()\n",
        "dag_import_error",
        ("dags/twice_in_a_file.py", "twice_in_a_file", "uplicat"),
    ),
    Broken(
        "twice_in_two_files",
        one("twice_in_two_files", "return 1"),
        "dag_import_error",
        ("twice_in_two_files", "dags/another_file.py", "dags/twice_in_two_files.py"),
        beside=(("dags/another_file.py", one("twice_in_two_files", "return 2")),),
    ),
    Broken(
        "twice_computed",
        one("twice_computed", "return 1").replace("@dag(", "@dag('twice_' + 'computed', "),
        "dag_import_error",
        ("twice_computed", "dags/computed_too.py:", "dags/twice_computed.py:"),
        beside=(
            (
                "dags/computed_too.py",
                one("other", "return 2").replace("@dag(", "@dag('_'.join(['twice', 'computed']), "),
            ),
        ),
    ),
    Broken("not_there", "", "dag_not_found", ("'nowhere_to_be_found'",), dag="nowhere_to_be_found"),
    Broken(
        "left_out",
        one("left_out", "return 1"),
        "dag_not_found",
        ("dags/left_out.py:", "dags/.airflowignore leaves it out"),
        hint="edit dags/.airflowignore",
        beside=(("dags/.airflowignore", "left_out.py\n"),),
    ),
    Broken(
        "misspelt",
        one("well_spelt_dag", "return 1"),
        "dag_not_found",
        ("well_spelt_dag",),
        dag="wel_spelt_dag",
    ),
    Broken(
        "paused",
        one("paused", "return {'accuracy': 0.9}").replace(
            "schedule=None", "schedule=None, is_paused_upon_creation=True"
        ),
        None,
        toml=METRICS,
    ),
    Broken(
        "refused_conf",
        one("refused_conf", "return 1", head="from airflow.sdk import Param\n").replace(
            "schedule=None", "schedule=None, params={'epochs': Param(3, type='integer', minimum=1)}"
        ),
        "config_invalid",
        ("refused_conf", "epochs"),
        toml="conf = { epochs = 0 }",
    ),
    Broken(
        "killed_at_import",
        one("killed_at_import", "return 1", head="import os\n\nos._exit(3)\n"),
        "dag_import_error",
        ("dags/killed_at_import.py", "the process that imported it died"),
        hint="python dags/killed_at_import.py",
    ),
    Broken(
        "segfault_at_import",
        one("segfault_at_import", "return 1", head="import ctypes\n\nctypes.string_at(0)\n"),
        "dag_import_error",
        ("dags/segfault_at_import.py", "the process that imported it died"),
        slow=True,
    ),
)

ENDLESS_IMPORT = (
    Broken(
        "endless_import",
        "import time\n\nwhile True:\n    time.sleep(0.1)\n\n" + one("endless_import", "return 1"),
        "dag_import_error",
        ("dags/endless_import.py", "import timeout", "after 20"),
        hint="below [image.env]",
        toml='[image.env]\nAIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT = "20"',
    ),
)

# Airflow's dag-processor ends of it again and again, so it has a version of its own.
NOT_KEPT = (
    Broken(
        "not_kept",
        tasks("not_kept", "@task\ndef work(limit):\n    return 1\nwork(float('inf'))"),
        "dag_import_error",
        ("dags/not_kept.py", "Airflow cannot keep", "Infinity"),
        hint="finite numbers",
    ),
)

# Airflow reads it when it starts, so there is no run to be told of.
LOCAL_SETTINGS = (
    Broken(
        "settings_raise",
        one("settings_raise", "return 1"),
        "dag_import_error",
        ("config/airflow_local_settings.py:1", "KeyError: 'TEAM_POLICY'"),
        hint="airflow_local_settings.py",
        beside=(("config/airflow_local_settings.py", "TEAM = __import__('os').environ['TEAM_POLICY']\n"),),
    ),
)
