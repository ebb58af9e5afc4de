"""The Go programs of a node and its client: Kubernetes, etcd, CoreDNS, Helm and kind as one, containerd as three."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from harness import versions
from harness.cluster.kind.node_image.build_list import build_progress
from harness.errors import CauseCode
from harness.host import cache, process
from harness.host.machine import architecture
from harness.host.sources import go

FORMAT = 2  # raise when what _build() does changes
NODE_ROLES = ("kubeadm", "kubectl", "kubelet", "coredns")
POD_ROLES = (
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "local-provisioner",
)
CLIENT_ROLES = ("helm", "kind", "kubectl")
# Folders of the module, and the names that their programs get.
OWN_PROGRAMS = {"entrypoint": "entrypoint", "pause": "pause", "program": "node"}
CONTAINERD_PROGRAMS = ("containerd", "ctr", "containerd-shim-runc-v2")


@dataclass(frozen=True)
class Programs:
    """A folder of built programs: `node` plays the roles, `entrypoint` and `pause` and containerd's stand alone."""

    folder: Path

    @property
    def node(self) -> Path:
        return self.folder / "node"

    @property
    def tools(self) -> Tools:
        """Links by whose names the program plays the client's roles."""
        roles = self.folder / "roles"
        return Tools(roles / "kind", roles / "helm", roles / "kubectl")


@dataclass(frozen=True)
class Tools:
    """kind, Helm and kubectl for this machine, by path."""

    kind: Path
    helm: Path
    kubectl: Path


def built() -> Tools | None:
    """The client's programs if they were built; None otherwise. Nothing is compiled."""
    with as_file(files("harness.cluster.kind.node_image") / "source") as source:
        folder = cache.entry("programs", _key(source))
    return Programs(folder).tools if cache.used(folder) else None


def programs(*, on_line: Callable[[str], None], log: Path) -> Programs:
    """All programs for Linux on this architecture, compiled once (about 10 minutes on 2 cores from nothing).

    Raises HarnessError(BUILD_FAILED) with the compiler's last lines.
    """
    with as_file(files("harness.cluster.kind.node_image") / "source") as source:

        def make(folder: Path) -> None:
            _build(source, folder, on_line, log)

        return Programs(cache.obtain("programs", _key(source), make, on_wait=on_line))


def _key(source: Path) -> str:
    digest = hashlib.sha256(repr([FORMAT, versions.KUBERNETES, architecture()]).encode())
    for path in sorted(source.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(source).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(source: Path, folder: Path, on_line: Callable[[str], None], log: Path) -> None:
    compiler = go.find(on_line)
    # Go wants to be able to write beside go.mod; an installed wheel may be read-only.
    module = folder / "source"
    shutil.copytree(source, module)
    binaries = folder / "binaries"
    own = [f"./{name}" for name in OWN_PROGRAMS]
    theirs = [f"github.com/containerd/containerd/v2/cmd/{name}" for name in CONTAINERD_PROGRAMS]
    arguments = ["-trimpath", "-ldflags", f"-s -w {_version_flags()}", *own, *theirs]
    env = {
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": architecture(),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    on_line(f"what there is to compile of Kubernetes {versions.KUBERNETES}")
    progress = build_progress(compiler, arguments, env=env, module=module, on_line=on_line)

    def show(line: str) -> None:
        if told := progress.after(line):
            on_line(told)

    # -v names each package that is begun: the only sign of progress the compiler gives. All in one go, since
    # Kubernetes and containerd share hundreds of packages and linking one leaves a processor to compile another.
    process.stream(
        [compiler, "build", "-v", "-o", f"{binaries}/", *arguments],
        on_line=show,
        env=env,
        cwd=module,
        log=log,
        cause=CauseCode.BUILD_FAILED,
        hint=f"less {shlex.quote(str(log))}",
    )
    for name, kept in OWN_PROGRAMS.items():
        (binaries / name).rename(folder / kept)
    for name in CONTAINERD_PROGRAMS:
        (binaries / name).rename(folder / name)
    binaries.rmdir()
    shutil.rmtree(module)
    (folder / "roles").mkdir()
    for name in CLIENT_ROLES:
        (folder / "roles" / name).symlink_to("../node")


def _version_flags() -> str:
    major, minor, _ = versions.KUBERNETES.removeprefix("v").split(".")
    values = {
        "gitVersion": versions.KUBERNETES,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    packages = ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version")
    flags = [f"-X {package}.{name}={value}" for package in packages for name, value in values.items()]
    flags.append(f"-X github.com/containerd/containerd/v2/version.Version={versions.CONTAINERD}")
    return " ".join(flags)
