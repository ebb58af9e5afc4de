"""Runs at the start of Python in a task's pod: a crash in native code must end the task.

While it imports a DAG file, Airflow 3.3 catches SIGSEGV with a handler in Python, and leaves it in place. Python runs
such handlers after the instruction that crashed has ended, which it never does: the task spins until its timeout.
"""

import signal

_install = signal.signal


def _signal(number: int, handler: object) -> object:
    if number == signal.SIGSEGV and callable(handler):
        return signal.getsignal(number)
    return _install(number, handler)


signal.signal = _signal
