"""A version's control plane as one process that imports Airflow once and forks its components.

Importing is most of what starting costs, in time and in memory: forked, the components pay for what they
share once. The parent stays small in what it does: it passes their lines on, each with its component's name,
and forks a component again when it ends.
"""

import gc

# Importing makes objects that stay: collecting garbage meanwhile is a third of the CPU time and finds none.
gc.disable()

import base64  # noqa: E402
import contextlib  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import selectors  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import urllib.error  # noqa: E402
import urllib.request  # noqa: E402

# Beside this file.
import asset_runs  # noqa: E402
import dag_definitions  # noqa: E402
import other_images  # noqa: E402

PASSWORDS = ("/etc/harness/passwords/passwords.json", "/run/airflow/passwords.json")
SHARED = (
    "airflow.settings",
    "airflow.cli.cli_parser",
    "airflow.jobs.job",
    "airflow.models.dagrun",
    "airflow.models.serialized_dag",
    "airflow.serialization.serialized_objects",
)
# What each component imports before it begins, and its command line. The api-server is two: building its two
# halves takes longest of all, and side by side it takes half as long; tasks talk to the second alone.
COMPONENTS = {
    "api-server": (("airflow.api_fastapi.main",), ("api-server", "--apps", "core", "--port", "8080")),
    "execution-api": (("airflow.api_fastapi.main",), ("api-server", "--apps", "execution", "--port", "8081")),
    "scheduler": (
        (
            "airflow.cli.commands.scheduler_command",
            "airflow.jobs.scheduler_job_runner",
            "airflow.providers.cncf.kubernetes.executors.kubernetes_executor",
        ),
        ("scheduler", "--skip-serve-logs"),
    ),
    "dag-processor": (
        ("airflow.cli.commands.dag_processor_command", "airflow.jobs.dag_processor_job_runner"),
        ("dag-processor",),
    ),
}
# What most DAG files import, where it is installed: each file is parsed in a fork of the dag-processor.
LIKELY = (
    "airflow.sdk.definitions.dag",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.taskgroup",
    "airflow.sdk.io",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.python",
)
FIRST = "api-server"
NEED_CODE = ("scheduler", "dag-processor")
# Once told to rest (SIGUSR1), these run only while there is a DAG run, and start again by themselves.
NEED_RUNS = ("execution-api", "scheduler", "dag-processor")
REST_AFTER_S = 20.0
# The scheduler of Airflow 3.3 waits without end where SIGTERM meets it after it took something from a queue of its
# executor and before it said so.
END_WITHIN_S = 30.0
LOOK_INTERVAL_S = 2.0
RESTART_AFTER_S = 1.0
ATTEMPTS = 30
MOST_FAILURES = 5  # of one component; then the container ends, and the cluster shows it as crashing


def main() -> None:
    """Import, fork, and watch until told to end."""
    # SimpleAuthManager opens its password file for appending, which a mounted Secret refuses.
    shutil.copyfile(*PASSWORDS)
    for name in SHARED:
        importlib.import_module(name)
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    gc.freeze()
    Supervisor().run()


def become(component: str) -> None:
    """Run a component in this process, which has just been forked, to its end."""
    imports, arguments = COMPONENTS[component]
    processors = os.sched_getaffinity(0)
    if component != FIRST and len(processors) > 1:
        # A version can be used once this half of the api-server answers: it starts on a processor of its own.
        os.sched_setaffinity(0, processors - {min(processors)})
    if "--apps" in arguments:
        os.environ["AIRFLOW_API_APPS"] = arguments[arguments.index("--apps") + 1]  # read by what is imported
    for name in imports:
        importlib.import_module(name)
    for name in LIKELY if component == "dag-processor" else ():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if component == "dag-processor":
        let_crashes_end()
        dag_definitions.watch(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], os.dup(1))
    elif component == "scheduler":
        asset_runs.only()
        other_images.give_code()
    from airflow.cli import cli_parser

    sys.argv = ["airflow", *arguments]
    options = cli_parser.get_parser().parse_args(list(arguments))
    gc.freeze()
    gc.enable()
    if component == "execution-api":
        threading.Thread(target=warm_up, args=(processors,), daemon=True).start()
    else:
        os.sched_setaffinity(0, processors)
    if component in NEED_CODE:
        wait_for_code()
    if component == "dag-processor":
        take_secrets()
    options.func(options)


