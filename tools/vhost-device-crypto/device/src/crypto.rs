// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Ciphers, hashes, MACs, AEADs and public-key algorithms, implemented with OpenSSL's libcrypto.

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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use openssl::cipher::CipherRef;
use zeroize::{Zeroize, Zeroizing};

use crate::memory::{Slice, Span};
use crate::openssl_ffi::{self, Context};
use crate::protocol::algorithm::Direction;
use crate::status::{Result, StatusError};

/// Maximum number of bytes in one call of OpenSSL, which has lengths of the C type `int`. The limit
/// is lower in tests, so that tests can exceed the limit with little memory.
const LONGEST: usize = if cfg!(test) { 1 << 12 } else { 1 << 30 };

/// Size of the bounce buffer on the stack, for blocks that cannot be processed in place.
const BOUNCE: usize = 64;

/// Number of slots of a pool. More threads share the list of the other objects.
const SLOTS: usize = 4;

/// A pool of objects that are slow to create. Each thread takes an idle object or creates a new
/// one. A thread first looks in a slot that usually no other thread uses.
pub(crate) struct Pool<T> {
    slots: Box<[Slot<T>; SLOTS]>,
    others: Mutex<Vec<T>>,
}

/// An object in a cache line of its own.
#[repr(align(64))]
struct Slot<T>(Mutex<Option<T>>);

/// Returns the number of this thread's slot in every pool.
fn slot() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    SLOT.with(|slot| *slot)
}

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        let slots = std::array::from_fn(|_| Slot(Mutex::new(None)));
        Pool { slots: Box::new(slots), others: Mutex::new(Vec::new()) }
    }

    /// Calls `work` with an object of the pool. If `work` fails, the object is dropped, because its
    /// state is unknown.
    pub(crate) fn with<R>(
        &self,
        make: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        if let Ok(mut slot) = self.slots[slot()].0.try_lock() {
            // A call that panics leaves the slot locked for good, so its object is not used again.
            let mut object = slot.take().map_or_else(make, Ok)?;
            let result = work(&mut object)?;
            *slot = Some(object);
            return Ok(result);
        }
        let idle = self.others().pop();
        let mut object = idle.map_or_else(make, Ok)?;
        let result = work(&mut object)?;
        self.others().push(object);
        Ok(result)
    }

    fn others(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pool of cipher contexts with the same key. Each context expands the key once.
pub(crate) struct ContextPool {
    cipher: &'static CipherRef,
    direction: Direction,
    key: Zeroizing<Vec<u8>>,
    pool: Pool<Context>,
}

impl ContextPool {
    /// Creates an empty pool. Returns `NotSupp` if OpenSSL does not have the cipher.
    pub(crate) fn new(cipher: &str, direction: Direction, key: &[u8]) -> Result<Self> {
        Ok(ContextPool {
            cipher: openssl_ffi::cipher(cipher).ok_or(StatusError::NotSupp)?,
            direction,
            key: Zeroizing::new(key.to_vec()),
            pool: Pool::new(),
        })
    }

    /// Calls `work` with a context. Returns `Generic` if the key does not have a length of the
    /// cipher.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Context) -> Result<R>) -> Result<R> {
        self.pool.with(|| self.fresh(), work)
    }

    /// Creates a context that has processed no data.
    pub(crate) fn fresh(&self) -> Result<Context> {
        Context::new(self.cipher, self.direction, &self.key)
    }
}

/// Returns whether an algorithm is available, that is, `works` succeeds for it. The first call runs
/// `works` for all algorithms and stores the result.
pub(crate) fn is_available<T: Copy + PartialEq>(
    available: &OnceLock<Vec<T>>,
    all: &[T],
    algorithm: T,
    works: impl Fn(T) -> Result<()>,
) -> bool {
    let working = || all.iter().copied().filter(|&candidate| works(candidate).is_ok()).collect();
    available.get_or_init(working).contains(&algorithm)
}

/// A position in a message that consists of spans.
pub(crate) struct Cursor<'s, 'm> {
    /// The rest of the current span. Empty only at the end.
    span: Span<'m>,
    /// The spans that follow.
    next: &'s [&'s Span<'m>],
}

