"""Whether a component of a version's control plane raises again and again: then waiting for it is in vain.

It ends with an exception each time that it is started, or it answers each request with one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from harness.cluster.services.incompatible_packages import incompatible
from harness.errors import HarnessError

INTERVAL_S = 3.0
LATER_S, LATER_INTERVAL_S = 120.0, 10.0  # what imports its packages well does so in the first minutes
TAIL_LINES = 2000
ENDS = 2  # the first may be chance; the supervisor in charts/airflow/files/control_plane.py starts it again
_LINE = re.compile(r"^\[(?P<component>[\w-]+)\] ?(?P<text>.*)$")
REFUSALS = 3  # a request that Airflow answers with an exception of its own is asked again
_REFUSED = "Exception in ASGI application"
_ENDED = re.compile(r"(?P<component>[\w-]+) ended with -?\d+")


class ComponentWatch:
    """Looks into the control plane's log now and then. `read_log` returns its last lines, of all components."""

    def __init__(self, read_log: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._read_log = read_log
        self._clock = clock
        self._since_s = clock()
        self._looked_s = float("-inf")

    def check(self) -> None:
        """Raises HarnessError for a component that ended twice, or answered several requests with an exception.

        DEPENDENCIES_INCOMPATIBLE where its packages made it, DAG_IMPORT_ERROR where a file of the user's own did.
        """
        now_s = self._clock()
        pause_s = INTERVAL_S if now_s - self._since_s < LATER_S else LATER_INTERVAL_S
        if now_s - self._looked_s < pause_s:
            return
        self._looked_s = now_s
        try:
            log = self._read_log()
        except HarnessError:  # whoever waits for it will tell
            return
        if (error := broken_component(log)) is not None:
            raise error


def broken_component(log: str) -> HarnessError | None:
    """The error about the first component that its packages keep from working; None where they keep none."""
    said: dict[str, list[str]] = {}
    ends: dict[str, int] = {}
    for line in log.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        if found["component"] != "control-plane":
            said.setdefault(found["component"], []).append(found["text"])
        elif (ended := _ENDED.match(found["text"])) is not None:
            component = ended["component"]
            ends[component] = ends.get(component, 0) + 1
            # The supervisor's own lines may come after those of several ends.
            error = incompatible(f"Airflow's {component}", said.get(component, []))
            if error is not None and ends[component] >= ENDS:
                return error
    for component, lines in said.items():
        if sum(_REFUSED in line for line in lines) >= REFUSALS:
            return incompatible(f"Airflow's {component}", lines)
    return None
