"""Files on versions' volumes, listed by pods that have them: where the nodes themselves can't be asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from harness.airflow.release import control_plane
from harness.cluster.running_cluster import RunningCluster
from harness.errors import HarnessError
from harness.host import process

AT_ONCE = 4
MOST = 100
_WALK = """
import itertools, os, sys
home = os.environ["AIRFLOW_HOME"]
walks = (os.walk(os.path.join(home, top)) for top in sys.argv[2].split())
files = (os.path.join(folder, name) for walk in walks for folder, _, names in walk for name in names)
"""
_OF_RUNS = (
    _WALK
    + """
found = (path for path in files if any(run in path for run in sys.argv[3:]))
print(*itertools.islice(found, int(sys.argv[1])), sep="\\n")
"""
)
_CHANGES = (
    _WALK
    + """
for path in files:
    print(os.path.relpath(path, home), os.stat(path).st_ctime, sep="\\t")
"""
)


def of_runs(
    running: RunningCluster, namespaces: Iterable[str], run_ids: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Files of these runs on each version's volume, at most a hundred of each."""

    def look(namespace: str) -> tuple[str, ...]:
        argv = ("python", "-c", _OF_RUNS, str(MOST), "artifacts logs", *run_ids)
        try:
            said = control_plane.output(running.server, running.api, namespace, argv)
        except HarnessError:  # it is starting, or going
            return ()
        return tuple(line for line in said.splitlines() if line)

    names = list(namespaces)
    with process.threads(AT_ONCE) as executor:
        return dict(zip(names, executor.map(look, names), strict=True))


def changes(running: RunningCluster, namespace: str, shared: Iterable[str]) -> dict[str, float] | None:
    """When each file that tasks wrote on a version's volume was changed last; None where that can't be asked."""
    argv = ("python", "-c", _CHANGES, "0", " ".join(("artifacts", *shared)))
    try:
        said = control_plane.output(running.server, running.api, namespace, argv)
    except HarnessError:
        return None
    found = {}
    for line in said.splitlines():
        path, _, at = line.rpartition("\t")
        if path:
            found[path] = float(at)
    return found
