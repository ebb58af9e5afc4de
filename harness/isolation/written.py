"""Which files the runs of one version wrote on its volume: what two of them wrote, neither can be sure of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.cluster.api import KubernetesApi
from harness.errors import HarnessError
from harness.host import process

# Folders of the volume that tasks write to. What lies there was changed when find's %C@ says, in seconds. A name may
# hold anything but NUL.
_LIST = 'for part in artifacts shared; do find "$1/$part" -type f -printf "$part/%P\\t%C@\\0" 2>/dev/null; done; true'
_ASK_S = 60.0


def changes(
    api: KubernetesApi, nodes: Iterable[str], namespace: str, shared: Sequence[str] = ()
) -> dict[str, float] | None:
    """When each file on a version's volume was changed last, by its path as tasks know it below the image's root.

    `shared`: the folders that lie there. None where the node can't be asked.
    """
    try:
        for volume in api.list("/api/v1/persistentvolumes"):
            spec = volume["spec"]
            place = spec.get("hostPath") or spec.get("local")
            if place and spec.get("claimRef", {}).get("namespace") == namespace:
                found = _listed(place["path"], nodes)
                return None if found is None else {known(path, shared): at for path, at in found.items()}
    except HarnessError:
        return None
    return {}


def known(path: str, shared: Sequence[str]) -> str:
    """`dags/data/model.json` for `shared/0/model.json`: the volume counts the folders."""
    place, _, below = path.partition("/")
    number, _, rest = below.partition("/")
    if place == "shared" and number.isdigit() and int(number) < len(shared):
        return f"{shared[int(number)]}/{rest}"
    return path


def _listed(folder: str, nodes: Iterable[str]) -> dict[str, float] | None:
    found: dict[str, float] = {}
    asked = False
    for node in nodes:
        done = process.run(
            ["docker", "exec", node, "sh", "-c", _LIST, "sh", folder], check=False, timeout_s=_ASK_S
        )
        asked = asked or done.returncode == 0
        for entry in done.stdout.split("\0") if done.returncode == 0 else ():
            path, _, at = entry.rpartition("\t")
            if path:
                found[path] = float(at)
    return found if asked else None


@dataclass
class Writers:
    """Which runs wrote which files, told by what changed while each went. Files in a run's own folder are its own.

    `seen` are the times of the last look, `runs` those that went before it. `read_at_once`: the name of the file
    that is read as soon as a run has ended, so that all may write it.
    """

    seen: dict[str, float] = field(default_factory=dict)
    writers: dict[str, set[str]] = field(default_factory=dict)
    runs: frozenset[str] = frozenset()
    read_at_once: str = ""

    def look(self, now: Mapping[str, float], runs: Collection[str], own: Collection[str]) -> None:
        """Files have these times `now`; what changed since the last look was written by `runs`, which went since.

        `own`: the ids of all runs so far. Where several runs went at once nobody can tell which of them it was.
        """
        for path, at in now.items():
            known = bool(self.read_at_once) and path.endswith(f"/{self.read_at_once}")
            if self.seen.get(path) != at and not known and not any(run in path for run in own):
                self.writers.setdefault(path, set()).update(runs)
        self.seen = dict(now)
        self.runs |= frozenset(runs)

    @property
    def is_empty(self) -> bool:
        """Whether no run wrote outside of a folder of its own."""
        return not self.writers

    @property
    def collision(self) -> tuple[str, tuple[str, ...]] | None:
        """The first path that several runs wrote, and which those are."""
        return next(
            ((path, tuple(sorted(runs))) for path, runs in sorted(self.writers.items()) if len(runs) > 1),
            None,
        )
