"""DAGs that are broken, each in its own way, and what a user should be told of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import scratch

HEAD = "from airflow.sdk import dag, task\n"
POD = "from kubernetes.client import models as k8s\n"


@dataclass(frozen=True)
class Broken:
    """A DAG file, the test that runs it, and the cause that must be told.

    `words` must be in the cause's message, `hint` in its hint, `evidence` somewhere below it.
    """

    name: str
    source: str
    code: str | None
    words: tuple[str, ...] = ()
    hint: str = ""
    evidence: str = ""
    toml: str = ""
    dag: str = ""
    deadline_s: float = 60.0
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def table(self) -> str:
        return f'[tests.{self.name}]\ndag = "{self.dag or self.name}"\n{self.toml}\n'


def tasks(name: str, body: str, head: str = "") -> str:
    """A file with one DAG, named as its function, of what `body` defines and calls."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
    return f"{HEAD}{head}\n\n@dag(schedule=None)\ndef {name}():\n{lines}\n\n{name}()\n"


def one(name: str, body: str, arguments: str = "", head: str = "") -> str:
    """A DAG of one task, `work`."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return tasks(name, f"@task({arguments})\ndef work():\n{lines}\nwork()", head)


def with_pod(name: str, pod: str, body: str = "return 1", arguments: str = "") -> str:
    """A DAG of one task whose pod is changed by `pod_override`."""
    return one(name, body, f"{arguments}executor_config={{'pod_override': k8s.V1Pod({pod})}}", POD)


def container(what: str) -> str:
    return f"spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', {what})])"


def resources(**limits: str) -> str:
    return container(f"resources=k8s.V1ResourceRequirements(limits={limits})")


METRICS = 'metrics = { task = "work" }'

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
    ),
)

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
    ),
    Broken(
        "exits",
        one("exits", "import sys\nprint('nothing to do here')\nsys.exit(3)"),
        "task_failed",
        ("task work", "sys.exit(3)"),
    ),
    Broken(
        "aborts",
        one("aborts", "import os\nprint('into native code')\nos.abort()"),
        "task_failed",
        ("task work", "SIGABRT"),
        evidence="into native code",
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

NUMBERS = (
    Broken("no_metrics", one("no_metrics", "print('done')"), "metrics_missing", ("work",), toml=METRICS),
    Broken(
        "skipped_metrics",
        one(
            "skipped_metrics",
            "from airflow.sdk.exceptions import AirflowSkipException\nraise AirflowSkipException('no data today')",
        ),
        "metrics_missing",
        ("work", "skipped"),
        toml=METRICS,
    ),
    Broken(
        "not_a_number",
        one("not_a_number", "return {'accuracy': float('nan')}"),
        "metrics_invalid",
        ("task work", "not finite"),
        toml=METRICS,
    ),
    Broken(
        "words_for_numbers",
        one("words_for_numbers", "return {'accuracy': 'high'}"),
        "metrics_invalid",
        ("accuracy",),
        toml=METRICS,
    ),
    Broken(
        "too_large",
        one("too_large", "return {'accuracy': 10**400}"),
        "metrics_invalid",
        ("task work", "too large"),
        toml=METRICS,
    ),
    Broken(
        "no_such_metrics_task",
        one("no_such_metrics_task", "return {'accuracy': 0.9}"),
        "metrics_missing",
        ("evaluate", "work"),
        toml='metrics = { task = "evaluate" }',
    ),
    Broken(
        "mapped_metrics",
        tasks(
            "mapped_metrics",
            "@task\ndef work(x):\n    return {'accuracy': x / 10}\nwork.expand(x=[8, 9])",
        ),
        "metrics_invalid",
        ("work", "mapped"),
        toml=METRICS,
    ),
    Broken(
        "gate",
        one("gate", "return {'accuracy': 0.5}"),
        "gate_failed",
        ("accuracy", "0.5", "0.9"),
        toml=METRICS + "\ngates.accuracy = { min = 0.9 }",
    ),
    Broken(
        "no_such_pool",
        one("no_such_pool", "return 1", "pool='gpu'"),
        "task_failed",
        ("work", "pool 'gpu', which does not exist"),
        hint="default_pool",
    ),
    Broken(
        "starts_later",
        "import pendulum\n"
        + one("starts_later", "return 1").replace(
            "schedule=None", "schedule=None, start_date=pendulum.datetime(2090, 1, 1)"
        ),
        "task_failed",
        ("ran no task", "start_date"),
        hint="logical_date",
    ),
    Broken(
        "tolerated_failure",
        tasks(
            "tolerated_failure",
            """
@task
def fit():
    raise ValueError("X contains NaN")

@task
def work():
    return {"accuracy": 0.9}

@task(trigger_rule="all_done")
def notify():
    print("ended")

