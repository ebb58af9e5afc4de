"""Secrets out of text that is shown or kept."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

MASK = "***"
SHORTEST_SECRET = 6  # a shorter value would be masked in the middle of ordinary words
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}")
# A task pod's only argument with a secret: JSON in quotes of some kind, or up to the end of the line.
_WORKLOAD = re.compile(
    r"""(?P<flag>--json-string)(?P<gap>[=\s"',\\]+)(?:\{.*\}(?P<end>(?:\\?["'])?)|'[^']*'|"(?:[^"\\]|\\.)*"|\S+)"""
)
_URL_PASSWORD = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)")
_BEARER = re.compile(r"(?P<head>\b[Bb]earer\s+)[A-Za-z0-9._~+/=-]{8,}")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PRIVATE_KEY = re.compile(rf"{_KEY_BEGINS.pattern}.*?(?:{_KEY_ENDS.pattern}|\Z)", re.DOTALL)
# Keys of well-known services, by the beginnings that their makers gave them to be found by.
_SERVICE_KEY = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|hf_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}|sk-[\w-]{20,})"
)
_NAME = r"(?:password|passwd|passphrase|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key)"
# `password=…`, `"aws_secret_access_key": "…"`: what has such a name and is no plain number or word of Python.
_NAMED = re.compile(
    rf"""(?P<head>(?i:{_NAME})(?:[_-][A-Za-z0-9_-]*)?\\?["']?[ \t]*[:=][ \t]*)(?P<quote>\\?["'])?"""
    rf"""(?!\d+(?:[\s,;)}}\]]|$)|(?:None|null|True|False|true|false)\b|\*\*\*)(?P<value>[^\s"',;&)}}\]\\]{{{SHORTEST_SECRET},}})"""
)
_SECRET_NAME = re.compile(rf"(?i){_NAME}|(?:^|_)(?:pass|pat|key|auth)$")


def redact(text: str) -> str:
    """The text without web tokens, passwords in URLs and the workload that Airflow hands to a task's pod."""
    text = _WORKLOAD.sub(lambda match: f"{match['flag']}{match['gap']}{MASK}{match['end'] or ''}", text)
    text = _TOKEN.sub(MASK, text)
    text = _URL_PASSWORD.sub(lambda match: match["head"] + MASK, text)
    return _BEARER.sub(lambda match: match["head"] + MASK, text)


class Redactor:
    """Takes known secrets out of text that is kept, and what looks like one by its name or its beginning.

    What is kept is handed to other people: better one word too many is masked.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def known(self, text: str) -> str:
        """The text without known secrets and tokens alone: for what a program must be able to read again."""
        return redact(text if self._known is None else self._known.sub(MASK, text))

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = redact(_PRIVATE_KEY.sub(MASK, text))
        text = _SERVICE_KEY.sub(MASK, text)
        return _NAMED.sub(lambda match: f"{match['head']}{match['quote'] or ''}{MASK}", text)

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The same of lines as they come: a key that stretches over several is masked to its end."""
        inside = False
        for line in lines:
            if inside or _KEY_BEGINS.search(line):
                inside = _KEY_ENDS.search(line) is None
                yield MASK
            else:
                yield self(line)


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The values of the environment's variables that are named as secrets are."""
    return {value for name, value in environ.items() if _SECRET_NAME.search(name)}


def _forms(secret: str) -> set[str]:
    """A secret as it is, in a URL, and as Kubernetes keeps it."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
