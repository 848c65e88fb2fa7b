# SPDX-License-Identifier: GPL-2.0
"""Scripts of a hostile device: the faults to inject, and the concurrent activity of the guest.

A script is a sequence of lines:

  fault FAULT       injects a fault until the end of the script
  load DRIVER N     sends N requests of an algorithm and waits for their completion. Options:
                    "nobacklog": requests may not be backlogged; "in-place" or "out-of-place",
                    both by default; "text=BYTES": length of the data
  start DRIVER N    like load, but does not wait
  nomem QUEUE A N   after A additions to the ring of a queue, "data" or "control", N additions fail
  event NAME        triggers one of EVENTS

A script that detects a failure can be read, and replayed by hand.
"""

import dataclasses
import random
import re
from collections.abc import Callable, Iterable

# Maximum number of lines, and of requests for each line. In a longer script, the cause of a failure
# is harder to find.
MAX_LINES = 14
MAX_REQUESTS = 60
# Number of algorithms in an initial script for a fault, and of requests for each algorithm.
SEED_ALGORITHMS, SEED_REQUESTS = 5, 4
# Maximum ring size. The fault wrong-id only uses IDs from this number on. A smaller ID could belong
# to a request in flight: the driver would complete it, and the device would then write to freed
# memory.
RING = 256

EVENTS = (
    "rebind", "reset", "nap", "ready-off", "ready-on", "config-change", "needs-reset", "fifo", "lifo",
    "volume", "program", "keys", "files",
)  # fmt: skip

