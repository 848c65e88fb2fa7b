# SPDX-License-Identifier: GPL-2.0
"""Turns parsed JSON into dataclasses, and says where it is not what they want."""

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
    """A value is missing, or is not what is wanted; the message says where."""


def build(kind: type[T], value: object, where: str = "") -> T:
    """Makes a dataclass from an object. Keys that the dataclass does not have are ignored; those
    without a default must be there. Its method ``check``, if any, returns what is wrong, or ''."""
    pairs = want(dict, value, where)
    hints = typing.get_type_hints(kind)
    made: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # every caller has one
        path = f"{where}.{field.name}" if where else field.name
        if field.name in pairs:
            made[field.name] = convert(hints[field.name], pairs[field.name], path)
        elif (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ):
            raise BadValue(f"{path} is missing")
    result = kind(**made)
    fault = result.check() if hasattr(result, "check") else ""
    if fault:
        raise BadValue(f"{where or 'the whole'}: {fault}")
    return result


def want(kind: type[T], value: object, where: str) -> T:
    """Returns the value if it is of this kind; a Boolean is no number."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadValue(f"{where or 'the whole'} is not {NAMES[kind]}: {shorten(value)}")
    return value


def shorten(value: object) -> str:
    """Shows a value in an error message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def convert(hint: Any, value: object, where: str) -> Any:
    """Turns a value into what a type hint says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        # The only unions are those of a type and None.
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else convert(inner, value, where)
    if origin is list:
        items = want(list, value, where)
        return [convert(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(items)]
    if origin in (dict, Mapping):
        pairs = want(dict, value, where)
        return {key: convert(arguments[1], item, f"{where}.{key}") for key, item in pairs.items()}
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if hint is float:
        if isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        number = want(float, value, where)
        if not math.isfinite(number) or number < 0:
            raise BadValue(f"{where} is not a number from 0 on: {number}")
        return number
    return want(hint, value, where)
