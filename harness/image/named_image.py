"""An image under its own name from this Docker into a kind node, as `kind load docker-image` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.host import process
from harness.image.layer import CHUNK_BYTES
from harness.image.node import images, take_in
from harness.image.own.docker_image import known


def full_name(name: str) -> str:
    """A name as containerd has it: with its registry and its tag.

    https://pkg.go.dev/github.com/distribution/reference#ParseNormalizedNamed
    """
    first, slash, _ = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    if not is_registry:
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def is_always_pulled(name: str) -> bool:
    """Whether Kubernetes pulls it each time, unless the pod says otherwise."""
    return full_name(name).endswith(":latest")


def is_there(name: str, node: str) -> bool:
    """Whether the node has an image of that name. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    return full_name(name) in {each.name for each in images(node)}


def is_in_docker(name: str) -> bool:
    """Whether this Docker has it. Raises HarnessError(DOCKER_MISSING, TOOL_MISSING)."""
    return known(name) is not None


def load(name: str, node: str, *, on_change: Callable[[str], None]) -> None:
    """Send what `docker save` gives to the node. Raises HarnessError(IMAGE_LOAD_FAILED, DISK_FULL)."""
    with process.spawn(("docker", "save", name), stdin=False, env=None, cwd=None) as saving:

        def chunks() -> Iterator[bytes]:
            sent = 0
            assert saving.stdout is not None  # noqa: S101  it is a pipe
            while chunk := saving.stdout.read(CHUNK_BYTES):
                yield chunk
                sent += len(chunk)
                on_change(f"{sent / 1e6:.0f} MB sent")

        try:
            take_in(node, full_name(name), chunks(), hint=f"docker image inspect {name}")
        finally:
            if saving.poll() is None:
                process.stop(saving)
