# SPDX-License-Identifier: GPL-2.0
"""The request counters of all devices on the host."""

import collections
import contextlib
import dataclasses
import subprocess
from collections.abc import Iterator

from . import reference, tap


@dataclasses.dataclass
class HostStats:
    """Number of cipher requests on the host, and number of bytes in them."""

    encrypt_ops: int = 0
    encrypt_bytes: int = 0
    decrypt_ops: int = 0
    decrypt_bytes: int = 0

    @property
    def ops(self) -> int:
        """The number of requests in both directions."""
        return self.encrypt_ops + self.decrypt_ops

    @property
    def total(self) -> int:
        """The number of bytes in both directions."""
        return self.encrypt_bytes + self.decrypt_bytes


def read_stats() -> HostStats:
    """Returns the sum of the counters of all devices since the host started."""
    output = subprocess.run(["host-stats"], check=True, capture_output=True, text=True).stdout
    sums: collections.Counter[str] = collections.Counter()
    for line in output.splitlines():
        _, name, value = line.split()
        sums[name] += int(value)
    references = reference.devices()
    tap.check(references or "sym-encrypt-ops" in sums, f"no sym-encrypt-ops in:\n{output}")
    for number in references:
        for counter in reference.status(number)["counters"]:
            service, _, direction = counter["operation"].lower().partition("_")
            if service == "cipher" and counter["queue"] != "control" and counter["status"] == "OK":
                sums[f"sym-{direction}-ops"] += counter["requests"]
                sums[f"sym-{direction}-bytes"] += counter["bytes"]
    return HostStats(
        sums["sym-encrypt-ops"],
        sums["sym-encrypt-bytes"],
        sums["sym-decrypt-ops"],
        sums["sym-decrypt-bytes"],
    )


@contextlib.contextmanager
def watched() -> Iterator[HostStats]:
    """Yields a HostStats that contains the requests during the block once the block has ended."""
    before = read_stats()
    done = HostStats()
    yield done
    after = read_stats()
    for field in dataclasses.fields(HostStats):
        setattr(done, field.name, getattr(after, field.name) - getattr(before, field.name))


@contextlib.contextmanager
def serves_exactly(expected: HostStats) -> Iterator[None]:
    """Fails the test unless the host serves exactly these requests during the block."""
    with watched() as done:
        yield
    tap.check_equal(done, expected, "requests served by the host")


def serves_nothing() -> contextlib.AbstractContextManager[None]:
    """Fails the test if the host serves a request during the block."""
    return serves_exactly(HostStats())
