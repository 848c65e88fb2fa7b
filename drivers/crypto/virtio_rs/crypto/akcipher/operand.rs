// SPDX-License-Identifier: GPL-2.0

//! The input of a public key request, copied to the request context.

use super::{
    super::{
        deferred::DeferredRequest,
        scatterlist::SgRange, //
    },
    Direction,
    Raw, //
};
use crate::{
    bindings,
    bindings::helpers,
    support::secret::Secret, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The longest operand in bytes: RSA with 8192 bits.
pub(crate) const MAX_LEN: usize = 1024;

/// The number of leading bytes that are compared with 0 at a time.
const CHUNK: usize = 64;

/// The ranges that the device reads and writes.
pub(super) struct Ranges {
    /// Empty in session mode.
    pub(super) key: SgRange,
    pub(super) input: SgRange,
    pub(super) destination: SgRange,
}

/// The parameters of a request.
///
/// # Invariants
///
/// - `deferred` comes first.
/// - `raw` is the request the context belongs to.
/// - `size` is not above `MAX_LEN`, and `len` not above `size`.
#[repr(C)]
pub(super) struct OperandHeader {
    deferred: DeferredRequest,
    raw: NonNull<Raw>,
    direction: Direction,
    /// The key of a stateless request. It stays valid until the request is complete.
    key: Option<Arc<Secret>>,
    /// Two lists of one entry each: the key and the input.
    lists: [bindings::scatterlist; 2],
    /// The length of the modulus in bytes.
    len: usize,
    /// The length of the result in bytes.
    size: usize,
}

impl OperandHeader {
    /// Creates the header of a request with a modulus of `len` bytes and a result of `size` bytes. `run`
    /// runs the request on the fallback in process context.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `size` is above [`MAX_LEN`], or `len` above `size`.
    pub(super) fn new(
        raw: NonNull<Raw>,
        direction: Direction,
        run: unsafe fn(NonNull<DeferredRequest>),
        len: usize,
        size: usize,
    ) -> Result<Self> {
        if size > MAX_LEN || len > size {
            return Err(EINVAL);
        }
        // INVARIANT: As was just checked.
        Ok(Self {
            deferred: DeferredRequest::new(run),
            raw,
            direction,
            key: None,
            lists: Default::default(),
            len,
            size,
        })
    }
}

/// The operand of a request. It lies in the context of every request, before the device request.
///
/// # Invariants
///
/// - `header` comes first.
/// - The first `size` bytes end with the input, after leading zeros, until the fallback writes its result
///   there.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
pub(super) struct Operand {
    header: OperandHeader,
    bytes: [u8; MAX_LEN],
}

kernel::static_assert!(align_of::<Operand>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

impl Operand {
    /// Fills an operand with the input of a request, extended with leading zeros to the length of the
    /// modulus.
    ///
    /// # Errors
    ///
    /// The operand is not filled after an error: `EINVAL` if the scatterlist is shorter than the input, or
    /// the input without leading zeros longer than the modulus.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes, the request valid, and its source a valid scatterlist.
    pub(super) unsafe fn load(this: NonNull<Self>, header: OperandHeader) -> Result {
        let raw = header.raw.as_ptr();
        // SAFETY: The caller guarantees that the request is valid, and its source a valid scatterlist,
        // which the akcipher API requires until the request is complete.
        let range = |offset, len| unsafe { SgRange::new((*raw).src, offset, len) };
        // SAFETY: The caller guarantees that the request is valid.
        // CAST: Both targets of this driver have 32 bits at least.
        let src_len = unsafe { (*raw).src_len } as usize;
        let surplus = src_len.saturating_sub(header.len);
        check_zeros(range, surplus)?;

        let this = this.as_ptr();
        let zeros = header.len - (src_len - surplus);
        // Field by field: an operand is too large for the stack.
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this).header).write(header) };
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this).bytes).write_bytes(0, 1) };
        // SAFETY: Both fields were just written, and there is no other reference.
        let this = unsafe { &mut *this };
        let zeros = this.padding() + zeros;
        let number = this.result_mut().get_mut(zeros..).ok_or(EINVAL)?;
        if number.is_empty() {
            return Ok(());
        }
        range(u32::try_from(surplus)?, u32::try_from(number.len())?).read(number)
    }

    /// Returns the input, as long as the modulus.
    pub(super) fn input(&self) -> &[u8] {
        let whole = self.bytes.get(..self.header.size);
        let number = whole.and_then(|whole| whole.get(self.padding()..));
        number.unwrap_or_default()
    }

    /// Returns the bytes that end with the input, as many as the result has.
    pub(super) fn result_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.header.size).unwrap_or_default()
    }

    /// Returns the request.
    pub(super) fn raw(&self) -> NonNull<Raw> {
        self.header.raw
    }

    /// Returns the operation.
    pub(super) fn direction(&self) -> Direction {
        self.header.direction
    }

    /// Returns a range of the request's destination.
    fn destination(&self, offset: usize, len: usize) -> Result<SgRange> {
        let (offset, len) = (u32::try_from(offset)?, u32::try_from(len)?);
        // SAFETY: By the type invariant the request is valid. The akcipher API requires that its
        // destination is a valid scatterlist until the request is complete.
        Ok(unsafe { SgRange::new((*self.header.raw.as_ptr()).dst, offset, len) })
    }

    /// Returns the number of leading zeros of the input and of the device's result.
    fn padding(&self) -> usize {
        self.header.size - self.header.len
    }

    /// Returns the part that [`DeferredRequests`](super::super::DeferredRequests) queues.
    pub(super) fn deferred(this: NonNull<Self>) -> NonNull<DeferredRequest> {
        this.cast()
    }

    /// Returns what the device reads and where it writes. `key` is that of a stateless request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the input or the key is empty.
    ///
    /// # Safety
    ///
    /// The operand must lie in memory that may be mapped for a device, and stay there, and not
    /// change, as long as the result is used.
    pub(super) unsafe fn describe(&mut self, key: Option<Arc<Secret>>) -> Result<Ranges> {
        self.header.key = key;
        let key = self.header.key.as_ref().map(|key| key.bytes());
        let whole = self.bytes.get(..self.header.size);
        let input = whole.and_then(|whole| whole.get(self.header.size - self.header.len..));
        let mut ranges = [SgRange::EMPTY; 2];
        for ((bytes, entry), range) in [key, input]
            .iter()
            .zip(&mut self.header.lists)
            .zip(&mut ranges)
        {
            let Some(bytes) = bytes else {
                continue;
            };
            let len = u32::try_from(bytes.len())?;
            if len == 0 {
                return Err(EINVAL);
            }
            // SAFETY: The caller guarantees that the operand may be mapped for a device. A `Secret` is heap
            // memory.
            unsafe { bindings::sg_init_one(entry, bytes.as_ptr().cast(), len) };
            // SAFETY: The entry is a list. The caller guarantees that it stays where it is.
            *range = unsafe { SgRange::new(entry, 0, len) };
        }
        let [key, input] = ranges;
        Ok(Ranges {
            key,
            input,
            destination: self.destination(self.padding(), self.header.len)?,
        })
    }

    /// Copies the result of the fallback to the destination.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the scatterlist is shorter than the destination.
    pub(super) fn copy_result(&self) -> Result {
        self.write(self.header.size)?;
        self.set_result_len();
        Ok(())
    }

    /// Moves the `written` bytes that the device has written behind the leading zeros to the end of the
    /// destination, and writes leading zeros before them.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `written` is above the length of the modulus, or the scatterlist shorter than the
    /// destination.
    pub(super) fn align_result(&mut self, written: usize) -> Result {
        let missing = self.header.len.checked_sub(written).ok_or(EINVAL)?;
        let padding = self.padding();
        if missing == 0 {
            self.write(padding)?;
            self.set_result_len();
            return Ok(());
        }
        let dst = self.destination(padding, written)?;
        let (zeros, number) = self
            .result_mut()
            .split_at_mut_checked(padding + missing)
            .ok_or(EINVAL)?;
        zeros.fill(0);
        dst.read(number)?;
        self.copy_result()
    }

    /// Copies the first `len` bytes to the beginning of the destination.
    fn write(&self, len: usize) -> Result {
        let bytes = self.bytes.get(..len).ok_or(EINVAL)?;
        self.destination(0, len)?.write(bytes)
    }

    /// Sets the caller's `dst_len` to the length of the result, or to the length that it requires.
    pub(super) fn set_result_len(&self) {
        // SAFETY: By the type invariant the request is valid.
        // CAST: An operand has at most `MAX_LEN` bytes.
        unsafe { (*self.header.raw.as_ptr()).dst_len = self.header.size as u32 };
    }

    /// Returns true if the destination is as long as the result.
    pub(super) fn fits_dst(&self) -> bool {
        // SAFETY: By the type invariant the request is valid.
        // CAST: Both targets of this driver have 32 bits at least.
        unsafe { (*self.header.raw.as_ptr()).dst_len as usize >= self.header.size }
    }

    /// Wipes the bytes, and drops the key.
    ///
    /// # Safety
    ///
    /// `this` must be filled. It must not be used as an operand afterwards.
    pub(super) unsafe fn clear(this: NonNull<Self>) {
        let this = this.as_ptr();
        // SAFETY: The caller guarantees that the operand is filled.
        drop(unsafe { (*this).header.key.take() });
        // SAFETY: The bytes are valid for writes of their length.
        unsafe { helpers::memzero_explicit((&raw mut (*this).bytes).cast(), MAX_LEN) };
    }
}

