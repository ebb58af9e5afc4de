"""The migrated template database: made once, by one of many, also when somebody was killed half-way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles import Clock, Kubernetes, refusal

from harness.cluster.services import template
from harness.cluster.services.database import Credentials
from harness.errors import CauseCode, HarnessError

NAME = "template-0123"
PODS = "/api/v1/namespaces/harness-system/pods"
SECRETS = "/api/v1/namespaces/harness-system/secrets"
POD, SECRET = f"{PODS}/{NAME}", f"{SECRETS}/{NAME}"


class Server:
    """A PostgreSQL server that has the template from the n-th look on."""

    def __init__(self, there_from: int | None = None) -> None:
        self.there_from, self.looks = there_from, 0
        self.done: list[str] = []

    def template_exists(self, name: str) -> bool:
        assert name == "template_0123"
        self.looks += 1
        return "finish" in self.done or (self.there_from is not None and self.looks >= self.there_from)

    def begin_template(self, name: str) -> Credentials:
        self.done.append("begin")
        return Credentials(name, name, "pass-word")

    def finish_template(self, name: str) -> None:
        self.done.append("finish")

    def dump(self, name: str) -> str:
        return f"-- {name}"

    def restore(self, name: str, dump: str) -> None:
        self.done.append(f"restore {dump}")
        if dump != f"-- {name}":
            raise HarnessError(CauseCode.DATABASE_FAILED, "syntax error")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(template, "time", clock)
    return clock


def phase(name: str) -> dict[str, Any]:
    return {"status": {"phase": name}}


def claimed(clock: Clock, age_s: float) -> dict[str, Any]:
    """A claim that is being renewed."""
    version = str(clock.now_s)
    return {"metadata": {"name": NAME, "creationTimestamp": clock.at(-age_s), "resourceVersion": version}}


def ensure(api: Kubernetes, server: Server, on_change: Callable[[str], None] = lambda _: None) -> None:
    template.ensure(api, server, template.template_name("0123"), "image:1", on_change=on_change)


def test_one_that_is_there_is_left_alone(clock: Clock) -> None:
    api, server = Kubernetes(), Server(there_from=1)
    ensure(api, server)
    assert api.requests == []
    assert server.done == []


def test_made_by_a_pod_of_the_image(clock: Clock) -> None:
    api, server = (
        Kubernetes({("GET", POD): [phase("Pending"), phase("Running"), phase("Succeeded")]}),
        Server(),
    )
    seen: list[str] = []
    ensure(api, server, seen.append)
    assert server.done == ["begin", "finish"]
    assert seen == [f"airflow db migrate: {name}" for name in ("Pending", "Running", "Succeeded")]
    (pod,) = api.asked("POST", PODS)
    assert pod.body["spec"]["containers"][0]["image"] == "image:1"
    assert "pass-word" not in str(pod.body)
    assert [each.path for each in api.asked("DELETE")] == [POD, SECRET]


@pytest.mark.parametrize("last", ["Failed", None])
def test_a_migration_that_fails(clock: Clock, last: str | None) -> None:
    api, server = Kubernetes({("GET", POD): phase(last)} if last else {}), Server()
    api.logs[f"{POD}/log"] = "starting\nOSError: no room"
    with pytest.raises(HarnessError, match=rf"\({last or 'gone'}\): OSError: no room") as caught:
        ensure(api, server)
    assert caught.value.cause is CauseCode.DATABASE_FAILED
    assert caught.value.evidence == ("starting", "OSError: no room")
    assert server.done == ["begin"]
    assert [each.path for each in api.asked("DELETE")] == [POD, SECRET]  # the next one may try


def test_a_migration_that_its_packages_break(clock: Clock) -> None:
    api = Kubernetes({("GET", POD): phase("Failed")})
    api.logs[f"{POD}/log"] = "starting\nTypeError: structlog's processors take four arguments"
    with pytest.raises(
        HarnessError, match="airflow db migrate can't run with the packages of the lock"
    ) as caught:
        ensure(api, Server())
    assert caught.value.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE


def test_a_migration_that_hangs(clock: Clock) -> None:
    api = Kubernetes({("GET", POD): phase("Pending")})
    with pytest.raises(HarnessError, match=r"could not be migrated \(Pending\): no log"):
        ensure(api, Server())
    assert template.CLAIM_S <= sum(clock.slept) < template.CLAIM_S + 1


def test_somebody_else_makes_it(clock: Clock) -> None:
    api, server = Kubernetes({("GET", SECRET): claimed(clock, 1)}), Server(there_from=5)
    ensure(api, server)
    assert server.done == []
    assert api.asked("POST") == api.asked("DELETE") == []
    assert len(clock.slept) == 4


def test_somebody_else_is_not_waited_for_for_ever(clock: Clock) -> None:
    """Each claim is new when it is looked at: one is given up, and somebody quicker has the next."""
    told: list[str] = []
    api = Kubernetes({("GET", SECRET): lambda: claimed(clock, 1), ("GET", POD): phase("Pending")})
    with pytest.raises(HarnessError, match=r"template_0123 after 420 s: their pod is Pending") as caught:
        ensure(api, Server(), told.append)
    assert caught.value.cause is CauseCode.DATABASE_FAILED
    assert set(told) == {"others migrate it: their pod is Pending"}
    assert template.DEADLINE_S <= sum(clock.slept) < template.DEADLINE_S + 2


def test_the_claim_that_nobody_renews_is_taken_over(clock: Clock) -> None:
    left = claimed(clock, 1)
    api, server = Kubernetes({("GET", SECRET): left, ("GET", POD): phase("Succeeded")}), Server()
    ensure(api, server)
    assert server.done == ["begin", "finish"]
    assert template.SILENT_S < sum(clock.slept) < template.SILENT_S + 3
    assert [each.path for each in api.asked("DELETE")][:2] == [POD, SECRET]


def test_somebody_else_is_quicker_with_the_claim(clock: Clock) -> None:
    api, server = Kubernetes({("POST", SECRETS): refusal(409)}), Server(there_from=3)
    ensure(api, server)
    assert server.done == []
    assert api.asked("DELETE") == []


def test_somebody_else_gives_up(clock: Clock) -> None:
    answers = {
        ("GET", SECRET): [claimed(clock, 1), claimed(clock, 2), refusal(404)],
        ("GET", POD): phase("Succeeded"),
    }
    server = Server()
    ensure(Kubernetes(answers), server)
    assert server.done == ["begin", "finish"]


def test_somebody_else_finished_between_the_look_and_the_claim(clock: Clock) -> None:
    api, server = Kubernetes(), Server(there_from=2)
    ensure(api, server)
    assert server.done == []  # begun again, it would vanish under those who copy it
    assert [each.path for each in api.asked("DELETE", SECRETS)] == [SECRET]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(("age_s", "taken"), [(template.CLAIM_S - 5, False), (template.CLAIM_S + 5, True)])
def test_the_claim_of_a_killed_client_expires_in_every_time_zone(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, zone: str, age_s: float, taken: bool
) -> None:
    import time

    clock.now_s = 1_783_000_000.0  # in July: summer time
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        api = Kubernetes({("GET", SECRET): claimed(clock, age_s), ("GET", POD): phase("Succeeded")})
        server = Server(there_from=None if taken else 2)
        ensure(api, server)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert server.done == (["begin", "finish"] if taken else [])


def test_a_refused_claim(clock: Clock) -> None:
    with pytest.raises(HarnessError, match="status 403"):
        ensure(Kubernetes({("POST", SECRETS): refusal(403)}), Server())


def test_migrated_once_for_all_clusters(clock: Clock) -> None:
    ensure(Kubernetes({("GET", POD): phase("Succeeded")}), Server())
    other, server = Kubernetes(), Server()
    ensure(other, server)
    assert server.done == ["begin", "restore -- template_0123", "finish"]
    assert other.asked("POST", PODS) == []


def test_what_was_kept_and_is_refused_is_made_again(clock: Clock) -> None:
    ensure(Kubernetes({("GET", POD): phase("Succeeded")}), Server())
    template.kept("template_0123").write_text("torn")
    server = Server()
    ensure(Kubernetes({("GET", POD): phase("Succeeded")}), server)
    assert server.done == ["begin", "restore torn", "begin", "finish"]
    assert template.kept("template_0123").read_text() == "-- template_0123"
