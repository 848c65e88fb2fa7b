# SPDX-License-Identifier: GPL-2.0
"""The kernel log since a certain moment."""

import os
import re
import uuid
from pathlib import Path

from . import tap

# Messages that fail every test. vm checks KCSAN's reports after the guest has ended, because most of
# them are about races outside the driver.
TROUBLE = re.compile(
    r"I/O error|EXT4-fs (error|warning)|\bWARNING:|\bBUG: (?!KCSAN)|Oops|general protection|"
    r"self-tests for .* failed|alg: .* failed|blocked for more than|KASAN|refcount_t"
)


class KernelLog:
    """The messages since the creation of this object."""

    def __init__(self) -> None:
        self._mark = f"test {uuid.uuid4()}"
        Path("/dev/kmsg").write_text(self._mark + "\n")

    def lines(self) -> list[str]:
        """Returns the messages, oldest first."""
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        found: list[str] = []
        try:
            while True:
                try:
                    record = os.read(descriptor, 8192).decode(errors="replace")
                except BrokenPipeError:  # the record was overwritten
                    continue
                except BlockingIOError:
                    return found
                text = record.partition(";")[2].splitlines()[0]
                if self._mark in text:
                    found = []
                else:
                    found.append(text)
        finally:
            os.close(descriptor)

    def matching(self, pattern: str) -> list[str]:
        """Returns the messages that match the pattern."""
        return [line for line in self.lines() if re.search(pattern, line)]

    def check_quiet(self) -> None:
        """Fails the test if a message reports an error."""
        bad = [line for line in self.lines() if TROUBLE.search(line)]
        tap.check(not bad, "the kernel reports:\n" + "\n".join(bad[:20]))
