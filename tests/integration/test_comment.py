"""`harness comment` against a server on this machine that has GitHub's three endpoints."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.host import process
from harness.report.model import Cause, Result, TaskResult, TestResult, VersionResult
from harness.verdict.metrics import judge

TOKEN = "a-token-that-nobody-may-see"


@dataclass
class Server:
    """Comments of one pull request, and what was asked."""

    port: int = 0
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    status: int = 0  # answered instead, unless 0


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, document: object) -> None:
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            state.asked.append(f"{self.command} {urlsplit(self.path).path}")
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return self._answer(401, {"message": "Bad credentials"})
            if state.status:
                return self._answer(state.status, {"message": "Resource not accessible by integration"})
            if self.command == "GET":
                page = int(parse_qs(urlsplit(self.path).query)["page"][0])
                return self._answer(200, state.comments[100 * (page - 1) : 100 * page])
            if len(body["body"]) > 65_536:
                return self._answer(422, {"message": "Body is too long"})
            if self.command == "POST":
                number = len(state.comments) + 1
                state.comments.append(
                    {"id": number, "body": body["body"], "html_url": f"http://127.0.0.1/{number}"}
                )
                return self._answer(201, state.comments[-1])
            (found,) = [each for each in state.comments if self.path.endswith(f"/comments/{each['id']}")]
            found["body"] = body["body"]
            return self._answer(200, found)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = http.server_port
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def written(folder: Path, result: Result) -> Path:
    path = folder / "result.json"
    path.write_text(result.to_json(), encoding="utf-8")
    return path


def comment(server: Server, path: Path, *options: str, **env: str) -> process.Completed:
    event = path.with_name("event.json")
    event.write_text('{"pull_request": {"number": 12}}', encoding="utf-8")
    environment = {
        "GITHUB_API_URL": f"http://127.0.0.1:{server.port}",
        "GITHUB_REPOSITORY": "team/churn",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_EVENT_PATH": str(event),
        "NO_PROXY": "127.0.0.1",
        **env,
    }
    argv = [sys.executable, "-m", "harness", "comment", path, *options]
    done = process.run(argv, env=environment, check=False)
    assert TOKEN not in done.stdout + done.stderr
    return done


def version(name: str, verdict: str, metrics: int = 1, tasks: int = 3) -> VersionResult:
    values = {f"metric_{number}": number / 7 for number in range(metrics)}
    cause = Cause(code="gate_failed" if verdict == "failed" else "deploy_timeout", message=f"{verdict}: why")
    test = TestResult(
        name="churn",
        dag_id="churn",
        verdict=verdict,
        metrics=judge(values, {}),
        tasks=tuple(TaskResult(task_id=f"task_{number}", state="success") for number in range(tasks)),
        cause=None if verdict == "passed" else cause,
    )
    return VersionResult(ref=name, commit="0" * 40, tests=(test,))


@pytest.mark.parametrize("verdict", ["passed", "failed", "error"])
def test_made_once_and_then_written_anew(server: Server, tmp_path: Path, verdict: str) -> None:
    server.comments += [{"id": 900 + number, "body": "somebody else's"} for number in range(150)]
    first = comment(server, written(tmp_path, Result.of((version("main", verdict),))))
    assert (first.returncode, first.stdout) == (0, "http://127.0.0.1/151\n"), first.stderr
    second = comment(server, written(tmp_path, Result.of((version("newer", "passed"),))))
    assert second.returncode == 0, second.stderr
    assert len(server.comments) == 151
    assert "newer" in server.comments[-1]["body"]
    assert server.asked[-1] == "PATCH /repos/team/churn/issues/comments/151"


def test_each_title_has_one(server: Server, tmp_path: Path) -> None:
    path = written(tmp_path, Result.of((version("main", "passed"),)))
    for title in ("nightly", "nightly --> <b>", "nightly"):
        assert comment(server, path, "--title", title).returncode == 0
    assert len(server.comments) == 2


@pytest.mark.parametrize("metrics, tasks", [(2, 200), (600, 200), (3000, 900)])
def test_ten_large_versions_fit(server: Server, tmp_path: Path, metrics: int, tasks: int) -> None:
    names = [f"feature/{number}-{'x' * 80}" for number in range(10)]
    result = Result.of(tuple(version(name, "failed", metrics, tasks) for name in names))
    assert len(result.to_json()) > 65_536
    assert comment(server, written(tmp_path, result)).returncode == 0
    body = server.comments[0]["body"]
    assert len(body) <= 65_536
    assert all(name in body for name in names)
    assert len(re.findall("❌", body)) >= 10


def test_a_thousand_versions_fit(server: Server, tmp_path: Path) -> None:
    result = Result.of(tuple(version(f"v{number}-{'y' * 90}", "failed") for number in range(1000)))
    assert comment(server, written(tmp_path, result)).returncode == 0
    assert re.search(r"and \d+ more versions", server.comments[0]["body"])


@pytest.mark.parametrize(
    "env, options, told",
    [
        ({"GITHUB_TOKEN": ""}, (), "GITHUB_TOKEN is not set"),
        ({"GITHUB_TOKEN": "", "GITHUB_REPOSITORY": ""}, (), "GITHUB_REPOSITORY and GITHUB_TOKEN are not set"),
        ({"GITHUB_EVENT_PATH": "/nowhere"}, (), "runs for no pull request"),
        ({}, ("--pull-request", "0"), "greater than or equal to 1"),
    ],
)
def test_what_is_missing_is_told(
    server: Server, tmp_path: Path, env: dict[str, str], options: tuple[str, ...], told: str
) -> None:
    done = comment(server, written(tmp_path, Result.of(())), *options, **env)
    assert done.returncode == 2
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert server.asked == []


def test_a_fork_has_no_right_to(server: Server, tmp_path: Path) -> None:
    server.status = 403
    done = comment(server, written(tmp_path, Result.of(())))
    assert done.returncode == 2
    assert "403" in done.stderr
    assert "pull-requests: write" in done.stderr


def test_what_is_no_result_is_refused(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for text in ("", "{}", '{"schema": 2, "verdict": "passed"}'):
        path.write_text(text, encoding="utf-8")
        done = comment(server, path)
        assert done.returncode == 2, done
        assert "no result of schema 1" in done.stderr
    path.unlink()
    assert comment(server, path).returncode == 2
