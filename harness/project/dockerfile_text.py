"""A Dockerfile as text: its instructions, by https://docs.docker.com/reference/dockerfile/#format."""

from __future__ import annotations

from collections.abc import Iterator


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and rest of each instruction, continued lines joined; the word in capitals."""
    started, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        started = started or number
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        whole = " ".join([*parts, line]).strip()
        word, *rest = whole.split(None, 1) or [""]
        if word:
            yield started, word.upper(), "".join(rest)
        started, parts = 0, []


def base_and_stage(rest: str) -> tuple[str, str]:
    """What `FROM` stands on, and the name of the stage that it begins; each empty without one."""
    words = [each for each in rest.split() if not each.startswith("--")]
    is_named = len(words) > 2 and words[1].upper() == "AS"
    return words[0] if words else "", words[2] if is_named else ""
