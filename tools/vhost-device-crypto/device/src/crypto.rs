// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Ciphers, hashes, MACs, AEADs and public keys, by OpenSSL's libcrypto.

pub mod aead;
mod cbc_mac;
pub mod cipher;
mod ctr;
mod der;
pub mod ecdsa;
pub mod hash;
pub mod mac;
pub mod rsa;
#[cfg(test)]
mod testing;
mod xts;

use std::sync::{Mutex, OnceLock, PoisonError};

use openssl::cipher::CipherRef;
use zeroize::{Zeroize, Zeroizing};

use crate::memory::{Slice, Span};
use crate::openssl_ffi::{self, Context};
use crate::protocol::algorithm::Direction;
use crate::status::{Result, StatusError};

/// The most bytes that the library is given at a time: its lengths are C's `int`. Tests
/// have a lower bound, to get at it.
const LONGEST: usize = if cfg!(test) { 1 << 12 } else { 1 << 30 };

/// Bytes that go through the stack where they cannot be worked on in place.
const BOUNCE: usize = 64;

/// Things that are slow to make, for as many threads as need one at a time.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    pub(crate) const fn new() -> Self {
        Pool(Mutex::new(Vec::new()))
    }

    /// Does something with one of them. It is not used again if that fails, as nobody
    /// knows the state it is in.
    pub(crate) fn with<R>(
        &self,
        make: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        let idle = self.idle().pop();
        let mut one = idle.map_or_else(make, Ok)?;
        let result = work(&mut one)?;
        self.idle().push(one);
        Ok(result)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cipher's contexts, all with the same key, that is scheduled once for each.
pub(crate) struct ContextPool {
    cipher: &'static CipherRef,
    direction: Direction,
    key: Zeroizing<Vec<u8>>,
    pool: Pool<Context>,
}

impl ContextPool {
    /// `NotSupp`: the library has no such cipher.
    pub(crate) fn new(cipher: &str, direction: Direction, key: &[u8]) -> Result<Self> {
        Ok(ContextPool {
            cipher: openssl_ffi::cipher(cipher).ok_or(StatusError::NotSupp)?,
            direction,
            key: Zeroizing::new(key.to_vec()),
            pool: Pool::new(),
        })
    }

    /// Does something with a context. `Err`: the key does not have the cipher's length.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Context) -> Result<R>) -> Result<R> {
        self.pool.with(|| self.fresh(), work)
    }

    /// A context that nothing has gone through.
    pub(crate) fn fresh(&self) -> Result<Context> {
        Context::new(self.cipher, self.direction, &self.key)
    }
}

/// Which algorithms work: those that `works` does not fail for. They are tried once.
pub(crate) fn is_available<T: Copy + PartialEq>(
    working_ones: &OnceLock<Vec<T>>,
    all: &[T],
    algorithm: T,
    works: impl Fn(T) -> Result<()>,
) -> bool {
    let working = || all.iter().copied().filter(|&one| works(one).is_ok()).collect();
    working_ones.get_or_init(working).contains(&algorithm)
}

/// A place in a span.
pub(crate) struct Cursor<'s, 'm> {
    slices: &'s [Slice<'m>],
    at: usize,
}

impl<'s, 'm> Cursor<'s, 'm> {
    pub(crate) fn new(span: &'s Span<'m>) -> Self {
        Cursor { slices: span.slices(), at: 0 }
    }

    /// How many bytes there are from here on in one piece, as far as the library takes
    /// them at a time; 0 at the end alone.
    pub(crate) fn run(&self) -> usize {
        self.slices.first().map_or(0, |slice| slice.len() - self.at).min(LONGEST)
    }

    /// The next `len` bytes, or as many as there are in one piece, to look where they are.
    fn peek(&self, len: usize) -> Slice<'m> {
        let slice = self.slices.first().copied();
        slice
            .and_then(|slice| slice.subslice(self.at, len.min(slice.len() - self.at)).ok())
            .unwrap_or(Slice::from(&mut [][..]))
    }

    /// The next `len` bytes, or as many as there are in one piece.
    pub(crate) fn take(&mut self, len: usize) -> Slice<'m> {
        let taken = self.peek(len);
        self.at += taken.len();
        if let Some((slice, rest)) = self.slices.split_first() {
            if self.at == slice.len() {
                (self.slices, self.at) = (rest, 0);
            }
        }
        taken
    }

    /// Copies bytes out, as many as `to` holds and there are.
    pub(crate) fn read(&mut self, to: &mut [u8]) {
        let mut done = 0;
        while done < to.len() && self.run() > 0 {
            done += self.take(to.len() - done).copy_to(&mut to[done..]);
        }
    }

    /// Copies bytes in, as many as there is room for.
    pub(crate) fn write(&mut self, from: &[u8]) {
        let mut done = 0;
        while done < from.len() && self.run() > 0 {
            let slice = self.take(from.len() - done);
            slice.copy_from(&from[done..done + slice.len()]);
            done += slice.len();
        }
    }
}

/// The pieces of a span, none of which is too long for the library.
pub(crate) fn pieces<'s, 'm>(span: &'s Span<'m>) -> impl Iterator<Item = Slice<'m>> + 's {
    let mut cursor = Cursor::new(span);
    std::iter::from_fn(move || {
        let run = cursor.run();
        (run > 0).then(|| cursor.take(run))
    })
}

/// Whether the library takes two pieces of the same length for input and output: the same
/// memory, or such as does not overlap.
fn compatible(src: Slice<'_>, dst: Slice<'_>) -> bool {
    let (from, to) = (src.ptr_guard().as_ptr().addr(), dst.ptr_guard().as_ptr().addr());
    from == to || from.abs_diff(to) >= src.len()
}

