"""Airflow's Kubernetes provider as the sample's lock has it, in front of what these tests run on.

The provider wants an older client of Kubernetes than harness has: both can't be in one environment.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import uv

from harness.host import process

LOCK = Path(__file__).parents[2] / "dags" / "requirements.lock"
PACKAGES = ("apache-airflow-providers-cncf-kubernetes", "kubernetes", "kubernetes-asyncio", "aiofiles")


def install(folder: Path) -> Path:
    """Put the provider and what it alone needs into `folder`, which can then stand in PYTHONPATH."""
    locked = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))
    wanted = [each for each in locked if each.partition("==")[0] in PACKAGES]
    assert len(wanted) == len(PACKAGES)
    (folder / "provider.lock").write_text("\n".join(wanted), encoding="utf-8")
    argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    more = ["--python", sys.executable, "--target", folder / "packages", "-r", folder / "provider.lock"]
    process.run([*argv, *more])
    return folder / "packages"


def answer(packages: Path, code: str, *arguments: str | Path) -> Any:
    """What a program prints, as JSON, that has the provider."""
    done = process.run([sys.executable, "-c", code, *arguments], env={"PYTHONPATH": str(packages)})
    return json.loads(done.stdout.splitlines()[-1])
