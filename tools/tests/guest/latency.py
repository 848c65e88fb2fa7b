#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Checks how long the driver disables interrupts, and how long softirqs last in which the driver
runs.

usage: latency.py IRQS-OFF SOFTIRQ COMMAND [ARG...]

While COMMAND runs, a QEMU plugin, tools/bench/plugin/latency.c, counts instructions. The longest
section in which the driver runs with interrupts disabled may have IRQS-OFF instructions. The
longest softirq in which the driver runs may have SOFTIRQ instructions.

For a guest with that plugin, which writes to /mnt/share/latency. The driver must stay loaded.
"""

import bisect
import ctypes
import mmap
import subprocess
import sys
from pathlib import Path

from lib import crypto, tap
from lib.tap import test

RESULTS = Path("/mnt/share/latency")
# The marks of the plugin.
TEXT_BEGIN, TEXT_END, SOFTIRQS, BEGIN, END = range(0x10, 0x15)
# An upper limit of the length of the driver's last function, because kallsyms has no lengths.
LAST_FUNCTION = 4096


def mark(number: int, operand: int = 0) -> None:
    """Executes the NOP that the plugin detects, with the operand in RAX."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x48\xb8" + operand.to_bytes(8, "little"))  # mov $operand, %rax
    code.write(bytes((0x0F, 0x1F, 0x80, number, 0x00, 0x43, 0x56)) + b"\xc3")
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


class Symbols:
    """The functions of the kernel and of its modules."""

    def __init__(self) -> None:
        self._functions: list[tuple[int, str, str]] = []
        for line in Path("/proc/kallsyms").read_text().splitlines():
            address, kind, name, *module = line.split()
            if kind in "tT":
                self._functions.append((int(address, 16), name, module[0] if module else ""))
        self._functions.sort()

    def address(self, name: str) -> int:
        """Returns the address of a function of the kernel."""
        (address,) = (at for at, found, module in self._functions if found == name and not module)
        return address

    def text(self, module: str) -> tuple[int, int]:
        """Returns the first address of a module's text, and an upper limit of its end."""
        addresses = [at for at, _, owner in self._functions if owner == f"[{module}]"]
        return addresses[0], addresses[-1] + LAST_FUNCTION

    def function(self, address: int) -> str:
        """Returns the name of the function that contains this address."""
        index = bisect.bisect_right(self._functions, (address, "\U0010ffff", "")) - 1
        return self._functions[index][1]


symbols = Symbols()
longest: dict[str, tuple[int, int]] = {}


@test(f"load: succeeds ({' '.join(Path(word).name for word in sys.argv[3:])})")
def _() -> None:
    begin, end = symbols.text(crypto.MODULE)
    mark(TEXT_BEGIN, begin)
    mark(TEXT_END, end)
    mark(SOFTIRQS, symbols.address("handle_softirqs"))
    mark(BEGIN)
    done = subprocess.run(sys.argv[3:], capture_output=True, text=True)
    mark(END)
    tap.check(done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}")
    for line in RESULTS.read_text().splitlines():
        name, sections, instructions, address = line.split()
        longest[name] = int(sections), int(instructions)
        where = symbols.function(int(address, 16))
        print(f"# {name}: {sections} sections, the longest has {instructions} instructions, in {where}")


def check_longest(name: str, limit: int) -> None:
    """Fails the test if a section is too long, or if there was none."""
    sections, instructions = longest[name]
    tap.check(sections >= 100, f"{sections} sections")
    tap.check(instructions <= limit, f"{instructions} instructions, more than {limit}")


@test(f"interrupts disabled by the driver: for at most {sys.argv[1]} instructions")
def _() -> None:
    check_longest("irqs-off", int(sys.argv[1]))


@test(f"softirqs in which the driver runs: at most {sys.argv[2]} instructions")
def _() -> None:
    check_longest("softirq", int(sys.argv[2]))


tap.run()
