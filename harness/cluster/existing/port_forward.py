"""A way to the gateway of a cluster that maps no port to this machine: kubectl's port-forward, held open."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from harness.cluster.place import Cluster
from harness.cluster.services.services import NAMESPACE
from harness.errors import CauseCode, HarnessError
from harness.host import process

if TYPE_CHECKING:
    from subprocess import Popen

DEADLINE_S = 60.0
AGAIN_AFTER_S = 0.5
ASKING_S = 2.0


@contextmanager
def held(cluster: Cluster, kubectl: Path) -> Iterator[None]:
    """Hold the way open; nothing is to be done where the cluster maps a port.

    Raises HarnessError(CLUSTER_FAILED) when the gateway does not answer through it, with what kubectl said last.
    """
    if not cluster.forwarded:
        yield
        return
    forward = _Forward(cluster, kubectl)
    try:
        forward.wait_answering()
        yield
    finally:
        forward.close()


def stay() -> None:
    """Hold on until Ctrl-C."""
    threading.Event().wait()


class _Forward:
    """The program and the thread that starts it again.

    Of several commands at once one listens; the others go through it, and try again until it is their turn.
    """

    def __init__(self, cluster: Cluster, kubectl: Path) -> None:
        self._cluster = cluster
        self._argv = (
            str(kubectl), "--kubeconfig", str(cluster.kubeconfig), "port-forward", "--namespace", NAMESPACE,
            "--address", "127.0.0.1", "service/gateway", f"{cluster.gateway_port}:8080",
        )  # fmt: skip
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._program: Popen[bytes] | None = None
        self._said = "kubectl has not said anything"
        self._thread = threading.Thread(target=self._hold, name="port-forward", daemon=True)
        self._thread.start()

    def wait_answering(self) -> None:
        """Return when the gateway answers."""
        until = time.monotonic() + DEADLINE_S
        while not self._answers():
            if time.monotonic() > until or not self._thread.is_alive():
                raise HarnessError(
                    CauseCode.CLUSTER_FAILED,
                    f"the gateway of {self._cluster.name} did not answer at 127.0.0.1:{self._cluster.gateway_port}"
                    f"{f' within {DEADLINE_S:.0f} s' if self._thread.is_alive() else ''}: {self._said}",
                    hint=f"harness up; rm {shlex.quote(str(self._cluster.kubeconfig.with_name('port')))}",
                )
            time.sleep(0.1)

    def close(self) -> None:
        """End the program, and with it the thread."""
        self._closed.set()
        with self._lock:
            program = self._program
        if program is not None:
            process.stop(program)
        self._thread.join()

    def _answers(self) -> bool:
        url = f"http://127.0.0.1:{self._cluster.gateway_port}/healthz"
        with suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request("GET", url, timeout=ASKING_S, retries=False)
            return answer.status == 200 and answer.data == b"ok\n"
        return False

    def _hold(self) -> None:
        while True:
            with self._lock:
                if self._closed.is_set():
                    return
                try:
                    program = process.spawn(self._argv, stdin=False, env=None, cwd=None, merge=True)
                except HarnessError as error:
                    self._said = error.message
                    return
                self._program = program
            with program:
                for line in program.stdout or ():
                    self._said = line.decode(errors="replace").strip() or self._said
            self._closed.wait(AGAIN_AFTER_S)
