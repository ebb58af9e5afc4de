"""What versions take while nothing runs in them: the memory and CPU of their pods' processes, as the kernel counts.

The processes are looked at inside the node, whose kernel need not be this machine's (Docker Desktop).
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from benchmarks.commands import namespaces
from benchmarks.repositories import PROJECT
from harness.airflow.release import standby
from harness.cluster import labels
from harness.cluster.api import Manifest
from harness.cluster.running_cluster import RunningCluster
from harness.errors import CauseCode
from harness.host import process

RESTING = 2  # processes of a version that rests: charts/airflow/files/control_plane.py and the api-server
SANDBOX = "pause"  # the process that holds a pod's network: its memory counts, and there is always one
QUIET_CORES = 0.25  # of a pod; one that starts takes a whole processor
SAMPLE_S = 5.0
LOOK_EVERY_S = 2.0
DEADLINE_S = 300.0
TICKS_PER_S = 100  # the kernel's USER_HZ, which is the same on every architecture that Docker runs on
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
_STAT = re.compile(r"\d+ \((?P<name>.*)\) (?P<state>\S) (?P<rest>.*)")


@dataclass(frozen=True)
class Process:
    """A process of a pod. `pod` is that one's UID; `started`, in ticks, tells apart processes of the same id."""

    pid: int
    pod: str
    name: str
    started: int
    cpu_s: float


@dataclass(frozen=True)
class Idle:
    """What a version took: bytes of memory, and processors."""

    memory_bytes: int
    cores: float


def measure(running: RunningCluster, wanted: Iterable[str], seconds: float) -> dict[str, Idle]:
    """By namespace: memory at the end of these seconds, and CPU on average over them.

    Memory is PSS: what processes have in common, of other versions too, counts for each by its share.
    """
    node = running.cluster.nodes[0]
    before, started_s = processes(node), time.monotonic()
    time.sleep(seconds)
    after, took_s = processes(node), time.monotonic() - started_s
    used_s = used_by_pod(before, after)
    owners = {pod["metadata"]["uid"]: pod["metadata"]["namespace"] for pod in _pods(running)}
    every = set(wanted)
    theirs = [each for each in after if owners.get(each.pod) in every]
    memory = memory_bytes(node, [each.pid for each in theirs])
    found = {}
    for namespace in every:
        own = [each for each in theirs if owners[each.pod] == namespace]
        found[namespace] = Idle(
            sum(memory.get(each.pid, 0) for each in own),
            sum(used_s[pod] for pod in {each.pod for each in own}) / took_s,
        )
    return found


def settle(running: RunningCluster, kept: Collection[str]) -> None:
    """Return when the versions `kept` rest, nothing else of the project goes on, and what stands by is ready."""
    started_s = time.monotonic()
    while reason := _unsettled(running, kept):
        if time.monotonic() - started_s > DEADLINE_S:
            raise SystemExit(f"not settled within {DEADLINE_S:.0f} s: {reason}")
        time.sleep(LOOK_EVERY_S)
    print(f"  settled after {time.monotonic() - started_s:.0f} s", flush=True)


def standing_by(running: RunningCluster) -> list[str]:
    """The namespaces of the project in which an Airflow stands by."""
    return [
        str(item["metadata"]["name"])
        for item in namespaces(running)
        if item["metadata"]["labels"][labels.ROLE] == standby.ROLE
    ]


def processes(node: str) -> list[Process]:
    """All processes of pods on a node, but for those that have ended and are still listed."""
    script = "cd /proc && grep -asH '' [0-9]*/cgroup [0-9]*/stat"
    done = process.run(["docker", "exec", node, "sh", "-c", script], check=False)  # some end meanwhile
    found = parsed(done.stdout)
    if not found:
        raise process.ProgramError(done, CauseCode.CLUSTER_FAILED)
    return found


def parsed(printed: str) -> list[Process]:
    """Processes from lines such as `12/cgroup:0::/kubelet/…` and, after all of those, `12/stat:12 (python) S …`."""
    pods: dict[str, str] = {}
    found = []
    for line in printed.split("\n"):
        place, _, text = line.partition(":")
        pid, _, file = place.partition("/")
        if file == "cgroup" and (pod := _POD.search(text)):
            pods[pid] = pod[1].replace("_", "-")  # as systemd has it in names of its own
        elif file == "stat" and pid in pods and (stat := _STAT.fullmatch(text)) and stat["state"] not in "ZX":
            fields = stat["rest"].split()  # from the fourth of proc(5)
            cpu_s = (int(fields[10]) + int(fields[11])) / TICKS_PER_S
            found.append(Process(int(pid), pods[pid], stat["name"], int(fields[18]), cpu_s))
    return found


def used_by_pod(before: Iterable[Process], after: Iterable[Process]) -> dict[str, float]:
    """CPU seconds of each pod's processes between two looks at them."""
    known = {(each.pid, each.started): each.cpu_s for each in before}
    used: dict[str, float] = {}
    for each in after:
        more_s = each.cpu_s - known.get((each.pid, each.started), 0.0)
        used[each.pod] = used.get(each.pod, 0.0) + more_s
    return used


def memory_bytes(node: str, pids: Iterable[int]) -> dict[int, int]:
    """PSS by process, with what of it was swapped out."""
    files = [f"/proc/{pid}/smaps_rollup" for pid in pids]
    argv = ["docker", "exec", node, "grep", "-asHE", "^(Swap)?Pss:", *files]
    done = process.run(argv, check=False)
    found: dict[int, int] = {}
    for line in done.stdout.splitlines():
        place, _, text = line.partition(":")
        pid = int(place.split("/")[2])
        found[pid] = found.get(pid, 0) + 1024 * int(text.split()[1])
    if not found:
        raise process.ProgramError(done, CauseCode.CLUSTER_FAILED)
    return found


def _unsettled(running: RunningCluster, kept: Collection[str]) -> str:
    """What is still to be waited for; empty when nothing is."""
    pods = {pod["metadata"]["uid"]: pod for pod in _pods(running)}
    ready = {pod["metadata"]["namespace"] for pod in pods.values() if _is_ready(pod)}
    for item in namespaces(running):
        namespace, role = item["metadata"]["name"], item["metadata"]["labels"][labels.ROLE]
        ours = namespace in kept if role == "version" else role in {standby.ROLE, standby.UNFINISHED}
        if not ours or item["status"]["phase"] != "Active":
            return f"{namespace} is not gone"
        if namespace not in ready:
            return f"{namespace} is not ready"
    node = running.cluster.nodes[0]
    before, started_s = processes(node), time.monotonic()
    for namespace in kept:
        processes_there = [
            each.name
            for each in before
            if each.name != SANDBOX
            and each.pod in pods
            and pods[each.pod]["metadata"]["namespace"] == namespace
        ]
        if not 0 < len(processes_there) <= RESTING:
            return f"{namespace} does not rest, it runs {', '.join(processes_there) or 'nothing'}"
    time.sleep(SAMPLE_S)
    after, took_s = processes(node), time.monotonic() - started_s
    for uid, used_s in used_by_pod(before, after).items():
        if uid in pods and used_s / took_s > QUIET_CORES:
            return f"{pods[uid]['metadata']['namespace']} uses {used_s / took_s:.0%} of a processor"
    return ""


def _pods(running: RunningCluster) -> list[Manifest]:
    return running.api.list("/api/v1/pods", labelSelector=f"{labels.PROJECT}={PROJECT}")


def _is_ready(pod: Manifest) -> bool:
    if pod["metadata"]["labels"].get("app.kubernetes.io/component") != "control-plane":
        return False
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
