"""What went into a result, a line each: for `harness version`, and at the foot of every report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.report import format

if TYPE_CHECKING:
    from harness.engine.version import Known
    from harness.report.provenance import EnvironmentResult, ImageResult, LockResult


def render(known: Known) -> str:
    """A line for each thing: its name, its version or digest."""
    rows = [*environment(known.environment)]
    if known.image is not None:
        rows += image(known.image)
    elif known.lock is not None:
        rows += lock(known.lock)
    rows += [(f"{name} packages", str(len(listed))) for name, listed in known.packages.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {format.one_line(text)}" for name, text in rows) + "\n"


def environment(found: EnvironmentResult) -> Iterator[tuple[str, str]]:
    """Names and versions of what made and ran the versions."""
    yield "platform", found.platform
    for name, version in found.versions.items():
        digest = found.digests.get(name)
        yield name, f"{version}  {format.digest(digest)}" if digest else version
    if found.node_image is not None:
        digest = found.digests.get("node image")
        yield "node image", f"{found.node_image}  {format.digest(digest)}" if digest else found.node_image
    if found.source is not None:
        yield "source", found.source


def lock(found: LockResult) -> Iterator[tuple[str, str]]:
    """What the packages of an image come from."""
    if found.airflow is not None:
        yield "Airflow", found.airflow
    yield "lock", f"{found.path}  {format.digest(found.digest)}"


def image(found: ImageResult) -> Iterator[tuple[str, str]]:
    """What an image is made of."""
    if found.lock is not None:
        yield from lock(found.lock)
    if found.python is not None:
        yield "image's Python", found.python
    yield "image", f"{found.name}  {format.digest(found.digest)}"
    for kind in ("base", "dependencies", "code"):
        digests = [format.digest(layer.digest) for layer in found.layers if layer.kind == kind]
        if digests:
            yield f"{kind} {'layer' if len(digests) == 1 else 'layers'}", " ".join(digests)
    if found.built_from_source:
        yield "built from source, so may differ elsewhere", " ".join(found.built_from_source)
    if found.base_packages:
        yield "base packages", str(len(found.base_packages))
