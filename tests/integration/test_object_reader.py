"""Objects are read through one git, which may end before its reader does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from git_repository import git, make

from harness.errors import CauseCode, HarnessError
from harness.host.git import Git, ObjectReader

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "project", {"a.txt": "a\n", "b.txt": "b\n"})


def test_it_outlives_the_thread_that_read_first(root: Path) -> None:
    """Linux ends a program with the thread that started it (PR_SET_PDEATHSIG), not with the process."""
    found: list[bytes] = []
    reader = ObjectReader(Git(root))
    first = threading.Thread(target=lambda: found.append(reader.read(git(root, "rev-parse", "HEAD:a.txt"))))
    first.start()
    first.join()
    try:
        assert reader._batch is not None
        reader._batch.wait(timeout=10)
        assert (*found, reader.read(git(root, "rev-parse", "HEAD:b.txt"))) == (b"a\n", b"b\n")
    finally:
        reader.close()


def test_a_damaged_object_spoils_no_other(root: Path) -> None:
    damaged, whole = (git(root, "rev-parse", f"HEAD:{name}.txt") for name in "ab")
    loose = root / ".git" / "objects" / damaged[:2] / damaged[2:]
    loose.chmod(0o600)
    loose.write_bytes(b"no object")
    reader = ObjectReader(Git(root))
    try:
        with pytest.raises(HarnessError) as caught:
            reader.read(damaged)
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE
        assert reader.read(whole) == b"b\n"
    finally:
        reader.close()
