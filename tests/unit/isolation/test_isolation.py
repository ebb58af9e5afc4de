"""What is read out of the cluster's answers, and which of them fail a receipt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from doubles import Kubernetes, Programs, items

from harness.isolation import probes as isolation
from harness.isolation import receipt as receipts
from harness.isolation.probes import DatabaseView
from harness.isolation.receipt import Canaries, cause_of
from harness.report import format
from harness.report.model import Receipt, ReceiptCheck, TaskResult
from harness.report.provenance import ImageResult

OWN, OTHER = "v_churn_1", "v_churn_2"
DENIED = 'psql: error: connection to server failed: FATAL:  permission denied for database "v_churn_2"'


def printed(*lines: str) -> str:
    return "\n".join([f"row|{OWN}|token", f"xcoms|{OWN}|7", *lines, "network||0"]) + "\n"


class TestRead:
    def test_apart(self) -> None:
        lines = [f"rows|{OTHER}|0", f"xcoms|{OTHER}|0", DENIED]
        assert isolation.read(printed(*lines), OWN) == DatabaseView(
            row="token",
            xcoms=7,
            asked=frozenset({OTHER}),
            rows_elsewhere=frozenset(),
            xcoms_elsewhere=frozenset(),
            reached=frozenset(),
            network="open",
        )

    def test_not_apart(self) -> None:
        lines = [f"rows|{OTHER}|1", f"xcoms|{OTHER}|3", f"connect|{OTHER}|reached"]
        found = isolation.read(printed(*lines), OWN)
        assert found.rows_elsewhere == found.xcoms_elsewhere == found.reached == {OTHER}

    def test_a_version_that_is_gone_is_not_counted(self) -> None:
        gone = 'psql: error: FATAL:  database "v_churn_2" does not exist'
        found = isolation.read(printed(gone, gone), OWN)
        assert found.asked == found.reached == frozenset()

    @pytest.mark.parametrize(
        ("line", "row"),
        [
            ("", None),
            (f"row|{OWN}|", ""),
            ('psql:<stdin>:2: ERROR:  relation "harness_canary" does not exist', None),
        ],
    )
    def test_a_row_that_is_not_what_it_was(self, line: str, row: str | None) -> None:
        assert isolation.read(f"{line}\nnetwork||124\n", OWN).row == row

    @pytest.mark.parametrize(
        ("status", "network"),
        [
            ("0 0", "open"),
            ("0 124", "open"),
            ("124 0", "enforced"),
            ("124 124", "unknown"),
            ("124 1", "unknown"),
            ("1 0", "unknown"),
            ("124", "unknown"),
            ("", "unknown"),
        ],
    )
    def test_network(self, status: str, network: str) -> None:
        assert isolation.read(f"network||{status}\n", OWN).network == network


def test_accounts_that_may_read_elsewhere() -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    refused = Kubernetes({("POST", path): {"status": {"allowed": False}}})
    assert isolation.allowed(refused, "churn-1", "churn-2") == []
    users = {each.body["spec"]["user"] for each in refused.requests}
    assert users == {"system:serviceaccount:churn-1:airflow", "system:serviceaccount:churn-1:worker"}
    assert {each.body["spec"]["resourceAttributes"]["namespace"] for each in refused.requests} == {"churn-2"}
    granted = Kubernetes({("POST", path): {"status": {"allowed": True}}})
    assert "worker may get secrets in churn-2" in isolation.allowed(granted, "churn-1", "churn-2")


@pytest.mark.parametrize("name", ["a b", "a;b", "$(x)", "'", ""])
def test_what_would_need_quotes_gets_nowhere_near_a_script(name: str) -> None:
    with pytest.raises(ValueError, match="no plain name"):
        isolation.look(None, isolation.Neighbours(None, None), name, "token", [], [])  # type: ignore[arg-type]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    double = Programs()
    monkeypatch.setattr(isolation.process, "run", double.run)
    return double


def volume(namespace: str, path: str, kind: str = "hostPath") -> dict[str, Any]:
    return {"spec": {"claimRef": {"namespace": namespace}, kind: {"path": path}}}


def test_files_are_told_by_the_version_on_whose_volume_they_lie(programs: Programs) -> None:
    volumes = [volume("churn-1", "/v/a"), volume("churn-2", "/v/ab", "local"), volume("churn-3", "/v/c")]
    api = Kubernetes({("GET", "/api/v1/persistentvolumes"): items(*volumes)})
    lines = "/v/a/logs/run_id=r/1.log\n/v/ab/artifacts/r.csv\n"
    programs.answer = lambda _: lines
    found = isolation.files(api, ["node"], ["churn-1", "churn-2", "new"], ["r"])
    assert found == {
        "churn-1": ("/opt/airflow/logs/run_id=r/1.log",),
        "churn-2": ("/opt/airflow/artifacts/r.csv",),
        "new": (),
    }
    assert programs.commands[0][-3:] == ("sh", "/v/a", "/v/ab")


def test_without_a_run_or_a_volume_no_file_is_looked_for(programs: Programs) -> None:
    api = Kubernetes({("GET", "/api/v1/persistentvolumes"): items(volume("churn-1", "/v/a"))})
    assert isolation.files(api, ["node"], ["churn-1"], []) == {"churn-1": ()}
    assert isolation.files(api, ["node"], ["churn-2"], ["r"]) == {"churn-2": ()}
    assert programs.calls == []


class Airflow:
    def __init__(self, value: str | None) -> None:
        self.value = value

    def find(self, *_: object, **__: object) -> dict[str, Any] | None:
        return None if self.value is None else {"value": self.value}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The receipt of a version that is alone, with what the cluster shows of it."""

    def made(
        value: str | None = "token", digest: str = "sha256:1", other: str | None = None, **changes: Any
    ) -> Receipt:
        view = {
            "row": "token",
            "xcoms": 3,
            "asked": frozenset(),
            "rows_elsewhere": frozenset(),
            "xcoms_elsewhere": frozenset(),
            "reached": frozenset(),
            "network": "open",
        }
        monkeypatch.setattr(receipts, "versions", lambda _: ())
        monkeypatch.setattr(isolation, "look", lambda *_: DatabaseView(**(view | changes)))
        monkeypatch.setattr(isolation, "files", lambda *_: {"churn-1": ("/opt/airflow/logs/x",)})
        monkeypatch.setattr(isolation, "allowed", lambda *_: [])
        running = SimpleNamespace(server=None, api=Kubernetes(), cluster=SimpleNamespace(nodes=("node",)))
        canaries = Canaries(running, Airflow(value), "churn-1", "token")  # type: ignore[arg-type]
        image = ImageResult(name="i", digest="sha256:1", config_digest="sha256:2", base_digest="sha256:3")
        task = TaskResult(task_id="t", state="success", image_digest=digest, image_name=other)
        return canaries.receipt(image, ["r"], [task], True)

    return made


