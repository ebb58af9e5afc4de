"""Looking from inside the cluster whether versions are apart: their databases, accounts, files and network."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.cluster.api import KubernetesApi
from harness.cluster.services.database import Server
from harness.cluster.services.services import NAMESPACE
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.isolation import sessions
from harness.isolation.sessions import ask, become, connecting, safe, select

TABLE = "harness_canary"  # in each version's database: one row, which nobody but the harness writes
ACCOUNTS = ("airflow", "worker")
READS = (("get", "secrets"), ("list", "pods"), ("get", "pods/log"))
EXECUTION_PORT = 8081  # of the control plane; only pods of its own namespace have business there
GATEWAY_PORT = 8080
OPEN_S, CLOSED_S = 0.8, 1.2  # the one that must succeed has less time than the one that must not
Network = Literal["enforced", "open", "unknown"]
LANES = 3  # of sessions at once: each is a program of its own, and there may be many versions


@dataclass(frozen=True)
class Neighbours:
    """Pods by their addresses, for a name may take longer than what it stands for.

    `closed` is the version's control plane, `open` the gateway, which everybody may reach: who is stopped on the way to
    the one, and reaches the other at the same time, was stopped on purpose. None where there is no such pod.
    """

    closed: str | None
    open: str | None

    @classmethod
    def of(cls, api: KubernetesApi, namespace: str) -> Neighbours:
        return cls(
            _address(api, namespace, "control-plane", EXECUTION_PORT),
            _address(api, NAMESPACE, "gateway", GATEWAY_PORT),
        )


@dataclass(frozen=True)
class DatabaseView:
    """What a version's role and the server's owner see. Names are those of databases.

    `row` is the canary in the version's own database, None when it is not there; `xcoms` the XComs of its runs
    there. `rows_elsewhere` and `xcoms_elsewhere`: other versions' databases that hold these; `reached`: those that
    the version's role could connect to; `asked`: those that could be looked into.
    """

    row: str | None
    xcoms: int
    asked: frozenset[str]
    rows_elsewhere: frozenset[str]
    xcoms_elsewhere: frozenset[str]
    reached: frozenset[str]
    network: Network


def plant(server: Server, database: str, token: str) -> None:
    """Write the version's row, as its own role. Raises HarnessError(DATABASE_FAILED)."""
    server.query(
        f"""
        CREATE TABLE {TABLE} (token text NOT NULL);
        GRANT SELECT, INSERT ON {TABLE} TO {safe(database)};
        {become(server, database, database)}
        INSERT INTO {TABLE} VALUES ('{safe(token)}');
        """,
        database,
    )


def look(
    server: Server,
    neighbours: Neighbours,
    database: str,
    token: str,
    run_ids: Iterable[str],
    others: Iterable[str],
) -> DatabaseView:
    """Look for a version's canaries in its own database and in `others`, and try to get from one to the other.

    Raises HarnessError(DATABASE_FAILED) where the databases can't be asked.
    """
    script = _script(neighbours, _questions(server, database, token, run_ids, others))
    argv: list[str | Path] = [
        server.kubectl, "--kubeconfig", server.kubeconfig, "exec", "--stdin", "--namespace", NAMESPACE,
        "deployment/postgres", "--", "sh", "-s",
    ]  # fmt: skip
    done = process.run(argv, input_text=script, check=False, timeout_s=120)
    # Without a word from the version's own database nothing can be said of its row either.
    if "network||" not in done.stdout or f"xcoms|{database}|" not in done.stdout:
        raise HarnessError(
            CauseCode.DATABASE_FAILED,
            "the databases could not be asked whether versions are apart",
            evidence=[*done.stdout.splitlines()[-5:], *done.stderr.splitlines()[-5:]],
            hint="harness up",
        )
    return read(done.stdout, database)


def _questions(
    server: Server, database: str, token: str, run_ids: Iterable[str], others: Iterable[str]
) -> Iterator[str]:
    """A session of psql for a version's own database, and one for each of the others."""
    listed = ", ".join(f"'{safe(run_id)}'" for run_id in run_ids) or "''"
    row = f"translate(token, chr(10), ' ') FROM {TABLE}"
    row_here = f"count(*) FROM {TABLE} WHERE token = '{safe(token)}'"
    yield ask(server, database, database, *_xcoms(database, listed), select("row", database, row))
    for other in others:
        yield ask(
            server,
            "",
            other,
            *_xcoms(other, listed),
            # A version that starts has no such table yet, which must not end the session.
            f"SELECT to_regclass('{TABLE}') IS NOT NULL AS planted \\gset",
            "\\if :planted",
            select("rows", other, row_here),
            "\\endif",
            *connecting(server, other, database),
        )


def _script(neighbours: Neighbours, questions: Iterable[str]) -> str:
    """What asks these and tries the network meanwhile; each lane's answers come one after another."""
    asked = list(questions)
    lines = [
        sessions.BEGINNING.rstrip("\n"),
        f"{_connect(neighbours.closed, CLOSED_S)} & network=$!",
        f"{_connect(neighbours.open, OPEN_S)} & control=$!",
    ]
    lines += [
        f'{{\n{chr(10).join(lane)}\n}} >"$answers/{number}" &'
        for number, lane in enumerate(asked[first::LANES] for first in range(LANES))
        if lane
    ]
    lines += [
        "wait $network; network=$?",
        "wait $control; control=$?",
        "wait",
        'cat "$answers"/*; rm -r "$answers"',
        'echo "network||$network $control"',
    ]
    return "\n".join(lines) + "\n"


