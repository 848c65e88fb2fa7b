# SPDX-License-Identifier: GPL-2.0
"""Profiles: options of the reference device that make it offer and accept what a device that exists does.

A profile is a set of options of "crypto-test-device serve" and of --device. What an option cannot express is
named here; Documentation/testing.rst lists it, too.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Profile:
    """What --device ref:profile=NAME or vfio:profile=NAME stands for."""

    options: str
    # What the device can be: ref has no packed rings.
    kinds: tuple[str, ...] = ("ref", "vfio")


PROFILES = {
    # Marvell's function on CN10K: packed rings, in order, revision 1, RSA only, many queues.
    "cn10k": Profile(
        "packed,in-order,revision-1,queues=16,services=akcipher,akcipher-mask=2", ("vfio",)
    ),
    # QEMU's builtin back end. It advertises a hash that it does not do, sessions outlive a reset, and
    # rings are longer than others. It also does modes of AES and 3DES that it does not advertise, which no
    # option can express: --device qemu is there for these.
    "qemu-builtin": Profile(
        "vq-size=1024,services=cipher,,hash,cipher-mask=8,hash-mask=4,max-cipher-key-len=64,"
        "max-auth-key-len=512,max-size=1048576,table-size=256,keep-sessions,"
        "fault=refuse-create:opcode=0x102:value=3"
    ),
    # QEMU's lkcf back end: RSA by the host's kernel, one queue, 256 sessions, answers in any order. It
    # announces no lengths; the device here does, or a driver would have to send nothing.
    "qemu-lkcf": Profile(
        "vq-size=1024,services=akcipher,akcipher-mask=2,table-size=256,keep-sessions,fault=reorder:value=1"
    ),
    # DPDK's vhost_crypto behind QEMU's cryptodev-vhost-user: AES-CBC, alone or with an HMAC in either
    # order, no notification by index, an unlimited max_size. It verifies a tag itself.
    # What a driver sends is compared at the descriptors: descriptors.py.
    "dpdk-vhost": Profile(
        "vq-size=1024,no-event-idx,services=cipher,,hash,,mac,cipher-mask=8,hash-mask=4,mac-mask=0x7e,"
        "max-size=18446744073709551615,table-size=64,chain-digest=verify,"
        "fault=refuse-create:opcode=0x102:value=3,fault=refuse-create:opcode=0x202:value=3"
    ),
}


def expand(name: str, kind: str) -> str:
    """Returns the options of a profile; raises ValueError if there is none for this kind of device."""
    profile = PROFILES.get(name)
    if profile is None:
        raise ValueError(f"profile is one of {', '.join(PROFILES)}")
    if kind not in profile.kinds:
        raise ValueError(f"profile={name} needs --device {' or '.join(profile.kinds)}")
    return profile.options
