# SPDX-License-Identifier: GPL-2.0
"""Reads ``results.json``, the results of the benchmarks.

The file is a JSON object. ``format`` and ``of`` are mandatory. A list is missing or empty if it was
not measured. The classes in this file have the keys that the report uses; other keys are ignored.
Documentation/benchmark.rst describes all keys. A change that breaks readers needs a new ``format``.
"""

import datetime
import json
from dataclasses import dataclass, field
from pathlib import Path

from reporting import checked, names

FORMAT = 1

SERVICES = ("cipher", "aead", "hash", "mac", "akcipher", "sig")

# The implementations by their key ``who``, in the order of tables and legends. The bare ring is the
# minimal driver vc_ring in tools/bench/module.
WHO = {
    "rust": "this driver",
    "rust-sync": "this driver, synchronous",
    "c": "C driver",
    "ring": "bare ring",
    "cpu": "processor (AES-NI, AVX)",
    "software": "portable software",
}

# Shorter names of the implementations, for narrow places.
SHORT = {
    "rust": "this driver",
    "rust-sync": "synchronous",
    "c": "C driver",
    "ring": "bare ring",
    "cpu": "processor",
    "software": "software",
}


class BadResults(Exception):
    """The file is missing or invalid. The message has the reason."""


@dataclass(frozen=True)
class Provenance:
    """The software and the machine that were measured."""

    commit: str
    kernel: str
    qemu: str
    processor: str
    accelerator: str
    date: str

    def check(self) -> str:
        """Returns an error if the date is not YYYY-MM-DD, or ''."""
        try:
            datetime.date.fromisoformat(self.date)
        except ValueError:
            return f"the date is not YYYY-MM-DD: {self.date!r}"
        return ""


@dataclass(frozen=True)
class PerRequest:
    """The costs of one request, on average: guest instructions and events."""

    module: float
    core: float
    whole: float
    notifications: float
    interrupts: float
    allocations: float
    frees: float
    switches: float
    atomics: float
    # The part of ``whole`` in user space.
    user: float = 0
    # The part of ``atomics`` in the driver and in its reference counts.
    shared_atomics: float = 0


@dataclass(frozen=True)
class Count:
    """The costs of a request in one setting."""

    service: str
    algorithm: str
    who: str
    driver: str
    device: str | None
    size: int
    depth: int
    direction: str
    in_place: bool
    segments: int
    requests: int
    per_request: PerRequest
    noise: float
    functions: dict[str, float]

    @property
    def by_name(self) -> dict[str, float]:
        """Returns the instructions by short function name."""
        return names.shortened(self.functions)

    def check(self) -> str:
        """Returns an error if a name is unknown or a number is not above 0, or ''."""
        return (
            check_service(self.service)
            or ("" if self.who in WHO else f"who is unknown: {self.who!r}")
            or check_positive(self, "size", "depth", "segments", "requests")
        )


@dataclass(frozen=True)
class Program:
    """The costs of a request of a program that uses the kernel crypto API."""

    program: str
    algorithm: str
    who: str
    driver: str
    device: str | None
    size: int
    depth: int
    requests: int
    per_request: PerRequest
    noise: float

    def check(self) -> str:
        """Returns an error if a name is unknown, the program's part exceeds the whole, or a number
        is not above 0; or ''."""
        if self.who not in WHO:
            return f"who is unknown: {self.who!r}"
        if self.per_request.user > self.per_request.whole:
            return "per_request.user is more than the whole"
        return check_positive(self, "size", "depth", "requests")


@dataclass(frozen=True)
class Time:
    """The time of a request of ``a`` divided by that of ``b``, both in one guest."""

    service: str
    algorithm: str
    size: int
    depth: int
    device: str | None
    a: str
    b: str
    rounds: int
    ratio_minimum: float
    ratio_median: float

    def check(self) -> str:
        """Returns an error if a name is unknown or a number is not above 0, or ''."""
        for who in (self.a, self.b):
            if who not in WHO:
                return f"who is unknown: {who!r}"
        return check_service(self.service) or check_positive(self, "size", "depth", "rounds")


@dataclass(frozen=True)
class Scaling:
    """Requests per second of all processors, relative to those of one processor."""

    processors: int
    queues: int
    host_processors: int
    relative: float

    def check(self) -> str:
        """Returns an error if a number is not above 0, or ''."""
        return check_positive(self, "processors", "queues", "host_processors", "relative")


@dataclass(frozen=True)
class Contention:
    """The number of waits for a lock per request, with several processors."""

    algorithm: str
    who: str
    device: str
    size: int
    depth: int
    processors: int
    queues: int
    lock_spins: float

    def check(self) -> str:
        """Returns an error if a name is unknown or a number, except ``lock_spins``, is not above 0;
        or ''."""
        if self.who not in WHO:
            return f"who is unknown: {self.who!r}"
        return check_positive(self, "size", "depth", "processors", "queues")


@dataclass(frozen=True)
class Device:
    """The rates of the reference device without a guest, and of OpenSSL in the same number of
    threads."""

    service: str
    algorithm: str
    size: int
    depth: int
    queues: int
    requests_per_second: float
    bytes_per_second: float
    openssl_bytes_per_second: float
    direction: str = ""

    def check(self) -> str:
        """Returns an error if the service is unknown or a number is not above 0, or ''."""
        return check_service(self.service) or check_positive(
            self, "size", "depth", "queues", "requests_per_second", "bytes_per_second",
            "openssl_bytes_per_second",
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Returns the name of the algorithm, with the direction if it is a public key algorithm."""
        is_public_key = self.service in ("akcipher", "sig") and self.direction
        return f"{self.algorithm}, {self.direction}" if is_public_key else self.algorithm

    @property
    def share(self) -> float:
        """Returns the throughput of the device, divided by that of OpenSSL."""
        return self.bytes_per_second / self.openssl_bytes_per_second


@dataclass(frozen=True)
class Results:
    """The contents of the file."""

    format: int
    of: Provenance
    counts: list[Count] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    times: list[Time] = field(default_factory=list)
    scaling: list[Scaling] = field(default_factory=list)
    contention: list[Contention] = field(default_factory=list)
    device: list[Device] = field(default_factory=list)


def check_service(service: str) -> str:
    """Returns an error if the service is unknown, or ''."""
    return "" if service in SERVICES else f"the service is unknown: {service!r}"


def check_positive(result: object, *names: str) -> str:
    """Returns an error if a field of ``result`` in ``names`` is not above 0, or ''."""
    wrong = [name for name in names if getattr(result, name) <= 0]
    return f"{wrong[0]} is not above 0" if wrong else ""


def parse(text: str) -> Results:
    """Parses the text of a file."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadResults(f"not JSON: {error}") from error
    if isinstance(value, dict) and value.get("format") != FORMAT:
        raise BadResults(
            f"format {value.get('format')!r} is not supported, expected {FORMAT}: "
            "measure again with make bench"
        )
    try:
        return checked.build(Results, value)
    except checked.BadValue as error:
        raise BadResults(str(error)) from error


def load(path: Path) -> Results:
    """Reads and parses a file."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadResults(f"{path} does not exist: measure with make bench first") from error
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadResults(f"{path}: not text: {error}") from error
    except BadResults as error:
        raise BadResults(f"{path}: {error}") from error
