# SPDX-License-Identifier: GPL-2.0
"""The settings that are measured: algorithms, implementations, sizes and depths, and the guests.

The keys of implementations, in fields named "who", are explained in reporting/results.py.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator
from pathlib import Path

SIZES = (16, 64, 256, 1500, 4096, 16384, 65536)
DEPTHS = (1, 2, 4, 8, 32, 128, 1000)
# The depth if the size is varied, and the size if the depth is varied.
DEPTH = 8
SIZE = 4096
# Additional sizes and depths of cbc(aes) on QEMU's device. Another method has measured them, so the
# results can be compared.
COMPARABLE = ((16, 1), (512, 8), (4096, 1), (4096, 8), (1024, 32), (65536, 8))
# The implementations that always have one request in flight.
SYNCHRONOUS = ("rust-sync", "cpu", "software")
# The implementations that can have several requests in flight.
ASYNCHRONOUS = ("rust", "c", "ring")
AAD = 16
TAG = 16
# The rounds of settings that are timed.
TIMED_ROUNDS = 20
# The processors of the guests that measure scaling.
PROCESSORS = (1, 2, 4)
# The processors of the guest in which waits for locks are counted.
CONTENDING_PROCESSORS = 2


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """An algorithm, and the driver names of its implementations."""

    name: str
    service: str
    type: str  # the type in commands of vc_bench
    drivers: dict[str, str]  # driver names, by implementation
    key: int = 0  # bytes
    block: int = 1  # sizes are a multiple of this number
    direction: str = "encrypt"
    in_place: bool = True
    aad: int = 0
    tag: int = 0
    reference: str = ""  # driver name of the reference; if empty, that of "software"

    def size(self, size: int) -> int:
        """Rounds a size down to the next valid one."""
        return size // self.block * self.block


def _cipher(mode: str, cpu: str, key: int, block: int) -> Algorithm:
    drivers = {
        "rust": f"{mode}-aes-virtio",
        "rust-sync": f"{mode}-aes-virtio-sync",
        "cpu": f"{mode}-aes-{cpu}",
        "software": f"{mode}-aes-lib",
    }
    if mode == "cbc":
        drivers |= {"c": "virtio_crypto_aes_cbc", "ring": "vc_ring"}
    return Algorithm(f"{mode}(aes)", "cipher", "skcipher", drivers, key, block)


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        _cipher("cbc", "aesni", 16, 16),
        _cipher("ctr", "aesni-avx", 16, 1),
        _cipher("xts", "aesni-avx", 64, 16),
        Algorithm(
            "gcm(aes)",
            "aead",
            "aead",
            {
                "rust": "gcm-aes-virtio",
                "rust-sync": "gcm-aes-virtio-sync",
                "cpu": "generic-gcm-aesni-avx",
                "software": "gcm-aes-lib",
            },
            key=16,
            aad=AAD,
            tag=TAG,
        ),
        Algorithm(
            "authenc(hmac(sha256),cbc(aes))",
            "aead",
            "aead",
            {
                "rust": "authenc-hmac-sha256-cbc-aes-virtio",
                "rust-sync": "authenc-hmac-sha256-cbc-aes-virtio-sync",
                "cpu": "authenc(hmac-sha256-lib,cbc-aes-aesni)",
                "software": "authenc(hmac-sha256-lib,cbc-aes-lib)",
            },
            key=48,
            block=16,
            aad=AAD,
            tag=TAG,
        ),
        Algorithm(
            "sha256",
            "hash",
            "ahash",
            {"rust": "sha256-virtio", "software": "sha256-lib"},
            direction="digest",
            in_place=False,
        ),
        Algorithm(
            "hmac(sha256)",
            "mac",
            "ahash",
            {"rust": "hmac-sha256-virtio", "software": "hmac-sha256-lib"},
            key=32,
            direction="digest",
            in_place=False,
        ),
        Algorithm(
            "rsa",
            "akcipher",
            "akcipher",
            {"rust": "rsa-virtio", "software": "rsa-generic"},
            direction="decrypt",
            in_place=False,
        ),
        Algorithm(
            "ecdsa-nist-p256",
            "sig",
            "sig",
            {
                "rust": "x962(ecdsa-nist-p256-virtio)",
                "software": "x962(ecdsa-nist-p256-generic)",
            },
            direction="verify",
            in_place=False,
        ),
        Algorithm(
            "pkcs1(rsa,sha256)", "sig", "sig",
            {"rust": "pkcs1(rsa-virtio,sha256)", "software": "pkcs1(rsa-generic,sha256)"},
            direction="sign", in_place=False,
        ),  # fmt: skip
        # The kernel's implementation can only verify, so it is the reference but is not measured.
        Algorithm(
            "ecdsa-nist-p256, sign", "sig", "sig", {"rust": "ecdsa-nist-p256-virtio"},
            direction="sign", in_place=False, reference="ecdsa-nist-p256-generic",
        ),  # fmt: skip
    )
}


# The options of commands for signatures, and the files that contain the values of the options.
SIGNATURES = {
    "ecdsa-nist-p256": {"key": "p256.point", "message": "p256.signature", "digest": "p256.digest"},
    "pkcs1(rsa,sha256)": {"key": "rsa2048.private", "message": "rsa2048.public"},
    "ecdsa-nist-p256, sign": {"key": "p256.private", "message": "p256.point"},
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One line of the results: a combination that is measured."""

    algorithm: str  # a key of ALGORITHMS
    who: str  # the implementation
    device: str | None  # qemu or ref
    size: int
    depth: int
    requests: int
    direction: str
    in_place: bool
    segments: int = 1

    @property
    def row(self) -> Algorithm:
        """Returns the algorithm."""
        return ALGORITHMS[self.algorithm]

    @property
    def driver(self) -> str:
        """Returns the driver name of the implementation."""
        return self.row.drivers[self.who]

    def __str__(self) -> str:
        device = f" on {self.device}" if self.device else ""
        return f"{self.algorithm} {self.who}{device} {self.size}/{self.depth}"

    def command(self, mark: int, rounds: int, keys: "Keys") -> str:
        """Returns the command for vc_bench or vc_ring."""
        row = self.row
        options: dict[str, str | int] = {
            "type": row.type,
            "driver": self.driver,
            "reference": row.reference or row.drivers["software"],
            "op": self.direction,
            "size": self.size,
            "depth": self.depth,
            "requests": self.requests,
            "rounds": rounds,
            "mark": mark,
            "in_place": int(self.in_place),
            "segments": self.segments,
            "aad": row.aad,
            "tag": row.tag,
        }
        options |= {name: value.hex() for name, value in keys.options_for(self).items()}
        return " ".join(f"{name}={value}" for name, value in options.items())


