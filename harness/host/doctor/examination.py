"""`harness doctor`: looks at a machine and says what it lacks. Changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness.errors import HarnessError
from harness.host import cache, cache_limit, machine
from harness.host.docker import client as docker_client
from harness.host.docker import daemon as docker_daemon
from harness.host.docker import privileged_probe
from harness.host.doctor import docker_checks, machine_checks, tool_checks
from harness.host.doctor.check import Check, Report
from harness.host.doctor.docker_checks import Daemon
from harness.host.machine import Machine
from harness.host.sources import ca_bundle, go, pins, release_hosts, release_tools

__all__ = ["Check", "Report", "examine"]


def examine(*, sources: str = "auto") -> Report:
    """Check this machine, in a second or two. `sources`: auto, release or packages, as for `harness up`."""
    host = machine.read()
    notes: list[str] = []
    checks = [*_docker(host, notes), *_machine(host, notes), *_tools(host, sources)]
    if host.system == "Windows":
        notes.append("harness runs on Linux, macOS and WSL 2; on Windows itself nothing was tried")
    return Report(str(host), tuple(checks), tuple(notes))


def _docker(host: Machine, notes: list[str]) -> Iterator[Check]:
    yield docker_checks.cli(shutil.which("docker"), host)
    where = None
    try:
        where = docker_client.endpoint()
        client = docker_client.connect()
    except HarnessError as error:
        installed = docker_checks.is_installed(host)
        yield docker_checks.daemon(error, host, is_installed=installed, where=where)
        notes.append(
            "not checked while Docker does not answer: its version, privileged containers, cgroups, its disk"
        )
        return
    with closing(client):
        found = docker_checks.read_daemon(client, where, host)
        result = privileged_probe.probe(client, found.architecture)
        seen = privileged_probe.sees(client, found.architecture, cache.root()) if result.started else result
        registries = tuple(docker_checks.registries(client))
    yield docker_checks.daemon(found, host, is_installed=True, where=where)
    yield docker_checks.version(found)
    lacking = docker_daemon.lacking_capabilities() if found.is_on_this_machine else ()
    yield docker_checks.privileged(result, host, lacking, is_local=found.is_on_this_machine)
    if result.started:
        yield docker_checks.cache_folder(seen, cache.root())
    yield docker_checks.cgroups(found)
    yield docker_checks.cpus(found)
    yield from registries
    yield from _docker_room(found, host, notes)


def _docker_room(found: Daemon, host: Machine, notes: list[str]) -> Iterator[Check]:
    if not found.is_on_this_machine:
        yield machine_checks.memory(found.memory_bytes, whose="in all where Docker runs", host=host)
        notes.append("not checked: the disk where Docker keeps its data, which is not on this machine")
    elif free := machine_checks.read_free_disk(found.data_folder):
        yield machine_checks.disk("docker disk", *free, hint="harness gc; docker system df")


def _machine(host: Machine, notes: list[str]) -> Iterator[Check]:
    if free := machine_checks.read_free_disk(cache.root()):
        yield machine_checks.disk("cache disk", *free, hint="harness gc", held_bytes=cache_limit.held_bytes())
    if not host.is_linux:
        notes.append(
            "not checked: kernel limits (inotify, open files), which are those of Docker's virtual machine"
        )
        return
    available = machine_checks.read_available_memory()
    if available is not None:
        yield machine_checks.memory(available, whose="free", host=host)
    if limits := machine_checks.read_inotify():
        writable = os.access(machine_checks.INOTIFY_FOLDER / "max_user_instances", os.W_OK)
        yield machine_checks.inotify(limits, host, may_raise=writable)
    yield machine_checks.open_files(machine_checks.read_open_files())
    yield machine_checks.kernel_modules(machine_checks.MODULES_FOLDER.is_dir(), host)


def _tools(host: Machine, sources: str) -> Iterator[Check]:
    yield tool_checks.git(tool_checks.read_git(), host)
    if sources != "packages":
        hosts, silent = release_hosts.addresses(), release_hosts.silent()
        yield tool_checks.release_sources(silent, hosts, sources=sources)
        if silent and sources == "auto":
            sources = "packages"
    if sources != "packages":
        yield from _release_tools(sources)
    if sources != "release":
        yield tool_checks.go_compiler(go.on_path(), go.installed())
    if sources == "packages" or (sources == "auto" and host.is_linux):
        has_keyring = Path(tool_checks.DEBIAN_KEYRING).exists()
        program = shutil.which("mmdebstrap")
        yield tool_checks.mmdebstrap(program, host, sources=sources, has_keyring=has_keyring)
    yield tool_checks.certificates(ca_bundle.find())


def _release_tools(sources: str) -> Iterator[Check]:
    pinned = pins.load()
    for name in release_tools.NAMES:
        pin = getattr(pinned, name)
        there = release_tools.on_path(name, pin) if sources == "auto" else None
        tool = there or release_tools.downloaded(name, pin)
        yield tool_checks.release_tool(name, pin, tool, sources=sources)
