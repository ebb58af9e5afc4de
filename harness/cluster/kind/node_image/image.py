"""The node image: a Debian root file system, the programs, and the pods' images that kubeadm will ask for."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from harness import versions
from harness.cluster.kind.node_image.program import NODE_ROLES, POD_ROLES, Programs, programs
from harness.cluster.kind.node_image.program import built as built_programs
from harness.errors import CauseCode
from harness.host import cache, process
from harness.host.machine import architecture
from harness.host.sources.debian import EPOCH_S, RootfsRecipe, rootfs
from harness.image.base.debian import measured_layer
from harness.image.layer import Layer, layer_from_directory
from harness.image.oci import BaseImage, Image, archive, assemble

FORMAT = 4  # raise when what _assemble() does changes
REPOSITORY = "harness.local/node"
SYSTEM_IMAGE = "harness.local/system"
SERVICES_IMAGE = "harness.local/services"  # the same file system, to be sent to a node of others

NODE = RootfsRecipe(
    name="node",
    packages=(
        "ca-certificates",
        "conntrack",
        "containernetworking-plugins",
        "ethtool",
        "iproute2",
        "iptables",
        "kmod",
        "mount",
        "procps",
        "runc",
        "socat",
        "util-linux",
    ),
)
# Everything that pods of the cluster itself run in: kube-proxy's tables, the PostgreSQL server, the gateway.
SYSTEM = RootfsRecipe(
    name="system",
    packages=(
        "ca-certificates",
        "conntrack",
        "iptables",
        "nginx-light",
        f"postgresql-{versions.DEBIAN_POSTGRESQL}",
    ),
    unwanted=("/usr/lib/*/libLLVM*", f"/usr/lib/postgresql/{versions.DEBIAN_POSTGRESQL}/lib/bitcode/*"),
    commands=(
        # Each new cluster unpacks this: what installing needed, and nothing that runs, is a third of it.
        'rm -rf "$1"/usr/lib/*/perl "$1"/usr/lib/*/perl-base "$1"/usr/lib/*/libperl* "$1"/usr/share/perl*',
        'rm -rf "$1"/usr/lib/*/libz3* "$1"/usr/lib/*/gconv "$1"/usr/share/i18n "$1"/var/lib/dpkg/info/*',
        # The package makes a cluster of its own, with keys of its own: neither belongs into an image.
        'sed -i -E "s/^(postgres:x:)[0-9]+:[0-9]+/\\1999:999/" "$1"/etc/passwd',
        'rm -rf "$1"/var/lib/postgresql/* "$1"/etc/postgresql/* "$1"/etc/ssl/private/* "$1"/etc/ssl/certs/ssl-cert*',
        # The programs themselves; Debian's wrappers of that name are in Perl.
        f'for file in "$1"/usr/lib/postgresql/{versions.DEBIAN_POSTGRESQL}/bin/*; do '
        'ln -sf "${file#"$1"}" "$1"/usr/bin/; done',
    ),
)


@dataclass(frozen=True)
class NodeImage:
    """The node image's name in Docker, and the image on the node that PostgreSQL and the gateway run in.

    One that is not `current` was made by an earlier harness, and a node runs it still.
    """

    name: str
    system_image: str
    is_current: bool = True


def node_image(*, used: str = "", on_line: Callable[[str], None], log: Path) -> NodeImage:
    """The image, built and given to Docker when it is not there yet. Raises HarnessError(BUILD_FAILED).

    A node that runs keeps the one that is `used`, and has the services' image of the same time.
    """
    with process.threads(1) as executor, as_file(_static_files()) as static:
        # Unpacking packages and compiling leave each other's processors alone for most of the time.
        systems = executor.submit(_root_file_systems, log) if built_programs() is None and not used else None
        built = programs(on_line=on_line, log=log)
        key = _key(built, static)
        repository, _, used_key = used.partition(":")
        if repository == REPOSITORY:
            return NodeImage(used, f"{SYSTEM_IMAGE}:{used_key}", is_current=used_key == key)
        image = NodeImage(f"{REPOSITORY}:{key}", f"{SYSTEM_IMAGE}:{key}")
        if _in_docker(image.name):
            return image
        on_line("Debian packages of the node and its services")
        node, system = systems.result() if systems else _root_file_systems(log)

        def make(folder: Path) -> None:
            on_line("putting the node image together")
            _assemble(folder, built, node, system, static, image.system_image)

        tar = cache.obtain("node-image", key, make, on_wait=on_line) / "node.tar"
    on_line("giving the node image to Docker")
    entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'
    process.run(
        ["docker", "import", "--change", entrypoint, str(tar), image.name], cause=CauseCode.BUILD_FAILED
    )
    return image


def services_image(*, on_line: Callable[[str], None], log: Path) -> Image:
    """An image that PostgreSQL and the gateway run in, for nodes of others. Raises HarnessError(BUILD_FAILED)."""
    debian = measured_layer(rootfs(SYSTEM, on_line=on_line, log=log))
    base = BaseImage(layers=(debian,), digest=debian.digest, site_directory="")
    return _assembled(base, (), f"{SERVICES_IMAGE}:{SYSTEM.key[:12]}")


def _root_file_systems(log: Path) -> tuple[Path, Path]:
    def unseen(_: str) -> None: ...

    return rootfs(NODE, on_line=unseen, log=log), rootfs(SYSTEM, on_line=unseen, log=log)


def _static_files() -> Traversable:
    return files("harness.cluster.kind.node_image") / "files"


def _key(built: Programs, static: Path) -> str:
    inputs = [FORMAT, built.folder.name, NODE.key, SYSTEM.key]
    digest = hashlib.sha256(json.dumps(inputs).encode())
    for path in sorted(static.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(static).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _in_docker(name: str) -> bool:
    return (
        process.run(["docker", "image", "inspect", "--format", "{{.Id}}", name], check=False).returncode == 0
    )


def _assemble(
    folder: Path, built: Programs, node: Path, system: Path, static: Path, system_image: str
) -> None:
    listed = _role(
        built, folder, "kubeadm", "config", "images", "list", "--kubernetes-version", versions.KUBERNETES
    )
    names = listed.split()
    pause = next(name for name in names if "/pause:" in name)
    replaced = {"@PAUSE@": pause, "@SYSTEM@": system_image}
    with tarfile.open(folder / "node.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        _copy_tar(node, tar)
        for name in ("containerd", "ctr", "containerd-shim-runc-v2", "entrypoint"):
            _add_file(tar, f"usr/local/bin/{name}", built.folder / name)
        _add_file(tar, "usr/local/bin/harness-node", built.node)
        for role in NODE_ROLES:
            _add_link(tar, f"usr/local/bin/{role}", "harness-node")
        for path in sorted(static.rglob("*")):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                for mark, value in replaced.items():
                    text = text.replace(mark, value)
                _add_bytes(tar, path.relative_to(static).as_posix(), text.encode())
        _add_bytes(tar, "kind/version", versions.KUBERNETES.encode())
        # In the order of their names; the kubelet starts once the node has the first.
        sets = _pod_images(folder, built, system, names, pause, system_image)
        for index, images in enumerate(sets):
            path = folder / "images.tar"
            with path.open("wb") as file:
                file.writelines(archive(*images))
            _add_file(tar, f"kind/images/{index}.tar", path, mode=0o644)
            path.unlink()
    for name in ("program", "layers"):
        shutil.rmtree(folder / name)


def _role(built: Programs, folder: Path, role: str, *arguments: str) -> str:
    link = folder / role
    link.symlink_to(built.node)
    try:
        return process.run([link, *arguments], cause=CauseCode.BUILD_FAILED).stdout
    finally:
        link.unlink()


def _pod_images(
    folder: Path, built: Programs, system: Path, names: list[str], pause: str, system_image: str
) -> tuple[list[Image], list[Image]]:
    """The images that kubeadm, the chart and the node name: first those of one program alone, as static pods are,
    then those that need more around it."""
    tree = folder / "program" / "usr" / "local" / "bin"
    tree.mkdir(parents=True)
    (tree / "harness-node").hardlink_to(built.node)
    (tree / "pause").hardlink_to(built.folder / "pause")
    for role in POD_ROLES:
        (tree / role).symlink_to("harness-node")
    program = layer_from_directory(folder / "program", "", store=folder / "layers")
    debian = measured_layer(system)

    def image(name: str, below: tuple[Layer, ...], *entrypoint: str) -> Image:
        base = BaseImage(layers=below, digest=debian.digest, site_directory="", entrypoint=entrypoint)
        return _assembled(base, (program,), name)

    entrypoints = {name: ("coredns",) for name in names if "/coredns:" in name} | {pause: ("pause",)}
    proxies = [name for name in names if "/kube-proxy:" in name]
    return (
        [image(name, (), *entrypoints.get(name, ())) for name in names if name not in proxies],
        [image(name, (debian,)) for name in (*proxies, system_image)],
    )


def _assembled(base: BaseImage, layers: Sequence[Layer], name: str) -> Image:
    repository, _, tag = name.rpartition(":")
    return assemble(
        base, layers, name=repository, tag=tag, platform=f"linux/{architecture()}",
        env={"PATH": base.path}, user="", workdir="/", labels={},
    )  # fmt: skip


def _copy_tar(source: Path, target: tarfile.TarFile) -> None:
    """Without set-user-id bits: under a daemon that maps users `mount` would be another user than the node's root."""
    with tarfile.open(source) as tar:
        for member in tar:
            member.mode &= 0o777 | stat.S_ISVTX
            target.addfile(member, tar.extractfile(member) if member.isreg() else None)


def _add_file(tar: tarfile.TarFile, name: str, path: Path, *, mode: int = 0o755) -> None:
    with path.open("rb") as file:
        tar.addfile(_member(name, path.stat().st_size, mode), file)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_member(name, len(content), 0o644), io.BytesIO(content))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = _member(name, 0, 0o777)
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


def _member(name: str, size_bytes: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, mode, EPOCH_S
    return member
