"""Secrets out of text that is shown or kept."""

from __future__ import annotations

import re

MASK = "***"
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}")
# A task pod's only argument with a secret: JSON in quotes of some kind, or up to the end of the line.
_WORKLOAD = re.compile(
    r"""(?P<flag>--json-string)(?P<gap>[=\s"',\\]+)(?:\{.*\}(?P<end>(?:\\?["'])?)|'[^']*'|"(?:[^"\\]|\\.)*"|\S+)"""
)
_URL_PASSWORD = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)")
_BEARER = re.compile(r"(?P<head>\b[Bb]earer\s+)[A-Za-z0-9._~+/=-]{8,}")


def redact(text: str) -> str:
    """The text without web tokens, passwords in URLs and the workload that Airflow hands to a task's pod."""
    text = _WORKLOAD.sub(lambda match: f"{match['flag']}{match['gap']}{MASK}{match['end'] or ''}", text)
    text = _TOKEN.sub(MASK, text)
    text = _URL_PASSWORD.sub(lambda match: match["head"] + MASK, text)
    return _BEARER.sub(lambda match: match["head"] + MASK, text)