# The statuses of the specification, and undefined ones.
_STATUSES = (0, 1, 2, 3, 4, 5, 6, 7, 77, 255)
_LENGTHS = (1, 2, 3, 15, 16, 17, 20, 32, 256, 4096, 65535, 1 << 31, (1 << 32) - 1)
_NUMBERS = (0, 1, 2, 3, 8, 64, 1000, 4096, 65535, (1 << 31), (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
# VIRTIO_CRYPTO_F_*, and transport features: indirect descriptors, event index, version 1, platform
# DMA addresses, packed ring, in order, ring reset.
_FEATURES = (0, 1, 2, 3, 4, 5, 28, 29, 32, 33, 34, 35, 40)
_RINGS = (0, 1, 2, 3, 4, 8, 16, 64, 256, 512, 65535)
_STATUS_BITS = (0, 15, 64, 79, 128, 143, 255)


def _status(chance: random.Random) -> int:
    return chance.choice((*_STATUSES, chance.getrandbits(8), chance.getrandbits(32)))


def _length(chance: random.Random) -> int:
    return chance.choice((*_LENGTHS, chance.randrange(300), chance.getrandbits(32)))


def _number(chance: random.Random) -> int:
    return chance.choice((*_NUMBERS, chance.getrandbits(8), chance.getrandbits(64)))


def _used_id(chance: random.Random) -> int:
    return chance.choice((RING, RING + 1, 32768, 65535, 65536, (1 << 32) - 1))


def _bits(chance: random.Random) -> int:
    bits = chance.choice((1 << chance.randrange(32), chance.getrandbits(8), chance.getrandbits(32)))
    return chance.randrange(56) | bits << 8


def _features(chance: random.Random) -> int:
    bits = chance.sample(_FEATURES, chance.choice((1, 1, 1, 2, 3)))
    # The stateless modes require VIRTIO_CRYPTO_F_REVISION_1, feature bit 0.
    return sum(1 << bit for bit in {*bits, *([0] if chance.random() < 0.3 else [])})


def _one_of(*values: int) -> Callable[[random.Random], int]:
    return lambda chance: chance.choice(values)


def _up_to(maximum: int) -> Callable[[random.Random], int]:
    return lambda chance: chance.randint(1, maximum)


@dataclasses.dataclass(frozen=True)
class Kind:
    """The possible parameters of a fault: values, if it has one, and queues."""

    value: Callable[[random.Random], int] | None = None
    queues: tuple[str, ...] = ()
    # The fault only has an effect when the driver starts the device.
    at_start: bool = False
    # The fault must have a count. Otherwise the kernel waits forever, or the script takes too long.
    counted: bool = False


_ANY_QUEUE = ("0", "0", "control")
_DATA = ("0",)

# The faults of scripts: all of the reference device except EXCLUDED.
KINDS = {
    "never-answer": Kind(queues=_ANY_QUEUE, counted=True),
    "delay": Kind(_up_to(60), _ANY_QUEUE, counted=True),
    "reorder": Kind(_one_of(1, 2, 3, 5, 17), _ANY_QUEUE),
    "duplicate-used": Kind(queues=_ANY_QUEUE, counted=True),
    "wrong-id": Kind(_used_id, _ANY_QUEUE, counted=True),
    "used-len-short": Kind(_length, _ANY_QUEUE),
    "used-len-long": Kind(_length, _ANY_QUEUE),
    "used-len-zero": Kind(queues=_ANY_QUEUE),
    "no-interrupt": Kind(queues=_ANY_QUEUE, counted=True),
    "status-unwritten": Kind(queues=_ANY_QUEUE),
    "status-unknown": Kind(_status, _ANY_QUEUE),
    "refuse-operation": Kind(_status, _DATA),
    "refuse-create": Kind(_status),
    "refuse-destroy": Kind(),
    "table-full": Kind(),
    "session-id-reused": Kind(),
    "session-id": Kind(_number),
    "session-forgotten": Kind(),
    "wrong-tag": Kind(queues=_DATA),
    "corrupt-output": Kind(queues=_DATA),
    "fail-after-write": Kind(_status, _DATA),
    "overwrite": Kind(_one_of(0, 1, 2, 3, 4, 5, 6, 0x30, 0x7F, 0xFF), _ANY_QUEUE),
    "config-queues": Kind(_number, at_start=True),
    "config-max-size": Kind(_number, at_start=True),
    "config-max-key-len": Kind(_one_of(0, 1, 15, 16, 24, 31, 32, 64, (1 << 32) - 1), at_start=True),
    "config-masks-all": Kind(at_start=True),
    "config-status": Kind(_one_of(0, 1, 2, 3, (1 << 32) - 2), at_start=True),
    "config-torn": Kind(at_start=True),
    "config-random": Kind(at_start=True),
    "config-bits": Kind(_bits, at_start=True),
    "toggle-ready": Kind(_up_to(100)),
    "config-storm": Kind(_up_to(50)),
    "needs-reset": Kind(queues=_ANY_QUEUE, counted=True),
    "refuse-features": Kind(at_start=True, counted=True),
    "generation-changes": Kind(at_start=True, counted=True),
    "no-vector": Kind(queues=_ANY_QUEUE, at_start=True),
    "vector-lost": Kind(queues=_ANY_QUEUE, counted=True),
    "interrupt-storm": Kind(_up_to(50)),
    "offer-features": Kind(_features, at_start=True),
    "queue-size": Kind(_one_of(*_RINGS), _ANY_QUEUE, at_start=True),
    "status-register": Kind(_one_of(*_STATUS_BITS), at_start=True, counted=True),
}
# Faults that scripts cannot have, with the reason.
EXCLUDED = {
    "crash": "the device ends",
    "disconnect": "the device ends",
    "status-stuck": "the kernel waits for the status to be 0, without a limit",
    "ring-reset-refused": "the kernel waits for the ring to be reset, without a limit",
}
# Faults with which a request may succeed with a wrong result. For example, an overwritten status
# can report success for a request that another fault corrupted.
CORRUPTING = (
    "wrong-tag", "corrupt-output", "overwrite", "status-unknown", "refuse-operation",
    "fail-after-write", "offer-features",
)  # fmt: skip

# States that require several faults or events, which random scripts rarely combine: control
# requests that wait for space in a small ring, or for memory; a device that becomes ready during a
# restart; a restart that fails; sessions that are lost while requests use them.
COMBINATIONS = (
    ("fault queue-size:value=4:queue=control", "event rebind",
     "fault delay:value=20:queue=control:count=30", "start", "event keys", "load"),
    ("fault delay:value=50:queue=control:count=3", "nomem control 2 6", "start", "event keys", "load"),
    ("event ready-off", "event needs-reset", "start", "event ready-on", "load"),
    ("fault refuse-features:count=2", "event needs-reset", "load", "event files", "load"),
    ("fault config-queues:value=3:count=9", "event needs-reset", "load", "event files", "load"),
    ("fault never-answer:queue=control:count=2", "start", "event keys", "event rebind", "load"),
    ("fault session-forgotten:count=3", "load", "start", "load", "event needs-reset", "load"),
)  # fmt: skip

_LOAD = re.compile(
    r"(load|start) (?P<driver>[a-z0-9-]+) (?P<count>\d+)(?P<nobacklog> nobacklog)?"
    r"(?: (?P<place>in-place|out-of-place))?(?: text=(?P<text>\d+))?"
)
_NOMEM = re.compile(r"nomem (?P<queue>data|control) (?P<after>\d+) (?P<count>\d+)")


class Malformed(Exception):
    """A line is not valid in a script."""


def fault(chance: random.Random, name: str) -> str:
    """Returns a line that injects the named fault with random parameters."""
    kind = KINDS[name]
    words = [f"fault {name}"]
    if kind.value:
        words.append(f"value={kind.value(chance)}")
    if kind.queues and chance.random() < 0.7:
        words.append(f"queue={chance.choice(kind.queues)}")
    if chance.random() < 0.4:
        words.append(f"after={chance.choice((1, 2, 3, chance.randrange(40)))}")
    if kind.counted or chance.random() < 0.5:
        words.append(f"count={chance.choice((1, 1, 1, 2, 3, chance.randint(1, 20)))}")
    return ":".join(words)


@dataclasses.dataclass(frozen=True)
class Load:
    """The parameters of a "load" or "start" line."""

    driver: str
    count: int
    backlog: bool
    in_place: bool | None
    text: int

    @classmethod
    def parse(cls, line: str) -> "Load":
        """Parses a line. Raises Malformed if it is not a "load" or "start" line."""
        found = _LOAD.fullmatch(line)
        if not found:
            raise Malformed(line)
        in_place = None if found["place"] is None else found["place"] == "in-place"
        backlog, text = found["nobacklog"] is None, int(found["text"] or 0)
        return cls(found["driver"], int(found["count"]), backlog, in_place, text)


@dataclasses.dataclass(frozen=True)
class Script:
    """A script."""

    lines: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Script":
        """Parses a script. Raises Malformed if a line is invalid."""
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        for line in lines:
            word, _, rest = line.partition(" ")
            valid = {
                "fault": rest.partition(":")[0] in KINDS,
                "event": rest in EVENTS,
                "nomem": bool(_NOMEM.fullmatch(line)),
            }.get(word, bool(_LOAD.fullmatch(line)))
            if not valid:
                raise Malformed(line)
        return cls(lines)

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the script's faults."""
        lines = [line for line in self.lines if line.startswith("fault ")]
        return tuple(line.removeprefix("fault ").partition(":")[0] for line in lines)

    @property
    def may_corrupt(self) -> bool:
        """True if a request may succeed with a wrong result."""
        return any(name in CORRUPTING for name in self.faults)

    @property
    def restarts_device(self) -> bool:
        """True if the script can make the driver start the device and read its configuration."""
        return any(f"event {name}" in self.lines for name in ("rebind", "reset", "nap"))


class Maker:
    """Generates random scripts."""

    def __init__(self, chance: random.Random, drivers: Iterable[str]) -> None:
        self._chance = chance
        self._drivers = tuple(drivers)

    def load(self, word: str = "load") -> str:
        """Returns a random "load" or "start" line."""
        count = self._chance.choice((1, 4, 12, self._chance.randint(1, MAX_REQUESTS)))
        return self._load(word, self._chance.choice(self._drivers), count)

    def _load(self, word: str, driver: str, count: int) -> str:
        words = [word, driver, str(count)]
        if self._chance.random() < 0.2:
            words.append("nobacklog")
        if self._chance.random() < 0.3:
            words.append(self._chance.choice(("in-place", "out-of-place")))
        if self._chance.random() < 0.2:
            words.append(f"text={self._chance.choice((16, 32, 512, 2048))}")
        return " ".join(words)

    def nomem(self) -> str:
        """Returns a random "nomem" line."""
        after = self._chance.choice((0, 0, 1, self._chance.randrange(20)))
        count = self._chance.choice((1, 1, 2, self._chance.randint(1, 20)))
        return f"nomem {self._chance.choice(('data', 'control'))} {after} {count}"

    def line(self) -> str:
        """Returns a random line of any kind."""
        draw = self._chance.random()
        if draw < 0.5:
            return fault(self._chance, self._chance.choice(tuple(KINDS)))
        if draw < 0.75:
            return self.load(self._chance.choice(("load", "load", "start")))
        if draw < 0.8:
            return self.nomem()
        return f"event {self._chance.choice(EVENTS)}"

    def seeds(self) -> Iterable[Script]:
        """Yields the initial scripts: each fault, each event, and COMBINATIONS."""
        for name, kind in KINDS.items():
            if not kind.at_start:
                count = min(SEED_ALGORITHMS, len(self._drivers))
                drivers = self._chance.sample(self._drivers, count)
                loads = [self._load("load", driver, SEED_REQUESTS) for driver in drivers]
                yield Script((fault(self._chance, name), *loads))
            else:
                yield Script((fault(self._chance, name), "event rebind", self.load()))
        for name in EVENTS:
            yield Script((self.load("start"), f"event {name}", self.load()))
        for lines in COMBINATIONS:
            yield Script(
                tuple(self.load(line) if line in ("load", "start") else line for line in lines)
            )
        for queue in ("data", "control"):
            yield Script((f"nomem {queue} 0 1", self.load(), "event keys", self.load()))

    def mutate(self, script: Script, other: Script) -> Script:
        """Returns a mutation of the first script, possibly with lines of the other script."""
        lines = list(script.lines)
        for _ in range(self._chance.choice((1, 1, 2, 3, 5))):
            self._change(lines, other)
        return Script(tuple(lines[:MAX_LINES]) or (self.line(), self.load()))

    def _change(self, lines: list[str], other: Script) -> None:
        place = self._chance.randrange(len(lines) + 1)
        exists = place < len(lines)  # a line to change
        match self._chance.randrange(8):
            case 0 | 1:
                lines.insert(place, self.line())
            case 2 if exists:
                del lines[place]
            case 3 if exists:
                lines[place] = self.line()
            case 4 if exists:
                lines.insert(self._chance.randrange(len(lines)), lines.pop(place))
            case 5:
                cut = self._chance.randrange(len(other.lines) + 1)
                lines[place:] = other.lines[cut:]
            case _ if exists:
                lines[place] = self._with_new_parameters(lines[place])

    def _with_new_parameters(self, line: str) -> str:
        """Returns a line of the same kind with other parameters."""
        word, _, rest = line.partition(" ")
        match word:
            case "fault":
                return fault(self._chance, rest.partition(":")[0])
            case "event":
                return f"event {self._chance.choice(EVENTS)}"
            case "nomem":
                return self.nomem()
        if self._chance.random() < 0.5:
            return self.load(word)
        return self._load(word, Load.parse(line).driver, self._chance.randint(1, MAX_REQUESTS))