def _xcoms(database: str, run_ids: str) -> Iterator[str]:
    """Ask how many XComs of these runs a database holds. Airflow 3.4 keeps them by the task's attempt."""
    by_attempt = "xcom_v2 JOIN task_instance ON task_instance.id = xcom_v2.task_instance_id"
    yield "SELECT to_regclass('xcom_v2') IS NOT NULL AS by_attempt \\gset"
    yield "\\if :by_attempt"
    yield select("xcoms", database, f"count(*) FROM {by_attempt} WHERE run_id IN ({run_ids})")
    yield "\\else"
    yield select("xcoms", database, f"count(*) FROM xcom WHERE run_id IN ({run_ids})")
    yield "\\endif"


def read(printed: str, database: str) -> DatabaseView:
    """What `look`'s script printed: lines of `question|database|answer`; where psql gets none there is no line."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in printed.splitlines():
        question, _, rest = line.partition("|")
        name, _, answer = rest.partition("|")
        found.setdefault((question, name), []).append(answer)

    def holds(question: str) -> frozenset[str]:
        return frozenset(
            name
            for (asked, name), answers in found.items()
            if asked == question and name != database and answers[0].isdigit() and int(answers[0]) > 0
        )

    row = found.get(("row", database), [])
    own = found.get(("xcoms", database), ["0"])[0]
    network = _read_network(found.get(("network", ""), [""])[0])
    return DatabaseView(
        row="\n".join(row) if row else None,
        xcoms=int(own) if own.isdigit() else 0,
        asked=frozenset(
            name
            for (asked, name), answers in found.items()
            if asked == "xcoms" and name != database and answers[0].isdigit()
        ),
        rows_elsewhere=holds("rows"),
        xcoms_elsewhere=holds("xcoms"),
        reached=frozenset(
            name for (asked, name), answers in found.items() if asked == "connect" and answers == ["reached"]
        ),
        network=network,
    )


def _read_network(statuses: str) -> Network:
    """What it means how the two connections ended: 0 when there was one, 124 when time was over."""
    closed, _, control = statuses.partition(" ")
    if closed == "0":
        return "open"
    return "enforced" if closed == "124" and control == "0" else "unknown"


def _connect(address: str | None, timeout_s: float) -> str:
    """The command that connects to HOST/PORT and says by its status whether it could."""
    return f"timeout {timeout_s} bash -c '</dev/tcp/{address}' 2>/dev/null" if address else "false"


def _address(api: KubernetesApi, namespace: str, component: str, port: int) -> str | None:
    """HOST/PORT of a running pod."""
    selector = f"app.kubernetes.io/component={component}"
    for pod in api.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector):
        if pod["status"].get("phase") == "Running" and pod["status"].get("podIP"):
            return f"{safe(pod['status']['podIP'])}/{port}"
    return None


def files(
    api: KubernetesApi, nodes: Iterable[str], namespaces: Iterable[str], run_ids: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Files of these runs on each version's volume, at most a hundred of each, as its pods name them.

    Each node is asked once for all: a program started in every version's pod takes longer than the rest together. A
    version that has no volume yet, or none any more, has no files.
    """
    wanted = set(namespaces)
    folders: dict[str, str] = {}
    for spec in (volume["spec"] for volume in api.list("/api/v1/persistentvolumes")):
        # Provisioners differ in what they call a folder of the node.
        place = spec.get("hostPath") or spec.get("local")
        namespace = spec.get("claimRef", {}).get("namespace")
        if place and namespace in wanted:
            folders[place["path"]] = namespace
    found: dict[str, list[str]] = {namespace: [] for namespace in wanted}
    if run_ids and folders:
        tests = " -o ".join(f"-path {shlex.quote(f'*{safe(run_id)}*')}" for run_id in run_ids)
        script = f'for folder; do find "$folder/artifacts" "$folder/logs" -type f \\( {tests} \\) | head -n 100; done'
        printed = ""
        for node in nodes:
            argv = ["docker", "exec", node, "sh", "-c", script, "sh", *folders]
            printed += process.run(argv, check=False, timeout_s=60).stdout
        for line in printed.splitlines():
            for folder, namespace in folders.items():
                if line.startswith(f"{folder}/"):
                    found[namespace].append(f"/opt/airflow{line.removeprefix(folder)}")
    return {namespace: tuple(names) for namespace, names in found.items()}


def allowed(api: KubernetesApi, namespace: str, other: str) -> list[str]:
    """What the service accounts of one namespace may read in another; nothing, if all is well."""
    found = []
    for account in ACCOUNTS:
        for verb, resource in READS:
            kind, _, part = resource.partition("/")
            attributes = {"namespace": other, "verb": verb, "resource": kind} | (
                {"subresource": part} if part else {}
            )
            review = api.create(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                {
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SubjectAccessReview",
                    "spec": {
                        "user": f"system:serviceaccount:{namespace}:{account}",
                        "groups": [
                            "system:serviceaccounts",
                            f"system:serviceaccounts:{namespace}",
                            "system:authenticated",
                        ],
                        "resourceAttributes": attributes,
                    },
                },
            )
            if review["status"].get("allowed"):
                found.append(f"{account} may {verb} {resource} in {other}")
    return found
