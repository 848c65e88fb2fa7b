# SPDX-License-Identifier: GPL-2.0
"""Names of functions, short enough for a legend."""

import re

# The angle brackets of an implementation, `<TYPE as TRAIT>`, begin a name or a path in it.
_IMPLEMENTATION = re.compile(r"^<(.*)>::([^<>]+)$")
KEPT = 3


def short(name: str) -> str:
    """A Rust function by the last parts of its path, without type parameters. The implementations
    of a trait are called by the type. Other names stay as they are."""
    if "::" not in name:
        return name
    name = _without_parameters(name)
    if match := _IMPLEMENTATION.match(name):
        implementer, method = match.groups()
        name = f"{implementer.rpartition(' as ')[0] or implementer}::{method}".lstrip("<")
    return "::".join(name.split("::")[-KEPT:])


def _without_parameters(name: str) -> str:
    """Removes `<...>` behind a name, and `::<...>`; keeps `<...>` that begins a path."""
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
    """Instructions by short name: functions that differ in their type parameters are added."""
    found: dict[str, float] = {}
    for name, value in functions.items():
        found[short(name)] = found.get(short(name), 0.0) + value
    return found
