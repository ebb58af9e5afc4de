"""The files that a lock is made from, and the digest that says whether they changed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.image.lock import requirements_text
from harness.image.lock.inputs import Inputs, is_lock, kind_of, read_inputs
from harness.image.lock.requirements_text import Line

PACKAGES = st.from_regex(r"[a-z][a-z0-9]{0,10}(==[0-9]\.[0-9])?", fullmatch=True)
COMMENTS = st.sampled_from(["", "  # why", "\t#x"])


def read(source: str, files: Mapping[str, str], python: str = "3.11", airflow: str = "") -> Inputs:
    def reader(path: str) -> bytes | None:
        return files[path].encode() if path in files else None

    return read_inputs(source, reader, python=python, airflow=airflow)


def refused(files: Mapping[str, str]) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        read("dags/requirements.txt", files)
    return caught.value


@given(st.lists(st.tuples(PACKAGES, COMMENTS), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_every_requirement_is_read_whatever_is_around_it(wanted: list[tuple[str, str]], end: str) -> None:
    text = f"# ours{end}{end}" + "".join(f"{package}{comment}{end}" for package, comment in wanted)
    assert [line.value for line in requirements_text.lines(text)] == [package for package, _ in wanted]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("-r more.txt", Line(1, "include", "more.txt")),
        ("--requirement=more.txt", Line(1, "include", "more.txt")),
        ("-cmore.txt", Line(1, "constraint", "more.txt")),
        ('-c "a b.txt"', Line(1, "constraint", "a b.txt")),
        ("--constraint https://x.test/c.txt", Line(1, "constraint", "https://x.test/c.txt")),
        ("-e .", Line(1, "path", ".")),
        ("./plugins/x", Line(1, "path", "./plugins/x")),
        ("dist/x-1-py3-none-any.whl", Line(1, "path", "dist/x-1-py3-none-any.whl")),
        ("--index-url https://x.test/simple", Line(1, "option", "--index-url https://x.test/simple")),
        ("x==1 \\\n  --hash=sha256:00", Line(1, "requirement", "x==1")),
        ("x @ git+https://x.test/a/b@main", Line(1, "requirement", "x @ git+https://x.test/a/b@main")),
    ],
)
def test_kinds_of_lines(text: str, line: Line) -> None:
    assert list(requirements_text.lines(text)) == [line]


def test_airflows_own_constraints_are_known_by_their_address() -> None:
    address = "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-3.11.txt"
    assert requirements_text.airflow_of_constraints(address.format("3.0.6")) == "3.0.6"
    assert requirements_text.airflow_of_constraints(address.format("main")) is None
    assert requirements_text.airflow_of_constraints("https://x.test/constraints.txt") is None


def test_includes_are_followed_and_bounds_told_apart() -> None:
    inputs = read(
        "dags/requirements.txt",
        {
            "dags/requirements.txt": "-r ../base.txt\n-c bounds.txt\nx\n",
            "base.txt": "y\n",
            "dags/bounds.txt": "-c more.txt\nz==1\n",
            "dags/more.txt": "z<2\n",
            "uv.toml": "",
            "other.txt": "",
        },
    )
    assert set(inputs.files) == {
        "dags/requirements.txt",
        "base.txt",
        "dags/bounds.txt",
        "dags/more.txt",
        "uv.toml",
    }
    assert inputs.constraints == {"dags/bounds.txt", "dags/more.txt"}


def test_files_that_include_each_other() -> None:
    assert len(read("a.txt", {"a.txt": "-r b.txt\n", "b.txt": "-r a.txt\n"}).files) == 2


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pdm.lock"])
def test_a_projects_lock_needs_the_project(name: str) -> None:
    files = {f"team/{name}": "", "team/pyproject.toml": ""}
    assert set(read(f"team/{name}", files).files) == set(files)
    with pytest.raises(HarnessError, match=r"needs `team/pyproject.toml`") as caught:
        read(f"team/{name}", {f"team/{name}": ""})
    assert caught.value.cause is CauseCode.CODE_NOT_FOUND


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-e .", "dags/requirements.txt:2: . is code of this machine"),
        ("./x", "code of this machine"),
        ("-r ../../x.txt", "leads out of the repository"),
        ("-r /etc/x.txt", "leads out of the repository"),
        ("-r none.txt", "dags/requirements.txt:2 needs `dags/none.txt`"),
    ],
)
def test_what_no_lock_can_hold(line: str, words: str) -> None:
    error = refused({"dags/requirements.txt": f"x\n{line}\n"})
    assert words in error.message
    assert error.hint
    assert error.exit_code == 2


def test_the_digest_changes_with_what_counts_alone() -> None:
    files = {"r.txt": "x\n-c c.txt\n", "c.txt": "x<2\n"}
    digest = read("r.txt", files).digest
    assert read("r.txt", {**files, "other": "1"}).digest == digest
    assert read("r.txt", {name: text.replace("\n", "\r\n") for name, text in files.items()}).digest == digest
    for changed in (
        read("r.txt", {**files, "c.txt": "x<3\n"}),
        read("r.txt", files, python="3.13"),
        read("r.txt", files, airflow="3.1.8"),
        read("r.txt", {**files, "uv.toml": ""}),
    ):
        assert changed.digest != digest


@pytest.mark.parametrize(
    ("path", "content", "found"),
    [
        ("requirements.txt", "x==1 --hash=sha256:00", True),
        ("requirements.txt", "x==1", False),
        ("dags/requirements.lock", "x==1", True),
        ("uv.lock", "", False),
        ("poetry.lock", "--hash=", False),
        ("pylock.dags.toml", "", False),
        ("pyproject.toml", "", False),
    ],
)
def test_a_hashed_lock_is_told_from_what_it_is_made_from(path: str, content: str, found: bool) -> None:
    assert is_lock(path, content.encode()) is found
    assert kind_of("pylock.dags.toml") == "pylock.toml"