/// Checks that the first `len` bytes of a list are 0. `range` returns a range of the list.
///
/// # Errors
///
/// `EINVAL` if a byte is not 0, or if the list is shorter.
fn check_zeros(range: impl Fn(u32, u32) -> SgRange, len: usize) -> Result {
    let mut chunk = [0; CHUNK];
    let mut done = 0;
    while done < len {
        let part = &mut chunk[..(len - done).min(CHUNK)];
        range(u32::try_from(done)?, u32::try_from(part.len())?).read(part)?;
        if part.iter().any(|byte| *byte != 0) {
            return Err(EINVAL);
        }
        done += part.len();
    }
    Ok(())
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_operand)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    /// Does nothing.
    ///
    /// # Safety
    ///
    /// None.
    unsafe fn never(_waiting: NonNull<DeferredRequest>) {}

    #[test]
    fn clear_wipes_the_input_and_drops_the_key() {
        let mut bytes = KVec::new();
        bytes.extend_from_slice(b"\0input!", GFP_KERNEL).unwrap();
        let mut list = KBox::new(bindings::scatterlist::default(), GFP_KERNEL).unwrap();
        // SAFETY: The entry is valid for writes, the bytes are heap memory.
        unsafe { bindings::sg_init_one(&mut *list, bytes.as_ptr().cast(), 7) };
        let mut raw = Raw {
            src: &mut *list,
            src_len: 7,
            ..Default::default()
        };
        let run = never as unsafe fn(NonNull<DeferredRequest>);
        let header =
            OperandHeader::new(NonNull::from(&mut raw), Direction::Decrypt, run, 6, 8).unwrap();

        let mut place = KBox::<Operand>::new_uninit(GFP_KERNEL).unwrap();
        let this = NonNull::from(&mut *place).cast::<Operand>();
        // SAFETY: It is valid for writes; the request has a source.
        unsafe { Operand::load(this, header) }.unwrap();
        let key = Arc::new(Secret::new(&[b"key"]).unwrap(), GFP_KERNEL).unwrap();
        // SAFETY: It was just filled.
        let operand = unsafe { &mut *this.as_ptr() };
        // SAFETY: It is heap memory, and no device is told of it.
        unsafe { operand.describe(Some(key.clone())) }.unwrap();
        assert_eq!(operand.input(), b"input!");

        // SAFETY: It is filled, and not used as what it is afterwards.
        unsafe { Operand::clear(this) };
        // SAFETY: The bytes are initialised still.
        let bytes = unsafe { &(*this.as_ptr()).bytes };
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert!(Arc::into_unique_or_drop(key).is_some());
        let _: KBox<MaybeUninit<Operand>> = place;
    }
}
