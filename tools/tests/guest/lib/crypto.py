# SPDX-License-Identifier: GPL-2.0
"""The kernel's list of algorithms, and which of them are the driver's."""

import dataclasses
import re
import socket
from pathlib import Path

from . import aead, ciphers, digests, publickeys, tap
from .kernel_log import KernelLog

# The cipher that tests use to which it does not matter.
NAME = "cbc(aes)"
ASYNC = "cbc-aes-virtio"
SYNC = "cbc-aes-virtio-sync"
MODULE = "virtio_crypto_rs"


@dataclasses.dataclass
class Algorithm:
    """One paragraph of /proc/crypto."""

    fields: dict[str, str]

    @property
    def name(self) -> str:
        """What consumers ask for."""
        return self.fields["name"]

    @property
    def driver(self) -> str:
        """Which of those that have the name it is."""
        return self.fields["driver"]

    @property
    def priority(self) -> int:
        """The highest of a name is the system's choice."""
        return int(self.fields["priority"])

    @property
    def users(self) -> int:
        """Transforms and templates that use it."""
        return int(self.fields["refcnt"]) - 1

    @property
    def passed(self) -> bool:
        """Its self-test has ended well."""
        return self.fields["selftest"] == "passed" and self.fields["type"] != "larval"

    @property
    def ours(self) -> bool:
        """It belongs to the driver under test."""
        return self.fields["module"] == MODULE

    @property
    def synchronous(self) -> bool:
        """AF_ALG takes it."""
        return self.fields.get("async") == "no" or self.fields["type"] == "lskcipher"


def algorithms() -> list[Algorithm]:
    """All that are registered. One that is replaced or being tested may be there twice.

    The kernel gives the list a page at a time. If an entry goes meanwhile, such as that of a
    self-test that ends, the next page begins one entry too late. So the list is read until two
    readings in succession have the same entries.
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
    """The driver names that must be registered: no more, no less."""
    names = {name for cipher in ciphers.of_devices() for name in cipher.variants}
    names |= {name for algorithm in aead.of_devices() for name in algorithm.variants}
    names |= {digest.driver for digest in digests.of_devices()}
    return names | set(publickeys.of_devices())


def registered() -> set[str]:
    """The driver names that are."""
    return set(ours())


def ours() -> dict[str, Algorithm]:
    """The driver's own ones, by driver name; larvals left out."""
    return {
        alg.driver: alg for alg in algorithms() if alg.ours and alg.fields["type"] != "larval"
    }


def is_tested(log: KernelLog) -> bool:
    """Returns true if no self-test runs, and each one of the driver's has a result.

    A failed self-test stays "unknown" in /proc/crypto. The kernel log since the making of `log`
    tells it from one that has not ended.
    """
    if any(alg.fields["type"] == "larval" for alg in algorithms()):
        return False
    unknown = [name for name, alg in ours().items() if alg.fields["selftest"] == "unknown"]
    return all(
        log.matching(f"self-tests for .* using {re.escape(name)} failed") for name in unknown
    )


def driver(name: str) -> str:
    """The driver name of the driver's asynchronous algorithm of that name."""
    found = [alg.driver for alg in ours().values() if alg.name == name and not alg.synchronous]
    tap.check(found, f"the driver has no {name}")
    return found[0]


def software(name: str = NAME) -> Algorithm:
    """A synchronous implementation of the kernel's own: the one without special instructions if
    it is there, else the one of highest priority."""
    found = [
        alg
        for alg in algorithms()
        if alg.name == name and not alg.ours and alg.synchronous
        and alg.passed and alg.fields.get("internal") == "no" and "virtio" not in alg.driver
    ]
    tap.check(found, f"/proc/crypto has no software {name}")
    return max(found, key=lambda alg: (alg.driver.endswith("-aes-lib"), alg.priority))


def best(name: str) -> str:
    """The driver name of the system's choice for a hash."""
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as sock:
        sock.bind(("hash", name))  # loads the module, if it is one
    found = [alg for alg in algorithms() if alg.name == name and alg.passed]
    return max(found, key=lambda alg: alg.priority).driver


def preferred(name: str = NAME) -> bool:
    """The driver is the system's choice."""
    driver = ciphers.ALL[name].synchronous
    others = [alg.priority for alg in algorithms() if alg.name == name and not alg.ours]
    mine = ours()
    tap.check(driver in mine, f"{driver} is not registered")
    return mine[driver].priority > max(others, default=0)
