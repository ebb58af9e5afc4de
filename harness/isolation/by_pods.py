"""Files on versions' volumes, listed by pods that have them: where the nodes themselves can't be asked."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from harness.airflow.release import control_plane
from harness.cluster.running_cluster import RunningCluster
from harness.errors import HarnessError
from harness.host import process

AT_ONCE = 4
MOST = 100
_ARTIFACTS = "artifacts"
# A name may hold anything but NUL, so that parts one from the next, and bytes that are no Unicode.
_WALK = """
import itertools, json, os, stat, sys
home = os.environ["AIRFLOW_HOME"]
sys.stdout.reconfigure(errors="replace")
walks = (os.walk(os.path.join(home, top)) for top in json.loads(sys.argv[1]))
files = (os.path.join(folder, name) for walk in walks for folder, _, names in walk for name in names)
"""
_OF_RUNS = (
    _WALK
    + """
found = (path for path in files if any(run in path for run in sys.argv[3:]))
print(*itertools.islice(found, int(sys.argv[2])), sep="\\0", end="")
"""
)
_CHANGES = (
    _WALK
    + """
for path in files:
    try:
        found = os.lstat(path)
    except FileNotFoundError:  # a task took it away meanwhile
        continue
    if stat.S_ISREG(found.st_mode):
        print(os.path.relpath(path, home), found.st_ctime, sep="\\t", end="\\0")
"""
)


def of_runs(
    running: RunningCluster, namespaces: Iterable[str], run_ids: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Files of these runs on each version's volume, at most a hundred of each."""

    def look(namespace: str) -> tuple[str, ...]:
        argv = ("python", "-c", _OF_RUNS, json.dumps([_ARTIFACTS, "logs"]), str(MOST), *run_ids)
        try:
            said = control_plane.output(running.server, running.api, namespace, argv)
        except HarnessError:  # it is starting, or going
            return ()
        return tuple(path for path in said.split("\0") if path)

    names = list(namespaces)
    with process.threads(AT_ONCE) as executor:
        return dict(zip(names, executor.map(look, names), strict=True))


def changes(running: RunningCluster, namespace: str, shared: Iterable[str]) -> dict[str, float] | None:
    """When each file that tasks wrote on a version's volume was changed last; None where that can't be asked."""
    argv = ("python", "-c", _CHANGES, json.dumps([_ARTIFACTS, *shared]))
    try:
        said = control_plane.output(running.server, running.api, namespace, argv)
    except HarnessError:
        return None
    found = {}
    for entry in said.split("\0"):
        path, _, at = entry.rpartition("\t")
        if path:
            found[path] = float(at)
    return found
