"""What several fault tests need."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path


def log(text: str) -> None:
    """A line with the time, on stderr."""
    sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
    sys.stderr.flush()


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
