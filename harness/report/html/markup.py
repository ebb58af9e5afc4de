"""HTML and SVG elements: every text that is not itself an element is escaped."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is markup already: only `element` and our own constants make it."""

    __slots__ = ()


def element(name: str, /, *children: str | float | None, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`.

    A None is left out; `class_` gives the attribute `class`, and an underscore inside a name a hyphen.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{pairs}>")
    inner = "".join(
        child if isinstance(child, Markup) else escape(_text(child))
        for child in children
        if child is not None
    )
    return Markup(f"<{name}{pairs}>{inner}</{name}>")


def joined(parts: list[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("".join(parts))


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
