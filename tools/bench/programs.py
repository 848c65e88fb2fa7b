# SPDX-License-Identifier: GPL-2.0
"""What programs are measured: which, with which algorithm and whose, and how much they do."""

import dataclasses
from collections.abc import Iterator

from settings import ALGORITHMS, Boot

# Those that IPsec is measured with.
ESP = ("gcm(aes)", "authenc(hmac(sha256),cbc(aes))")
# Bytes of an Ethernet frame, and roughly those that a full one carries through ESP.
MTU = 1500
PAYLOAD = 1400


@dataclasses.dataclass(frozen=True)
class Program:
    """One line of the results. The cost of a request is that of a run with more requests, less
    that of a run with few: so a program's start, and its end, cost nothing."""

    program: str
    algorithm: str
    who: str
    size: int
    depth: int
    few: int  # requests of the short run
    requests: int  # how many more the long run has

    @property
    def device(self) -> str | None:
        """The device that does the work."""
        return "ref" if self.who in ("rust", "rust-sync") else None

    @property
    def driver(self) -> str:
        """The name that the kernel knows the implementation by."""
        return ALGORITHMS[self.algorithm].drivers[self.who]

    @property
    def reference(self) -> str:
        """The implementation that the results are compared with."""
        return ALGORITHMS[self.algorithm].drivers["software"]

    def __str__(self) -> str:
        return f"{self.program} {self.algorithm} {self.who} {self.size}/{self.depth}"


@dataclasses.dataclass(frozen=True)
class ProgramBoot(Boot):
    """A guest in which programs are measured."""

    programs: tuple[Program, ...] = ()

    @property
    def steps(self) -> int:
        """How many there are to report progress of."""
        return len(self.programs)


def _sockets(mode: str) -> Iterator[Program]:
    """AF_ALG, which takes what is synchronous only."""
    quick = mode == "quick"
    for name in ("cbc(aes)",) if quick else ("cbc(aes)", "gcm(aes)"):
        for size, requests in ((4096, 400),) if quick else ((4096, 400), (65536, 100)):
            for who in ("rust-sync", "cpu", "software"):
                yield Program("af-alg", name, who, size, 1, 20, requests)


def _volumes(mode: str) -> Iterator[Program]:
    """fio on dm-crypt, which takes no driver that allocates memory for requests: not that in C."""
    kinds = [("fio-random-write", 4096, 8, 250, 2000)]
    if mode != "quick":
        kinds += [("fio-random-read", 4096, 8, 250, 2000), ("fio-write", 1 << 20, 1, 4, 32),
                  ("fio-read", 1 << 20, 1, 4, 32)]  # fmt: skip
    everyone = ("rust", "cpu", "software") if mode == "long" else ("rust", "cpu")
    for program, size, depth, few, requests in kinds:
        for who in everyone:
            # Software takes ten times as long, and costs the same each time.
            less = 4 if who == "software" else 1
            yield Program(program, "xts(aes)", who, size, depth, few // less, requests // less)


def _networks(mode: str) -> Iterator[Program]:
    """IPsec between two namespaces, both ends by the same implementation."""
    kinds = [("ping", 56, 1, 50, 500)]
    if mode != "quick":
        kinds += [("ping", PAYLOAD, 1, 50, 500), ("iperf3", MTU, 1, 300, 1500)]
    for name in ESP[:1] if mode == "quick" else ESP:
        for program, size, depth, few, requests in kinds:
            for who in ("rust", "cpu"):
                yield Program(program, name, who, size, depth, few, requests)


def _keys(mode: str) -> Iterator[Program]:
    """keyctl(2) with a key of RSA."""
    # Software takes 66 million instructions for a signature.
    kinds = [("keyctl-sign", "rust", 1, 20), ("keyctl-sign", "software", 1, 3)]
    if mode != "quick":
        kinds += [("keyctl-encrypt", "rust", 2, 50), ("keyctl-encrypt", "software", 2, 50)]
    for program, who, few, requests in kinds:
        yield Program(program, "rsa", who, 256, 1, few, requests)


def boots(mode: str) -> list[Boot]:
    """The guest that has the programs of a mode, if there is one."""
    if mode not in ("quick", "usual", "long"):
        return []
    found = (*_sockets(mode), *_volumes(mode), *_networks(mode), *_keys(mode))
    rounds = 4 if mode == "long" else 2
    return [ProgramBoot("programs", (("ref", "rust"),), (), rounds=rounds, programs=found)]


def of(boot: Boot) -> tuple[Program, ...]:
    """The programs that are measured in a guest."""
    return boot.programs if isinstance(boot, ProgramBoot) else ()
