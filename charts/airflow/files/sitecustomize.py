"""Runs at the start of Python where DAGs' code runs: it sets the project's variables, a crash must end the task, and
the pod tells what memory it took.

The variables are files of a volume in memory: nothing of them is in the container's description, which stays on the
node's disk for longer than the container. What the chart sets itself, HARNESS_VARIABLES, is left as it is.

While it imports a DAG file, Airflow 3.3 catches SIGSEGV with a handler in Python, and leaves it in place. Python runs
such handlers after the instruction that crashed has ended, which it never does: the task spins until its timeout.

The pod's first process is Airflow's supervisor of the task, which is a child of it. At its end it writes into the
container's termination message what the largest process below it held at most.
"""

import atexit
import os
import pathlib
import signal

TERMINATION_LOG = "/dev/termination-log"
VARIABLES = "/etc/harness/code-secrets"

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
    if os.getpid() != 1:  # a fork inherits this function
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


signal.signal = _signal
set_variables(VARIABLES)
if os.getpid() == 1:  # not a Python that the task's own code starts
    atexit.register(tell_peak_memory)
