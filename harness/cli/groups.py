"""Options that belong together: one dataclass in the signatures of all commands that have them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def ungrouped(command: Callable[..., int]) -> Callable[..., int]:
    """`command` as Typer has to see it: with an option for each field of a parameter that is a dataclass."""
    groups: dict[str, Callable[..., object]] = {}
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        group: Callable[..., object] = parameter.annotation
        if is_dataclass(group):
            groups[name] = group
            parameters |= inspect.signature(group, eval_str=True).parameters
        else:
            parameters[name] = parameter

    @functools.wraps(command)
    def with_groups(**given: Any) -> int:  # noqa: ANN401
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in inspect.signature(group).parameters})
        return command(**given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    with_groups.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=keyword) for parameter in parameters.values()], return_annotation=int
    )
    return with_groups
