"""What searches everything for secrets finds them: in bundles, in files that are gone or were written anew."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
from pathlib import Path

import pytest

from .kept import Kept, plant, secret_values, unpacked

SECRET = "correct-horse-battery"


@pytest.fixture
def watched(tmp_path: Path) -> Kept:
    (tmp_path / "ours" / "versions").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    return Kept(tmp_path, "our*", planted=frozenset({SECRET}))


@pytest.mark.parametrize(
    "content", [SECRET, base64.b64encode(SECRET.encode()).decode(), f"eyJ{'a' * 20}.{'b' * 20}"]
)
def test_found_in_a_bundle_and_in_a_log(watched: Kept, tmp_path: Path, content: str) -> None:
    said = f"before {content} after\n".encode()
    (tmp_path / "ours" / "harness.log").write_bytes(said)
    (tmp_path / "ours" / "versions" / "bundle.tar.gz").write_bytes(gzip.compress(said))
    watched.look()
    findings = watched.search()
    assert (findings.bundles, findings.files, len(findings.found)) == (1, 1, 2)


def test_found_though_the_file_is_gone_or_written_anew(watched: Kept, tmp_path: Path) -> None:
    log = tmp_path / "ours" / "harness.log"
    for content in (SECRET, "another", "another one"):
        log.write_text(content)
        watched.look()
    log.unlink()
    watched.look()
    assert len(watched.search().found) == 1


def test_values_of_secrets_count_and_logins_to_the_cluster_lie_where_they_belong(
    watched: Kept, tmp_path: Path
) -> None:
    watched.values.add("value-of-a-secret")
    (tmp_path / "ours" / "kubeconfig").write_text("value-of-a-secret")
    (tmp_path / "other" / "harness.log").write_text("value-of-a-secret")
    watched.add("printed", b"value-of-a-secret")
    watched.look()
    assert len(watched.search().found) == 1


def test_while_it_lasts(watched: Kept, tmp_path: Path) -> None:
    with watched:
        (tmp_path / "ours" / "harness.log").write_text(SECRET)
    assert len(watched.search().found) == 1


def test_a_folder_may_go_while_it_is_looked_at(
    watched: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("gone"):
            shutil.rmtree(path, ignore_errors=True)
        return walk(path)

    (tmp_path / "ours" / "gone").mkdir()
    (tmp_path / "ours" / "versions" / "task.log").write_text(SECRET)
    monkeypatch.setattr(os, "scandir", scandir)
    watched.look()
    assert len(watched.search().found) == 1


def test_what_was_not_kept_whole_is_not_searched(watched: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        watched._repeat(broken, 0.0)
    with pytest.raises(RuntimeError, match="not everything"):
        watched.search()


def test_what_is_secret_in_a_secret() -> None:
    values = {
        "url": "postgresql://user:a-long-password@host/x",
        "json": '{"admin": "another-password"}',
        "n": "u",
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    assert set(secret_values(data)) == {values["url"], values["json"], "a-long-password", "another-password"}


def test_half_a_bundle_is_read_as_far_as_it_goes() -> None:
    noise = base64.b64encode(os.urandom(100_000))
    half = gzip.compress(SECRET.encode() + noise)[:50_000]
    assert SECRET.encode() in unpacked(half)


def test_planted_secrets_are_nobody_elses() -> None:
    assert not plant({}) & plant({})
