"""Proxy variables of every form: `doctor` uses them or says what is wrong with them, and never breaks."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest

from harness.host import process

PROGRAM = Path(sysconfig.get_path("scripts")) / "harness"
VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
NONE = {name: "" for each in VARIABLES for name in (each, each.lower())}
DEAD = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ALL_PROXY": f"socks5://{DEAD}"}, "can't be reached"),
        ({"ALL_PROXY": f"socks5h://{DEAD}"}, "can't be reached"),
        ({"ALL_PROXY": f"socks://{DEAD}/"}, "hint: export ALL_PROXY=socks5://127.0.0.1:9"),
        ({"HTTPS_PROXY": f"http://{DEAD}"}, "can't be reached"),
        ({"HTTPS_PROXY": "ftp://proxy.example"}, "hint: unset HTTPS_PROXY"),
        ({"HTTPS_PROXY": DEAD, "NO_PROXY": "localhost,fd00::/8,10.0.0.0/8"}, "can't be reached"),
        ({"HTTPS_PROXY": f"http://{DEAD}", "NO_PROXY": "[::1],.example.org"}, "can't be reached"),
        ({"https_proxy": "http://[broken", "no_proxy": "::1,*.example,"}, ""),
    ],
    ids=str,
)
def test_the_doctor_under_any_proxy_settings(settings: dict[str, str], told: str) -> None:
    env = {**NONE, "HARNESS_SOURCES": "release", "NO_COLOR": "1", "COLUMNS": "300", **settings}
    env |= {name.lower(): value for name, value in settings.items()}
    done = process.run([PROGRAM, "doctor", "--json"], env=env, check=False, timeout_s=120)
    assert done.returncode in {0, 3}, done.stderr
    assert "a bug of harness" not in done.stderr
    checks = json.loads(done.stdout)["checks"]
    (hosts,) = (each for each in checks if each["name"] == "release hosts")
    assert told.removeprefix("hint: ") in f"{hosts['found']} {hosts['hint']}"
