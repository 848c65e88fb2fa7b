# SPDX-License-Identifier: GPL-2.0
"""Converts parsed JSON into dataclasses, and checks the types. All numbers with the type float are
costs, times or ratios, so a negative number is an error."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false",
         list: "a list", dict: "an object"}  # fmt: skip


class BadValue(Exception):
    """A value is missing or has the wrong type. The message has the path of the value."""


def build(kind: type[T], value: object, where: str = "") -> T:
    """Creates a dataclass from a JSON object. Ignores keys that are not fields. Keys of fields
    without a default are mandatory. The dataclass may have a method ``check`` that returns an error
    or ''."""
    pairs = expect_type(dict, value, where)
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # kind is a dataclass
        path = f"{where}.{field.name}" if where else field.name
        if field.name in pairs:
            values[field.name] = convert(hints[field.name], pairs[field.name], path)
        elif (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ):
            raise BadValue(f"{path} is missing")
    result = kind(**values)
    error = result.check() if hasattr(result, "check") else ""
    if error:
        raise BadValue(f"{where or 'the top-level value'}: {error}")
    return result


def expect_type(kind: type[T], value: object, where: str) -> T:
    """Returns the value if it has this type. A Boolean is not a number."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadValue(f"{where or 'the top-level value'} is not {NAMES[kind]}: {shorten(value)}")
    return value


def shorten(value: object) -> str:
    """Returns a short form of a value for an error message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def convert(hint: Any, value: object, where: str) -> Any:
    """Converts a value to the type of a type hint. Raises BadValue if the value has another type,
    or is a float that is negative or not finite."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        # The only unions in the dataclasses are those of a type and None.
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else convert(inner, value, where)
    if origin is list:
        items = expect_type(list, value, where)
        return [convert(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(items)]
    if origin in (dict, Mapping):
        pairs = expect_type(dict, value, where)
        return {key: convert(arguments[1], item, f"{where}.{key}") for key, item in pairs.items()}
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if hint is float:
        if isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        number = expect_type(float, value, where)
        if not math.isfinite(number) or number < 0:
            raise BadValue(f"{where} is not a number of at least 0: {number}")
        return number
    return expect_type(hint, value, where)
