# SPDX-License-Identifier: GPL-2.0
"""The algorithms in /proc/crypto, and those of the driver."""

import dataclasses
import re
import socket
from pathlib import Path

from . import aead, ciphers, digests, publickeys, tap
from .kernel_log import KernelLog

# The cipher of tests that can use any cipher.
NAME = "cbc(aes)"
ASYNC = "cbc-aes-virtio"
SYNC = "cbc-aes-virtio-sync"
MODULE = "virtio_crypto_rs"


@dataclasses.dataclass
class Algorithm:
    """An entry of /proc/crypto."""

    fields: dict[str, str]

    @property
    def name(self) -> str:
        """The algorithm's name, for example "cbc(aes)". Several entries may have the same name."""
        return self.fields["name"]

    @property
    def driver(self) -> str:
        """The driver name, which identifies the implementation."""
        return self.fields["driver"]

    @property
    def priority(self) -> int:
        """The priority. The kernel uses the implementation with the highest priority."""
        return int(self.fields["priority"])

    @property
    def users(self) -> int:
        """The number of transforms and templates that use the algorithm."""
        return int(self.fields["refcnt"]) - 1

    @property
    def passed(self) -> bool:
        """True if the algorithm has passed its self-test."""
        return self.fields["selftest"] == "passed" and self.fields["type"] != "larval"

    @property
    def ours(self) -> bool:
        """True if the algorithm belongs to the driver under test."""
        return self.fields["module"] == MODULE

    @property
    def synchronous(self) -> bool:
        """True if AF_ALG can use the algorithm."""
        return self.fields.get("async") == "no" or self.fields["type"] == "lskcipher"


def algorithms() -> list[Algorithm]:
    """Returns all registered algorithms. An algorithm that is replaced or being tested may appear
    twice.

    The kernel returns the list page by page. If an entry is removed between two pages, for example
    the larval of a self-test, the next page skips an entry. So the list is read until two
    successive readings have the same entries.
    """
    before: list[tuple[str, str]] = []
    while True:
        found = _read_list()
        entries = [(alg.driver, alg.fields["type"]) for alg in found]
        if entries == before:
            return found
        before = entries


def _read_list() -> list[Algorithm]:
    found = []
    for paragraph in Path("/proc/crypto").read_text().split("\n\n"):
        fields = {}
        for line in paragraph.splitlines():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
        if "driver" in fields:
            found.append(Algorithm(fields))
    return found


def variants() -> set[str]:
    """Returns the driver names that must be registered. The driver may not register other names."""
    names = {name for cipher in ciphers.of_devices() for name in cipher.variants}
    names |= {name for algorithm in aead.of_devices() for name in algorithm.variants}
    names |= {digest.driver for digest in digests.of_devices()}
    return names | set(publickeys.of_devices())


def registered() -> set[str]:
    """Returns the driver names that are registered."""
    return set(ours())


def ours() -> dict[str, Algorithm]:
    """Returns the driver's own algorithms by driver name, without larvals."""
    return {
        alg.driver: alg for alg in algorithms() if alg.ours and alg.fields["type"] != "larval"
    }


def is_tested(log: KernelLog) -> bool:
    """Returns true if no self-test is running, and every algorithm of the driver has a result.

    In /proc/crypto a failed self-test is "unknown", like a self-test that has not started. The
    kernel log since the creation of `log` shows whether the self-test has failed.
    """
    if any(alg.fields["type"] == "larval" for alg in algorithms()):
        return False
    unknown = [name for name, alg in ours().items() if alg.fields["selftest"] == "unknown"]
    return all(
        log.matching(f"self-tests for .* using {re.escape(name)} failed") for name in unknown
    )


def driver(name: str) -> str:
    """Returns the driver name of the asynchronous variant of an algorithm."""
    found = [alg.driver for alg in ours().values() if alg.name == name and not alg.synchronous]
    tap.check(found, f"the driver has no {name}")
    return found[0]


def generic(name: str = NAME) -> Algorithm:
    """Returns a synchronous implementation of the kernel: the portable one if it is registered,
    otherwise the one with the highest priority."""
    found = [
        alg
        for alg in algorithms()
        if alg.name == name and not alg.ours and alg.synchronous
        and alg.passed and alg.fields.get("internal") == "no" and "virtio" not in alg.driver
    ]
    tap.check(found, f"/proc/crypto has no implementation of {name} without the driver")
    return max(found, key=lambda alg: (alg.driver.endswith("-aes-lib"), alg.priority))


def best(name: str) -> str:
    """Returns the driver name of the kernel's preferred implementation of a hash."""
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as sock:
        sock.bind(("hash", name))  # loads the module if necessary
    found = [alg for alg in algorithms() if alg.name == name and alg.passed]
    return max(found, key=lambda alg: alg.priority).driver


def preferred(name: str = NAME) -> bool:
    """Returns true if the driver has the highest priority for a cipher."""
    driver = ciphers.ALL[name].synchronous
    others = [alg.priority for alg in algorithms() if alg.name == name and not alg.ours]
    mine = ours()
    tap.check(driver in mine, f"{driver} is not registered")
    return mine[driver].priority > max(others, default=0)