@dataclasses.dataclass(frozen=True)
class Keys:
    """The keys. make-keys has created the keys of RSA and ECDSA. The other keys are arbitrary."""

    folder: Path

    def options_for(self, setting: Setting) -> dict[str, bytes]:
        """Returns the options of a command whose values are bytes."""
        row = setting.row
        if row.type == "akcipher":
            kind = "private" if setting.direction == "decrypt" else "public"
            return {"key": (self.folder / f"rsa2048.{kind}").read_bytes()}
        if row.type == "sig":
            files = SIGNATURES[row.name].items()
            return {name: (self.folder / file).read_bytes() for name, file in files}
        key = bytes(range(1, row.key + 1))
        if row.name.startswith("authenc"):
            # struct rtattr and struct crypto_authenc_key_param, then both keys.
            key = struct.pack("=HH", 8, 1) + struct.pack(">I", 16) + key
        return {"key": key} if key else {}


def setting(name: str, who: str, device: str | None, size: int, depth: int) -> Setting:
    """Returns a setting with a number of requests that does not take long. Ignores the size of
    public-key algorithms, and the depth of implementations that have one request in flight."""
    row = ALGORITHMS[name]
    if row.type in ("akcipher", "sig"):
        # Software executes millions of instructions for a request. Few requests suffice, because
        # the number of instructions varies little.
        size, requests = 256 if row.type == "akcipher" else 32, 20 if who == "software" else 100
    else:
        size = row.size(size)
        requests = max(400, min(2000, (8 << 20) // size))
    depth = 1 if who in SYNCHRONOUS or row.type == "sig" else depth
    return Setting(
        name,
        who,
        None if who in ("cpu", "software") else device,
        size,
        depth,
        max(requests, 4 * depth),
        row.direction,
        row.in_place,
    )


def _sizes_and_depths(mode: str) -> Iterator[tuple[int, int]]:
    """Returns pairs of a size and a depth."""
    if mode == "long":
        yield from ((size, depth) for size in SIZES for depth in DEPTHS)
    elif mode == "quick":
        yield from ((size, DEPTH) for size in (16, 1500, SIZE))
        yield SIZE, 1
    else:
        yield from ((size, DEPTH) for size in SIZES)
        yield from ((SIZE, depth) for depth in DEPTHS)
        yield 1500, 1


def _settings(name: str, device: str, mode: str) -> Iterator[Setting]:
    """Returns all settings of an algorithm on a device."""
    row = ALGORITHMS[name]
    pairs = list(_sizes_and_depths(mode))
    for who in row.drivers:
        has_comparable = name == "cbc(aes)" and device == "qemu" and who in ASYNCHRONOUS
        more = COMPARABLE if has_comparable else ()
        if device != "qemu" and who in ("c", "ring"):
            continue
        # Implementations without a device are measured in one guest only: cbc(aes) with QEMU's
        # device, the others with the reference device.
        if who in ("cpu", "software") and (device == "qemu") != (name == "cbc(aes)"):
            continue
        yield from (setting(name, who, device, *pair) for pair in (*pairs, *more))


@dataclasses.dataclass(frozen=True)
class Boot:
    """A guest: its devices with their drivers, and the measurements."""

    name: str
    devices: tuple[tuple[str, str], ...]  # value of --device, and implementation that drives it
    settings: tuple[Setting, ...]
    # The last round is the result. Its difference to the previous round is the noise. guard.py uses
    # the lowest costs of all rounds.
    rounds: int = 2
    # Settings that are timed alternately, without the plugin.
    pairs: tuple[tuple[Setting, Setting], ...] = ()
    # Processors that make requests at the same time, without the plugin.
    processors: int = 1
    # Whether waits for locks are counted, instead of requests per second.
    contended: bool = False

    @property
    def is_counted(self) -> bool:
        """Returns whether the guest needs the plugin."""
        return not self.pairs and self.processors == 1 and not self.name.startswith("scaling")

    @property
    def steps(self) -> int:
        """Returns the number of steps for the progress messages."""
        return len(self.settings) + len(self.pairs)

    @property
    def options(self) -> list[str]:
        """Returns the options of vm run."""
        arguments = ["--smp", str(self.processors), "--mem", "1536M"]
        arguments += ["--append", "cryptomgr.notests=1"]
        if self.contended:
            # With KVM, the kernel would wait in a paravirtualized function, to which measure.py
            # attaches no kprobe.
            arguments += ["--append", "nopvspin"]
        if any(kind.startswith("ref") for kind, _ in self.devices):
            arguments += ["--param", "ecdsa_number=2"]
        for kind, _ in self.devices:
            arguments += ["--device", kind]
        return arguments


def _unique(settings: Iterator[Setting]) -> tuple[Setting, ...]:
    return tuple(dict.fromkeys(settings))


def boots(mode: str) -> list[Boot]:
    """Returns the guests of a mode: quick, usual, long, guard, single. Raises ValueError if the
    mode is unknown."""
    if mode in ("guard", "single"):
        guarded: Iterator[Setting] = iter(GUARDED)
        if mode == "single":
            guarded = (dataclasses.replace(setting, depth=1) for setting in GUARDED)
        return [Boot(mode, (("qemu", "rust"), ("ref", "rust")), _unique(guarded), rounds=4)]
    if mode not in ("quick", "usual", "long"):
        raise ValueError(f"{mode}: no such mode, expected quick, usual, long, guard or single")
    qemu_devices = (("qemu", "rust"), ("qemu", "c"), ("qemu", "ring"))
    on_qemu = ["cbc(aes)"] if mode == "quick" else ["cbc(aes)", "ctr(aes)", "xts(aes)"]
    omitted = ("cbc(aes)", "ctr(aes)") if mode == "quick" else ()
    on_ref = [name for name in ALGORITHMS if name not in omitted]
    return [
        Boot(
            "qemu",
            qemu_devices,
            _unique(one for name in on_qemu for one in _settings(name, "qemu", mode)),
        ),
        Boot(
            "ref",
            (("ref", "rust"),),
            _unique(one for name in on_ref for one in _settings(name, "ref", mode)),
        ),
        Boot(
            "times",
            (*qemu_devices, ("ref", "rust")),
            (),
            rounds=TIMED_ROUNDS,
            pairs=_timed_pairs(mode),
        ),
        *_scaling(),
        *_contention(),
    ]


def _timed_pairs(mode: str) -> tuple[tuple[Setting, Setting], ...]:
    """Returns the pairs of settings that are timed."""
    points = [(SIZE, DEPTH)]
    if mode != "quick":
        points += [(65536, DEPTH), (16, DEPTH), (SIZE, 1), (SIZE, 128)]
    pairs = [
        (setting("cbc(aes)", "rust", "qemu", *point), setting("cbc(aes)", other, "qemu", *point))
        for other in ("c", "ring")
        for point in points
    ]
    algorithms = ["cbc(aes)", "gcm(aes)"]
    if mode != "quick":
        algorithms += ["xts(aes)", "authenc(hmac(sha256),cbc(aes))"]
    pairs += [
        (setting(name, "rust", "ref", *points[0]), setting(name, "cpu", None, *points[0]))
        for name in algorithms
    ]
    if mode != "quick":
        pairs += [
            (setting(name, "rust", "ref", 0, DEPTH), setting(name, "software", None, 0, 1))
            for name in ("rsa", "ecdsa-nist-p256")
        ]
    return tuple(pairs)


def host_can(processors: int) -> bool:
    """Returns true if the host has two processors for each processor of the guest. The second one
    is for the device."""
    return (os.cpu_count() or 1) >= 2 * processors


def _scaling() -> Iterator[Boot]:
    """Returns guests with different numbers of processors, if the host can run more than one."""
    if host_can(PROCESSORS[1]):
        for processors in filter(host_can, PROCESSORS):
            yield Boot(
                f"scaling-{processors}",
                ((f"ref:queues={processors}", "rust"),),
                (setting("cbc(aes)", "rust", "ref", SIZE, DEPTH),),
                rounds=5,
                processors=processors,
            )


def _contention() -> Iterator[Boot]:
    """Returns a guest with two processors that make requests at the same time."""
    if (os.cpu_count() or 1) >= CONTENDING_PROCESSORS:
        yield Boot(
            "contention",
            ((f"ref:queues={CONTENDING_PROCESSORS}", "rust"),),
            (setting("cbc(aes)", "rust", "ref", SIZE, DEPTH),),
            rounds=20,
            processors=CONTENDING_PROCESSORS,
            contended=True,
        )


# The settings of the test 77-cost and of the mode guard. The mode single has the same settings with
# depth 1.
GUARDED = (
    setting("cbc(aes)", "rust", "qemu", 4096, 1),
    setting("cbc(aes)", "rust", "qemu", 4096, 8),
    setting("cbc(aes)", "rust", "qemu", 65536, 8),
    setting("cbc(aes)", "rust-sync", "qemu", 4096, 1),
    setting("gcm(aes)", "rust", "ref", 1500, 8),
    setting("hmac(sha256)", "rust", "ref", 4096, 8),
)
