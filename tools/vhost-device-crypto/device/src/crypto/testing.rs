// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Functions that the tests of the algorithms share.

use crate::memory::{Slice, Slices, Span};
use crate::status::Result;

/// The plaintext of NIST SP 800-38A and 800-38B.
pub const SP_800_38: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

/// Converts hexadecimal digits to bytes.
pub fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Returns pseudo-random bytes, the same for the same seed.
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Returns the first `len` bytes of `memory`, cut at these offsets.
pub fn cut<'m>(memory: Slice<'m>, len: usize, offsets: &[usize]) -> Slices<'m> {
    let mut slices = Slices::default();
    let mut from = 0;
    for to in offsets.iter().copied().filter(|&at| at < len).chain([len]) {
        slices.push(memory.subslice(from, to - from).unwrap());
        from = to;
    }
    slices
}

/// Returns lists of offsets at which to cut `len` bytes: none, all, every 3rd to 17th, and each
/// single offset.
pub fn cuts(len: usize) -> Vec<Vec<usize>> {
    let once = (1..len).map(|at| vec![at]);
    let odd = [3, 5, 7, 13, 17].map(|step| (1..len).step_by(step).collect());
    [vec![], (1..len).collect()].into_iter().chain(odd).chain(once).collect()
}

/// Checks that `run` computes `expected` from `src`, for all cuts of source and destination:
/// different cuts, equal cuts, and in place. `run` must not write outside the destination.
pub fn check_cut(src: &[u8], expected: &[u8], run: impl Fn(&Span<'_>, &Span<'_>) -> Result<()>) {
    const GUARD: [u8; 32] = [0xa5; 32];
    let guarded = |bytes: &[u8], len| [bytes, &vec![0xa5; len - bytes.len()], &GUARD].concat();
    let check = |src_cuts: &[usize], dst_cuts: &[usize]| {
        let mut from = src.to_vec();
        let mut to = guarded(&[], expected.len());
        let (src_slices, dst_slices) = (
            cut(Slice::from(&mut from[..]), src.len(), src_cuts),
            cut(Slice::from(&mut to[..]), expected.len(), dst_cuts),
        );
        run(&src_slices.span(), &dst_slices.span()).unwrap();
        drop((src_slices, dst_slices));
        assert_eq!(to, [expected, &GUARD].concat(), "cut at {src_cuts:?} and {dst_cuts:?}");
        assert_eq!(from, src);

        let len = src.len().max(expected.len());
        let mut buffer = guarded(src, len);
        let memory = Slice::from(&mut buffer[..]);
        let (src_slices, dst_slices) =
            (cut(memory, src.len(), src_cuts), cut(memory, expected.len(), dst_cuts));
        run(&src_slices.span(), &dst_slices.span()).unwrap();
        drop((src_slices, dst_slices));
        assert_eq!(
            buffer[..expected.len()],
            *expected,
            "in place, cut at {src_cuts:?} and {dst_cuts:?}"
        );
        assert_eq!(buffer[len..], GUARD);
    };
    let cuts = cuts(src.len().max(expected.len()));
    // For long messages all pairs of cuts would take too long.
    let partners = if src.len() <= 48 { cuts.len() } else { 7 };
    for offsets in &cuts {
        check(offsets, offsets);
        for other in &cuts[..partners] {
            check(offsets, other);
            check(other, offsets);
        }
    }
}

/// Checks that `run` succeeds, and writes nothing outside its memory, if source and destination
/// overlap at any offset. The results are not checked.
pub fn check_overlaps(len: usize, run: impl Fn(&Span<'_>, &Span<'_>) -> Result<()>) {
    for shift in 1..40 {
        for offsets in cuts(len).iter().take(9) {
            let mut bytes = vec![0xa5; len + shift + 32];
            let memory = Slice::from(&mut bytes[..]);
            let shifted = memory.offset(shift).unwrap();
            let (some, other) = (cut(memory, len, offsets), cut(shifted, len, &[]));
            run(&some.span(), &other.span()).unwrap();
            run(&other.span(), &some.span()).unwrap();
            drop((some, other));
            assert_eq!(bytes[len + shift..], [0xa5; 32]);
        }
    }
}
