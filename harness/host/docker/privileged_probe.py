"""Whether the Docker daemon can really start a privileged container, as kind's nodes are, and give it a folder.

No image is needed for it: one is made of a program of a few instructions that ends with status 0.
"""

from __future__ import annotations

import io
import secrets
import struct
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.host import scratch

if TYPE_CHECKING:
    import docker

REPOSITORY = "harness-doctor"
LABEL = "harness.local/created-by"
WAIT_TIMEOUT_S = 30

# ELF machine number and code of exit(0), by the name that Docker gives the architecture.
_EXIT_0 = {
    "x86_64": (62, bytes.fromhex("b83c00000031ff0f05")),  # mov eax,60; xor edi,edi; syscall
    "aarch64": (183, bytes.fromhex("000080d2a80b80d2010000d4")),  # mov x0,#0; mov x8,#93; svc #0
}


@dataclass(frozen=True)
class ProbeResult:
    """`started` is None when nothing was tried; `detail` is one line."""

    started: bool | None
    detail: str


def program(architecture: str) -> bytes | None:
    """A static Linux program that ends at once with status 0; None for an architecture not known here."""
    if architecture not in _EXIT_0:
        return None
    machine, code = _EXIT_0[architecture]
    header_bytes, address = 64 + 56, 0x400000
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        identification, 2, machine, 1, address + header_bytes, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    size = header_bytes + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x10000)
    return header + segment + code


def probe(client: docker.DockerClient, architecture: str) -> ProbeResult:
    """Start a privileged container of a made-up image and remove both; takes about half a second."""
    binary = program(architecture)
    if binary is None:
        return ProbeResult(None, f"not tested: no test program for {architecture}")
    return _started(client, binary, ["/exit"], "one was started and removed", privileged=True)


def sees(client: docker.DockerClient, architecture: str, folder: Path) -> ProbeResult:
    """Whether containers can be given `folder` of this machine: a program that lies there is started."""
    binary = program(architecture)
    if binary is None:
        return ProbeResult(None, f"not tested: no test program for {architecture}")
    with scratch.folder(folder) as inside:
        (inside / "exit").write_bytes(binary)
        (inside / "exit").chmod(0o755)
        mounts = {str(folder): {"bind": "/seen", "mode": "ro"}}
        argv = [f"/seen/{inside.name}/exit"]
        return _started(client, binary, argv, f"sees {folder}", privileged=True, volumes=mounts)


def _started(
    client: docker.DockerClient,
    binary: bytes,
    argv: list[str],
    detail: str,
    **options: Any,  # noqa: ANN401  as Docker's client takes them
) -> ProbeResult:
    import docker.errors
    import requests

    name = f"{REPOSITORY}-{secrets.token_hex(6)}"
    container = None
    try:
        client.api.import_image_from_data(_tar(binary), repository=REPOSITORY, tag=name)
        container = client.containers.create(
            f"{REPOSITORY}:{name}",
            argv,
            name=name,
            network_mode="none",
            userns_mode="host",  # as kind does: where users are mapped nothing else may be privileged
            labels={LABEL: "doctor"},
            **options,
        )
        container.start()
        status = container.wait(timeout=WAIT_TIMEOUT_S)["StatusCode"]
    except (docker.errors.DockerException, requests.RequestException) as error:
        return ProbeResult(False, _reason(error))
    finally:
        with suppress(docker.errors.DockerException, requests.RequestException):
            if container is not None:
                container.remove(force=True)
        with suppress(docker.errors.DockerException, requests.RequestException):
            client.images.remove(f"{REPOSITORY}:{name}", force=True)
    if status != 0:
        return ProbeResult(False, f"a container that should end with status 0 ended with {status}")
    return ProbeResult(True, detail)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return text.removesuffix(": unknown").splitlines()[0][-200:]


def _tar(binary: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("exit")
        member.size, member.mode = len(binary), 0o755
        tar.addfile(member, io.BytesIO(binary))
    return archive.getvalue()