class TestReceipt:
    @staticmethod
    def failed(receipt: Receipt) -> list[str]:
        return [check.name for check in receipt.checks if check.verdict == "failed"]

    def test_alone_nothing_is_exercised_and_nothing_failed(self, found: Any) -> None:
        receipt = found()
        assert (receipt.verdict, self.failed(receipt), cause_of(receipt)) == ("not exercised", [], None)
        assert format.receipt(receipt) == "not exercised: no other version was there"

    def test_an_image_that_a_task_asks_for_itself_is_told_and_no_failure(self, found: Any) -> None:
        receipt = found(digest="sha256:9", other="team/gpu:1")
        assert self.failed(receipt) == []
        assert "by their executor_config others ran team/gpu:1" in receipt.checks[0].message

    def test_a_changed_row_is_named(self, found: Any) -> None:
        receipt = found(row="changed")
        assert (receipt.verdict, self.failed(receipt)) == ("failed", ["database row"])
        cause = cause_of(receipt)
        assert cause is not None
        assert (cause.code, cause.exit_code) == ("isolation_failed", 4)
        assert "harness_canary" in cause.message
        assert "'changed'" in cause.message

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"row": None}, "database row"),
            ({"value": None}, "Variable harness_canary"),
            ({"value": "other"}, "Variable harness_canary"),
            ({"digest": "sha256:9"}, "image of each task pod"),
            ({"rows_elsewhere": frozenset({OTHER})}, "database row"),
            ({"xcoms_elsewhere": frozenset({OTHER})}, "XCom"),
            ({"reached": frozenset({OTHER})}, "database role"),
        ],
    )
    def test_what_fails_it(self, found: Any, changes: dict[str, Any], name: str) -> None:
        assert self.failed(found(**changes)) == [name]

    def test_either_digest_of_the_image_will_do(self, found: Any) -> None:
        assert self.failed(found(digest="sha256:2")) == []

    def test_beside_others_it_passes_and_names_what_had_nothing_to_look_at(self) -> None:
        checks = (
            ReceiptCheck(name="XCom", verdict="passed"),
            ReceiptCheck(name="NetworkPolicies", verdict="not exercised", message="not enforced"),
        )
        receipt = Receipt.of(checks, beside=("churn-2", "churn-3"))
        assert receipt.verdict == "passed"
        assert format.receipt(receipt) == "passed beside 2 versions; not exercised: NetworkPolicies"
