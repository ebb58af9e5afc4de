"""harness.lock: what uv resolved, written so that pip and uv take it, with what it was made from above."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.image.dependencies.lock_file import check_lock
from harness.image.dependencies.source import Source, split
from harness.image.lock import lock_text, packages
from harness.image.lock.lock_text import Header
from harness.image.lock.packages import Resolved
from harness.image.lock.target import Target

MARKERS = ('platform_machine == "x86_64"', 'platform_machine == "aarch64"')
COMMIT = "0" * 39 + "1"
SHA = "a" * 64
TARGET = Target("3.11")
PYLOCK = f"""
[[packages]]
name = "Wheel_Only"
version = "1"
wheels = [{{ url = "https://x.test/w.whl", upload-time = 2026-01-01T00:00:00Z, hashes = {{ sha256 = "{SHA}" }} }}]
[[packages]]
name = "old"
version = "2"
sdist = {{ url = "https://u:secret@x.test/old-2.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}
[[packages]]
name = "ours"
version = "3"
vcs = {{ type = "git", url = "https://u:secret@x.test/ours", commit-id = "{COMMIT}", subdirectory = "lib" }}
[[packages]]
name = "private"
version = "4"
index = "https://private.test/simple"
wheels = [{{ url = "https://private.test/p-4-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }}]
"""
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
RESOLVED = st.builds(
    Resolved,
    name=NAMES,
    version=st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2})?", fullmatch=True),
    hashes=st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    url=st.sampled_from(["", "https://x.test/x-1.tar.gz"]),
)


def by_name(found: list[Resolved]) -> dict[str, Resolved]:
    return {each.name: each for each in found}


@given(st.lists(RESOLVED, max_size=4), st.lists(RESOLVED, max_size=4))
def test_any_resolution_is_a_lock_that_is_taken(first: list[Resolved], second: list[Resolved]) -> None:
    needed = [
        Resolved(name, "1", (SHA,))
        for name in ("apache-airflow-core", "apache-airflow-providers-cncf-kubernetes")
    ]
    lines = packages.both(by_name([*first, *needed]), by_name([*second, *needed]), MARKERS)
    check_lock(
        lock_text.write(
            Header("r.txt", "3.11", f"sha256:{SHA}", "as of today", "2026-01-01T00:00:00Z"), lines
        ),
        "x",
    )


def test_each_kind_of_package_is_locked_in_its_own_way() -> None:
    found = packages.read(PYLOCK, TARGET, by_address=["https://private.test/simple/"])
    assert found["wheel-only"].lines() == ["wheel-only==1 \\", f"    --hash=sha256:{SHA}"]
    assert found["old"].lines() == ["old @ https://x.test/old-2.tar.gz \\", f"    --hash=sha256:{SHA}"]
    assert found["ours"].lines() == [f"ours @ git+https://x.test/ours@{COMMIT}#subdirectory=lib"]
    assert found["private"].lines()[0] == "private @ https://private.test/p-4-py3-none-any.whl \\"
    assert [each.is_built for each in found.values()] == [False, True, True, False]
    assert "secret" not in str([each.lines() for each in found.values()])


def test_what_is_not_the_same_on_both_architectures_has_a_marker() -> None:
    one = {"x": Resolved("x", "1", ("a" * 64,)), "same": Resolved("same", "1", ("b" * 64,))}
    other = {
        "x": Resolved("x", "1", ("c" * 64,), "https://x.test/x-1.tar.gz"),
        "same": Resolved("same", "1", ("d" * 64,)),
    }
    lines = packages.both(one, other, MARKERS)
    assert lines[:3] == ["same==1 \\", f"    --hash=sha256:{'b' * 64} \\", f"    --hash=sha256:{'d' * 64}"]
    assert [line for line in lines if line.startswith("x")] == [
        f"x==1 ; {MARKERS[0]} \\",
        f"x @ https://x.test/x-1.tar.gz ; {MARKERS[1]} \\",
    ]


def test_a_local_file_is_refused() -> None:
    with pytest.raises(HarnessError, match="file or folder of this machine"):
        packages.read('[[packages]]\nname = "x"\nversion = "1"\ndirectory = { path = "." }\n', TARGET)


@given(
    st.from_regex(r"[a-z][a-z ./]{0,20}[a-z]", fullmatch=True),
    st.from_regex(r"3\.1[0-9]", fullmatch=True),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    st.booleans(),
)
def test_the_header_is_read_as_it_was_written(source: str, python: str, digest: str, windows: bool) -> None:
    header = Header(source, python, f"sha256:{digest}", "as of 2026-01-01", "2026-01-01T00:00:00Z")
    content = lock_text.write(header, ["x==1"])
    content = content.replace(b"\n", b"\r\n") if windows else content
    assert lock_text.header_of(content) == header
    assert lock_text.is_of(content, header.inputs)
    assert not lock_text.is_of(content, f"sha256:{'0' * 63}g")
    assert lock_text.as_of(content) == "2026-01-01T00:00:00Z"


def test_a_lock_of_others_says_nothing() -> None:
    assert lock_text.header_of(b"# made by pip-compile\nx==1\n") is None
    assert lock_text.as_of(b"x==1\n") == ""
    assert not lock_text.is_of(None, "sha256:0")


def test_what_has_to_be_built_is_told_from_what_uv_installs() -> None:
    lock = f"""# ours
a==1 \\
    --hash=sha256:{SHA}
b @ https://x.test/b-1-py3-none-any.whl --hash=sha256:{SHA}
c @ https://x.test/c-1.tar.gz ; platform_machine == "x86_64" \\
    --hash=sha256:{SHA}
d @ https://x.test/d-1.zip ; platform_machine == "aarch64" --hash=sha256:{SHA}
e @ git+https://x.test/e@{COMMIT}#subdirectory=lib
"""
    kept, sources = split(lock.encode(), python="3.11", architecture="amd64")
    assert [line.split()[0] for line in kept.decode().splitlines()] == ["a==1", "b"]
    assert sources == (
        Source("c", "https://x.test/c-1.tar.gz", SHA),
        Source("e", f"git+https://x.test/e@{COMMIT}#subdirectory=lib"),
    )
    assert [each.folder for each in sources] == ["", "lib"]


def test_of_an_index_that_only_the_project_binds_a_package_to_the_wheel_for_the_machine_is_taken() -> None:
    wheels = ", ".join(
        f'{{ url = "https://x.test/torch-2-{tags}.whl", hashes = {{ sha256 = "{digit * 64}" }} }}'
        for digit, tags in enumerate_hex(
            "cp311-cp311-win_amd64",
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp311-cp311-manylinux_2_28_aarch64",
            "cp311-cp311-manylinux_2_28_x86_64",
        )
    )
    text = f'[[packages]]\nname = "torch"\nversion = "2"\nwheels = [{wheels}]\n'
    for machine in ("x86_64", "aarch64"):
        found = packages.read(text, Target("3.11", machine), bound={"torch"})["torch"]
        assert found.url == f"https://x.test/torch-2-cp311-cp311-manylinux_2_28_{machine}.whl"
        assert len(found.hashes) == 1


def enumerate_hex(*texts: str) -> list[tuple[str, str]]:
    return [(f"{number:x}", text) for number, text in enumerate(texts)]
