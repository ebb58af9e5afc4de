"""Secrets out of text that is shown or kept."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl, quote, unquote

MASK = "***"
SHORTEST_SECRET = 6  # a shorter value would be masked in the middle of ordinary words
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}")
# A task pod's only argument with a secret: JSON in quotes of some kind, or up to the end of the line.
_WORKLOAD = re.compile(
    r"""(?P<flag>--json-string)(?P<gap>[=\s"',\\]+)(?:\{.*\}(?P<end>(?:\\?["'])?)|'[^']*'|"(?:[^"\\]|\\.)*"|\S+)"""
)
# What stands between a port and an address later in the URL is no password.
_URL_PASSWORD = re.compile(
    r"""(?P<head>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)(?!\d+/)(?:[^\s/"'<>]{1,256}|[^\s"'<>@]{1,256})(?=@)"""
)
_BEARER = re.compile(r"(?P<head>\b[Bb]earer\s+|(?i:\bauthorization\W+basic\s+))[A-Za-z0-9._~+/=-]{8,}")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PRIVATE_KEY = re.compile(rf"{_KEY_BEGINS.pattern}.*?(?:{_KEY_ENDS.pattern}|\Z)", re.DOTALL)
# Keys of well-known services, by the beginnings that their makers gave them to be found by.
_SERVICE_KEY = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|hf_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}|sk-[\w-]{20,})"
)
# `password=…` as connection strings have it: any text, be it short or a number; `pwd=/opt` is a folder.
_PASSWORD = re.compile(
    r"""(?P<head>(?i:pass(?:word|wd|phrase)|(?<![A-Za-z])pwd(?!\s*=\s*[/.]))\\?["']?[ \t]*=(?:[ \t]+(?!\w+=))?)"""
    r"""(?!(?:None|null|True|False|true|false)\b|\*\*\*)"""
    r"""(?:(?P<quote>\\?["'])(?![\s,:}\]])(?:(?!(?P=quote)).){1,256}(?P=quote)|(?:[^\s"'&;,)}\]\\]|,(?!\s|$))+)"""
)
_NAME = (
    r"(?:password|passwd|passphrase|secret|(?<!unexpected )token|credentials?"
    r"|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key)"
)
_ABOUT_IT = r"(?:name|type|path|file|ur[il]|length|count|limit)"  # `token_url`, `secret_name`
# `token=…`, `"aws_secret_access_key": "…"`: what has such a name and is no plain number, word of Python or `<pad>`.
_NAMED = re.compile(
    rf"""(?P<head>(?i:{_NAME}(?:[_-](?!{_ABOUT_IT}\b)[A-Za-z0-9_-]*)?)"""
    rf"""\\?["']?[ \t]*[:=](?:[ \t]+(?!\w+=\w))?)(?P<quote>\\?["'])?"""
    rf"""(?!\d+(?:[\s,;)}}\]]|$)|(?:None|null|True|False|true|false)\b|\*\*\*|<)"""
    rf"""(?P<value>[^\s"',;&)}}\]\\]{{{SHORTEST_SECRET},}})"""
)
# What files of variables hold besides secrets: a word, a small number, a path. Masked, it would take logs apart.
_ORDINARY = re.compile(r"[A-Za-z]{1,20}|[\d.]{1,7}|(?:~|\.{1,2})?(?:/[\w.-]{1,40})+/?|")
_SECRET_NAME = re.compile(rf"(?i){_NAME}|(?:^|_)(?:pass|pat|key|auth)$")


def redact(text: str) -> str:
    """The text without web tokens, passwords in URLs and the workload that Airflow hands to a task's pod."""
    text = _WORKLOAD.sub(lambda match: f"{match['flag']}{match['gap']}{MASK}{match['end'] or ''}", text)
    text = _TOKEN.sub(MASK, text)
    text = _URL_PASSWORD.sub(lambda match: match["head"] + MASK, text)
    return _BEARER.sub(lambda match: match["head"] + MASK, text)


def masked(text: str) -> str:
    """The text without what looks like a secret by its form, its beginning or the name before it."""
    text = redact(_PRIVATE_KEY.sub(MASK, text))
    text = _SERVICE_KEY.sub(MASK, text)
    for pattern in (_PASSWORD, _NAMED):
        text = pattern.sub(_mask_value, text)
    return text


def _mask_value(match: re.Match[str]) -> str:
    quote_mark = match["quote"] or ""
    closing = quote_mark if match.re is _PASSWORD else ""
    return f"{match['head']}{quote_mark}{MASK}{closing}"


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
        return masked(text if self._known is None else self._known.sub(MASK, text))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The same of lines as they come: a key that stretches over several is masked to its end."""
        inside = False
        for line in lines:
            if inside or _KEY_BEGINS.search(line):
                inside = _KEY_ENDS.search(line) is None
                yield MASK
            else:
                yield self(line)


def is_secret(name: str) -> bool:
    """Whether a variable is called as secrets are."""
    return _SECRET_NAME.search(name) is not None


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The values of the environment's variables that are named as secrets are."""
    return {value for name, value in environ.items() if is_secret(name)}


def secret_values(environment: Mapping[str, str]) -> set[str]:
    """What nobody may read of variables that were given as secrets: each value, and the passwords in it."""
    found: set[str] = set()
    for name, value in environment.items():
        if is_secret(name) or not _ORDINARY.fullmatch(value):
            found |= {value, value.strip()}
            found |= {line.strip() for line in value.splitlines() if not _ORDINARY.fullmatch(line.strip())}
        with suppress(ValueError):  # of a connection, or of a Variable that is a document
            found |= set(_named_secrets(json.loads(value)))
        if "://" in value:
            found |= set(_of_url(value))
    return {text for text in found if len(text) >= SHORTEST_SECRET}


def _named_secrets(document: object, *, named: bool = False) -> Iterator[str]:
    """The texts in a JSON document that stand under a name that secrets have."""
    if isinstance(document, dict):
        for key, entry in document.items():
            yield from _named_secrets(entry, named=named or bool(_SECRET_NAME.search(str(key))))
    elif isinstance(document, list):
        for entry in document:
            yield from _named_secrets(entry, named=named)
    elif isinstance(document, str):
        if named:
            yield document
        with suppress(ValueError):  # a connection's `extra` is a document in a document
            if document.lstrip().startswith("{"):
                yield from _named_secrets(json.loads(document), named=named)


def _of_url(text: str) -> Iterator[str]:
    """A URL's password, and its parameters that are named as secrets are, as they are written and as they are meant."""
    login, _, _ = text.partition("://")[2].rpartition("@")
    parameters = parse_qsl(text.partition("?")[2])
    for found in (
        login.partition(":")[2],
        *(value for name, value in parameters if _SECRET_NAME.search(name)),
    ):
        yield from (found, unquote(found))


def _forms(secret: str) -> set[str]:
    """A secret as it is, in a URL, in JSON, and as Kubernetes keeps it."""
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), *in_json}