def let_crashes_end() -> None:
    """Keep SIGSEGV as it is, here and in each fork that imports a file.

    Airflow 3.3 catches it in Python, which runs such a handler after the instruction that crashed: never. As with a
    task (sitecustomize.py), the process would spin until its timeout; ended, it counts as the file's error.
    """
    install = signal.signal

    def keep(number: int, handler: object) -> object:
        if number == signal.SIGSEGV and callable(handler):
            return signal.getsignal(number)
        return install(number, handler)

    signal.signal = keep


def wait_for_code() -> None:
    """Return when the DAGs are there: at once, unless this control plane was started before they were known.

    Then what the image sets for them is taken on too.
    """
    handed_over = os.environ.get("HARNESS_HANDED_OVER")
    if not handed_over:
        return
    while not pathlib.Path(handed_over).exists():
        time.sleep(0.1)
    os.environ.update(json.loads(pathlib.Path(handed_over).with_name("environment.json").read_bytes()))
    root, *folders = os.environ["PYTHONPATH"].split(":")
    after = sys.path.index(root) + 1
    sys.path[after:after] = [folder for folder in folders if folder not in sys.path]
    importlib.invalidate_caches()  # folders that were not there when something was looked for in them


def take_secrets() -> None:
    """Set the variables of the project's Secret, if there is one: here DAG files are imported.

    It is asked for, not mounted: a volume of this pod would tell of it a minute after it was made.
    """
    account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    namespace = (account / "namespace").read_text()
    request = urllib.request.Request(
        f"https://{host}:{port}/api/v1/namespaces/{namespace}/secrets/{os.environ['HARNESS_CODES_SECRET']}",
        headers={"Authorization": f"Bearer {(account / 'token').read_text()}"},
    )
    context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    # Without the proxies that the project's variables may name: the cluster's API is behind none.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            with direct.open(request, timeout=30) as answer:
                data = json.load(answer).get("data") or {}
            break
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 404:
                return
            if not attempts_left:
                raise
            time.sleep(1.0)
    own = os.environ["HARNESS_VARIABLES"].split(",")
    os.environ.update(
        {name: base64.b64decode(value).decode() for name, value in data.items() if name not in own}
    )


def warm_up(processors: set[int]) -> None:
    """Make the first request, which takes seconds of building, before a task makes it."""
    for _ in range(600):
        try:
            urllib.request.urlopen("http://127.0.0.1:8081/execution/health", timeout=60).close()
        except OSError:
            time.sleep(0.1)
        else:
            break
    os.sched_setaffinity(os.getpid(), processors)


class Demand:
    """Whether there is a DAG run to be seen to, asked of the database now and then."""

    def __init__(self) -> None:
        import sqlalchemy
        from airflow.configuration import conf

        url = conf.get("database", "sql_alchemy_conn")
        # Nothing stays open: a connection must not be there when a component is forked.
        self.engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
        self.query = sqlalchemy.text(
            "SELECT EXISTS (SELECT FROM dag_run WHERE state IN ('queued', 'running'))"
            " OR EXISTS (SELECT FROM asset_dag_run_queue)"
        )
        self.asked_s = self.seen_s = time.monotonic()

    def there_is(self) -> bool:
        now_s = time.monotonic()
        if now_s - self.asked_s >= LOOK_INTERVAL_S:
            self.asked_s = now_s
            if self.ask():
                self.seen_s = now_s
        return now_s - self.seen_s < REST_AFTER_S

    def ask(self) -> bool:
        try:
            with self.engine.connect() as connection:
                return bool(connection.execute(self.query).scalar())
        except Exception as error:  # the database may be away: rather run than rest
            print(f"[control-plane] can't tell whether anything runs: {error}", flush=True)
            return True


