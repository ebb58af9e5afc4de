"""The runtime wrapper: it takes away what is not allowed, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.host.docker import bounded_runtime
from harness.host.docker import daemon as docker_daemon
from harness.host.docker.bounded_runtime import CAPABILITIES, Allowed, bound, configuration_of, names_of

ALL = (1 << len(CAPABILITIES)) - 1
WITHOUT_SYS_RESOURCE = ALL & ~(1 << bounded_runtime.SYS_RESOURCE)
KINDS = ("bounding", "effective", "inheritable", "permitted", "ambient")

masks = st.integers(min_value=0, max_value=ALL)
capability_sets = st.dictionaries(
    st.sampled_from(KINDS),
    st.one_of(st.none(), st.lists(st.sampled_from((*CAPABILITIES, "CAP_OF_A_NEWER_KERNEL")), unique=True)),
)
limits = st.integers(min_value=0, max_value=1 << 63)
rlimits = st.lists(
    st.builds(
        lambda name, soft, hard: {"type": name, "soft": min(soft, hard), "hard": hard},
        st.sampled_from(("RLIMIT_NOFILE", "RLIMIT_NPROC")),
        limits,
        limits,
    )
)
processes = st.fixed_dictionaries(
    {"args": st.just(["/bin/true"])},
    optional={
        "capabilities": capability_sets,
        "oomScoreAdj": st.one_of(st.none(), st.integers(min_value=-1000, max_value=1000)),
        "rlimits": rlimits,
        "noNewPrivileges": st.booleans(),
    },
)


def allowed(mask: int = ALL, oom_score_adj: int = 0, **hard: int) -> Allowed:
    return Allowed(mask, oom_score_adj, hard)


def test_capabilities_are_numbered_as_the_kernel_does() -> None:
    numbers = {
        "CAP_CHOWN": 0,
        "CAP_NET_ADMIN": 12,
        "CAP_SYS_ADMIN": 21,
        "CAP_SYS_RESOURCE": 24,
        "CAP_SYSLOG": 34,
    }
    assert {name: CAPABILITIES.index(name) for name in numbers} == numbers
    assert CAPABILITIES[40] == "CAP_CHECKPOINT_RESTORE"
    assert len(CAPABILITIES) == 41


@given(processes, masks, st.integers(-1000, 1000), limits)
def test_nothing_is_asked_for_that_is_not_allowed_and_nothing_is_added(
    process: dict, mask: int, oom_score_adj: int, hard: int
) -> None:
    before = copy.deepcopy(process)
    may = allowed(mask, oom_score_adj, RLIMIT_NOFILE=hard)
    changed = bound(process, may)

    assert changed == (process != before)
    for kind, names in (process.get("capabilities") or {}).items():
        wanted = before["capabilities"][kind] or []
        assert set(names or []) == set(wanted) & names_of(mask)
    if may.may_raise_limits:
        assert process.get("rlimits") == before.get("rlimits")
        assert process.get("oomScoreAdj") == before.get("oomScoreAdj")
    else:
        for limit, was in zip(process.get("rlimits") or (), before.get("rlimits") or (), strict=True):
            assert limit["hard"] <= was["hard"]
            assert limit["soft"] <= limit["hard"]
            assert limit["hard"] <= hard or limit["type"] != "RLIMIT_NOFILE"
        if process.get("oomScoreAdj") is not None:
            assert process["oomScoreAdj"] == max(before["oomScoreAdj"], oom_score_adj)
    rest = {"capabilities", "rlimits", "oomScoreAdj"}
    assert {k: v for k, v in process.items() if k not in rest} == {
        k: v for k, v in before.items() if k not in rest
    }


@given(processes, masks)
def test_bounding_twice_changes_nothing_more(process: dict, mask: int) -> None:
    may = allowed(mask, 0, RLIMIT_NOFILE=20000)
    bound(process, may)
    assert bound(process, may) is False


def test_with_everything_allowed_docker_gets_what_it_asked_for() -> None:
    process = {
        "capabilities": {"bounding": list(CAPABILITIES)},
        "oomScoreAdj": -999,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 20, "hard": 1 << 20}],
    }
    assert bound(process, allowed(RLIMIT_NOFILE=1024)) is False


GLOBAL = [
    "--root",
    "/run/docker/runtime-runc/moby",
    "--log",
    "/run/create",
    "--log-format=json",
    "--systemd-cgroup",
]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*GLOBAL, "create", "--bundle", "/b", "--pid-file", "/p", "id"], ("/b/config.json", False)),
        ([*GLOBAL, "run", "--bundle=/b", "id"], ("/b/config.json", False)),
        (["create", "-b", "/b", "id"], ("/b/config.json", False)),
        (["create", "id"], ("./config.json", False)),
        ([*GLOBAL, "exec", "--process", "/p.json", "--detach", "id"], ("/p.json", True)),
        (["exec", "-p=/p.json", "id"], ("/p.json", True)),
        (["exec", "id", "sh"], None),
        ([*GLOBAL, "start", "id"], None),
        ([*GLOBAL, "delete", "--force", "create"], None),
        (["--root", "create", "state", "id"], None),
        (["--version"], None),
        ([], None),
    ],
)
def test_which_file_a_call_reads(arguments: list[str], expected: tuple[str, bool] | None) -> None:
    assert configuration_of(arguments) == expected


@given(st.lists(st.text(max_size=8)))
def test_any_arguments_are_understood_or_left_alone(arguments: list[str]) -> None:
    found = configuration_of(arguments)
    assert found is None or isinstance(found[0], str)


def test_the_bundle_is_rewritten_in_place(tmp_path) -> None:
    config = tmp_path / "config.json"
    document = {
        "ociVersion": "1.0.2",
        "process": {"capabilities": {"bounding": ["CAP_SYS_RESOURCE", "CAP_KILL"]}},
    }
    config.write_text(json.dumps(document))
    config.chmod(0o640)
    node = config.stat().st_ino
    bounded_runtime.apply(["create", "--bundle", str(tmp_path), "id"], allowed(WITHOUT_SYS_RESOURCE))
    assert json.loads(config.read_text()) == {
        "ociVersion": "1.0.2",
        "process": {"capabilities": {"bounding": ["CAP_KILL"]}},
    }
    assert (config.stat().st_ino, config.stat().st_mode & 0o777) == (node, 0o640)


def test_a_file_that_asks_for_nothing_too_much_is_not_written(tmp_path) -> None:
    path = tmp_path / "process.json"
    path.write_text('{ "capabilities" : {"bounding": ["CAP_KILL"]} }')
    bounded_runtime.apply(["exec", "--process", str(path), "id"], allowed(WITHOUT_SYS_RESOURCE))
    assert path.read_text() == '{ "capabilities" : {"bounding": ["CAP_KILL"]} }'


def test_what_a_bounding_set_lacks() -> None:
    status = "Name:\tx\nCapPrm:\t0000000000000000\nCapBnd:\t000001fffeffffff\n"
    assert docker_daemon.parse_lacking(status, "40\n") == ("CAP_SYS_RESOURCE",)
    assert docker_daemon.parse_lacking("CapBnd:\t000001ffffffffff\n", "") == ()
    # a kernel that knows only the first 38 lacks none of them
    assert docker_daemon.parse_lacking("CapBnd:\t0000003fffffffff\n", "37") == ()


def test_settings_of_others_are_kept() -> None:
    settings = {"log-level": "warn", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}
    wanted = docker_daemon.with_bounded_runtime(settings)
    assert wanted["log-level"] == "warn"
    assert set(wanted["runtimes"]) == {"nvidia", docker_daemon.RUNTIME_NAME}
    assert wanted["default-runtime"] == docker_daemon.RUNTIME_NAME
    assert docker_daemon.with_bounded_runtime(wanted) == wanted
