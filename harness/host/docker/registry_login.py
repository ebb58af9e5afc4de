"""What `docker login` left for a registry."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from harness.errors import HarnessError
from harness.host import process

# Docker Hub's login lies under the name of its first version.
_DOCKER_HUB = "https://index.docker.io/v1/"


def basic(host: str) -> str | None:
    """The `Authorization` for a registry's host; None without a login, which most pulls need not."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        document = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = [_DOCKER_HUB] if host.endswith(".docker.io") else [host, f"https://{host}"]
    for name in names:
        if (entry := document.get("auths", {}).get(name)) and entry.get("auth"):
            return f"Basic {entry['auth']}"
        helper = document.get("credHelpers", {}).get(name) or document.get("credsStore")
        if helper and (found := _from_helper(helper, name)):
            return found
    return None


def _from_helper(helper: str, name: str) -> str | None:
    try:
        said = process.run([f"docker-credential-{helper}", "get"], input_text=name, check=False, timeout_s=20)
        login = json.loads(said.stdout)
        pair = f"{login['Username']}:{login['Secret']}"
    except (HarnessError, ValueError, KeyError):
        return None
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
