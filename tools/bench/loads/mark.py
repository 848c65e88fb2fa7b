# SPDX-License-Identifier: GPL-2.0
"""Marks for the count plugin in Python programs: the NOPs of ../module/mark.h in a page of code."""

import ctypes
import mmap

# Code of a function: mov %rdi, %rax; NOP; ret. The function's argument, the number of the
# measurement, is in RDI. The plugin reads the number in RAX.
_MOVE = bytes.fromhex("4889f8")
_BEGIN = bytes.fromhex("0f1f8001004356")
_END = bytes.fromhex("0f1f8002004356")
_RETURN = bytes.fromhex("c3")
# The distance between the two functions in bytes.
_DISTANCE = 64


class Marks:
    """Begins and ends measurements. A measurement counts the whole guest, not only this process."""

    def __init__(self) -> None:
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        function_type = ctypes.CFUNCTYPE(None, ctypes.c_uint64)
        for number, mark in enumerate((_BEGIN, _END)):
            code = _MOVE + mark + _RETURN
            self._page[number * _DISTANCE : number * _DISTANCE + len(code)] = code
        self._begin = function_type(address)
        self._end = function_type(address + _DISTANCE)

    def begin(self, number: int) -> None:
        """Begins a measurement."""
        self._begin(number)

    def end(self, number: int) -> None:
        """Ends a measurement."""
        self._end(number)