impl<'s, 'm> Cursor<'s, 'm> {
    pub(crate) fn new(span: &Span<'m>) -> Self {
        Cursor { span: *span, next: &[] }
    }

    /// Starts with the first byte of several spans.
    pub(crate) fn over(spans: &'s [&'s Span<'m>]) -> Self {
        let mut cursor = Cursor { span: Span::new(), next: spans };
        cursor.next_span();
        cursor
    }

    fn next_span(&mut self) {
        while let (true, [span, next @ ..]) = (self.span.is_empty(), self.next) {
            (self.span, self.next) = (**span, next);
        }
    }

    /// Returns the number of contiguous bytes at the position, at most [`LONGEST`]. Returns 0 only
    /// at the end.
    pub(crate) fn contiguous_len(&self) -> usize {
        self.span.first().len().min(LONGEST)
    }

    /// Returns the next `len` bytes without advancing, or fewer if fewer are contiguous.
    fn peek(&self, len: usize) -> Slice<'m> {
        let slice = self.span.first();
        slice.subslice(0, len.min(slice.len())).unwrap_or(Slice::from(&mut [][..]))
    }

    /// Returns the next `len` bytes and advances, or fewer if fewer are contiguous.
    pub(crate) fn take(&mut self, len: usize) -> Slice<'m> {
        let taken = self.peek(len);
        self.span.skip(taken.len());
        self.next_span();
        taken
    }

    /// Copies bytes from the span until `to` is full or the span ends.
    pub(crate) fn read(&mut self, to: &mut [u8]) {
        let mut copied = 0;
        while copied < to.len() && self.contiguous_len() > 0 {
            copied += self.take(to.len() - copied).copy_to(&mut to[copied..]);
        }
    }

    /// Copies bytes to the span until `from` or the span ends.
    pub(crate) fn write(&mut self, from: &[u8]) {
        let mut copied = 0;
        while copied < from.len() && self.contiguous_len() > 0 {
            let slice = self.take(from.len() - copied);
            slice.copy_from(&from[copied..copied + slice.len()]);
            copied += slice.len();
        }
    }
}

/// Iterates over the contiguous parts of spans. Each has at most [`LONGEST`] bytes.
pub(crate) fn pieces<'s, 'm>(
    spans: &'s [&'s Span<'m>],
) -> impl Iterator<Item = Slice<'m>> + use<'s, 'm> {
    let mut cursor = Cursor::over(spans);
    std::iter::from_fn(move || {
        let run = cursor.contiguous_len();
        (run > 0).then(|| cursor.take(run))
    })
}

/// Returns whether OpenSSL accepts two slices of the same length as input and output: both are the
/// same memory, or they do not overlap.
fn compatible(src: Slice<'_>, dst: Slice<'_>) -> bool {
    let (from, to) = (src.ptr_guard().as_ptr().addr(), dst.ptr_guard().as_ptr().addr());
    from == to || from.abs_diff(to) >= src.len()
}

/// Calls `update` for all of `src` and the first bytes of `dst`. Data is processed in place, except
/// blocks that are not contiguous or that overlap. `block_len` must divide [`BOUNCE`].
///
/// Returns `Generic` if `dst` is shorter than `src`, or `src` is not a multiple of `block_len`.
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
    let mut remaining = src.len();
    while remaining > 0 {
        let run = from.contiguous_len().min(to.contiguous_len());
        let run = run - run % block_len;
        let (src_run, dst_run) = (from.peek(run), to.peek(run));
        let len = if run > 0 && compatible(src_run, dst_run) {
            update(from.take(run), to.take(run))?;
            run
        } else {
            let len = run.clamp(block_len, BOUNCE);
            let mut bounce = Zeroizing::new([0; BOUNCE]);
            from.read(&mut bounce[..len]);
            let in_place = Slice::from(&mut bounce[..len]);
            update(in_place, in_place)?;
            to.write(&bounce[..len]);
            len
        };
        remaining -= len;
    }
    Ok(())
}

