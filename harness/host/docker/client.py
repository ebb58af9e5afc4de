"""The connection to the Docker daemon that the `docker` command would use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host import machine, process

if TYPE_CHECKING:
    import docker
    from docker.tls import TLSConfig

PING_TIMEOUT_S = 5
ASKING_S = 30.0  # the program `docker` tells at once what there is, unless the daemon hangs
REQUEST_TIMEOUT_S = 600
LOCAL_SOCKETS = ("unix:///var/run/docker.sock", "unix:///run/docker.sock", "npipe:////./pipe/docker_engine")
REGISTRY_OF = "harness.local/registry-of"  # label of a registry's container: the cluster that it is beside
HINT = "harness doctor --fix"
ELSEWHERE = "unset DOCKER_HOST; docker context use default; or run harness on that machine"


@dataclass(frozen=True)
class Endpoint:
    """Where the daemon is: its URL, who says so (DOCKER_HOST, a context, the default), and TLS if any."""

    url: str
    origin: str
    tls: TLSConfig | None = None

    @property
    def is_here(self) -> bool:
        """Whether what containers publish on 127.0.0.1 is on this machine: also that of a virtual machine's is."""
        address = urlsplit(self.url)
        return address.scheme in {"unix", "npipe", "fd"} or address.hostname in {
            "127.0.0.1",
            "localhost",
            "::1",
        }

    @property
    def is_default(self) -> bool:
        """Whether it is this machine's usual daemon, which `doctor --fix` may install and start."""
        return self.url in LOCAL_SOCKETS


def endpoint() -> Endpoint:
    """What DOCKER_HOST says, else the context (DOCKER_CONTEXT or the current one), else the default socket.

    Raises HarnessError(DOCKER_MISSING) when the context named does not exist.
    """
    if url := os.environ.get("DOCKER_HOST"):
        return Endpoint(url, "DOCKER_HOST", _tls_of_environment())
    from docker.constants import DEFAULT_UNIX_SOCKET, IS_WINDOWS_PLATFORM
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name

    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name == "default":
        default = LOCAL_SOCKETS[-1] if IS_WINDOWS_PLATFORM else DEFAULT_UNIX_SOCKET.removeprefix("http+")
        return Endpoint(default, "the default")
    try:
        context = ContextAPI.get_context(name)
        url = context.endpoints["docker"]["Host"]
    except Exception as error:  # the library raises bare Exception for a broken context
        raise HarnessError(
            CauseCode.DOCKER_MISSING,
            f"the Docker context {name!r} does not exist or can't be read",
            hint="docker context ls; docker context use default",
        ) from error
    return Endpoint(url, f"context {name}", context.tls_cfg.get("docker"))


def connect() -> docker.DockerClient:
    """A client of a daemon that has just answered.

    Raises HarnessError(DOCKER_PERMISSION) when this user may not use its socket, DOCKER_MISSING when nobody
    answers within PING_TIMEOUT_S.
    """
    where = endpoint()
    import docker

    try:
        client = docker.DockerClient(
            base_url=where.url, tls=where.tls or False, timeout=PING_TIMEOUT_S, use_ssh_client=True
        )
        client.ping()
    except Exception as error:
        raise refusal(where, error) from error
    client.api.timeout = REQUEST_TIMEOUT_S
    return client


def server_architecture() -> str:
    """The architecture on which containers run, by Go's and OCI's name: it need not be this machine's.

    Raises ProgramError(DOCKER_MISSING).
    """
    asked = ["docker", "version", "--format", "{{.Server.Arch}}"]
    return process.run(asked, cause=CauseCode.DOCKER_MISSING, hint=HINT, timeout_s=30).stdout.strip()


def hub_mirrors() -> tuple[str, ...]:
    """The mirrors of Docker Hub that the daemon is configured with; none where it does not answer."""
    asked = ["docker", "info", "--format", "{{json .RegistryConfig.Mirrors}}"]
    said = process.run(asked, check=False, timeout_s=30).stdout
    try:
        return tuple(str(url).rstrip("/") for url in json.loads(said) or ())
    except ValueError:
        return ()


def sees(folder: Path) -> bool:
    """Whether the daemon can give containers a folder of this machine; in doubt it can.

    One in a sandbox (snap) or a virtual machine may not.
    """
    from harness.host.docker import privileged_probe

    with closing(connect()) as client:
        found = privileged_probe.sees(client, str(client.info().get("Architecture", "")), folder)
    return found.started is not False


def refuse_elsewhere() -> None:
    """Raises HarnessError(DOCKER_MISSING) for a daemon on another machine: what it opens, it opens there."""
    where = endpoint()
    if not where.is_here:
        raise HarnessError(
            CauseCode.DOCKER_MISSING,
            f"the Docker daemon is on another machine, {where.url} (from {where.origin}), and a cluster's ports "
            "would be there",
            hint=ELSEWHERE,
        )


def refusal(where: Endpoint, error: BaseException) -> HarnessError:
    """What it means that connecting raised `error`."""
    chain = list(_chain(error))
    reached = f"{where.url} (from {where.origin})"
    if any(isinstance(each, PermissionError) for each in chain):
        return HarnessError(
            CauseCode.DOCKER_PERMISSION,
            f"this user may not use the Docker socket {reached}",
            hint=_hint(where),
        )
    if any(isinstance(each, FileNotFoundError) for each in chain):
        reason = "no Docker daemon: nothing is at"
    elif any(isinstance(each, ConnectionRefusedError) for each in chain):
        reason = "the Docker daemon is not running: nobody answers at"
    else:
        reason = "the Docker daemon does not answer at"
    return HarnessError(
        CauseCode.DOCKER_MISSING, f"{reason} {reached}", hint=_hint(where), evidence=[str(chain[-1])]
    )


def _hint(where: Endpoint) -> str:
    """What helps: `doctor --fix` where it can do something, else the command that starts this daemon."""
    if where.is_default and machine.read().is_linux:
        return HINT
    return machine.docker_start_hint(machine.read(), where.url, where.origin) if where.is_here else ELSEWHERE


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came from: causes, contexts and those that urllib3 keeps in args."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        related = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        waiting += [one for one in related if isinstance(one, BaseException)]


def _tls_of_environment() -> TLSConfig | None:
    if not os.environ.get("DOCKER_TLS_VERIFY") and not os.environ.get("DOCKER_CERT_PATH"):
        return None
    import docker

    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    return docker.tls.TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        ca_cert=str(folder / "ca.pem"),
        verify=bool(os.environ.get("DOCKER_TLS_VERIFY")),
    )
