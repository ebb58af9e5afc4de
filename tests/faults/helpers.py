"""What several fault tests need."""

from __future__ import annotations

import contextlib
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Self


def log(text: str) -> None:
    """A line with the time, on stderr."""
    sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
    sys.stderr.flush()


class Watcher:
    """Collects the argument lists of all that a process starts, from the beginning of a `with` block to its end."""

    INTERVAL_S = 0.01

    def __init__(self, pid: int) -> None:
        self.seen: set[str] = set()
        self._family = {pid}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self.INTERVAL_S):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, IndexError, ValueError):
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    if int(folder.name) in self._family or parent in self._family:
                        self._family.add(int(folder.name))
                        self.seen.add((folder / "cmdline").read_bytes().decode(errors="replace"))


def programs_about(name: str) -> list[str]:
    """Programs of this machine, outside of containers, that have a cluster's name among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        program = Path(words[0]).name
        if program in {"kind", "helm", "kubectl", "docker", "harness"} and any(
            name in word for word in words[1:]
        ):
            found.append(f"process {folder.name}: {' '.join(words)[:120]}")
    return found
