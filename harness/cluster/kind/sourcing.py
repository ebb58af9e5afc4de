"""What a cluster is made from: tools, a node image and the services' images, from releases or from packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import versions
from harness.cluster.kind.node_image.image import node_image, services_image
from harness.cluster.kind.node_image.program import Tools, built, programs
from harness.host import process
from harness.host.docker import client as docker_client
from harness.host.sources import mirrors, pins, release_tools
from harness.host.sources.choice import Sources
from harness.host.sources.pins import Pins, Reference
from harness.host.sources.release_tools import Tool
from harness.image.base.image_pull import pull
from harness.image.base.published import published_base, service_image
from harness.image.oci import Image
from harness.image.own.docker_image import known


@dataclass(frozen=True)
class Materials:
    """Everything that a cluster needs, on this machine.

    `services` names the images of `postgresql` and `gateway` on the node; those in `images` must be sent to it.
    `base` is the image under every version's, by digest; empty where it is made from packages. A node image that is not
    `current` is an earlier harness's.
    """

    source: Sources
    tools: Tools
    node_image: str
    services: Mapping[str, str]
    images: tuple[Image, ...] = ()
    base: str = ""
    published: tuple[Tool, ...] = ()
    postgresql: str = versions.DEBIAN_POSTGRESQL
    is_current: bool = True

    @property
    def origin(self) -> Mapping[str, str]:
        """What the cluster remembers of it."""
        return {
            "source": self.source.value,
            "kubernetes": versions.KUBERNETES,
            "node_image": self.node_image,
            "base": self.base,
            **({"postgresql": self.postgresql} if self.base else {}),
            **{tool.name: tool.version for tool in self.published},
            **{f"{tool.name}_file": tool.key for tool in self.published if tool.key},
        }

    @property
    def summary(self) -> str:
        """Which published tools it has, in a few words."""
        groups = {
            "on PATH": [tool for tool in self.published if tool.is_on_path],
            "as published": [tool for tool in self.published if not tool.is_on_path],
        }
        return "; ".join(
            f"{', '.join(f'{tool.name} {tool.version}' for tool in group)} {place}"
            for place, group in groups.items()
            if group
        )


def from_packages(*, used: str = "", on_line: Callable[[str], None], log: Path) -> Materials:
    """Built from package registries alone, once. Raises HarnessError(BUILD_FAILED, TOOL_MISSING).

    `used`: the image of a node that runs, which nobody needs to look for.
    """
    image = node_image(used=used, on_line=on_line, log=log)
    tools = programs(on_line=on_line, log=log).tools
    services = {"postgresql": image.system_image, "gateway": image.system_image}
    return Materials(Sources.PACKAGES, tools, image.name, services, is_current=image.is_current)


def services_from_packages(*, on_line: Callable[[str], None], log: Path) -> Materials:
    """What a cluster needs whose node has an image of others. Raises HarnessError(BUILD_FAILED, TOOL_MISSING)."""
    tools = programs(on_line=on_line, log=log).tools
    image = services_image(on_line=on_line, log=log)
    services = {"postgresql": image.reference, "gateway": image.reference}
    return Materials(Sources.PACKAGES, tools, "", services, (image,))


def from_release(*, use_path: bool, on_line: Callable[[str], None]) -> Materials:
    """Published files and images, pinned; what is here already is not fetched again.

    `use_path`: a tool on PATH whose version fits is taken instead. Raises HarnessError: SOURCE_UNREACHABLE,
    CHECKSUM_MISMATCH, TOOL_MISSING or IMAGE_NOT_STARTABLE where there is nothing for this platform.
    """
    pinned = pins.load()
    images = pinned.images
    found = [_tool(name, pinned, use_path, on_line) for name in release_tools.NAMES]
    architecture = docker_client.server_architecture()
    with process.threads(3) as executor:
        # The base first: whether its registry can be reached decides for all.
        base = executor.submit(
            published_base,
            Reference.parse(images.python),
            versions.DEBIAN_PYTHON,
            architecture,
            on_line=on_line,
        )
        services = {
            name: executor.submit(service_image, Reference.parse(reference), architecture, on_line=on_line)
            for name, reference in (("postgresql", images.postgresql), ("gateway", images.gateway))
        }
        base.result()
        made = {name: each.result() for name, each in services.items()}
    return Materials(
        Sources.RELEASE,
        Tools(*(tool.path for tool in found)),
        docker_name(Reference.parse(images.node)),
        {name: image.reference for name, image in made.items()},
        tuple(made.values()),
        images.python,
        tuple(found),
        Reference.parse(images.postgresql).tag,
    )


def ensure_node_image(materials: Materials, *, on_line: Callable[[str], None], log: Path) -> None:
    """Make Docker have the node image. Raises what `pull` raises."""
    name = materials.node_image
    if known(name) is not None:
        return
    on_line(f"pulling {name}")
    pull(name, on_line=on_line, log=log)


def present_tools(origin: Mapping[str, str]) -> Tools | None:
    """The tools of a cluster that remembers `origin`, if they are on this machine; nothing is fetched."""
    if origin.get("source") != Sources.RELEASE:
        return built()
    found = []
    for name in release_tools.NAMES:
        key = origin.get(f"{name}_file")
        tool = release_tools.kept(name, key) if key else None
        tool = tool or release_tools.on_path(name, getattr(pins.load(), name))
        if tool is None:
            return None
        found.append(tool.path)
    return Tools(*found)


def _tool(name: str, pinned: Pins, use_path: bool, on_line: Callable[[str], None]) -> Tool:
    pin = getattr(pinned, name)
    there = release_tools.on_path(name, pin) if use_path else None
    return there or release_tools.download_tool(name, pin, on_line)


def docker_name(reference: Reference) -> str:
    """The name by which Docker pulls the image: at the mirror that stands for its registry, if there is one."""
    address = mirrors.load().by_host.get(reference.registry)
    registry = address.partition("://")[2] if address else reference.registry
    return f"{registry}/{reference.repository}@{reference.digest}"