/// Puts all of `src` through `update` to the front of `dst`: in place, but for blocks that
/// are in more than one piece. `Err`: `dst` is too short, or `src` is not a multiple of
/// `block_len`, that divides [`BOUNCE`].
pub(crate) fn transform(
    src: &Span<'_>,
    dst: &Span<'_>,
    block_len: usize,
    mut update: impl FnMut(Slice<'_>, Slice<'_>) -> Result<()>,
) -> Result<()> {
    if dst.len() < src.len() || src.len() % block_len != 0 {
        return Err(StatusError::Generic);
    }
    let (mut from, mut to) = (Cursor::new(src), Cursor::new(dst));
    let mut left = src.len();
    while left > 0 {
        let run = from.run().min(to.run());
        let run = run - run % block_len;
        let (here, there) = (from.peek(run), to.peek(run));
        let len = if run > 0 && compatible(here, there) {
            update(from.take(run), to.take(run))?;
            run
        } else {
            let len = run.clamp(block_len, BOUNCE);
            let mut bounce = Zeroizing::new([0; BOUNCE]);
            from.read(&mut bounce[..len]);
            let both = Slice::from(&mut bounce[..len]);
            update(both, both)?;
            to.write(&bounce[..len]);
            len
        };
        left -= len;
    }
    Ok(())
}

/// Calls `update` once, with all of `src` and the front of `dst`: in place where they are
/// in one piece, otherwise in `scratch`. `Err`: `dst` is too short.
pub(crate) fn transform_whole(
    src: &Span<'_>,
    dst: &Span<'_>,
    scratch: &mut Vec<u8>,
    update: impl FnOnce(Slice<'_>, Slice<'_>) -> Result<()>,
) -> Result<()> {
    let dst = dst.get(0, src.len()).ok_or(StatusError::Generic)?;
    let (mut from, mut to) = (src.contiguous(), dst.contiguous());
    if let (Some(here), Some(there)) = (from, to) {
        if compatible(here, there) {
            return update(here, there);
        }
        (from, to) = (None, None);
    }
    let local = local(scratch, src.len());
    if from.is_none() {
        src.read(local);
    }
    let all = Slice::from(&mut local[..]);
    update(from.unwrap_or(all), to.unwrap_or(all))?;
    if to.is_none() {
        dst.write(local);
    }
    Ok(())
}

/// The first `len` bytes of `scratch`, that is made longer if it has fewer. What it had is lost
/// then, so that no copy of it is left in memory that was given back.
pub(crate) fn local(scratch: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if scratch.capacity() < len {
        scratch.zeroize();
        *scratch = Vec::with_capacity(len);
    }
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    &mut scratch[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_keep_what_works() {
        let pool = Pool::new();
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Ok(made.get())
        };
        assert_eq!(pool.with(make, |&mut one| Ok(one)), Ok(1));
        assert_eq!(pool.with(make, |&mut one| Ok(one)), Ok(1));
        let both = pool.with(make, |&mut one| Ok((one, pool.with(make, |&mut one| Ok(one))?)));
        assert_eq!(both, Ok((1, 2)));
        assert_eq!(pool.idle().len(), 2);
        // Whose state nobody knows.
        assert_eq!(
            pool.with(make, |_| Err::<(), _>(StatusError::BadMsg)),
            Err(StatusError::BadMsg)
        );
        assert_eq!(pool.idle().len(), 1);
        pool.idle().clear();
        assert_eq!(pool.with(|| Err(StatusError::Generic), |_| Ok(())), Err(StatusError::Generic));
        assert!(pool.idle().is_empty());
    }

    #[test]
    fn scratch_memory_grows_without_a_copy_of_what_it_had() {
        let mut scratch = vec![7; 8];
        assert_eq!(local(&mut scratch, 4), [7; 4]);
        assert_eq!(local(&mut scratch, 10_000), vec![0; 10_000]);
        assert_eq!(scratch.capacity(), 10_000);
    }

    #[test]
    fn the_library_gets_what_it_takes() {
        let mut bytes = vec![0; 3 * LONGEST];
        let memory = Slice::from(&mut bytes[..]);
        let at = |from, len| memory.subslice(from, len).unwrap();
        let mut span = Span::from(at(0, 2 * LONGEST + 1));
        span.push(at(2 * LONGEST + 1, 5));
        let lengths: Vec<_> = pieces(&span).map(|piece| piece.len()).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 1, 5]);

        assert!(compatible(at(100, 10), at(100, 10)));
        assert!(compatible(at(100, 10), at(110, 10)));
        assert!(compatible(at(100, 10), at(90, 10)));
        assert!(!compatible(at(100, 10), at(109, 10)));
        assert!(!compatible(at(100, 10), at(91, 10)));

        // What `update` is given, and that nothing but whole blocks is.
        let given = |src: &Span<'_>, dst: &Span<'_>| {
            let mut given = Vec::new();
            let done = transform(src, dst, 16, |src, dst| {
                assert!(compatible(src, dst) && src.len() % 16 == 0 && dst.len() == src.len());
                given.push(src.len());
                Ok(())
            });
            done.map(|()| given)
        };
        let (mut src, mut dst) = (Span::from(at(0, 40)), Span::from(at(200, 33)));
        src.push(at(40, 120));
        dst.push(at(233, 127));
        // The third block is in two pieces on either side.
        assert_eq!(given(&src, &dst), Ok(vec![32, 16, 112]));
        let overlapping = Span::from(at(1, 160));
        assert_eq!(given(&Span::from(at(0, 160)), &overlapping), Ok(vec![64, 64, 32]));
        assert_eq!(given(&src, &src.get(0, 159).unwrap()), Err(StatusError::Generic));
        assert_eq!(given(&src.get(0, 159).unwrap(), &dst), Err(StatusError::Generic));
    }
}
