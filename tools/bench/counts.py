# SPDX-License-Identifier: GPL-2.0
"""Evaluates the counts of the plugin: attributes basic blocks to functions, and computes the costs
of a request."""

import bisect
import collections
import dataclasses
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from settings import Setting

# The kernel's functions that count as the core of a request: the ring, memory, scatterlists, the
# crypto API, DMA, queueing of work, and locks. The functions of all modules belong to the core,
# too.
CORE = re.compile(
    r"(virtqueue_|vring_|vp_|detach_buf|more_used"
    r"|_*kmalloc|kfree|kvfree|_*kmem_cache|_*slab_"
    r"|(__)?(memset|memcpy|memmove)(_orig|_erms)?$|__virt_addr_valid|sg_|scatterwalk"
    r"|crypto_|skcipher_|aead_|ahash_|akcipher_"
    r"|_*dma_|swiotlb|_*queue_(delayed_)?work|mod_delayed_work"
    r"|_raw_|native_queued)"
)
# C helpers of the kernel crate, for example for reference counts and atomic variables. Debian's
# kernel does not inline them.
HELPER = re.compile(r"rust_helper_")
# The checksum that the kernel computes for the driver. The cost of the checksum grows with the size
# of the data, so it is counted separately.
CHECKSUM = re.compile(r"crc32")
# Functions of the allocators. None of them calls another one, so each allocation counts once.
ALLOCATION = re.compile(
    r"(__kmalloc(_cache)?(_node)?(_track_caller)?(_large)?|kmem_cache_alloc(_lru|_node)?)(_noprof)?"
)
FREE = re.compile(r"kfree|kmem_cache_free")
SWITCH = re.compile(r"finish_task_switch(\..*)?")
NOTIFICATION = re.compile(r"vp_notify(_with_data)?")
# A driver calls KICK to ask whether it must notify the device, and RUN at the end of each run of
# its bottom half.
KICK = re.compile(r"virtqueue_kick_prepare_(split|packed).*")
RUN = re.compile(r"virtqueue_enable_cb_prepare")
# Without MSI-X, SHARED_INTERRUPT calls INTERRUPT for each queue.
SHARED_INTERRUPT = "vp_vring_interrupt"
INTERRUPT = "vring_interrupt"
# The module that makes the requests. Its instructions do not count. vc_ring also makes requests,
# but its instructions count, because it takes the place of a driver.
LOAD = "vc_bench"
# The module of instructions in user space.
USER = "[user]"
# The types of symbols of functions in kallsyms.
TEXT = "tTwW"
KERNEL_SPACE = 1 << 63
# The number of functions in a result.
FUNCTIONS = 40


class Unusable(Exception):
    """Counts that do not belong to the settings, or are incomplete."""


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of the guest."""

    name: str
    module: str  # "kernel" if it belongs to no module


@dataclasses.dataclass
class Total:
    """The counts of a function in a measurement."""

    instructions: int = 0
    atomics: int = 0
    calls: int = 0


class Symbols:
    """The guest's symbols by address."""

    def __init__(self, kallsyms: str) -> None:
        by_address: dict[int, Function] = {}
        for line in kallsyms.splitlines():
            address, kind, name, *module = line.split()
            if kind in TEXT:
                function = Function(name, module[0].strip("[]") if module else "kernel")
                # A function may have several names. Always using the shortest one keeps results
                # comparable.
                old = by_address.get(int(address, 16))
                if not old or (len(name), name) < (len(old.name), old.name):
                    by_address[int(address, 16)] = function
        if len(by_address) < 2:
            raise Unusable("the guest's kernel hides the addresses of its symbols")
        self._addresses = sorted(by_address)
        self._functions = [by_address[address] for address in self._addresses]

    def at(self, address: int) -> tuple[Function, bool]:
        """Returns the function at an address, and whether the function begins there."""
        if address < KERNEL_SPACE:
            return Function(USER, USER), False
        index = bisect.bisect_right(self._addresses, address) - 1
        if index < 0:
            return Function(USER, USER), False
        return self._functions[index], self._addresses[index] == address


Measurement = dict[Function, Total]


def read(path: Path, symbols: Symbols) -> dict[int, Measurement]:
    """Reads the output of the plugin. Returns the measurements by number."""
    measurements = {}
    current: Measurement | None = None
    number = 0
    with path.open() as lines:
        for line in lines:
            match line.split():
                case ["begin", text]:
                    number, current = int(text), collections.defaultdict(Total)
                case ["end"] if current is not None:
                    measurements[number], current = current, None
                case [address, instructions, atomics, executions] if current is not None:
                    function, begins = symbols.at(int(address, 16))
                    total = current[function]
                    total.instructions += int(instructions) * int(executions)
                    total.atomics += int(atomics) * int(executions)
                    total.calls += int(executions) if begins else 0
                case _:
                    raise Unusable(f"{path}: not a line of the plugin: {line.strip()}")
    return measurements


