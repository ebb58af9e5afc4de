"""The Kubernetes API: paths and manifests in, manifests out, by the official client's logins and connections.

Its generated models are not used: they take a second to import, longer than many commands run, and are not needed
where objects are manifests to be sent and a few fields to be read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from harness.cluster.login import Login
from harness.errors import CauseCode, HarnessError

Manifest = dict[str, Any]

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
FIELD_MANAGER = "harness"
UNAUTHORIZED, FORBIDDEN = 401, 403
_NO_RIGHT = re.compile(r" cannot \w+ resource ")  # not what admission says, of quotas and the like


class KubernetesError(HarnessError):
    """The API refused a request; `status` is the HTTP status."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        self.status = status
        cause, hint = CauseCode.CLUSTER_FAILED, "harness status"
        if "exceeded quota" in message:
            cause = CauseCode.QUOTA_EXCEEDED
        elif status == FORBIDDEN and _NO_RIGHT.search(message):
            cause, hint = CauseCode.PERMISSION_MISSING, "kubectl auth can-i --list"
        super().__init__(cause, f"Kubernetes refused {method} {path}: {message}", hint=hint)


class KubernetesApi:
    """One cluster, by the login in its own kubeconfig. Threads may share it."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._login = Login(kubeconfig)

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._login.server

    def stays(self, namespace: str) -> bool:  # noqa: ARG002  those that stay are given ones
        """Whether a namespace of ours is used again after what is in it was removed. Here each is gone with it."""
        return False

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:  # noqa: ANN401  whatever JSON holds
        """The JSON answer. Raises KubernetesError for a refusal, HarnessError(CLUSTER_FAILED) without an answer."""
        response = self._send(method, path, body, query, content_type, timeout_s)
        try:
            return json.loads(response.data) if response.data else None
        except ValueError as error:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED,
                f"{self.server} answers, and is no API server of Kubernetes: a proxy may stand in between",
                hint=f'export NO_PROXY="$NO_PROXY,"{shlex.quote(urlsplit(self.server).hostname or "")}',
                evidence=[_reason(response.data)],
            ) from error

    def get(self, path: str, **query: str) -> Manifest | None:
        """The object, or None when there is none."""
        try:
            answer: Manifest = self.request("GET", path, query=query)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise
        return answer

    def list(self, path: str, **query: str) -> list[Manifest]:
        """The items of a collection; `labelSelector` and `fieldSelector` as the API names them."""
        answer = self.get(path, **query)
        return list(answer["items"] or []) if answer else []

    def create(self, path: str, manifest: Manifest) -> Manifest:
        """Create an object in the collection `path`."""
        answer: Manifest = self.request("POST", path, manifest)
        return answer

    def apply(self, path: str, manifest: Manifest) -> Manifest:
        """Make the object at `path` be as the manifest says, whether it is there or not (server-side apply)."""
        answer: Manifest = self.request(
            "PATCH",
            path,
            manifest,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )
        return answer

    def patch(self, path: str, changes: Manifest) -> Manifest:
        """Merge `changes` into the object at `path`."""
        answer: Manifest = self.request("PATCH", path, changes, content_type="application/merge-patch+json")
        return answer

    def delete(self, path: str, **options: object) -> bool:
        """Delete the object at `path`; False when there is none. `options` go into DeleteOptions."""
        try:
            self.request("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})
        except KubernetesError as error:
            if error.status == 404:
                return False
            raise
        return True

    def text(self, path: str, **query: str) -> str | None:
        """A plain-text answer such as a pod's log; None when there is none (yet)."""
        try:
            response = self._send("GET", path, None, query, "application/json", READ_TIMEOUT_S)
        except KubernetesError as error:
            if error.status in {400, 404}:
                return None
            raise
        return response.data.decode(errors="replace")

    def lines(self, path: str, *, timeout_s: float, **query: str) -> Iterator[str]:
        """The lines of a log, or of a watch, as they are written, until it ends, or nothing came for `timeout_s`."""
        response = self._send("GET", path, None, query, "application/json", timeout_s, stream=True)
        rest = b""
        try:
            for chunk in response.stream(65536, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()
        if rest:
            yield rest.decode(errors="replace")

    def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, str] | None,
        content_type: str,
        timeout_s: float,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        login = self._login.current()

        def attempt() -> urllib3.BaseHTTPResponse:
            return login.connections.request(
                method,
                self.server + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers={
                    "Content-Type": content_type, "Accept": "application/json, */*", **login.headers()
                },
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s),
                preload_content=not stream,
            )  # fmt: skip

        try:
            response = attempt()
            if response.status == UNAUTHORIZED and self._login.may_be_renewed:
                response.release_conn()
                login = self._login.renewed(login)
                response = attempt()
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise KubernetesError(response.status, method, path, _reason(response.data))
        return response

    def _unreachable(self, error: Exception) -> HarnessError:
        return HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"the cluster's API server does not answer at {self.server}",
            hint="harness up",
            evidence=[str(error)],
        )


def _reason(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()[:500]