fit() >> work() >> notify()
""",
        ),
        "task_failed",
        ("fit", "X contains NaN"),
        toml=METRICS,
    ),
    Broken(
        "number_as_text",
        one("number_as_text", "return {'accuracy': '0.93', 'loss': 0.2}"),
        "metrics_invalid",
        ("work", "accuracy is text '0.93', not a number"),
        toml=f"{METRICS}\ngates.accuracy = {{ min = 0.9 }}",
    ),
    Broken(
        "wrong_key",
        one(
            "wrong_key",
            "from airflow.sdk import get_current_context\n"
            "get_current_context()['ti'].xcom_push('score', {'accuracy': 0.9})",
        ),
        "metrics_missing",
        ("work", "the key 'scores'", "'score'"),
        hint='key = "score"',
        toml='metrics = { task = "work", key = "scores" }',
    ),
)

PODS = (
    Broken(
        "out_of_memory",
        with_pod(
            "out_of_memory",
            resources(memory="400Mi"),
            "kept = []\nwhile True:\n    kept.append(bytearray(16 * 2**20))",
        ),
        "task_out_of_memory",
        ("task work", "400Mi", "a peak of"),
        hint="memory limit",
    ),
    Broken(
        "out_of_storage",
        with_pod(
            "out_of_storage",
            container("resources=k8s.V1ResourceRequirements(limits={'ephemeral-storage': '30Mi'})"),
            "import time\nwith open('/tmp/big', 'wb') as f:\n    f.write(b'x' * (200 * 2**20))\ntime.sleep(120)",
        ),
        "task_storage_limit",
        ("task work", "30Mi"),
        hint="ephemeral-storage",
    ),
    Broken(
        "executor_config_of_before",
        one(
            "executor_config_of_before", "return 1", "executor_config={'KubernetesExecutor': {'image': 'x'}}"
        ),
        "task_failed",
        ("task work", "executor_config"),
        hint="pod_override",
    ),
    Broken(
        "larger_than_any_node",
        with_pod(
            "larger_than_any_node",
            container("resources=k8s.V1ResourceRequirements(requests={'cpu': '900'})"),
        ),
        "request_too_large",
        ("task work", "900 CPU"),
    ),
    Broken(
        "unknown_image",
        with_pod("unknown_image", container("image='registry.invalid/team/nothing:1.0'")),
        "image_not_startable",
        ("task work", "registry.invalid/team/nothing:1.0"),
    ),
    Broken(
        "no_such_secret",
        with_pod(
            "no_such_secret",
            container("env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name='warehouse'))]"),
        ),
        "pod_not_started",
        ("task work", 'secret "warehouse" not found'),
        hint="pod_override",
    ),
)

NOT_STARTED = (
    Broken(
        "no_such_volume",
        with_pod(
            "no_such_volume",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', volume_mounts="
            "[k8s.V1VolumeMount(name='data', mount_path='/data')])], volumes=[k8s.V1Volume(name='data', "
            "persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name='data'))])",
        ),
        "pod_not_started",
        ("task work", 'persistentvolumeclaim "data" not found'),
        hint="pod_override",
    ),
    Broken(
        "no_such_secret_volume",
        with_pod(
            "no_such_secret_volume",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', volume_mounts="
            "[k8s.V1VolumeMount(name='keys', mount_path='/keys')])], volumes=[k8s.V1Volume(name='keys', "
            "secret=k8s.V1SecretVolumeSource(secret_name='keys'))])",
        ),
        "pod_not_started",
        ("task work", 'secret "keys" not found'),
        hint="pod_override",
    ),
    Broken(
        "privileged",
        with_pod("privileged", container("security_context=k8s.V1SecurityContext(privileged=True)")),
        "pod_not_started",
        ("task work", "PodSecurity"),
        hint="pod_override",
    ),
    Broken(
        "no_such_node",
        with_pod(
            "no_such_node",
            "spec=k8s.V1PodSpec(node_selector={'gpu': 'a100'}, containers=[k8s.V1Container(name='base')])",
        ),
        "pod_not_started",
        ("task work", "node"),
        hint="nodeSelector",
    ),
    Broken(
        "wants_a_gpu",
        with_pod("wants_a_gpu", resources(**{"nvidia.com/gpu": "1"})),
        "request_too_large",
        ("work", "1 nvidia.com/gpu"),
        hint="take nvidia.com/gpu out",
    ),
    Broken(
        "never_fits_beside_airflow",
        with_pod(
            "never_fits_beside_airflow",
            container(f"resources=k8s.V1ResourceRequirements(requests={{'cpu': '{os.cpu_count()}'}})"),
        ),
        "request_too_large",
        ("work", f"it requests {os.cpu_count()} CPU", "the largest node has"),
        hint="lower the requests",
    ),
    Broken(
        "init_image_missing",
        with_pod(
            "init_image_missing",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base')], init_containers=[k8s.V1Container("
            "name='fetch', image='registry.invalid/team/fetch:2.1', security_context=k8s.V1SecurityContext("
            "allow_privilege_escalation=False, capabilities=k8s.V1Capabilities(drop=['ALL'])))])",
        ),
        "image_not_startable",
        ("work", "registry.invalid/team/fetch:2.1", "container fetch"),
        hint="pod_override",
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

TRIGGERS = (
    "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator\n"
    "from airflow.sdk import Asset, Param, dag, task\n\nFEATURES = Asset('s3://lake/features')\n\n"
)


def triggering(name: str, *children: str, more: str = "") -> str:
    """A DAG of a task and, after it, one for each DAG that is triggered."""
    operators = "".join(
        f"    first >> TriggerDagRunOperator(task_id='go_{child}', trigger_dag_id='{child}'{more})\n"
        for child in children
    )
    return (
        f"{TRIGGERS}\n@dag(schedule=None)\ndef {name}():\n    @task\n    def work():\n        return {{'rows': 3}}\n\n"
        f"    first = work()\n{operators}\n\n{name}()\n"
    )


def of_one_task(name: str, body: str, schedule: str = "None", outlets: str = "[]", more: str = "") -> str:
    return (
        f"{TRIGGERS}\n@dag(schedule={schedule}{more})\ndef {name}():\n    @task(outlets={outlets})\n    def work():\n"
        f"        {body}\n\n    work()\n\n\n{name}()\n"
    )


# The first leads to three more runs; beside it are two DAGs whose time has come.
CHAINS = (
    Broken(
        "chain",
        triggering("chain", "makes_features", "makes_report"),
        "task_failed",
        (
            "DAG follows_features: task work failed",
            "dags/follows_features.py:",
            "ValueError: column age is empty",
        ),
        deadline_s=120.0,  # four DAG runs, one after another
        toml=METRICS,
        beside=(
            ("dags/makes_features.py", of_one_task("makes_features", "return 1", outlets="[FEATURES]")),
            ("dags/makes_report.py", of_one_task("makes_report", "return 1")),
            (
                "dags/follows_features.py",
                of_one_task("follows_features", "raise ValueError('column age is empty')", "[FEATURES]"),
            ),
            *(
                (
                    f"dags/{name}.py",
                    "from datetime import UTC, datetime\n"
                    + of_one_task(
                        name,
                        "return 1",
                        "'* * * * *'",
                        "[Asset('s3://lake/other')]",
                        more=", start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=True",
                    ),
                )
                for name in ("timed_one", "timed_two")
            ),
        ),
    ),
    Broken(
        "child_refuses",
        triggering("child_refuses", "strict", more=", conf={'epochs': 0}"),
        "task_failed",
        ("task go_strict failed", "Invalid input for param epochs: 0 is less than the minimum of 1"),
        hint="edit the conf",
        beside=(
            (
                "dags/strict.py",
                of_one_task(
                    "strict", "return 1", more=", params={'epochs': Param(3, type='integer', minimum=1)}"
                ),
            ),
        ),
    ),
)

# What a task returns lies in object storage, and only a reference to it in the database.
XCOM_BACKEND = (
    Broken(
        "kept_elsewhere",
        one("kept_elsewhere", "return {f'fold_{number}': {'auc': 0.9, 'loss': 0.1} for number in range(40)}"),
        None,
        toml=f'{METRICS}\ngates."fold_39.auc" = {{ min = 0.9 }}',
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

HEADS = {  # what the configuration of a group begins with
    "local_settings": '[image]\ncode = ["dags", "config"]\n',
    "xcom_backend": """\
[image.env]
AIRFLOW__CORE__XCOM_BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH = "file:///opt/airflow/artifacts/xcom"
AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD = "1000"
""",
}
GROUPS = {  # what takes longest comes first, as four run at a time
    "pods": PODS,
    "not_started": NOT_STARTED,
    "tasks": TASKS,
    "deadlines": DEADLINES,
    "chains": CHAINS,
    "numbers": NUMBERS,
    "parsing": PARSING,
    "endless": ENDLESS_IMPORT,
    "not_kept": NOT_KEPT,
    "xcom_backend": XCOM_BACKEND,
}


def repository(root: Path, cases: tuple[Broken, ...], head: str = "") -> scratch.Scratch:
    """A repository with the files of some cases, on the sample's dependencies; `head` begins its configuration."""
    made = scratch.empty(root)
    (root / "dags").mkdir()
    shutil.copy(scratch.CHECKOUT / "dags" / "requirements.lock", root / "dags")
    for case in cases:
        if case.source:
            made.write(f"dags/{case.name}.py", case.source)
        for path, text in case.beside:
            made.write(path, text)
    made.write("harness.toml", "\n".join([head, *(case.table for case in cases)]))
    made.commit("what is broken")
    return made
