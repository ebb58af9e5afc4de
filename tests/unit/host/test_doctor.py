"""The doctor's checks and hints with made-up machines, and what its fixes decide to do."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_samples import (
    ANOTHER,
    BARE_ROOT,
    DAEMON,
    DEBIAN,
    DEBIAN_ROOT,
    EVERY,
    FEDORA,
    MACOS,
    NOT_RUNNING,
    REFUSED,
    USUAL,
    WINDOWS,
    WSL,
    all_missing,
    report,
)

from harness.errors import CauseCode, HarnessError
from harness.host import machine
from harness.host.docker import client as docker_client
from harness.host.docker import privileged_probe
from harness.host.docker.privileged_probe import ProbeResult
from harness.host.doctor import docker_checks, machine_checks, tool_checks
from harness.host.doctor.check import Check, Report
from harness.host.doctor.machine_checks import GIB, InotifyLimits
from harness.host.machine import Machine
from harness.host.sources import ca_bundle, go


@pytest.mark.parametrize("host", EVERY, ids=str)
def test_whatever_is_not_ok_has_a_hint_and_whatever_is_missing_a_cause(host: Machine) -> None:
    for each in all_missing(host):
        assert each.status != "ok", each
        assert each.hint, each
        assert "\n" not in each.found + each.hint + each.needed
        if each.status == "missing":
            assert each.cause is not None, each
        if each.fixable:
            assert host.can_fix, each
            assert each.hint == machine.FIX or each.cause is CauseCode.DOCKER_PERMISSION, each


@pytest.mark.parametrize(
    ("host", "is_installed", "error", "expected"),
    [
        (DEBIAN_ROOT, False, NOT_RUNNING, "harness doctor --fix"),
        (BARE_ROOT, True, NOT_RUNNING, "harness doctor --fix"),
        (DEBIAN, False, NOT_RUNNING, 'sudo "$(command -v harness)" doctor --fix'),
        (DEBIAN, True, NOT_RUNNING, "sudo systemctl enable --now docker"),
        (DEBIAN, True, REFUSED, 'sudo usermod -aG docker "$USER"'),
        (FEDORA, True, NOT_RUNNING, "sudo systemctl enable --now docker"),
        (FEDORA, False, NOT_RUNNING, "https://docs.docker.com/engine/install/"),
        (WSL, False, NOT_RUNNING, "WSL integration"),
        (MACOS, False, NOT_RUNNING, "brew install --cask docker"),
        (MACOS, True, NOT_RUNNING, "open -a Docker"),
        (WINDOWS, False, NOT_RUNNING, "WSL"),
    ],
)
def test_the_hint_when_no_daemon_answers(
    host: Machine, is_installed: bool, error: HarnessError, expected: str
) -> None:
    found = docker_checks.daemon(error, host, is_installed=is_installed, where=USUAL)
    assert found.status == "missing"
    assert found.cause is error.cause
    assert expected in found.hint


def test_a_daemon_that_docker_host_names_is_not_ours_to_start() -> None:
    found = docker_checks.daemon(NOT_RUNNING, BARE_ROOT, is_installed=True, where=ANOTHER)
    assert not found.fixable
    assert "DOCKER_HOST" in found.hint


@pytest.mark.parametrize(
    ("host", "url", "origin", "expected"),
    [
        (MACOS, "unix:///Users/me/.docker/run/docker.sock", "context desktop-linux", "open -a Docker"),
        (MACOS, "unix:///Users/me/.colima/default/docker.sock", "context colima", "colima start"),
        (MACOS, "unix:///Users/me/.config/colima/work/docker.sock", "DOCKER_HOST", "colima start"),
        (DEBIAN, "unix:///home/me/.docker/desktop/docker.sock", "context desktop-linux", "docker-desktop"),
        (DEBIAN, "unix:///run/user/1000/docker.sock", "context rootless", "systemctl --user start docker"),
        (DEBIAN, "unix:///run/user/1000/docker.sock", "DOCKER_HOST", "systemctl --user start docker"),
        (DEBIAN, "ssh://me@build", "DOCKER_HOST", "unset DOCKER_HOST"),
        (DEBIAN, "tcp://127.0.0.1:2375", "DOCKER_HOST", "docker context use default"),
    ],
)
def test_each_kind_of_docker_is_started_in_its_own_way(
    host: Machine, url: str, origin: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = docker_client.Endpoint(url, origin)
    assert expected in docker_checks.daemon(NOT_RUNNING, host, is_installed=True, where=where).hint
    monkeypatch.setattr(machine, "read", lambda: host)
    if where.is_here and "run/user" not in url and "tcp" not in url:
        assert expected in docker_client.refusal(where, FileNotFoundError()).hint


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("unix:///var/run/docker.sock", True),
        ("npipe:////./pipe/docker_engine", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://10.0.0.7:2376", False),
        ("ssh://me@build", False),
        ("tcp://localhost.example.org:2375", False),
    ],
)
def test_a_daemon_on_another_machine_is_refused(
    url: str, is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    if is_here:
        docker_client.refuse_elsewhere()
    else:
        with pytest.raises(HarnessError, match="on another machine") as caught:
            docker_client.refuse_elsewhere()
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("20.10.24+dfsg1", "ok"),
        ("28.2.2", "ok"),
        ("20.10.9", "missing"),
        ("20.9.1", "missing"),
        ("19.03.15", "missing"),
        ("dev", "warning"),
    ],
)
def test_docker_version(version: str, status: str) -> None:
    assert docker_checks.version(replace(DAEMON, version=version)).status == status


def test_privileged_containers_are_ok_only_when_one_was_started() -> None:
    assert docker_checks.privileged(ProbeResult(True, "started"), DEBIAN, (), is_local=True).status == "ok"
    untested = docker_checks.privileged(ProbeResult(None, "not tested"), DEBIAN, (), is_local=True)
    assert (untested.status, untested.found) == ("warning", "not tested")
    failed = ProbeResult(False, "unable to apply caps: operation not permitted")
    lacking = docker_checks.privileged(failed, BARE_ROOT, ("CAP_SYS_RESOURCE",), is_local=True)
    assert lacking.fixable
    assert "CAP_SYS_RESOURCE" in lacking.found
    assert not docker_checks.privileged(failed, BARE_ROOT, (), is_local=True).fixable
    assert not docker_checks.privileged(failed, BARE_ROOT, ("CAP_SYS_RESOURCE",), is_local=False).fixable


def test_both_cgroup_versions_do_for_a_daemon_of_root() -> None:
    assert docker_checks.cgroups(DAEMON).status == "ok"
    assert docker_checks.cgroups(replace(DAEMON, cgroup_version="1")).status == "ok"


@pytest.mark.parametrize(
    ("free", "status"),
    [(15 * GIB, "ok"), (15 * GIB - 1, "warning"), (2 * GIB, "warning"), (2 * GIB - 1, "missing")],
)
def test_disk(free: int, status: str) -> None:
    assert machine_checks.disk("docker disk", Path("/d"), free, hint="docker system df").status == status


def test_memory_and_open_files_at_their_bounds() -> None:
    assert machine_checks.memory(6 * GIB, whose="free", host=DEBIAN).status == "ok"
    assert machine_checks.memory(6 * GIB - 1, whose="free", host=DEBIAN).status == "warning"
    assert machine_checks.open_files(None).status == "ok"
    assert machine_checks.open_files(8192).status == "ok"
    assert machine_checks.open_files(8191).status == "warning"


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_inotify_limits_are_never_lowered(instances: int, watches: int) -> None:
    limits = InotifyLimits(instances, watches)
    raised = limits.raised
    assert raised.instances >= instances
    assert raised.watches >= watches
    assert not raised.is_low
    assert (raised == limits) == (not limits.is_low)


def test_the_inotify_hint_names_both_parameters() -> None:
    hint = machine_checks.inotify(InotifyLimits(128, 1_000_000), FEDORA, may_raise=True).hint
    assert hint == "sudo sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=1000000"


def test_meminfo() -> None:
    lines = ["MemTotal:  24684092 kB", "MemAvailable:   1024 kB", "HugePages_Total:  3", "nonsense", "x: y"]
    assert machine_checks.parse_meminfo(lines) == {
        "MemTotal": 24684092 * 1024,
        "MemAvailable": 1024 * 1024,
        "HugePages_Total": 3,
    }


@given(st.lists(st.text()))
def test_any_meminfo_is_survived(lines: list[str]) -> None:
    assert all(value >= 0 for value in machine_checks.parse_meminfo(lines).values())


def test_free_disk_is_looked_up_where_the_folder_will_be(tmp_path: Path) -> None:
    found = machine_checks.read_free_disk(tmp_path / "not" / "yet")
    assert found is not None
    assert found[0] == tmp_path
    assert found[1] > 0


@pytest.mark.parametrize(
    ("printed", "status"),
    [
        ("git version 2.39.5", "ok"),
        ("git version 2.30.0 (Apple Git-1)", "ok"),
        ("git version 2.29.9", "missing"),
    ],
)
def test_git(printed: str, status: str) -> None:
    assert tool_checks.git(printed, DEBIAN).status == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 darwin/arm64", (1, 27)),
        ("go version go1.28rc1 linux/amd64", (1, 28)),
        ("go version devel +abc linux/amd64", None),
        ("", None),
    ],
)
def test_go_version(text: str, expected: tuple[int, ...] | None) -> None:
    assert go.parse_version(text) == expected


def test_a_go_is_never_missing_because_it_can_be_installed() -> None:
    program = Path("/usr/lib/go/bin/go")
    assert str(program) in tool_checks.go_compiler((program, (1, 26)), None).found
    old = tool_checks.go_compiler((program, (1, 19, 8)), None)
    assert old.status == "ok"
    assert "too old" in old.found
    assert "PyPI" in old.found
    assert "/c/go" in tool_checks.go_compiler(None, Path("/c/go")).found


def test_mmdebstrap_is_needed_only_for_packages() -> None:
    def status(sources: str) -> str:
        return tool_checks.mmdebstrap(None, DEBIAN, sources=sources, has_keyring=True).status

    assert (status("packages"), status("auto")) == ("missing", "ok")


def test_the_ca_bundle_in_force(tmp_path: Path) -> None:
    bundle = tmp_path / "corporate.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n" * 3)
    found = ca_bundle.find({"SSL_CERT_FILE": str(bundle), "CURL_CA_BUNDLE": "/other"})
    assert found == ca_bundle.CaBundle(bundle, "SSL_CERT_FILE")
    ok = tool_checks.certificates(found)
    assert (ok.status, ok.found) == ("ok", f"{bundle}, 3 certificates (from SSL_CERT_FILE)")
    bundle.write_text("nothing")
    assert tool_checks.certificates(found).status == "missing"


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (PermissionError(13, "Permission denied"), CauseCode.DOCKER_PERMISSION),
        (FileNotFoundError(2, "No such file"), CauseCode.DOCKER_MISSING),
        (ConnectionRefusedError(111, "refused"), CauseCode.DOCKER_MISSING),
        (TimeoutError("slow"), CauseCode.DOCKER_MISSING),
    ],
)
def test_what_a_refused_connection_means(raised: OSError, cause: CauseCode) -> None:
    wrapped = RuntimeError("Error while fetching server API version", ValueError("aborted", raised))
    found = docker_client.refusal(
        docker_client.Endpoint("unix:///var/run/docker.sock", "the default"), wrapped
    )
    assert found.cause is cause
    assert found.exit_code == 3
    assert found.hint == "harness doctor --fix"
    assert "unix:///var/run/docker.sock" in found.message


def test_docker_host_comes_before_contexts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    found = docker_client.endpoint()
    assert (found.url, found.origin, found.is_default) == ("tcp://127.0.0.1:2375", "DOCKER_HOST", False)
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(HarnessError, match="gone"):
        docker_client.endpoint()


@pytest.mark.parametrize(("architecture", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_probe_is_an_elf_program_whose_code_lies_at_its_entry(architecture: str, number: int) -> None:
    binary = privileged_probe.program(architecture)
    assert binary is not None
    assert binary[:7] == b"\x7fELF\x02\x01\x01"
    kind, machine_number, _, entry = struct.unpack_from("<HHIQ", binary, 16)
    flags, offset, address = struct.unpack_from("<IQQ", binary, 64 + 4)
    assert (kind, machine_number, flags, offset) == (2, number, 5, 0)
    assert binary[entry - address :] == privileged_probe._EXIT_0[architecture][1]
    assert privileged_probe.program("riscv64") is None


def test_warnings_do_not_make_a_report_fail() -> None:
    warning = Check("memory", "warning", "2 GiB", "6 GiB", hint="h")
    missing = Check("git", "missing", "none", "2.30", hint="h", cause=CauseCode.TOOL_MISSING)
    assert report(warning).ok
    assert report(warning).exit_code == 0
    assert not report(warning, missing).ok
    assert report(warning, missing).exit_code == 3


def test_json_has_every_field() -> None:
    document = json.loads(report(docker_checks.cli(None, BARE_ROOT)).to_json())
    assert document["ok"] is False
    assert document["checks"] == [
        {
            "name": "docker cli",
            "status": "missing",
            "found": "no `docker` on PATH",
            "needed": "kind starts its nodes with the docker command",
            "hint": "harness doctor --fix",
            "cause": "docker_missing",
            "fixable": True,
        }
    ]


def test_the_rendered_report_says_all_without_colour() -> None:
    from rich.console import Console

    from harness.report.text import doctor

    checks = (*all_missing(DEBIAN), tool_checks.git("git version 2.39.5", DEBIAN))
    out = io.StringIO()
    Console(file=out, width=400, no_color=True).print(
        doctor.render(Report(str(DEBIAN), checks, ("not checked: x",)))
    )
    text = out.getvalue()
    assert "\x1b" not in text
    assert "note: not checked: x" in text
    for each in checks:
        assert each.name in text
        assert each.found in text
        assert each.hint in text


def test_a_registry_beside_a_cluster_that_does_not_run_is_told() -> None:
    containers = [
        SimpleNamespace(name=f"{name}-registry", status=status, labels={docker_client.REGISTRY_OF: name})
        for name, status in (("harness", "running"), ("team", "exited"))
    ]

    def listed(**options: object) -> list[SimpleNamespace]:
        assert options == {
            "all": True,
            "filters": {"label": docker_client.REGISTRY_OF},
            "ignore_removed": True,
        }
        return containers

    client = SimpleNamespace(containers=SimpleNamespace(list=listed))
    (check,) = docker_checks.registries(client)  # type: ignore[arg-type]
    assert (check.status, check.found) == ("warning", "the container team-registry is exited")
    assert check.hint == "harness up --name team"
