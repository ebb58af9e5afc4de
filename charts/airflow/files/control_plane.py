"""A version's control plane as one process that imports Airflow once and forks its components.

Importing is most of what starting costs, in time and in memory: forked, the components pay for what they
share once. The parent stays small in what it does: it passes their lines on, each with its component's name,
and forks a component again when it ends.
"""

import gc

# Importing makes objects that stay: collecting garbage meanwhile is a third of the CPU time and finds none.
gc.disable()

import importlib  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import selectors  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402

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
            "airflow.jobs.scheduler_job_runner",
            "airflow.providers.cncf.kubernetes.executors.kubernetes_executor",
        ),
        ("scheduler", "--skip-serve-logs"),
    ),
    "dag-processor": (("airflow.jobs.dag_processor_job_runner",), ("dag-processor",)),
}
FIRST = "api-server"
RESTART_AFTER_S = 1.0
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
    gc.freeze()
    gc.enable()
    if component == "dag-processor":
        wait_for_code()
    if component == "execution-api":
        threading.Thread(target=warm_up, args=(processors,), daemon=True).start()
    else:
        os.sched_setaffinity(0, processors)
    from airflow.cli import cli_parser

    sys.argv = ["airflow", *arguments]
    options = cli_parser.get_parser().parse_args(list(arguments))
    options.func(options)


def wait_for_code() -> None:
    """Return when the DAGs are there: at once, unless this control plane was started before they were known."""
    handed_over = os.environ.get("HARNESS_HANDED_OVER")
    while handed_over and not pathlib.Path(handed_over).exists():
        time.sleep(0.05)


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


class Supervisor:
    """The parent: components by process id, and the pipes that bring their lines."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self.selector = selectors.DefaultSelector()
        self.failures = dict.fromkeys(COMPONENTS, 0)
        self.stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        for component in COMPONENTS:
            self.start(component)
        while self.running or self.selector.get_map():
            for key, _ in self.selector.select(timeout=1.0):
                self.forward(key)
            self.reap()

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
            for number in (signal.SIGTERM, signal.SIGINT):
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
            how = os.waitstatus_to_exitcode(status)
            self.failures[component] += 1
            if self.failures[component] >= MOST_FAILURES:
                print(f"[control-plane] {component} ended with {how}, again and again", flush=True)
                sys.exit(1)
            print(f"[control-plane] {component} ended with {how}; starting it again", flush=True)
            time.sleep(RESTART_AFTER_S)
            self.start(component)

    def stop(self, *_: object) -> None:
        self.stopping = True
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)


main()
