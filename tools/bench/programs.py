# SPDX-License-Identifier: GPL-2.0
"""The programs that are measured, with their algorithms, implementations and requests."""

import dataclasses
from collections.abc import Iterator

from settings import ALGORITHMS, Boot

# The algorithms for IPsec.
ESP = ("gcm(aes)", "authenc(hmac(sha256),cbc(aes))")
# The maximum number of bytes of an IP packet, and roughly the payload of a full packet with ESP.
MTU = 1500
PAYLOAD = 1400


@dataclasses.dataclass(frozen=True)
class Program:
    """One line of the results. A program is measured in a short run and in a long run. The costs of
    a request are the difference of the two runs, divided by the difference in requests. Therefore
    they do not include the program's start and end."""

    program: str
    algorithm: str
    who: str  # the implementation
    size: int
    depth: int
    short_run: int  # requests of the short run
    requests: int  # additional requests of the long run

    @property
    def device(self) -> str | None:
        """Returns the device that runs the requests, or None."""
        return "ref" if self.who in ("rust", "rust-sync") else None

    @property
    def driver(self) -> str:
        """Returns the driver name of the implementation."""
        return ALGORITHMS[self.algorithm].drivers[self.who]

    @property
    def reference(self) -> str:
        """Returns the driver name of the reference implementation."""
        return ALGORITHMS[self.algorithm].drivers["software"]

    def __str__(self) -> str:
        return f"{self.program} {self.algorithm} {self.who} {self.size}/{self.depth}"


@dataclasses.dataclass(frozen=True)
class ProgramBoot(Boot):
    """A guest in which programs are measured."""

    programs: tuple[Program, ...] = ()

    @property
    def steps(self) -> int:
        """Returns the number of steps for the progress."""
        return len(self.programs)


def _sockets(mode: str) -> Iterator[Program]:
    """Returns programs that use AF_ALG, which needs synchronous algorithms."""
    quick = mode == "quick"
    for name in ("cbc(aes)",) if quick else ("cbc(aes)", "gcm(aes)"):
        for size, requests in ((4096, 400),) if quick else ((4096, 400), (65536, 100)):
            for who in ("rust-sync", "cpu", "software"):
                yield Program("af-alg", name, who, size, 1, 20, requests)


def _volumes(mode: str) -> Iterator[Program]:
    """Returns fio on dm-crypt. The C driver is missing, because dm-crypt rejects drivers that
    allocate memory for requests."""
    kinds = [("fio-random-write", 4096, 8, 250, 2000)]
    if mode != "quick":
        kinds += [("fio-random-read", 4096, 8, 250, 2000), ("fio-write", 1 << 20, 1, 4, 32),
                  ("fio-read", 1 << 20, 1, 4, 32)]  # fmt: skip
    implementations = ("rust", "cpu", "software") if mode == "long" else ("rust", "cpu")
    for program, size, depth, short_run, requests in kinds:
        for who in implementations:
            # Software takes ten times as long, but few requests suffice: its costs vary little.
            divisor = 4 if who == "software" else 1
            yield Program(program, "xts(aes)", who, size, depth,
                          short_run // divisor, requests // divisor)  # fmt: skip


def _networks(mode: str) -> Iterator[Program]:
    """Returns programs that use IPsec between two namespaces with the same implementation."""
    kinds = [("ping", 56, 1, 50, 500)]
    if mode != "quick":
        kinds += [("ping", PAYLOAD, 1, 50, 500), ("iperf3", MTU, 1, 300, 1500)]
    for name in ESP[:1] if mode == "quick" else ESP:
        for program, size, depth, short_run, requests in kinds:
            for who in ("rust", "cpu"):
                yield Program(program, name, who, size, depth, short_run, requests)


def _keys(mode: str) -> Iterator[Program]:
    """Returns programs that use keyctl(2) with an RSA key."""
    # Software executes 66 million instructions for a signature, so measure few requests.
    kinds = [("keyctl-sign", "rust", 1, 20), ("keyctl-sign", "software", 1, 3)]
    if mode != "quick":
        kinds += [("keyctl-encrypt", "rust", 2, 50), ("keyctl-encrypt", "software", 2, 50)]
    for program, who, short_run, requests in kinds:
        yield Program(program, "rsa", who, 256, 1, short_run, requests)


def boots(mode: str) -> list[Boot]:
    """Returns the guest for the programs of a mode, if the mode has programs."""
    if mode not in ("quick", "usual", "long"):
        return []
    measured = (*_sockets(mode), *_volumes(mode), *_networks(mode), *_keys(mode))
    rounds = 4 if mode == "long" else 2
    return [ProgramBoot("programs", (("ref", "rust"),), (), rounds=rounds, programs=measured)]


def in_boot(boot: Boot) -> tuple[Program, ...]:
    """Returns the programs that are measured in a guest."""
    return boot.programs if isinstance(boot, ProgramBoot) else ()
