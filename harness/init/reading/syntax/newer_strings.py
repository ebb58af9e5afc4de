"""f-strings that Python takes since 3.12 (PEP 701), in a form that older ones read as well.

Inside the braces of such a string its own quotes, backslashes and new lines may stand. What it comes to is of no use
to a reader of sources, so a field with any of these becomes a name; all else, also the number of lines, stays.
"""

from __future__ import annotations

import re

_BEGINS = re.compile(r"(?<!\w)(?P<prefix>[A-Za-z]{0,2})(?P<quote>'''|\"\"\"|'|\")")
_BRACKETS = {"{": 1, "[": 1, "(": 1, "}": -1, "]": -1, ")": -1}
_SEEMS = re.compile(r"[fF][rR]?([\"'])(?:(?!\1)[^\n{])*\{(?:[^}\n]*(?:\1|\\)|[^}\n]*\n)")
UNREAD = "_"


def may_be_newer(text: str) -> bool:
    """Whether a look at the text is worth its time: Pythons since 3.12 read such fields without a word."""
    return _SEEMS.search(text) is not None


def for_older(text: str) -> str:
    """The source with such fields replaced; the same text where there is none."""
    written: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "#":
            end = _line_end(text, at)
        elif (begins := _BEGINS.match(text, at)) is not None:
            at = _end_of_string(text, begins, written)
            continue
        else:
            end = at + 1
        written.append(text[at:end])
        at = end
    return "".join(written)


def _end_of_string(text: str, begins: re.Match[str], written: list[str]) -> int:
    """Where a string ends; what it is for older readers is added to `written`."""
    quote, at = begins["quote"], begins.end()
    fields = "f" in begins["prefix"].lower()
    written.append(begins[0])
    while at < len(text) and not text.startswith(quote, at):
        if text[at] == "\\" or (fields and text.startswith(("{{", "}}"), at)):
            end = at + 2
        elif fields and text[at] == "{":
            end = _end_of_field(text, at)
            field = text[at:end]
            if quote in field or "\\" in field or ("\n" in field and len(quote) == 1):
                lines = "\\\n" if len(quote) == 1 else "\n"
                written.append(f"{{{UNREAD}}}{lines * field.count(chr(10))}")
                at = end
                continue
        else:
            end = at + 1
        written.append(text[at:end])
        at = end
    written.append(text[at : at + len(quote)])
    return at + len(quote)


def _end_of_field(text: str, at: int) -> int:
    """Where the braces end that begin here."""
    depth = 0
    while at < len(text):
        begins = _BEGINS.match(text, at)
        if begins is not None and (
            not begins["prefix"] or begins["prefix"].lower() in {"f", "r", "b", "rf", "fr"}
        ):
            at = _end_of_string(text, begins, [])
            continue
        depth += _BRACKETS.get(text[at], 0)
        at += 1
        if depth == 0:
            break
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
