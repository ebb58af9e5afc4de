"""The doctor's checks and hints with made-up machines, and what its fixes decide to do."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.host import machine
from harness.host.docker import client as docker_client
from harness.host.docker import daemon as docker_daemon
from harness.host.docker import privileged_probe
from harness.host.docker.privileged_probe import ProbeResult
from harness.host.doctor import apt, docker_checks, fixes, machine_checks, tool_checks
from harness.host.doctor.check import Check, Report
from harness.host.doctor.docker_checks import Daemon
from harness.host.doctor.machine_checks import GIB, InotifyLimits
from harness.host.machine import Machine
from harness.host.sources import ca_bundle, go
from harness.progress import Silent

DEBIAN = Machine("Linux", "x86_64", "Debian GNU/Linux 12 (bookworm)", has_apt=True, has_systemd=True)
DEBIAN_ROOT = replace(DEBIAN, is_root=True)
BARE_ROOT = replace(DEBIAN_ROOT, has_systemd=False)
WSL = replace(DEBIAN, is_wsl=True, has_systemd=False)
FEDORA = Machine("Linux", "x86_64", "Fedora Linux 43", has_systemd=True)
MACOS = Machine("Darwin", "arm64")
WINDOWS = Machine("Windows", "AMD64")
EVERY = [DEBIAN, DEBIAN_ROOT, BARE_ROOT, WSL, FEDORA, MACOS, WINDOWS]
DAEMON = Daemon(
    version="28.2.2",
    architecture="x86_64",
    cgroup_version="2",
    cgroup_driver="systemd",
    is_rootless=False,
    data_folder=Path("/var/lib/docker"),
    cpus=4,
    memory_bytes=8 * GIB,
    url="unix:///var/run/docker.sock",
    is_on_this_machine=True,
)
NOT_RUNNING = HarnessError(CauseCode.DOCKER_MISSING, "the Docker daemon is not running")
USUAL = docker_client.Endpoint("unix:///var/run/docker.sock", "the default")
ANOTHER = docker_client.Endpoint("tcp://10.0.0.7:2376", "DOCKER_HOST")
REFUSED = HarnessError(CauseCode.DOCKER_PERMISSION, "this user may not use the Docker socket")


def all_missing(host: Machine) -> list[Check]:
    """Every check that can fail, failing."""
    return [
        docker_checks.cli(None, host),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=False, where=USUAL),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=True, where=USUAL),
        docker_checks.daemon(REFUSED, host, is_installed=True, where=USUAL),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=True, where=ANOTHER),
        docker_checks.version(replace(DAEMON, version="19.03.1")),
        docker_checks.version(replace(DAEMON, version="")),
        docker_checks.version(replace(DAEMON, version="5.8.4", name="Podman")),
        docker_checks.daemon(DAEMON, host, is_installed=True, where=ANOTHER),
        docker_checks.cgroups(replace(DAEMON, is_rootless=True, unlimited=("memory", "CPU"))),
        docker_checks.cache_folder(ProbeResult(False, "no such file"), Path("/home/me/.cache")),
        docker_checks.privileged(ProbeResult(False, "no"), host, ("CAP_SYS_RESOURCE",), is_local=True),
        docker_checks.privileged(ProbeResult(False, "no"), host, (), is_local=True),
        docker_checks.cgroups(replace(DAEMON, cgroup_version="1", is_rootless=True)),
        docker_checks.cpus(replace(DAEMON, cpus=1)),
        machine_checks.memory(GIB, whose="free", host=host),
        machine_checks.disk("cache disk", Path("/c"), GIB, hint="du -sh /c"),
        machine_checks.disk("cache disk", Path("/c"), 5 * GIB, hint="du -sh /c"),
        machine_checks.inotify(InotifyLimits(128, 8192), host, may_raise=True),
        machine_checks.open_files(1024),
        machine_checks.kernel_modules(False, host),
        tool_checks.git(None, host),
        tool_checks.git("git version 2.25.1", host),
        tool_checks.mmdebstrap(None, host, sources="packages", has_keyring=True),
        tool_checks.mmdebstrap("/usr/bin/mmdebstrap", host, sources="packages", has_keyring=False),
        tool_checks.certificates(None),
        tool_checks.certificates(ca_bundle.CaBundle(Path("/nowhere.pem"), "SSL_CERT_FILE")),
    ]


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


def report(*checks: Check) -> Report:
    return Report("a machine", checks)


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


class Recorder(Silent):
    """Progress that keeps the titles."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator:
        self.titles.append(title)
        with super().step(title) as step:
            yield step


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A machine of root's without systemd and without dockerd; the list fills with what is done to it."""
    done: list[str] = []

    def install(packages: tuple[str, ...], step: object) -> None:
        done.append(f"apt {' '.join(packages)}")

    def start(step: object, *, ready: object) -> str:
        done.append("start")
        return "started Docker"

    def runtime() -> tuple[str, ...]:
        done.append("runtime")
        return ("installed the runtime",)

    monkeypatch.setattr(fixes, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(machine, "read", lambda: BARE_ROOT)
    monkeypatch.setattr(apt, "install", install)
    monkeypatch.setattr(docker_daemon, "find_program", lambda: None)
    monkeypatch.setattr(docker_daemon, "runs_systemd", lambda: False)
    monkeypatch.setattr(docker_daemon, "lacking_capabilities", lambda: ("CAP_SYS_RESOURCE",))
    monkeypatch.setattr(docker_daemon, "install_bounded_runtime", runtime)
    monkeypatch.setattr(docker_daemon, "is_listening", lambda: False)
    monkeypatch.setattr(docker_daemon, "start", start)
    monkeypatch.setattr(fixes, "_answers", lambda: False)
    monkeypatch.setattr(fixes.shutil, "which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(tool_checks, "DEBIAN_KEYRING", tmp_path / "keyring")
    return done


NO_DOCKER = report(
    docker_checks.cli(None, BARE_ROOT),
    docker_checks.daemon(NOT_RUNNING, BARE_ROOT, is_installed=False, where=USUAL),
    tool_checks.mmdebstrap(None, BARE_ROOT, sources="packages", has_keyring=False),
)


def test_fixes_come_in_an_order_that_works(world: list[str]) -> None:
    progress = Recorder()
    lines = fixes.fix(NO_DOCKER, progress)
    packages = "apt docker.io containerd runc iptables iproute2 mmdebstrap debian-archive-keyring"
    assert world == ["runtime", packages, "start"]
    assert lines[0] == "installed the runtime"
    assert lines[-1] == "started Docker"
    assert len(progress.titles) == 4


def test_a_machine_that_allows_everything_keeps_the_usual_runtime(
    world: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_daemon, "lacking_capabilities", lambda: ())
    fixes.fix(NO_DOCKER, Silent())
    assert "runtime" not in world


def test_a_daemon_that_is_installed_is_only_started(
    world: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_daemon, "find_program", lambda: "/usr/sbin/dockerd")
    down = docker_checks.daemon(NOT_RUNNING, BARE_ROOT, is_installed=True, where=USUAL)
    fixes.fix(report(down), Silent())
    assert world == ["runtime", "start"]


@pytest.mark.parametrize("host", [DEBIAN, FEDORA, MACOS, WINDOWS, replace(FEDORA, is_root=True)], ids=str)
def test_nothing_is_done_without_root_or_apt(
    world: list[str], monkeypatch: pytest.MonkeyPatch, host: Machine
) -> None:
    monkeypatch.setattr(machine, "read", lambda: host)
    assert fixes.fix(report(*all_missing(host)), Silent()) == ()
    assert fixes.fix(NO_DOCKER, Silent()) == ()
    assert world == []


def test_nothing_is_done_where_all_is_well(world: list[str]) -> None:
    assert fixes.fix(report(docker_checks.cli("/usr/bin/docker", BARE_ROOT)), Silent()) == ()
    assert world == []


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
