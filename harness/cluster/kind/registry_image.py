"""The image of the registry beside a cluster: the published one, else one made from Debian's package."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

from harness.cluster.kind.sourcing import docker_name
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.host.sources import pins
from harness.host.sources.choice import Sources
from harness.host.sources.debian import RootfsRecipe, rootfs
from harness.host.sources.pins import Reference
from harness.image.base.image_pull import pull
from harness.image.own.docker_image import known

REPOSITORY = "harness.local/registry"
IMPORTING_S = 600.0
_CONFIGURATION = "/etc/docker/registry/config.yml"
_SETTINGS = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}},
    "http": {"addr": ":5000"},
}
RECIPE = RootfsRecipe(
    name="registry",
    packages=("docker-registry",),
    commands=(
        f"printf '%s' '{json.dumps(_SETTINGS)}' >\"$1\"{_CONFIGURATION}",
        'ln -s docker-registry "$1"/usr/bin/registry',
    ),
)


def registry_image(source: Sources, *, on_line: Callable[[str], None], log: Path) -> str:
    """The image by its name in Docker, pulled or built when it is not there; its command is its configuration's path.

    Where a published one can't be had, it is made from packages, on Linux. Raises HarnessError: BUILD_FAILED,
    TOOL_MISSING, and elsewhere what `pull` raises.
    """
    pinned = pins.load().images.registry
    if source is Sources.RELEASE and pinned is not None:
        name = docker_name(Reference.parse(pinned))
        try:
            if known(name) is None:
                on_line(f"pulling {name}")
                pull(name, on_line=on_line, log=log)
            return name
        except HarnessError as error:
            if error.cause is not CauseCode.SOURCE_UNREACHABLE or platform.system() != "Linux":
                raise
            on_line(f"from packages: {error.message}")
    name = f"{REPOSITORY}:{RECIPE.key[:12]}"
    if known(name) is None:
        on_line("Debian's docker-registry")
        tar = rootfs(RECIPE, on_line=on_line, log=log)
        command = f'CMD ["{_CONFIGURATION}"]'
        argv = ["docker", "import", "--change", command, str(tar), name]
        process.run(argv, cause=CauseCode.BUILD_FAILED, hint="docker info", timeout_s=IMPORTING_S)
    return name
