"""The isolation receipt of a version: canaries that it alone may see, and what it must not reach."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from harness.airflow.release.release import database_name, login_of
from harness.airflow.release.versions import Version, versions
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.session import checked
from harness.cluster.api import KubernetesError
from harness.cluster.running_cluster import RunningCluster
from harness.cluster.services import services
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.isolation import by_pods
from harness.isolation import probes as isolation
from harness.report import format
from harness.report.model import Cause, Receipt, ReceiptCheck, TaskResult
from harness.report.provenance import ImageResult

VARIABLE = "harness_canary"
LOOKS_AT_ONCE = 4
FORBIDDEN = 403
MOST_OTHERS = 8  # versions that are looked into; more would cost more than they tell


@dataclass(frozen=True)
class Seen:
    """What another version has under the canaries' names: its Variable, and files of this version's runs."""

    variable: str | None
    files: Sequence[str]


@dataclass(frozen=True)
class _Looked:
    """What is on the cluster: `asked` are the other versions whose databases answered, `others` those that are ready.

    `files` are the version's own.
    """

    view: isolation.DatabaseView
    asked: Sequence[Version]
    files: Sequence[str]
    others: Mapping[str, Seen]


@dataclass(frozen=True)
class Canaries:
    """What a version's receipt looks for: a Variable and a row that hold `token`."""

    running: RunningCluster
    airflow: AirflowApi
    namespace: str
    token: str

    @classmethod
    def plant(cls, running: RunningCluster, airflow: AirflowApi, namespace: str) -> Canaries:
        """Write the Variable by the version's own API, and the row by its own role."""
        token = secrets.token_hex(16)
        checked(airflow.send("POST", "variables", deadline_s=None, body={"key": VARIABLE, "value": token}))
        isolation.plant(running.server, database_name(namespace), token)
        return cls(running, airflow, namespace, token)

    def receipt(
        self,
        image: ImageResult,
        runs: Iterable[str],
        tasks: Sequence[TaskResult],
        passed: bool,
        *,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> Receipt:
        """What was found, beside all versions that are on the cluster now.

        `runs` are the version's run ids, which its task pods put into their XComs and files; `passed`: whether
        they all came to their end.
        """
        others = [
            each
            for each in versions(self.running)
            if each.namespace != self.namespace and each.state != "going"
        ]
        others = others[-MOST_OTHERS:]
        on_change(f"looking into its own database and {format.plural(len(others), 'other version')}")
        found = self._look(others, sorted(runs))
        asked = found.asked
        checks = (
            _images(image, tasks),
            self._variable(found.others, asked),
            self._row(found.view, asked),
            self._xcoms(found.view, asked, passed),
            self._files(found.files, found.others, asked),
            _role(found.view, asked),
            self._accounts(asked),
            _network(found.view),
        )
        return Receipt.of(checks, beside=tuple(each.namespace for each in asked))

    def _look(self, others: Sequence[Version], run_ids: Sequence[str]) -> _Looked:
        running = self.running
        with process.threads(LOOKS_AT_ONCE) as executor:
            looking = executor.submit(
                isolation.look,
                running.server,
                isolation.Neighbours.of(running.api, self.namespace),
                database_name(self.namespace),
                self.token,
                run_ids,
                [database_name(each.namespace) for each in others],
            )
            spaces = [self.namespace, *(each.namespace for each in others)]
            finding = executor.submit(self._files_of, spaces, run_ids)
            variables = {
                each.namespace: executor.submit(self._variable_of, each)
                for each in others
                if each.state != "starting"
            }
            view = looking.result()
            asked = [each for each in others if database_name(each.namespace) in view.asked]
            files = finding.result()
            seen = {
                each.namespace: Seen(variables[each.namespace].result(), files[each.namespace])
                for each in asked
                if each.namespace in variables
            }
        return _Looked(view, asked, files[self.namespace], seen)

    def _files_of(self, namespaces: Iterable[str], run_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
        running = self.running
        if running.cluster.nodes:
            return isolation.files(running.api, running.cluster.nodes, namespaces, run_ids)
        return by_pods.of_runs(running, namespaces, run_ids)

    def _variable(self, others: Mapping[str, Seen], asked: Collection[Version]) -> ReceiptCheck:
        found = self.airflow.find(f"variables/{VARIABLE}", deadline_s=None)
        value = None if found is None else found.get("value")
        name = f"Variable {VARIABLE}"
        if value != self.token:
            return _failed(name, f"it is {value!r} in {self.namespace}, and {self.token!r} was written")
        for other, seen in others.items():
            if seen.variable == self.token:
                return _failed(name, f"{other} sees the one of {self.namespace}")
        return _apart(name, others, starting=asked)

    def _variable_of(self, other: Version) -> str | None:
        try:
            login = login_of(self.running.api, other.namespace)
            base_url = f"http://127.0.0.1:{self.running.cluster.gateway_port}"
            host = other.url.removeprefix("http://")
            with closing(AirflowApi(base_url, host, login.username, login.password)) as airflow:
                found = airflow.find(f"variables/{VARIABLE}", deadline_s=5.0)
        except HarnessError:
            return None  # it is starting, or going
        return None if found is None else str(found.get("value"))

    def _row(self, view: isolation.DatabaseView, others: Sequence[Version]) -> ReceiptCheck:
        name = "database row"
        where = f"row of table {isolation.TABLE} in database {database_name(self.namespace)}"
        if view.row is None:
            return _failed(name, f"the {where} is gone")
        if view.row != self.token:
            return _failed(name, f"the {where} is {view.row!r}, and {self.token!r} was written")
        if view.rows_elsewhere:
            return _failed(name, f"the {where} is in {', '.join(sorted(view.rows_elsewhere))} too")
        return _apart(name, others)

    def _xcoms(self, view: isolation.DatabaseView, others: Sequence[Version], passed: bool) -> ReceiptCheck:
        name = "XCom"
        if view.xcoms_elsewhere:
            where = ", ".join(sorted(view.xcoms_elsewhere))
            return _failed(name, f"{where} holds what the tasks of {self.namespace} handed over")
        if not view.xcoms:
            return _not_exercised(
                name, "no task handed anything over" if passed else "the run did not end well"
            )
        return _apart(name, others)

    def _files(
        self, own: Sequence[str], others: Mapping[str, Seen], asked: Collection[Version]
    ) -> ReceiptCheck:
        name = "artifact"
        if not own:
            return _not_exercised(name, "no file of a task pod was found on the version's volume")
        for other, seen in others.items():
            if seen.files:
                return _failed(name, f"{seen.files[0]} of {self.namespace} lies on the volume of {other}")
        return _apart(name, others, starting=asked)

    def _accounts(self, others: Sequence[Version]) -> ReceiptCheck:
        name = "service accounts"
        for other in (services.NAMESPACE, *(each.namespace for each in others[:1])):
            try:
                found = isolation.allowed(self.running.api, self.namespace, other)
            except KubernetesError as error:
                if error.status != FORBIDDEN:
                    raise
                return _not_exercised(name, "the cluster does not let harness ask what they may do")
            if found:
                return _failed(name, "; ".join(found))
        return ReceiptCheck(name=name, verdict="passed")


def cause_of(receipt: Receipt) -> Cause | None:
    """Why a receipt failed; None when it did not."""
    failed = [check for check in receipt.checks if check.verdict == "failed"]
    if not failed:
        return None
    return Cause(
        code=CauseCode.ISOLATION_FAILED.code,
        message=f"the version was not apart from others: {failed[0].name}: {failed[0].message}",
        evidence=tuple(f"{check.name}: {check.message}" for check in failed) if len(failed) > 1 else (),
        hint="harness status; do not trust these metrics",
    )


def _images(image: ImageResult, tasks: Sequence[TaskResult]) -> ReceiptCheck:
    name = "image of each task pod"
    known = [task for task in tasks if task.image_digest is not None and task.image_name is None]
    wrong = [task for task in known if task.image_digest not in {image.digest, image.config_digest}]
    if wrong:
        return _failed(name, f"pod {wrong[0].pod} ran {wrong[0].image_digest}, not {image.digest}")
    others = sorted({task.image_name for task in tasks if task.image_name is not None})
    told = f"; by their executor_config others ran {', '.join(others)}" if others else ""
    if not known:
        return _not_exercised(name, f"no task pod ran it{told}" if others else "no task pod ran")
    return ReceiptCheck(name=name, verdict="passed", message=f"{len(known)} of {len(tasks)}{told}")


def _role(view: isolation.DatabaseView, others: Sequence[Version]) -> ReceiptCheck:
    if view.reached:
        return _failed("database role", f"it could connect to {', '.join(sorted(view.reached))}")
    return _apart("database role", others)


def _network(view: isolation.DatabaseView) -> ReceiptCheck:
    told = {
        "enforced": "",
        "open": "the cluster's network plugin does not enforce NetworkPolicies",
        "unknown": "whether the cluster's network plugin enforces NetworkPolicies could not be found out",
    }
    if view.network == "enforced":
        return ReceiptCheck(name="NetworkPolicies", verdict="passed")
    return _not_exercised("NetworkPolicies", told[view.network])


def _apart(name: str, others: Collection[object], starting: Collection[object] = ()) -> ReceiptCheck:
    """`starting`: versions that were there, of which those that had got far enough are `others`."""
    if not others:
        told = (
            "the other versions were still starting"
            if starting
            else "no other version was there to look into"
        )
        return _not_exercised(name, told)
    return ReceiptCheck(name=name, verdict="passed")


def _failed(name: str, message: str) -> ReceiptCheck:
    return ReceiptCheck(name=name, verdict="failed", message=message)


def _not_exercised(name: str, message: str) -> ReceiptCheck:
    return ReceiptCheck(name=name, verdict="not exercised", message=message)
