# SPDX-License-Identifier: GPL-2.0
"""``results.json``, in which the benchmarks leave what they have measured.

The file has one object. ``format`` and ``of`` are always there; a list that is missing or empty
was not measured. Its other keys are the fields of the classes in this file, and stay as they are:
a change that breaks readers gets another ``format``.
"""

import datetime
import json
from dataclasses import dataclass, field
from pathlib import Path

from reporting import checked, names

FORMAT = 1

SERVICES = ("cipher", "aead", "hash", "mac", "akcipher", "sig")

# Who does the work, in the order of tables and legends.
WHO = {
    "rust": "this driver",
    "rust-sync": "this driver, synchronous",
    "c": "C driver",
    "ring": "bare ring",
    "cpu": "processor (AES-NI, AVX)",
    "software": "portable software",
}

# The same where there is little room.
SHORT = {
    "rust": "this driver",
    "rust-sync": "synchronous",
    "c": "C driver",
    "ring": "bare ring",
    "cpu": "processor",
    "software": "software",
}


class BadResults(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class Of:
    """What the results are of."""

    commit: str
    kernel: str
    qemu: str
    processor: str
    accelerator: str
    date: str

    def check(self) -> str:
        """The date is one."""
        try:
            datetime.date.fromisoformat(self.date)
        except ValueError:
            return f"the date is not YYYY-MM-DD: {self.date!r}"
        return ""


@dataclass(frozen=True)
class PerRequest:
    """Guest instructions, and events, of one request."""

    module: float
    core: float
    whole: float
    notifications: float
    interrupts: float
    allocations: float
    frees: float
    switches: float
    atomics: float
    # Of ``whole``, those of programs.
    user: float = 0
    # Of ``atomics``, those of the driver and of reference counts.
    shared_atomics: float = 0


@dataclass(frozen=True)
class Count:
    """What was counted in one setting."""

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
        """Instructions by the short name of a function."""
        return names.shortened(self.functions)

    def check(self) -> str:
        """Services and those who do the work are known, and nothing is empty."""
        return (
            check_service(self.service)
            or ("" if self.who in WHO else f"who is unknown: {self.who!r}")
            or check_positive(self, "size", "depth", "segments", "requests")
        )


@dataclass(frozen=True)
class Program:
    """What was counted of a program that uses the kernel's crypto."""

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
        """Those who do the work are known, a program's share is a share, and nothing is empty."""
        if self.who not in WHO:
            return f"who is unknown: {self.who!r}"
        if self.per_request.user > self.per_request.whole:
            return "per_request.user is more than the whole"
        return check_positive(self, "size", "depth", "requests")


@dataclass(frozen=True)
class Time:
    """How long ``a`` takes, divided by how long ``b`` takes, in one guest."""

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
        """Services and those who do the work are known."""
        for who in (self.a, self.b):
            if who not in WHO:
                return f"who is unknown: {who!r}"
        return check_service(self.service) or check_positive(self, "size", "depth", "rounds")


@dataclass(frozen=True)
class Scaling:
    """Requests per second relative to one processor."""

    processors: int
    queues: int
    host_processors: int
    relative: float

    def check(self) -> str:
        """There is something of each."""
        return check_positive(self, "processors", "queues", "host_processors", "relative")


@dataclass(frozen=True)
class Contention:
    """How often a request waits for a lock, with several processors."""

    algorithm: str
    who: str
    device: str
    size: int
    depth: int
    processors: int
    queues: int
    lock_spins: float

    def check(self) -> str:
        """Those who do the work are known, and nothing but the spins is empty."""
        if self.who not in WHO:
            return f"who is unknown: {self.who!r}"
        return check_positive(self, "size", "depth", "processors", "queues")


@dataclass(frozen=True)
class Device:
    """What the reference device does by itself, and OpenSSL on as many threads."""

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
        """The service is known, and nothing is empty."""
        return check_service(self.service) or check_positive(
            self, "size", "depth", "queues", "requests_per_second", "bytes_per_second",
            "openssl_bytes_per_second",
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The algorithm; a signature's with its direction."""
        signs = self.service in ("akcipher", "sig") and self.direction
        return f"{self.algorithm}, {self.direction}" if signs else self.algorithm

    @property
    def share(self) -> float:
        """Of OpenSSL's throughput."""
        return self.bytes_per_second / self.openssl_bytes_per_second


@dataclass(frozen=True)
class Results:
    """The whole file."""

    format: int
    of: Of
    counts: list[Count] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    times: list[Time] = field(default_factory=list)
    scaling: list[Scaling] = field(default_factory=list)
    contention: list[Contention] = field(default_factory=list)
    device: list[Device] = field(default_factory=list)


def check_service(service: str) -> str:
    """Returns what is wrong with a service's name."""
    return "" if service in SERVICES else f"the service is unknown: {service!r}"


def check_positive(result: object, *names: str) -> str:
    """Returns what is wrong if one of these is not above 0."""
    wrong = [name for name in names if getattr(result, name) <= 0]
    return f"{wrong[0]} is not above 0" if wrong else ""


def parse(text: str) -> Results:
    """Makes results of a file's text."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadResults(f"this is not JSON: {error}") from error
    if isinstance(value, dict) and value.get("format") != FORMAT:
        raise BadResults(
            f"its format is {value.get('format')!r}, and this report is for format {FORMAT}: "
            "measure again with make bench"
        )
    try:
        return checked.build(Results, value)
    except checked.BadValue as error:
        raise BadResults(str(error)) from error


def load(path: Path) -> Results:
    """Reads the file."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadResults(f"{path} is not there: measure with make bench first") from error
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadResults(f"{path}: this is not text: {error}") from error
    except BadResults as error:
        raise BadResults(f"{path}: {error}") from error
