# SPDX-License-Identifier: GPL-2.0
"""What is measured: algorithms, who implements them, sizes and depths, and in which guest."""

import dataclasses
import os
import struct
from collections.abc import Iterator
from pathlib import Path

SIZES = (16, 64, 256, 1500, 4096, 16384, 65536)
DEPTHS = (1, 2, 4, 8, 32, 128, 1000)
# At a time, where not the depth but the size is varied, or the other way round.
DEPTH = 8
SIZE = 4096
# Settings of which there are figures from another method, to compare with.
KNOWN = ((16, 1), (512, 8), (4096, 1), (4096, 8), (1024, 32), (65536, 8))
# Those that have one request at a time.
SYNCHRONOUS = ("rust-sync", "cpu", "software")
# Those that post requests to a device, as many at a time as they are told.
POSTING = ("rust", "c", "ring")
AAD = 16
TAG = 16
# Turns of those that are compared by the clock.
TURNS = 20
# Of guests that show how the driver scales.
PROCESSORS = (1, 2, 4)
# Processors of the guest in which waits for locks are counted.
CONTENDING = 2


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One algorithm, and the drivers that implement it, by who they belong to."""

    name: str
    service: str
    type: str  # as vc_bench has it
    drivers: dict[str, str]
    key: int = 0  # bytes
    block: int = 1  # what sizes are a multiple of
    direction: str = "encrypt"
    in_place: bool = True
    aad: int = 0
    tag: int = 0
    reference: str = ""  # what its results are compared with, if not with the software's

    def size(self, size: int) -> int:
        """The next size below that the algorithm takes."""
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
        # The kernel's own can only verify.
        Algorithm(
            "ecdsa-nist-p256, sign", "sig", "sig", {"rust": "ecdsa-nist-p256-virtio"},
            direction="sign", in_place=False, reference="ecdsa-nist-p256-generic",
        ),  # fmt: skip
    )
}


# Options of the command, and the files that have them.
SIGNATURES = {
    "ecdsa-nist-p256": {"key": "p256.point", "message": "p256.signature", "digest": "p256.digest"},
    "pkcs1(rsa,sha256)": {"key": "rsa2048.private", "message": "rsa2048.public"},
    "ecdsa-nist-p256, sign": {"key": "p256.private", "message": "p256.point"},
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One line of the results: what is measured together."""

    algorithm: str
    who: str
    device: str | None  # qemu or ref
    size: int
    depth: int
    requests: int
    direction: str
    in_place: bool
    segments: int = 1

    @property
    def row(self) -> Algorithm:
        """The algorithm."""
        return ALGORITHMS[self.algorithm]

    @property
    def driver(self) -> str:
        """The name that the kernel knows the implementation by."""
        return self.row.drivers[self.who]

    def __str__(self) -> str:
        device = f" on {self.device}" if self.device else ""
        return f"{self.algorithm} {self.who}{device} {self.size}/{self.depth}"

    def command(self, mark: int, rounds: int, keys: "Keys") -> str:
        """The line for vc_bench or vc_ring."""
        row = self.row
        words: dict[str, str | int] = {
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
        words |= {name: value.hex() for name, value in keys.of(self).items()}
        return " ".join(f"{name}={value}" for name, value in words.items())


@dataclasses.dataclass(frozen=True)
class Keys:
    """What openssl has made: see make-keys. The others are any bytes."""

    folder: Path

    def of(self, setting: Setting) -> dict[str, bytes]:
        """The options of the command that are bytes."""
        row = setting.row
        if row.type == "akcipher":
            half = "private" if setting.direction == "decrypt" else "public"
            return {"key": (self.folder / f"rsa2048.{half}").read_bytes()}
        if row.type == "sig":
            files = SIGNATURES[row.name].items()
            return {name: (self.folder / file).read_bytes() for name, file in files}
        key = bytes(range(1, row.key + 1))
        if row.name.startswith("authenc"):
            # struct rtattr and struct crypto_authenc_key_param, then both keys.
            key = struct.pack("=HH", 8, 1) + struct.pack(">I", 16) + key
        return {"key": key} if key else {}


def setting(name: str, who: str, device: str | None, size: int, depth: int) -> Setting:
    """A setting, with as many requests as do not take long."""
    row = ALGORITHMS[name]
    if row.type in ("akcipher", "sig"):
        # Software takes millions of instructions, and the same each time.
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


def _pairs(mode: str) -> Iterator[tuple[int, int]]:
    """Sizes and depths."""
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
    """All of one algorithm on one device."""
    row = ALGORITHMS[name]
    pairs = list(_pairs(mode))
    for who in row.drivers:
        known = KNOWN if name == "cbc(aes)" and device == "qemu" and who in POSTING else ()
        if device != "qemu" and who in ("c", "ring"):
            continue
        # Those without a device are measured once: cbc(aes) beside QEMU's, the others beside ref.
        if who in ("cpu", "software") and (device == "qemu") != (name == "cbc(aes)"):
            continue
        yield from (setting(name, who, device, *pair) for pair in (*pairs, *known))


@dataclasses.dataclass(frozen=True)
class Boot:
    """A guest: its devices, whom each is for, and what is measured there."""

    name: str
    devices: tuple[tuple[str, str], ...]  # kind and who
    settings: tuple[Setting, ...]
    # The last one counts, the one before it shows how exact it is. The guard takes the best.
    rounds: int = 2
    # Those that are measured by the clock, in turns, without the plugin.
    pairs: tuple[tuple[Setting, Setting], ...] = ()
    # Processors that make the settings' requests at the same time, without the plugin.
    processors: int = 1
    # Spins on locks are counted, not requests per second.
    contended: bool = False

    @property
    def is_counted(self) -> bool:
        """The plugin is needed."""
        return not self.pairs and self.processors == 1 and not self.name.startswith("scaling")

    @property
    def steps(self) -> int:
        """How many there are to report progress of."""
        return len(self.settings) + len(self.pairs)

    @property
    def options(self) -> list[str]:
        """Those of vm run."""
        words = ["--smp", str(self.processors), "--mem", "1536M", "--append", "cryptomgr.notests=1"]
        if self.contended:
            # With KVM another function waits, which is not counted.
            words += ["--append", "nopvspin"]
        if any(kind.startswith("ref") for kind, _ in self.devices):
            words += ["--param", "ecdsa_number=2"]
        for kind, _ in self.devices:
            words += ["--device", kind]
        return words


def _unique(settings: Iterator[Setting]) -> tuple[Setting, ...]:
    return tuple(dict.fromkeys(settings))


def boots(mode: str) -> list[Boot]:
    """The guests of a mode: quick, usual, long, guard, single. ValueError: there is none such."""
    if mode in ("guard", "single"):
        guarded: Iterator[Setting] = iter(GUARDED)
        if mode == "single":
            guarded = (dataclasses.replace(one, depth=1) for one in GUARDED)
        return [Boot(mode, (("qemu", "rust"), ("ref", "rust")), _unique(guarded), rounds=4)]
    if mode not in ("quick", "usual", "long"):
        raise ValueError(f"{mode}: no such mode, expected quick, usual, long, guard or single")
    everyone = (("qemu", "rust"), ("qemu", "c"), ("qemu", "ring"))
    on_qemu = ["cbc(aes)"] if mode == "quick" else ["cbc(aes)", "ctr(aes)", "xts(aes)"]
    left_out = ("cbc(aes)", "ctr(aes)") if mode == "quick" else ()
    on_ref = [name for name in ALGORITHMS if name not in left_out]
    return [
        Boot(
            "qemu",
            everyone,
            _unique(one for name in on_qemu for one in _settings(name, "qemu", mode)),
        ),
        Boot(
            "ref",
            (("ref", "rust"),),
            _unique(one for name in on_ref for one in _settings(name, "ref", mode)),
        ),
        Boot("times", (*everyone, ("ref", "rust")), (), rounds=TURNS, pairs=_pairs_of(mode)),
        *_scaling(),
        *_contention(),
    ]


def _pairs_of(mode: str) -> tuple[tuple[Setting, Setting], ...]:
    """Who is compared by the clock."""
    points = [(SIZE, DEPTH)]
    if mode != "quick":
        points += [(65536, DEPTH), (16, DEPTH), (SIZE, 1), (SIZE, 128)]
    found = [
        (setting("cbc(aes)", "rust", "qemu", *point), setting("cbc(aes)", other, "qemu", *point))
        for other in ("c", "ring")
        for point in points
    ]
    algorithms = ["cbc(aes)", "gcm(aes)"]
    if mode != "quick":
        algorithms += ["xts(aes)", "authenc(hmac(sha256),cbc(aes))"]
    found += [
        (setting(name, "rust", "ref", *points[0]), setting(name, "cpu", None, *points[0]))
        for name in algorithms
    ]
    if mode != "quick":
        found += [
            (setting(name, "rust", "ref", 0, DEPTH), setting(name, "software", None, 0, 1))
            for name in ("rsa", "ecdsa-nist-p256")
        ]
    return tuple(found)


def host_can(processors: int) -> bool:
    """The host has a processor for each of a guest's, and as many for the device."""
    return (os.cpu_count() or 1) >= 2 * processors


def _scaling() -> Iterator[Boot]:
    """Guests with several processors, if there is more than one that the host can run."""
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
    """A guest with two processors that make requests at the same time."""
    if (os.cpu_count() or 1) >= CONTENDING:
        yield Boot(
            "contention",
            ((f"ref:queues={CONTENDING}", "rust"),),
            (setting("cbc(aes)", "rust", "ref", SIZE, DEPTH),),
            rounds=20,
            processors=CONTENDING,
            contended=True,
        )


# What the test measures. The mode single has the same with one request at a time.
GUARDED = (
    setting("cbc(aes)", "rust", "qemu", 4096, 1),
    setting("cbc(aes)", "rust", "qemu", 4096, 8),
    setting("cbc(aes)", "rust", "qemu", 65536, 8),
    setting("cbc(aes)", "rust-sync", "qemu", 4096, 1),
    setting("gcm(aes)", "rust", "ref", 1500, 8),
    setting("hmac(sha256)", "rust", "ref", 4096, 8),
)
