"""Whose turn it is on a cluster, for one client and for several that only share its claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import Kubernetes, items, refusal
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.pods.pods import parse_quantity
from harness.cluster.leases import DURATION_S, PATH, Claim, Leases
from harness.engine.admission.admission import Admission, Wait, why_wait
from harness.engine.admission.capacity import NEED, NOTHING, Capacity, Room, capacity, need_of, requests
from harness.errors import CauseCode, HarnessError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def claim(name: str, state: str = "waiting", *, second: int = 0, version: str = "", **changes: Any) -> Claim:
    made = NOW + timedelta(seconds=second)
    new = Claim.new(made, cpu=NEED.cpu, memory_bytes=NEED.memory_bytes, image="i", ref=name)
    return replace(new, name=name, state=state, version=version, **changes)


def one_processor() -> Capacity:
    return cluster(cpu=1.9)


def cluster(cpu: float = 2.0, memory_gb: float = 24.0, used: float = 0.9) -> Capacity:
    return Capacity(Room(cpu, memory_gb * 1e9), {"kube-system": Room(used, 5e8)})


class TestWhyWait:
    def test_alone_it_enters(self) -> None:
        assert why_wait("a", [claim("a")], cluster) == Wait("")

    def test_those_before_it_go_first_and_nobody_asks_the_cluster(self) -> None:
        def look() -> Capacity:
            raise AssertionError("only the first in the queue looks")

        claims = [claim("a"), claim("b", second=1), claim("c", second=2)]
        assert why_wait("c", claims, look) == Wait("2 versions before it")

    def test_two_start_at_a_time_on_two_processors(self) -> None:
        claims = [claim("a", "starting"), claim("b", "starting", second=1), claim("c", second=2)]
        assert why_wait("c", claims, cluster)[0] == "a and b starting"
        assert why_wait("c", [*claims[:1], claims[2]], cluster) == Wait("")
        assert why_wait("c", claims, lambda: cluster(cpu=8.0)) == Wait("")

    def test_three_versions_at_once_on_two_processors_and_no_fourth(self) -> None:
        claims = [claim("a", "running"), claim("b", "running"), claim("c")]
        assert why_wait("c", claims, cluster) == Wait("")
        claims = [*claims[:2], claim("c", "running"), claim("d")]
        found = why_wait("d", claims, cluster)
        assert "beside 3 versions at work" in found.reason
        assert found.full
        assert not found.alone

    def test_what_nobody_at_work_holds_will_not_come_free(self) -> None:
        found = why_wait("a", [claim("a")], lambda: cluster(used=1.9))
        assert found.alone
        assert "0.1 CPU" in found.reason

    def test_a_cordoned_node_is_named(self) -> None:
        found = why_wait("a", [claim("a")], lambda: Capacity(Room(0, 0), {}, ("n1",)))
        assert found.reason.endswith("free are 0 CPU and 0; n1 is cordoned and takes nothing new")
        assert found.hint == "kubectl uncordon n1"

    def test_memory_counts_too(self) -> None:
        assert why_wait("a", [claim("a")], lambda: cluster(memory_gb=1.0)).full

    def test_a_version_at_work_counts_as_claimed_not_as_what_its_pods_were_promised(self) -> None:
        found = Capacity(Room(2, 24e9), {"kube-system": Room(0.9, 0), "v-1": Room(0.6, 0)})
        claims = [claim("a", "running", version="v-1"), claim("b", "running"), claim("c")]
        assert why_wait("c", claims, lambda: found) == Wait("")
        claims[0] = claim("a", "running")
        assert why_wait("c", claims, lambda: found)[0]

    @given(
        st.lists(st.sampled_from(["waiting", "starting", "running"]), min_size=1, max_size=12),
        st.floats(0.1, 16.0),
        st.floats(0.0, 2.0),
    )
    def test_at_most_one_of_all_may_enter_and_never_beyond_what_there_is(
        self, states: list[str], cpu: float, used: float
    ) -> None:
        claims = [claim(f"c{index}", state, second=index) for index, state in enumerate(states)]
        found = cluster(cpu=cpu, used=used)
        waiting = [each for each in claims if each.state == "waiting"]
        entering = [each for each in waiting if why_wait(each.name, claims, lambda: found)[0] == ""]
        assert len(entering) <= 1
        if entering:
            assert entering[0] is waiting[0]
            admitted = [each for each in claims if each.state != "waiting"]
            assert sum(each.cpu for each in [*admitted, entering[0]]) + used <= cpu + 1e-5
            assert sum(each.state == "starting" for each in admitted) < found.starts


class TestCapacity:
    def test_a_version_at_work_is_promised_no_more_than_it_claims(self) -> None:
        values = yaml.safe_load((ROOT / "charts/airflow/values.yaml").read_text())
        control = values["controlPlane"]["resources"]["requests"]
        worker = values["worker"]["resources"]["requests"]
        assert parse_quantity(control["cpu"]) + parse_quantity(worker["cpu"]) <= NEED.cpu
        assert parse_quantity(control["memory"]) + parse_quantity(worker["memory"]) == NEED.memory_bytes
        server = values["mlflow"]["resources"]["requests"]
        of_mlflow = need_of(mlflow=True) - need_of(mlflow=False)
        assert of_mlflow.memory_bytes == parse_quantity(server["memory"])
        assert of_mlflow.cpu == pytest.approx(parse_quantity(server["cpu"]))

    def test_one_more_runs_beside_seven_that_rest(self) -> None:
        values = yaml.safe_load((ROOT / "charts/airflow/values.yaml").read_text())
        resting = parse_quantity(values["controlPlane"]["resources"]["requests"]["cpu"])
        promised = {"kube-system": Room(0.9, 0)} | {f"v-{number}": Room(resting, 0) for number in range(7)}
        found = Capacity(Room(2.0, 24e9), promised)
        assert why_wait("a", [claim("a")], lambda: found) == Wait("")

    def test_of_the_cluster(self) -> None:
        def pod(namespace: str, cpu: str) -> dict[str, Any]:
            container = {"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
            return {"metadata": {"namespace": namespace}, "spec": {"containers": [container]}}

        node = {"spec": {}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}}
        drained = {
            "metadata": {"name": "n2"},
            "spec": {"unschedulable": True},
            "status": {"allocatable": {"cpu": "8", "memory": "4Gi"}},
        }
        api = Kubernetes(
            {
                ("GET", "/api/v1/nodes"): items(node, drained),
                ("GET", "/api/v1/pods"): items(pod("a", "500m"), pod("a", "250m"), pod("spare", "1")),
                ("GET", "/api/v1/namespaces"): items({"metadata": {"name": "spare"}}),
            }
        )
        found = capacity(api)
        assert found.total == Room(2.0, 4 * 2**30)
        assert found.cordoned == ("n2",)
        assert found.promised == {"a": Room(0.75, 2 * 2**30)}
        assert found.free([], []) == Room(1.25, 2 * 2**30)
        assert found.free([NEED], ["a"]) == found.total - NEED

    @given(st.lists(st.integers(0, 2000), max_size=4), st.lists(st.integers(0, 2000), max_size=3))
    def test_requests_of_a_pod(self, milli: list[int], init: list[int]) -> None:
        def containers(found: list[int]) -> list[dict[str, Any]]:
            return [{"resources": {"requests": {"cpu": f"{each}m"}}} for each in found]

        found = requests({"containers": containers(milli), "initContainers": containers(init)})
        assert found.cpu == pytest.approx(max([sum(milli), *init]) / 1000)
        assert requests({"containers": [{}]}) == NOTHING

    def test_starts(self) -> None:
        assert [Capacity(Room(cpu, 0), {}).starts for cpu in (0.5, 2, 3.9, 4, 16)] == [1, 2, 3, 4, 16]


class Store(Kubernetes):
    """Leases that are kept, as the API server would."""

    def __init__(self, clock: list[datetime]) -> None:
        super().__init__()
        self.clock = clock
        self.leases: dict[str, dict[str, Any]] = {}
        self.version = 0

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        name = path.rpartition("/")[2]
        if path == PATH and method == "GET":
            return items(*self.leases.values())
        if path == PATH and method == "POST":
            stored = {
                **body,
                "metadata": {**body["metadata"], **self._stamp(), "creationTimestamp": self._now()},
            }
            if not (options.get("query") or {}).get("dryRun"):
                self.leases[body["metadata"]["name"]] = stored
            return stored
        if name in self.leases and method == "PATCH":
            lease = self.leases[name]
            notes = lease["metadata"]["annotations"] | body["metadata"]["annotations"]
            lease["metadata"] |= {"annotations": notes, **self._stamp()}
            lease["spec"] |= body["spec"]
            return lease
        if name in self.leases and method == "DELETE":
            seen = (body.get("preconditions") or {}).get("resourceVersion")
            if seen not in (None, self.leases[name]["metadata"]["resourceVersion"]):
                raise refusal(409)
            return self.leases.pop(name)
        raise refusal(404)

    def _stamp(self) -> dict[str, str]:
        self.version += 1
        return {"resourceVersion": str(self.version)}

    def _now(self) -> str:
        return self.clock[0].strftime("%Y-%m-%dT%H:%M:%SZ")


class TestLeases:
    def make(self, leases: Leases, ref: str = "main") -> Claim:
        return leases.make(cpu=0.3, memory_bytes=8e8, image="image", ref=ref)

    def test_a_claim_is_what_it_was(self) -> None:
        clock = [NOW]
        leases = Leases(Store(clock), lambda: clock[0])
        made = self.make(leases, "größer/x")
        (found,) = leases.claims()
        assert found == made
        assert (found.state, found.ref, found.cpu, found.memory_bytes) == ("waiting", "größer/x", 0.3, 8e8)
        leases.release(made)
        leases.release(made)
        assert leases.claims() == []

    def test_in_the_order_they_were_made_also_within_a_second(self) -> None:
        clock = [NOW]
        leases = Leases(Store(clock), lambda: clock[0])
        names = []
        for _ in range(5):
            names.append(self.make(leases).name)
            clock[0] += timedelta(milliseconds=300)
        assert [each.name for each in leases.claims()] == names

    def test_one_that_nobody_renews_is_gone(self) -> None:
        clock = [NOW]
        leases = Leases(Store(clock), lambda: clock[0])
        dead, alive = self.make(leases), self.make(leases)
        clock[0] += timedelta(seconds=DURATION_S - 5)
        alive = leases.renew(alive)
        assert len(leases.living(leases.claims())) == 2
        clock[0] += timedelta(seconds=10)
        assert [each.name for each in leases.living(leases.claims())] == [alive.name]
        assert [each.name for each in leases.claims()] == [alive.name]
        again = leases.renew(replace(dead, state="running"))  # it was only slow
        assert again.state == "running"
        assert {each.name for each in leases.claims()} == {dead.name, alive.name}

    def test_one_that_is_renewed_at_this_moment_stays(self) -> None:
        clock = [NOW]
        leases = Leases(Store(clock), lambda: clock[0])
        made = self.make(leases)
        clock[0] += timedelta(seconds=DURATION_S + 5)
        seen = leases.claims()
        leases.renew(made)
        assert [each.name for each in leases.living(seen)] == [made.name]
        assert len(leases.claims()) == 1

    @pytest.mark.parametrize("shift_s", [-3600, -30, -1, 0, 1, 30, 3600])
    def test_a_clock_that_is_wrong_kills_nobodys_claim(self, shift_s: int) -> None:
        server = [NOW]
        store = Store(server)
        here, there = (
            Leases(store, lambda: server[0]),
            Leases(store, lambda: server[0] + timedelta(seconds=shift_s)),
        )
        mine, theirs = self.make(here), self.make(there)
        server[0] += timedelta(seconds=DURATION_S - 10)
        for leases in (here, there):
            assert {each.name for each in leases.living(leases.claims())} == {mine.name, theirs.name}


class TestTicket:
    def test_two_clients_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [NOW]
        store = Store(clock)
        monkeypatch.setattr("harness.engine.admission.admission.capacity", lambda *_: one_processor())
        first = Admission(store, Leases(store, lambda: clock[0]))
        second = Admission(store, Leases(store, lambda: clock[0]))
        a = first.ask(image="i", ref="a")
        clock[0] += timedelta(seconds=1)
        b = second.ask(image="i", ref="b")
        assert b.enter() == "1 version before it"
        assert a.enter() == ""
        assert b.enter() == "a starting"
        a.started()
        assert b.enter() == ""
        a.release()
        a.release()
        a.renew()  # too late: nothing comes back
        assert [each.ref for each in Leases(store).claims()] == ["b"]

    def test_it_is_crowded_while_one_waits_or_two_are_at_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [NOW]
        store = Store(clock)
        monkeypatch.setattr("harness.engine.admission.admission.capacity", lambda *_: cluster())
        admission = Admission(store, Leases(store, lambda: clock[0]))
        seen = [admission.is_crowded()]
        a = admission.ask(image="i", ref="a")
        seen.append(admission.is_crowded())
        a.enter()
        seen.append(admission.is_crowded())
        clock[0] += timedelta(seconds=1)
        b = admission.ask(image="i", ref="b")
        b.enter()
        seen.append(admission.is_crowded())
        a.release()
        seen.append(admission.is_crowded())
        assert seen == [False, True, False, True, False]

    def test_what_a_killed_client_claimed_is_served_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [NOW]
        store = Store(clock)
        monkeypatch.setattr("harness.engine.admission.admission.capacity", lambda *_: one_processor())
        killed = Admission(store, Leases(store, lambda: clock[0])).ask(image="i", ref="a")
        assert killed.enter() == ""
        clock[0] += timedelta(seconds=1)
        waits = Admission(store, Leases(store, lambda: clock[0])).ask(image="i", ref="b")
        assert waits.enter() == "a starting"
        clock[0] += timedelta(seconds=DURATION_S)
        waits.renew()
        assert waits.enter() == ""

    def test_a_full_cluster_is_told_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, now_s = [NOW], [0.0]
        store = Store(clock)
        monkeypatch.setattr("harness.engine.admission.admission.capacity", lambda *_: cluster(used=1.95))
        monkeypatch.setattr("harness.engine.admission.admission.time.monotonic", lambda: now_s[0])
        ticket = Admission(store, Leases(store, lambda: clock[0])).ask(image="i", ref="a")
        assert ticket.enter()
        now_s[0] = 59.0
        assert ticket.enter()
        now_s[0] = 61.0
        with pytest.raises(HarnessError, match="no room") as caught:
            ticket.enter()
        assert caught.value.cause is CauseCode.CLUSTER_FULL
        assert "harness down" in caught.value.hint

    def test_a_full_cluster_is_not_told_while_room_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, now_s, given = [NOW], [0.0], []

        def make_room(claims: Sequence[Claim]) -> bool:
            given.append([each.ref for each in claims])
            return now_s[0] == 50.0

        store = Store(clock)
        monkeypatch.setattr("harness.engine.admission.admission.capacity", lambda *_: cluster(used=1.95))
        monkeypatch.setattr("harness.engine.admission.admission.time.monotonic", lambda: now_s[0])
        ticket = Admission(store, Leases(store, lambda: clock[0]), make_room).ask(image="i", ref="a")
        for now_s[0] in (0.0, 50.0, 61.0, 110.0):
            assert ticket.enter()
        assert given == [["a"]] * 4
        now_s[0] = 122.0
        with pytest.raises(HarnessError, match="no room"):
            ticket.enter()
