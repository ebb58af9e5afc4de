"""The items of a collection, kept up to date by what the API server tells of changes, in place of asking often.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress

from harness.cluster.api import KubernetesApi, Manifest
from harness.errors import CauseCode, HarnessError

# A connection that died in silence is found when a watch that should have ended has not.
WINDOW_S = 5.0
SLACK_S = 3.0
ASKING_S = 5.0
AGAIN_AFTER_S = 0.5


class WatchedItems:
    """A list, and a watch that goes on from it, held by a thread until `close`.

    A watch is resumed where it ended. When that is too long ago for the API server (410), or the connection was
    dropped, the list is asked for again.
    """

    def __init__(self, api: KubernetesApi, path: str, **query: str) -> None:
        self._api = api
        self._path = path
        self._query = query
        self._told = threading.Condition()
        self._items: dict[str, Manifest] = {}
        self._is_listed = False
        self._error: HarnessError | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._hold, name=f"watch {path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Follow no more changes; what is on the way is waited for by nobody."""
        self._closed.set()

    def items(self) -> list[Manifest]:
        """The items as they are, or were a moment ago. Raises HarnessError while the API server tells nothing."""
        with self._told:
            self._told.wait_for(self._is_known, timeout=2 * ASKING_S)
            if self._error is not None:
                raise self._error
            if not self._is_listed or not self._thread.is_alive():
                raise HarnessError(
                    CauseCode.CLUSTER_FAILED, f"nothing is told of {self._path}", hint="harness status"
                )
            return list(self._items.values())

    def _is_known(self) -> bool:
        return self._is_listed or self._error is not None

    def _hold(self) -> None:
        while not self._closed.is_set():
            try:
                version = self._listed()
            except HarnessError as error:
                with self._told:
                    self._error = error
                    self._told.notify_all()
            else:
                with suppress(HarnessError, ValueError, KeyError):  # refused, dropped, or cut within a line
                    while not self._closed.is_set():
                        version = self._changed_since(version)
            self._closed.wait(AGAIN_AFTER_S)

    def _listed(self) -> str:
        """Ask for all items; returns the version of the collection that this is."""
        found = self._api.request("GET", self._path, query=self._query, timeout_s=ASKING_S)
        with self._told:
            self._items = {str(item["metadata"]["uid"]): item for item in found["items"] or ()}
            self._is_listed, self._error = True, None
            self._told.notify_all()
        return str(found["metadata"]["resourceVersion"])

    def _changed_since(self, version: str) -> str:
        """Follow changes for a while; returns the version that has been reached. Raises HarnessError for an end."""
        wanted = {
            **self._query, "watch": "true", "allowWatchBookmarks": "true",
            "resourceVersion": version, "timeoutSeconds": f"{WINDOW_S:.0f}",
        }  # fmt: skip
        for line in self._api.lines(self._path, timeout_s=WINDOW_S + SLACK_S, **wanted):
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise HarnessError(CauseCode.CLUSTER_FAILED, str(item.get("message") or item))
            version = str(item["metadata"]["resourceVersion"])
            if kind == "BOOKMARK":
                continue
            with self._told:
                if kind == "DELETED":
                    self._items.pop(item["metadata"]["uid"], None)
                else:
                    self._items[item["metadata"]["uid"]] = item
        return version
