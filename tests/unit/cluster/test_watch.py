"""A collection that is watched: kept up to date whatever happens to the connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from doubles import Kubernetes, refusal

from harness.cluster import watch
from harness.cluster.watch import WatchedItems
from harness.errors import CauseCode, HarnessError

PATH = "/api/v1/namespaces/demo/pods"


def item(uid: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": str(version)}, **more}


def change(kind: str, uid: str, version: int, **more: Any) -> str:
    return json.dumps({"type": kind, "object": item(uid, version, **more)})


def listed(version: int, *items: Any) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


class Server(Kubernetes):
    """Plays each watch back; when they are used up the next one waits until the test is over."""

    def __init__(self, lists: list[Any], *watches: list[str | Exception]) -> None:
        super().__init__({("GET", PATH): lists})
        self.watches = list(watches)
        self.versions: list[str] = []
        self.idle = threading.Event()
        self.over = threading.Event()

    def lines(self, path: str, *, timeout_s: float, **query: str) -> Iterator[str]:
        assert (path, query["watch"], query["labelSelector"]) == (PATH, "true", "a=b")
        assert float(query["timeoutSeconds"]) < timeout_s
        self.versions.append(query["resourceVersion"])
        if not self.watches:
            self.idle.set()
            self.over.wait(30)
            return
        for line in self.watches.pop(0):
            if isinstance(line, Exception):
                raise line
            yield line


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "AGAIN_AFTER_S", 0.01)


def seen(server: Server) -> dict[str, Any]:
    """What is known once all that the server tells has been taken in."""
    with closing(WatchedItems(server, PATH, labelSelector="a=b")) as watched:
        assert server.idle.wait(30)
        found = {each["metadata"]["uid"]: each.get("state") for each in watched.items()}
    server.over.set()
    return found


DROPPED = HarnessError(CauseCode.CLUSTER_FAILED, "dropped")
GONE = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}})


def test_changes_are_taken_in_and_the_next_watch_goes_on_from_there() -> None:
    changes = [
        change("ADDED", "c", 11),
        change("MODIFIED", "a", 12, state="new"),
        change("DELETED", "b", 13),
        change("DELETED", "never-seen", 14),
        change("BOOKMARK", "none", 20),
    ]
    server = Server([listed(10, item("a", 1), item("b", 2))], changes, [])
    assert seen(server) == {"a": "new", "c": None}
    assert server.versions == ["10", "20", "20"]
    assert len(server.asked("GET")) == 1


@pytest.mark.parametrize(
    "end",
    [[GONE], [DROPPED], ['{"type": "ADD'], [refusal(410, "GET", PATH)], ["{}"], [refusal(403, "GET", PATH)]],
    ids=["too old", "dropped", "cut", "refused as too old", "nonsense", "forbidden"],
)
def test_after_anything_else_the_list_is_asked_for_again(end: list[str | Exception]) -> None:
    server = Server([listed(10, item("a", 1)), listed(30, item("b", 25))], [change("ADDED", "c", 11), *end])
    assert seen(server) == {"b": None}
    assert server.versions == ["10", "30"]


def test_nobody_is_told_what_was_true_before_the_cluster_was_lost() -> None:
    server = Server([listed(10, item("a", 1)), DROPPED], [DROPPED])
    with closing(WatchedItems(server, PATH, labelSelector="a=b")) as watched:
        with pytest.raises(HarnessError, match="dropped"):
            while True:
                watched.items()
        server.answers["GET", PATH] = listed(40, item("d", 31))
        assert server.idle.wait(30)
        assert [each["metadata"]["uid"] for each in watched.items()] == ["d"]
    server.over.set()