class Supervisor:
    """The parent: components by process id, and the pipes that bring their lines."""

    def __init__(self) -> None:
        self.demand: Demand | None = None  # once told to rest
        self.put_to_rest: dict[str, float] = {}  # when each was told to end
        self.running: dict[int, str] = {}
        self.selector = selectors.DefaultSelector()
        self.failures = dict.fromkeys(COMPONENTS, 0)
        self.definitions = dag_definitions.Definitions()
        self.stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        signal.signal(signal.SIGUSR1, self.may_rest)
        for component in COMPONENTS:
            self.start(component)
        while self.running or self.selector.get_map():
            for key, _ in self.selector.select(timeout=1.0):
                self.forward(key)
            self.reap()
            self.rest_or_wake()

    def start(self, component: str) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self.child(component, reading, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        self.selector.register(reading, selectors.EVENT_READ, (component, bytearray()))
        self.running[pid] = component

    def child(self, component: str, reading: int, writing: int) -> None:
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, signal.SIG_DFL)
            os.close(reading)
            for key in list(self.selector.get_map().values()):
                os.close(key.fd)
            self.selector.close()
            for stream in (1, 2):
                os.dup2(writing, stream)
            os.close(writing)
            os.setpgid(0, 0)  # a component may signal its own group, as the dag-processor does
            become(component)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def forward(self, key: selectors.SelectorKey) -> None:
        component, rest = key.data
        try:
            chunk = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        if not chunk:
            self.selector.unregister(key.fd)
            os.close(key.fd)
            chunk = b"\n" if rest else b""
        rest += chunk
        *lines, remaining = bytes(rest).split(b"\n")
        rest[:] = remaining
        if component == "dag-processor":
            lines = self.definitions.passed(lines)
        prefix = f"[{component}] ".encode()
        if lines:
            os.write(1, b"".join(prefix + line + b"\n" for line in lines))

    def reap(self) -> None:
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            component = self.running.pop(pid, None)
            if component is None or self.stopping:
                continue
            with contextlib.suppress(ProcessLookupError):  # a scheduler's watchers may outlive it
                os.killpg(pid, signal.SIGKILL)
            if component in self.put_to_rest:
                del self.put_to_rest[component]
                continue
            how = os.waitstatus_to_exitcode(status)
            self.failures[component] += 1
            if self.failures[component] >= MOST_FAILURES:
                print(f"[control-plane] {component} ended with {how}, again and again", flush=True)
                sys.exit(1)
            print(f"[control-plane] {component} ended with {how}; starting it again", flush=True)
            time.sleep(RESTART_AFTER_S)
            self.start(component)

    def may_rest(self, *_: object) -> None:
        self.demand = self.demand or Demand()

    def rest_or_wake(self) -> None:
        """Let what only DAG runs need end when there is none, and start it when there is one."""
        if self.demand is None or self.stopping:
            return
        wanted, running = self.demand.there_is(), {name: pid for pid, name in self.running.items()}
        now_s = time.monotonic()
        for component in NEED_RUNS:
            pid = running.get(component)
            if pid is None:
                if wanted:
                    self.start(component)
            elif component in self.put_to_rest:
                if now_s - self.put_to_rest[component] > END_WITHIN_S:
                    print(f"[control-plane] {component} did not end by itself; it is killed", flush=True)
                    os.killpg(pid, signal.SIGKILL)
            elif not wanted:
                self.put_to_rest[component] = now_s
                os.kill(pid, signal.SIGTERM)

    def stop(self, *_: object) -> None:
        self.stopping = True
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)


main()
