"""Runs at the start of Python where DAGs' code runs: it sets the project's variables, a crash must end the task, the
task's log tells of processes that died below it, and the pod tells what memory it took.

The variables are files of a volume in memory: nothing of them is in the container's description, which stays on the
node's disk for longer than the container. What the chart sets itself, HARNESS_VARIABLES, is left as it is.

While it imports a DAG file, Airflow 3.3 catches SIGSEGV with a handler in Python, and leaves it in place. Python runs
such handlers after the instruction that crashed has ended, which it never does: the task spins until its timeout.

Whoever waits for a pool of multiprocessing waits for ever once one of its processes was killed, crashed or exited:
the pool starts another and says nothing. So the end of each such process is told on standard error.

Airflow's supervisor, the pod's first process unless the image has an entrypoint, has the task as a child. At its end it
writes into the container's termination message what the largest process below it held at most.
"""

import atexit
import os
import pathlib
import signal
import sys
import time

TERMINATION_LOG = "/dev/termination-log"
VARIABLES = "/etc/harness/code-secrets"
PROCESSES = "multiprocessing.popen_fork"
DYING_S = 0.2  # a process closes its files before it can be waited for; one that only closed them lives on

# What the pod was made to run, also below the image's entrypoint, which may have become another process.
SUPERVISOR = (
    os.getpid() if os.getpid() == 1 or "airflow.sdk.execution_time.execute_workload" in sys.orig_argv else 0
)

_install = signal.signal


def _signal(number: int, handler: object) -> object:
    if number == signal.SIGSEGV and callable(handler):
        return signal.getsignal(number)
    return _install(number, handler)


def set_variables(folder: str) -> None:
    """Set a variable for each file of the folder, which need not be there."""
    own = os.environ.get("HARNESS_VARIABLES", "").split(",")
    for file in pathlib.Path(folder).glob("*"):
        if not file.name.startswith("..") and file.name not in own:  # Kubernetes' own links begin so
            os.environ[file.name] = file.read_bytes().decode()


def tell_peak_memory() -> None:
    """Add a line with the peak to the termination message; whatever stands in its way, the task does not notice."""
    if os.getpid() != SUPERVISOR:  # a fork inherits this function
        return
    try:
        from resource import RUSAGE_CHILDREN, getrusage

        peak_bytes = getrusage(RUSAGE_CHILDREN).ru_maxrss * 1024  # Linux counts in KiB
        message = os.open(TERMINATION_LOG, os.O_WRONLY | os.O_APPEND)  # never makes the file
        try:
            begins = (
                "\n" if os.fstat(message).st_size else ""
            )  # after what the task's own code has left there
            os.write(message, f'{begins}{{"peak_memory_bytes": {peak_bytes}}}\n'.encode())
        finally:
            os.close(message)
    except Exception:
        return


class OnceImported:
    """Has the processes of multiprocessing watched as soon as anybody imports it, which takes its time."""

    def find_spec(self, name: str, path: object = None, _target: object = None) -> object:
        if name != PROCESSES:
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_watched(module: object) -> None:
            load(module)
            tell_ends(module.Popen)

        spec.loader.exec_module = load_watched
        return spec


def tell_ends(process: type) -> None:
    """Have each process that ends with a code, or by a signal that its own program did not send it, told."""
    begin, poll, send = process.__init__, process.poll, process._send_signal

    def begin_named(self: object, started: object) -> None:
        self.harness_name = started.name
        begin(self, started)

    def poll_and_tell(self: object, *arguments: object) -> object:
        is_news = self.returncode is None
        code = poll(self, *arguments)
        if is_news and code and not getattr(self, "harness_ended", False):
            try:
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                name = getattr(self, "harness_name", self.pid)
                os.write(2, f"harness: process {name} ended with {how}\n".encode())
            except Exception:
                return code
        return code

    def send_noted(self: object, number: int) -> None:
        """What is dead already did not die of this; who notices a death may do so before the kernel is done with it."""
        from multiprocessing.connection import wait

        deadline = time.monotonic() + DYING_S
        while self.poll() is None and wait([self.sentinel], 0) and time.monotonic() < deadline:
            time.sleep(0.001)
        self.harness_ended = True
        send(self, number)

    process.__init__, process.poll, process._send_signal = begin_named, poll_and_tell, send_noted


signal.signal = _signal
sys.meta_path.insert(0, OnceImported())
set_variables(VARIABLES)
if os.getpid() == SUPERVISOR:  # not a Python that the task's own code starts
    atexit.register(tell_peak_memory)
