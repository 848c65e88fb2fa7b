# SPDX-License-Identifier: GPL-2.0
"""Shortens the names of functions for legends."""

import re

# The angle brackets of an implementation, `<TYPE as TRAIT>`, begin a name or a path in it.
_IMPLEMENTATION = re.compile(r"^<(.*)>::([^<>]+)$")
KEPT = 3


def short(name: str) -> str:
    """Returns the last parts of a Rust function's path, without type parameters. Implementations of
    a trait have the name of the type. Other names do not change."""
    if "::" not in name:
        return name
    name = _without_parameters(name)
    if match := _IMPLEMENTATION.match(name):
        implementer, method = match.groups()
        name = f"{implementer.rpartition(' as ')[0] or implementer}::{method}".lstrip("<")
    return "::".join(name.split("::")[-KEPT:])


def _without_parameters(name: str) -> str:
    """Removes `<...>` behind a name, and `::<...>`. Keeps `<...>` at the start of a path."""
    found, depth = "", 0
    for place, letter in enumerate(name):
        opens = letter == "<" and (depth or (place and name[place - 1] not in "<&( "))
        if opens:
            depth += 1
        elif letter == ">" and depth:
            depth -= name[place - 1] != "-"
        elif not depth:
            found += letter
    return found.replace("::::", "::").removesuffix("::")


def shortened(functions: dict[str, float]) -> dict[str, float]:
    """Returns the instructions by short name, added for functions with the same short name."""
    found: dict[str, float] = {}
    for name, value in functions.items():
        found[short(name)] = found.get(short(name), 0.0) + value
    return found
