# SPDX-License-Identifier: GPL-2.0
"""Scripts of a hostile device: what it does to which requests, and what the guest does meanwhile.

A script is some lines of text:

  fault FAULT       the device has the fault from here on, to the end of the script
  load DRIVER N     N requests of an algorithm; the next line waits for them. Behind it may be
                    "nobacklog" for requests that may not be backlogged, "in-place" or
                    "out-of-place" without which there are both, and "text=BYTES"
  start DRIVER N    the same, but the next line does not wait
  nomem QUEUE A N   N additions to the ring of a queue, "data" or "control", fail after A others
  event NAME        something happens to the device or its driver

So a script that finds something can be read, and played by hand.
"""

import dataclasses
import random
import re
from collections.abc import Callable, Iterable

# The most lines, and the most requests of a line. Longer scripts take long and mix up what did it.
MOST_LINES = 14
MOST_REQUESTS = 60
# The algorithms of a script to begin with, and their requests.
SEVERAL, FEW = 5, 4
# The longest ring. A number in the used ring that is smaller may be that of a request which the device
# still has: the device would write to its memory when the driver has returned it.
RING = 256

EVENTS = (
    "rebind", "reset", "nap", "ready-off", "ready-on", "config-change", "needs-reset", "fifo", "lifo",
    "volume", "program", "keys", "files",
)  # fmt: skip