def read_folder(folder: Path) -> dict[int, Measurement]:
    """Returns the measurements of the guest whose files are in the folder."""
    return read(folder / "counts", Symbols((folder / "kallsyms").read_text()))


def per_request(
    measurement: Measurement, modules: list[str], requests: int
) -> dict[str, float]:
    """Returns the costs of a request. `modules` are the modules of the driver."""

    def calls(pattern: re.Pattern[str]) -> int:
        return sum(
            total.calls
            for function, total in measurement.items()
            if function.module in ("kernel", "virtio_pci", "virtio_ring")
            and pattern.fullmatch(function.name)
        )

    driver = core = checksum = whole = atomics = shared_atomics = user = 0
    for function, total in measurement.items():
        if function.module == LOAD:
            continue
        whole += total.instructions
        atomics += total.atomics
        if function.module in modules and function.module != "kernel":
            driver += total.instructions
            shared_atomics += total.atomics
        elif HELPER.match(function.name):
            shared_atomics += total.atomics
        if function.module == USER:
            user += total.instructions
        if function.module not in ("kernel", USER) or CORE.match(function.name):
            core += total.instructions
        elif CHECKSUM.match(function.name):
            checksum += total.instructions
    shared_interrupts = calls(re.compile(SHARED_INTERRUPT))
    sums = {
        "module": driver,
        "core": core,
        "checksum": checksum,
        "whole": whole,
        "user": user,
        "notifications": calls(NOTIFICATION),
        "kicks": calls(KICK),
        "runs": calls(RUN),
        "interrupts": shared_interrupts or calls(re.compile(INTERRUPT)),
        "allocations": calls(ALLOCATION),
        "frees": calls(FREE),
        "switches": calls(SWITCH),
        "atomics": atomics,
        "shared_atomics": shared_atomics,
    }
    return {name: round(count / requests, 4) for name, count in sums.items()}


def demangled(names: list[str]) -> list[str]:
    """Returns the names, with those of Rust functions demangled."""
    mangled = [name for name in names if name.startswith("_R")]
    if not mangled:
        return names
    text = "\n".join(mangled)
    result = subprocess.run(
        ["c++filt", "-s", "rust"], input=text, capture_output=True, text=True, check=True
    )
    readable = dict(zip(mangled, result.stdout.splitlines(), strict=True))
    return [_without_hashes(readable.get(name, name)) for name in names]


def _without_hashes(name: str) -> str:
    """Removes the hashes of crates from a Rust path."""
    return re.sub(r"\[[0-9a-f]{16}\]", "", name)


def functions(measurement: Measurement, requests: int) -> dict[str, float]:
    """Returns the instructions per request of the most expensive functions."""
    sums: collections.Counter[str] = collections.Counter()
    counted = [
        (function, total) for function, total in measurement.items() if function.module != LOAD
    ]
    for name, (_, total) in zip(
        demangled([function.name for function, _ in counted]), counted, strict=True
    ):
        sums[name] += total.instructions
    return {name: round(count / requests, 2) for name, count in sums.most_common(FUNCTIONS)}


def noise(first: float, second: float) -> float:
    """Returns the relative difference of two measurements."""
    return round(abs(first - second) / max(first, second, 1), 4)


@dataclasses.dataclass
class Measured:
    """The costs of a setting, for each round."""

    setting: Setting
    rounds: list[dict[str, float]]
    functions: list[dict[str, float]]


def measured(folder: Path) -> Iterator[Measured]:
    """Returns the measurements of each setting of the guest whose files are in the folder."""
    guest = json.loads((folder / "measured.json").read_text())
    if "measured" not in guest:
        raise Unusable(f"{folder}: the instructions of this guest were not counted")
    measurements = read_folder(folder)
    for entry in guest["measured"]:
        setting = Setting(**entry["setting"])
        numbers = range(entry["mark"], entry["mark"] + guest["rounds"])
        if not all(number in measurements for number in numbers):
            raise Unusable(f"{setting}: the plugin has no measurement of it")
        parts = [measurements[number] for number in numbers]
        rounds = [per_request(part, entry["modules"], setting.requests) for part in parts]
        if setting.device and not all(costs["notifications"] for costs in rounds):
            raise Unusable(f"{setting}: the device was not used")
        yield Measured(setting, rounds, [functions(part, setting.requests) for part in parts])


def results(folder: Path) -> Iterator[dict[str, object]]:
    """Returns a guest's part of the list "counts" of results.json."""
    for measurement in measured(folder):
        setting = measurement.setting
        before, costs = measurement.rounds[-2:]
        yield {
            "service": setting.row.service,
            "algorithm": setting.algorithm,
            "who": setting.who,
            "driver": setting.driver,
            "device": setting.device,
            "size": setting.size,
            "depth": setting.depth,
            "direction": setting.direction,
            "in_place": setting.in_place,
            "segments": setting.segments,
            "requests": setting.requests,
            "per_request": costs,
            "noise": noise(before["whole"], costs["whole"]),
            "noise_core": noise(before["core"], costs["core"]),
            "functions": measurement.functions[-1],
        }