/// Calls `update` once, with all of `src` and the first bytes of `dst`. Data that is not contiguous
/// is copied to or from `scratch`. Returns `Generic` if `dst` is shorter than `src`.
pub(crate) fn transform_whole(
    src: &Span<'_>,
    dst: &Span<'_>,
    scratch: &mut Vec<u8>,
    update: impl FnOnce(Slice<'_>, Slice<'_>) -> Result<()>,
) -> Result<()> {
    let dst = dst.get(0, src.len()).ok_or(StatusError::Generic)?;
    let (mut from, mut to) = (src.contiguous(), dst.contiguous());
    if let (Some(src_slice), Some(dst_slice)) = (from, to) {
        if compatible(src_slice, dst_slice) {
            return update(src_slice, dst_slice);
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

/// Returns the first `len` bytes of `scratch`, which grows if necessary. Growing wipes the old
/// contents instead of copying them, so the freed memory holds no data of a request.
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
    fn pools_reuse_objects_after_success() {
        let pool = Pool::new();
        let count = std::cell::Cell::new(0);
        let make = || {
            count.set(count.get() + 1);
            Ok(count.get())
        };
        assert_eq!(pool.with(make, |&mut number| Ok(number)), Ok(1));
        assert_eq!(pool.with(make, |&mut number| Ok(number)), Ok(1));
        let nested =
            pool.with(make, |&mut number| Ok((number, pool.with(make, |&mut number| Ok(number))?)));
        assert_eq!(nested, Ok((1, 2)));
        let idle = || {
            let held = |slot: &Slot<_>| slot.0.try_lock().is_ok_and(|object| object.is_some());
            pool.slots.iter().filter(|slot| held(slot)).count() + pool.others().len()
        };
        assert_eq!(idle(), 2);
        // The object of a failed call is dropped.
        assert_eq!(
            pool.with(make, |_| Err::<(), _>(StatusError::BadMsg)),
            Err(StatusError::BadMsg)
        );
        assert_eq!(idle(), 1);
        pool.others().clear();
        assert_eq!(pool.with(|| Err(StatusError::Generic), |_| Ok(())), Err(StatusError::Generic));
        assert_eq!(idle(), 0);
    }

    #[test]
    fn scratch_memory_grows_without_copying() {
        let mut scratch = vec![7; 8];
        assert_eq!(local(&mut scratch, 4), [7; 4]);
        assert_eq!(local(&mut scratch, 10_000), vec![0; 10_000]);
        assert_eq!(scratch.capacity(), 10_000);
    }

    #[test]
    fn slices_for_openssl_are_compatible_and_not_too_long() {
        let mut bytes = vec![0; 3 * LONGEST];
        let memory = Slice::from(&mut bytes[..]);
        let at = |from, len| memory.subslice(from, len).unwrap();
        let spans = [&Span::from(at(0, 2 * LONGEST + 1)), &Span::from(at(2 * LONGEST + 1, 5))];
        let lengths: Vec<_> = pieces(&spans).map(|piece| piece.len()).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 1, 5]);

        assert!(compatible(at(100, 10), at(100, 10)));
        assert!(compatible(at(100, 10), at(110, 10)));
        assert!(compatible(at(100, 10), at(90, 10)));
        assert!(!compatible(at(100, 10), at(109, 10)));
        assert!(!compatible(at(100, 10), at(91, 10)));

        // Returns the lengths that `update` receives, and checks that they are whole blocks.
        let update_lens = |src: &Span<'_>, dst: &Span<'_>| {
            let mut lens = Vec::new();
            let result = transform(src, dst, 16, |src, dst| {
                assert!(compatible(src, dst) && src.len() % 16 == 0 && dst.len() == src.len());
                lens.push(src.len());
                Ok(())
            });
            result.map(|()| lens)
        };
        let (src, dst) = (testing::cut(memory, 160, &[40]), testing::cut(at(200, 160), 160, &[33]));
        let (src, dst) = (src.span(), dst.span());
        // The third block is not contiguous, neither in the source nor in the destination.
        assert_eq!(update_lens(&src, &dst), Ok(vec![32, 16, 112]));
        let overlapping = Span::from(at(1, 160));
        assert_eq!(update_lens(&Span::from(at(0, 160)), &overlapping), Ok(vec![64, 64, 32]));
        assert_eq!(update_lens(&src, &src.get(0, 159).unwrap()), Err(StatusError::Generic));
        assert_eq!(update_lens(&src.get(0, 159).unwrap(), &dst), Err(StatusError::Generic));
    }
}