# The services of the specification have so many statuses. Larger ones mean nothing.
_STATUSES = (0, 1, 2, 3, 4, 5, 6, 7, 77, 255)
_LENGTHS = (1, 2, 3, 15, 16, 17, 20, 32, 256, 4096, 65535, 1 << 31, (1 << 32) - 1)
_NUMBERS = (0, 1, 2, 3, 8, 64, 1000, 4096, 65535, (1 << 31), (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
# VIRTIO_CRYPTO_F_*, and what others there are: indirect descriptors, event index, version 1, DMA
# addresses, packed, in order, ring reset.
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
    # The modes of the device's own need revision 1.
    return sum(1 << bit for bit in {*bits, *([0] if chance.random() < 0.3 else [])})


def _some(*values: int) -> Callable[[random.Random], int]:
    return lambda chance: chance.choice(values)


def _time(most: int) -> Callable[[random.Random], int]:
    return lambda chance: chance.randint(1, most)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a fault of the catalogue can be: its values, if it has any, and what it can be for."""

    value: Callable[[random.Random], int] | None = None
    queues: tuple[str, ...] = ()
    # The driver sees it only when it starts the device.
    at_start: bool = False
    # Without a number of times the kernel waits for ever, or the script lasts too long.
    counted: bool = False


_EITHER = ("0", "0", "control")
_DATA = ("0",)

# All faults but those that end the device, and those that the kernel waits for without a limit.
KINDS = {
    "never-answer": Kind(queues=_EITHER, counted=True),
    "delay": Kind(_time(60), _EITHER, counted=True),
    "reorder": Kind(_some(1, 2, 3, 5, 17), _EITHER),
    "duplicate-used": Kind(queues=_EITHER, counted=True),
    "wrong-id": Kind(_used_id, _EITHER, counted=True),
    "used-len-short": Kind(_length, _EITHER),
    "used-len-long": Kind(_length, _EITHER),
    "used-len-zero": Kind(queues=_EITHER),
    "no-interrupt": Kind(queues=_EITHER, counted=True),
    "status-unwritten": Kind(queues=_EITHER),
    "status-unknown": Kind(_status, _EITHER),
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
    "overwrite": Kind(_some(0, 1, 2, 3, 4, 5, 6, 0x30, 0x7F, 0xFF), _EITHER),
    "config-queues": Kind(_number, at_start=True),
    "config-max-size": Kind(_number, at_start=True),
    "config-max-key-len": Kind(_some(0, 1, 15, 16, 24, 31, 32, 64, (1 << 32) - 1), at_start=True),
    "config-masks-all": Kind(at_start=True),
    "config-status": Kind(_some(0, 1, 2, 3, (1 << 32) - 2), at_start=True),
    "config-torn": Kind(at_start=True),
    "config-random": Kind(at_start=True),
    "config-bits": Kind(_bits, at_start=True),
    "toggle-ready": Kind(_time(100)),
    "config-storm": Kind(_time(50)),
    "needs-reset": Kind(queues=_EITHER, counted=True),
    "refuse-features": Kind(at_start=True, counted=True),
    "generation-changes": Kind(at_start=True, counted=True),
    "no-vector": Kind(queues=_EITHER, at_start=True),
    "vector-lost": Kind(queues=_EITHER, counted=True),
    "interrupt-storm": Kind(_time(50)),
    "offer-features": Kind(_features, at_start=True),
    "queue-size": Kind(_some(*_RINGS), _EITHER, at_start=True),
    "status-register": Kind(_some(*_STATUS_BITS), at_start=True, counted=True),
}
# The faults that no fuzzer can have, with the reason.
EXCLUDED = {
    "crash": "the device ends",
    "disconnect": "the device ends",
    "status-stuck": "the kernel waits for the status to be 0, without a limit",
    "ring-reset-refused": "the kernel waits for the ring to be reset, without a limit",
}
# With these faults a result may be wrong without an error. A status that is overwritten may say that
# a request is done which another fault has spoilt.
LIARS = (
    "wrong-tag", "corrupt-output", "overwrite", "status-unknown", "refuse-operation",
    "fail-after-write", "offer-features",
)  # fmt: skip

# States that need several faults or events, and are rare by chance: control requests that wait for a
# short ring, and for memory; a device that becomes ready while it is started again, and one that does
# not start; sessions that are lost while requests use them.
TOGETHER = (
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
    """A line that no script has."""


def fault(chance: random.Random, name: str) -> str:
    """Returns the line of a fault of that name."""
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
    """What a line says that makes requests."""

    driver: str
    count: int
    backlog: bool
    in_place: bool | None
    text: int

    @classmethod
    def parse(cls, line: str) -> "Load":
        """Reads a line. Malformed: it is not such a line."""
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
        """Reads a script. Malformed: a line is none of a script's."""
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        for line in lines:
            word, _, rest = line.partition(" ")
            good = {
                "fault": rest.partition(":")[0] in KINDS,
                "event": rest in EVENTS,
                "nomem": bool(_NOMEM.fullmatch(line)),
            }.get(word, bool(_LOAD.fullmatch(line)))
            if not good:
                raise Malformed(line)
        return cls(lines)

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults in it."""
        lines = [line for line in self.lines if line.startswith("fault ")]
        return tuple(line.removeprefix("fault ").partition(":")[0] for line in lines)

    @property
    def may_lie(self) -> bool:
        """A result may be wrong without an error."""
        return any(name in LIARS for name in self.faults)

    @property
    def starts(self) -> bool:
        """The driver starts the device meanwhile, and may remember what it has been told."""
        return any(f"event {name}" in self.lines for name in ("rebind", "reset", "nap"))


class Maker:
    """Makes scripts, by chance."""

    def __init__(self, chance: random.Random, drivers: Iterable[str]) -> None:
        self._chance = chance
        self._drivers = tuple(drivers)

    def load(self, word: str = "load") -> str:
        """Returns a line that makes requests."""
        count = self._chance.choice((1, 4, 12, self._chance.randint(1, MOST_REQUESTS)))
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
        """Returns a line that has additions to a ring fail."""
        after = self._chance.choice((0, 0, 1, self._chance.randrange(20)))
        count = self._chance.choice((1, 1, 2, self._chance.randint(1, 20)))
        return f"nomem {self._chance.choice(('data', 'control'))} {after} {count}"

    def line(self) -> str:
        """Returns any line."""
        draw = self._chance.random()
        if draw < 0.5:
            return fault(self._chance, self._chance.choice(tuple(KINDS)))
        if draw < 0.75:
            return self.load(self._chance.choice(("load", "load", "start")))
        if draw < 0.8:
            return self.nomem()
        return f"event {self._chance.choice(EVENTS)}"

    def seeds(self) -> Iterable[Script]:
        """Yields scripts to begin with: each fault by itself, with several algorithms, and each event."""
        for name, kind in KINDS.items():
            if not kind.at_start:
                drivers = self._chance.sample(self._drivers, min(SEVERAL, len(self._drivers)))
                loads = [self._load("load", driver, FEW) for driver in drivers]
                yield Script((fault(self._chance, name), *loads))
            else:
                yield Script((fault(self._chance, name), "event rebind", self.load()))
        for name in EVENTS:
            yield Script((self.load("start"), f"event {name}", self.load()))
        for lines in TOGETHER:
            yield Script(
                tuple(self.load(line) if line in ("load", "start") else line for line in lines)
            )
        for queue in ("data", "control"):
            yield Script((f"nomem {queue} 0 1", self.load(), "event keys", self.load()))

    def mutate(self, script: Script, other: Script) -> Script:
        """Returns a script that differs from the first one, perhaps with lines of the other."""
        lines = list(script.lines)
        for _ in range(self._chance.choice((1, 1, 2, 3, 5))):
            self._change(lines, other)
        return Script(tuple(lines[:MOST_LINES]) or (self.line(), self.load()))

    def _change(self, lines: list[str], other: Script) -> None:
        place = self._chance.randrange(len(lines) + 1)
        there = place < len(lines)
        match self._chance.randrange(8):
            case 0 | 1:
                lines.insert(place, self.line())
            case 2 if there:
                del lines[place]
            case 3 if there:
                lines[place] = self.line()
            case 4 if there:
                lines.insert(self._chance.randrange(len(lines)), lines.pop(place))
            case 5:
                cut = self._chance.randrange(len(other.lines) + 1)
                lines[place:] = other.lines[cut:]
            case _ if there:
                lines[place] = self._tweaked(lines[place])

    def _tweaked(self, line: str) -> str:
        """The same line with other numbers."""
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
        return self._load(word, Load.parse(line).driver, self._chance.randint(1, MOST_REQUESTS))
