"""`harness lock` with the real uv and the real index, as of days whose packages change no more."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from git_repository import git, make, write

from harness.cli.app import app
from harness.engine.image.lock import ensure
from harness.errors import CauseCode, HarnessError
from harness.image.dependencies.lock_file import check_lock
from harness.image.dependencies.source import sources
from harness.image.lock.of_commit import lock_as_of_commit, lock_of
from harness.progress import Silent
from harness.project import project as projects
from harness.project.commit import Repository
from harness.project.image_settings import ImageSettings

TOML = '[image]\nrequirements = "requirements.txt"\ncode = ["dags"]\n'
CONSTRAINTS = "https://raw.githubusercontent.com/apache/airflow/constraints-3.0.6/constraints-3.11.txt"
OWN = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "ours"\nversion = "0.3"\n[tool.setuptools]\npackages = ["ours"]\n',
    "ours/__init__.py": "ANSWER = 42\n",
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, git_settings: Path) -> None:
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Requirements with Airflow's constraints, bounds of their own, a package without a wheel, and one from git."""
    ours = make(tmp_path / "ours", dict(OWN))
    return make(
        tmp_path / "team",
        {
            "harness.toml": TOML,
            "requirements.txt": f"-c {CONSTRAINTS}\n-c bounds.txt\napache-airflow==3.0.6\npandas\ndocopt\n"
            f"ours @ git+file://{ours}\n",
            "bounds.txt": "pandas<2.3\n",
            "dags/x.py": "",
        },
    )


def lock(root: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.chdir(root)
    code = app(["lock", *options], standalone_mode=False)
    return int(code)


def test_requirements_become_the_same_lock_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lock(repository, monkeypatch) == 0
    said = capfd.readouterr().err
    assert "added, for task pods and the database: apache-airflow-providers-cncf-kubernetes" in said
    assert "built from source, once: docopt 0.6.2, ours 0.3" in said
    made = (repository / "harness.lock").read_bytes()
    check_lock(made, "harness.lock")
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", made.decode(), re.MULTILINE))
    assert versions["apache-airflow-core"] == "3.0.6"
    assert versions["pandas"].startswith("2.2.")
    assert versions["pydantic"].startswith("2.11.")  # what 3.0.6 was released with; today's breaks it
    assert [each.name for each in sources(made, python="3.11", architecture="amd64")] == ["docopt", "ours"]

    assert lock(repository, monkeypatch, "--json") == 0
    assert json.loads(capfd.readouterr().out)["changed"] is False
    (repository / "harness.lock").unlink()
    (repository / "harness.lock").symlink_to("kept.lock")
    assert lock(repository, monkeypatch) == 0
    assert (repository / "harness.lock").is_symlink()
    assert (repository / "kept.lock").read_bytes() == made
    assert (repository / "harness.lock").read_bytes() == made

    write(repository, {"bounds.txt": "pandas<2.2\n"})
    assert lock(repository, monkeypatch, "--check") == 2
    assert "made from another requirements.txt" in capfd.readouterr().err
    assert (repository / "harness.lock").read_bytes() == made


def test_what_does_not_fit_together_is_told_by_its_name(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write(repository, {"requirements.txt": "apache-airflow-core==3.2.2\npandas==2.2.3\n", "bounds.txt": ""})
    write(repository, {"requirements.txt": "apache-airflow-core==3.2.2\npandas==2.2.3\nnumpy<1.20\n"})
    assert lock(repository, monkeypatch) == 2
    said = capfd.readouterr().err
    assert "requirements.txt can't be locked" in said
    assert "numpy" in said
    assert "hint: edit requirements.txt:2 or requirements.txt:3, then: harness lock" in said
    assert not (repository / "harness.lock").exists()


def test_a_commit_without_a_lock_is_locked_as_of_its_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))  # where no run before has made it
    root = make(
        tmp_path / "old",
        {"harness.toml": TOML, "requirements.txt": "apache-airflow-core~=3.0.0\n", "dags/x.py": ""},
    )
    git(root, "commit", "--amend", "--no-edit", GIT_COMMITTER_DATE="2025-07-01T12:00:00Z")
    settings = ImageSettings(requirements="requirements.txt")
    with Repository.find(root).commit("HEAD") as commit:
        with pytest.raises(HarnessError) as caught:
            lock_of(commit, settings)
        assert caught.value.cause is CauseCode.DEPENDENCIES_UNRESOLVED
        assert caught.value.hint == "harness lock && git add harness.lock"
        lock_as_of_commit(commit, settings, on_line=lambda _: None)
        assert lock_of(commit, settings).airflow == "3.0.2"  # the newest of that day
    assert git(root, "status", "--porcelain") == ""


def test_a_ci_job_refuses_what_nobody_would_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(HarnessError) as caught:
        project = projects.load(repository)
        ensure(project, project.configuration.image, {}, Silent())
    assert "there is no harness.lock" in caught.value.message
    assert caught.value.hint == "harness lock && git add harness.lock"
    assert caught.value.exit_code == 2
    assert not (repository / "harness.lock").exists()


def test_a_lock_of_other_tools_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    toml = TOML.replace("requirements.txt", "requirements.lock")
    hashed = f"attrs==25.1.0 --hash=sha256:{'0' * 64}\n"
    files = {"harness.toml": toml, "requirements.in": "attrs\n", "requirements.lock": hashed}
    root = make(tmp_path / "team", dict(files))
    assert lock(root, monkeypatch, "--check") == 0
    assert "requirements.lock was not made by `harness lock`: it is taken as it is" in capfd.readouterr().err
    (root / "requirements.in").unlink()
    assert lock(root, monkeypatch) == 2
    assert "no requirements.in or requirements.txt that it could be made from" in capfd.readouterr().err
    assert (root / "requirements.lock").read_text() == hashed


class _Constraints(BaseHTTPRequestHandler):
    """Where Airflow's own constraints lie."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        found = self.path.endswith("/constraints-3.0.6/constraints-3.11.txt")
        body = (
            b"# of the release\napache-airflow-core==3.0.6\nattrs==25.1.0\npandas==2.0.0\n" if found else b""
        )
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_airflows_own_constraints_are_taken_where_they_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {"harness.toml": TOML, "requirements.txt": "apache-airflow-core==3.0.6\nattrs\npandas==2.2.3\n"}
    root = make(tmp_path / "team", dict(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Constraints) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(
            "HARNESS_MIRRORS", f"raw.githubusercontent.com=http://127.0.0.1:{server.server_port}"
        )
        assert lock(root, monkeypatch) == 0
        server.shutdown()
    assert "the constraints of Airflow 3.0.6" in capfd.readouterr().err
    made = (root / "harness.lock").read_text()
    assert "# packages: the constraints of Airflow 3.0.6\n" in made
    assert re.search(r"^attrs==25\.1\.0", made, re.MULTILINE)
    assert re.search(r"^pandas==2\.2\.3", made, re.MULTILINE)  # what is fixed counts before them
