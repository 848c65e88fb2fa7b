# SPDX-License-Identifier: GPL-2.0
"""Tests of reporting/names.py: python3 -m unittest discover -s tools/bench"""

import unittest

from reporting.names import short, shortened

CRYPT = (
    "<krate::algorithms::skcipher::Flavour<{}: bool> as "
    "krate::crypto::skcipher::callbacks::Callbacks>::crypt_callback"
)


class Names(unittest.TestCase):
    """Names of functions."""

    def test_names(self) -> None:
        """Names of C functions do not change, paths of Rust functions become short."""
        for name, expected in (
            ("__kmalloc_noprof", "__kmalloc_noprof"),
            (CRYPT.format("true"), "skcipher::Flavour::crypt_callback"),
            ("krate::crypto::offload::context::finish::<krate::a::Flavour<false: bool>>",
             "offload::context::finish"),
            ("<krate::crypto::builder::Builder<krate::a::B, krate::c::D>>::write",
             "builder::Builder::write"),
            ("krate::crypto::a::submit::<<krate::a::F<false> as krate::A>::crypt::{closure#0}>",
             "crypto::a::submit"),
            ("krate::transport::dataq::send", "transport::dataq::send"),
            ("krate::a::b::<krate::T>::{closure#0}", "a::b::{closure#0}"),
            ("<krate::a::F<false> as krate::b::C>::m::{closure#0}", "F::m::{closure#0}"),
            ("<<krate::A as krate::B>::f::{closure#0} as core::ops::FnOnce<()>>::call_once",
             "f::{closure#0}::call_once"),
            ("<krate::Foo<fn(u8) -> u8>>::bar", "krate::Foo::bar"),
        ):  # fmt: skip
            with self.subTest(name=name):
                self.assertEqual(short(name), expected)

    def test_sum(self) -> None:
        """The instructions of a function's variants are added."""
        found = shortened({CRYPT.format("true"): 1, CRYPT.format("false"): 2, "kfree": 3})
        self.assertEqual(found, {"skcipher::Flavour::crypt_callback": 3, "kfree": 3})


if __name__ == "__main__":
    unittest.main()
