"""uv, asked which version of everything fits together as of a date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process, scratch
from harness.image.lock import packages, uv_program
from harness.image.lock.packages import Resolved
from harness.image.lock.target import Target

_BY_DATE = re.compile(r"`([\w.-]+)` was filtered by `exclude-newer`")
_AT = re.compile(r"(?<![\w/])(?P<file>[\w][\w./-]*):(?P<line>\d+):\d+")
_REQUIRED = re.compile(r"\byou require ([A-Za-z0-9][\w.-]*\w)(?!/)")
_DEPENDS = re.compile(
    r"\b([A-Za-z0-9][\w.-]*\w)(?:\[[^\]]*\])?[<>=~!]{1,2}\S+ (?:depends on|and \S+ are|has no)"
)
_NAME = re.compile(r"""[\s"']*([A-Za-z0-9](?:[\w.-]*\w)?)""")
MOST_LINES = 3
_ANSWER = "pylock.harness.toml"
_ADDRESS = re.compile(r"https?://[^\s\"']+")


@dataclass(frozen=True)
class Question:
    """What uv is asked. `files` and `lines` are requirements; those in `exempt` may be newer than `as_of`.

    `texts` are all files by path: those asked for, what they include, and uv's settings. `undated` are packages whose
    index does not say when a file was uploaded: they count whatever the date. `bound` are those that are asked of one
    index alone. `preferred` are versions, by name, that are taken where they fit.
    """

    origin: str
    texts: Mapping[str, str] = field(repr=False)
    files: Sequence[str] = ()
    lines: Sequence[str] = ()
    constraints: Sequence[str] = ()
    as_of: datetime | None = None
    exempt: Sequence[str] = ()
    undated: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()
    asked: datetime | None = None
    alone: bool = False
    preferred: Mapping[str, str] = field(default_factory=dict)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Addresses in the files: what comes from such an index is locked by its own address."""
        options = [
            line
            for path, text in self.texts.items()
            for line in text.splitlines()
            if PurePosixPath(path).suffix == ".toml" or line.lstrip().startswith("-")
        ]
        return tuple(each for line in options for each in _ADDRESS.findall(line))


class UnresolvedError(HarnessError):
    """Nothing fits what was asked for."""

    @property
    def without_a_date(self) -> frozenset[str]:
        """The packages that were left out for their date: one too new, or none at all."""
        return frozenset(found[1] for line in self.evidence for found in _BY_DATE.finditer(line))


def resolve(
    question: Question, target: Target, *, on_line: Callable[[str], None], log: Path | None = None
) -> dict[str, Resolved]:
    """The packages that answer the question, by name.

    Raises UnresolvedError(DEPENDENCIES_UNRESOLVED) with uv's words, HarnessError: SOURCE_UNREACHABLE, DISK_FULL.
    """
    import uv

    with scratch.folder(cache.root() / "locking") as folder:
        for path, text in question.texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        where = folder / PurePosixPath(question.origin).parent
        where.mkdir(parents=True, exist_ok=True)
        asked = [str(folder / path) for path in question.files]
        for name, lines in (("more", question.lines), ("constraints", question.constraints)):
            file = folder / f".harness-{name}.txt"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            asked += ["--constraint", str(file)] if name == "constraints" else [str(file)]
        argv = [
            uv.find_uv_bin(), "pip", "compile", "--quiet", *asked,
            "--format", "pylock.toml", "--no-header", "--python-version", target.python,
            "--python-platform", target.platform, *_dates(question), *(["--no-deps"] if question.alone else []),
            *_preferences(question, folder),
        ]  # fmt: skip
        on_line("asking the package index what fits together")
        done = process.run(argv, check=False, cwd=where, env=uv_program.environment())
        answer = (folder / _ANSWER).read_text(encoding="utf-8") if question.preferred else done.stdout
    if log is not None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ {' '.join(argv)}\n{done.stderr}")
    if done.returncode != 0:
        raise _unresolved(done.stderr, question)
    return packages.read(answer, target, by_address=question.indexes, bound=question.bound)


def _preferences(question: Question, folder: Path) -> Iterable[str]:
    """uv takes the versions of the file that it is to write, where they fit."""
    if not question.preferred:
        return ()
    listed = "".join(
        f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        for name, version in sorted(question.preferred.items())
    )
    (folder / _ANSWER).write_text(f'lock-version = "1.0"\ncreated-by = "harness"\n{listed}', encoding="utf-8")
    return ("--output-file", str(folder / _ANSWER))


def _dates(question: Question) -> Iterable[str]:
    if question.as_of is None:
        return ()
    options = ["--exclude-newer", _moment(question.as_of)]
    for name in sorted(question.undated):
        options += ["--exclude-newer-package", f"{name}=false"]
    if question.asked is not None and question.asked > question.as_of:
        for name in sorted(set(question.exempt) - question.undated):
            options += ["--exclude-newer-package", f"{name}={_moment(question.asked)}"]
    return options


def _moment(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def _unresolved(stderr: str, question: Question) -> HarnessError:
    said = uv_program.Said.of(stderr)
    return said.of_machine(question.origin) or UnresolvedError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        f"{question.origin} can't be locked: {said.reason}",
        evidence=said.lines[:20],
        hint=f"edit {to_edit(said.lines, question)}, then: harness lock",
    )


def to_edit(said: Iterable[str], question: Question) -> str:
    """The lines that uv's words are about, as far as they tell; else the file as a whole."""
    words = " ".join(said)
    if (found := _AT.search(words)) and found["file"] in question.texts:
        return f"{found['file']}:{found['line']}"
    asked = {canonicalize_name(name) for name in (_REQUIRED.findall(words) or _DEPENDS.findall(words))}
    lines = [
        f"{path}:{number}"
        for path, text in question.texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (name := _NAME.match(line)) and canonicalize_name(name[1]) in asked
    ]
    return " or ".join(lines[:MOST_LINES]) or question.origin
