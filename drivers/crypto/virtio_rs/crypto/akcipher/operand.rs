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

/// The maximum length of an operand in bytes: that of RSA with 8192 bits.
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
/// - `deferred` is the first field, because [`Operand::deferred`] casts the address of the operand.
/// - `raw` is the request whose context contains the operand.
/// - `modulus_len <= result_len <= MAX_LEN`.
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
    modulus_len: usize,
    /// The length of the result in bytes.
    result_len: usize,
}

impl OperandHeader {
    /// Creates the header of a request. `run` runs the request on the fallback in process context.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `result_len` is above [`MAX_LEN`], or `modulus_len` above `result_len`.
    pub(super) fn new(
        raw: NonNull<Raw>,
        direction: Direction,
        run: unsafe fn(NonNull<DeferredRequest>),
        modulus_len: usize,
        result_len: usize,
    ) -> Result<Self> {
        if result_len > MAX_LEN || modulus_len > result_len {
            return Err(EINVAL);
        }
        // INVARIANT: The lengths were just checked. `raw` is the request that the caller loads.
        Ok(Self {
            deferred: DeferredRequest::new(run),
            raw,
            direction,
            key: None,
            lists: Default::default(),
            modulus_len,
            result_len,
        })
    }
}

/// The operand of a request. It lies in the context of the request, before the device request.
///
/// # Invariants
///
/// - `header` is the first field.
/// - The first `header.result_len` bytes of `bytes` are leading zeros and then the input. The fallback
///   and `align_result` replace them with the result.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
pub(super) struct Operand {
    header: OperandHeader,
    bytes: [u8; MAX_LEN],
}

kernel::static_assert!(align_of::<Operand>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

impl Operand {
    /// Loads an operand: writes `header`, and copies the input of its request, extended with leading
    /// zeros to the length of the modulus.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the scatterlist is shorter than the input, or if the input without leading zeros is
    /// longer than the modulus. The operand is then not loaded.
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
        let surplus = src_len.saturating_sub(header.modulus_len);
        check_zeros(range, surplus)?;

        let this = this.as_ptr();
        let zeros = header.modulus_len - (src_len - surplus);
        // Written field by field, because an operand is too large for the stack.
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this).header).write(header) };
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { (&raw mut (*this).bytes).write_bytes(0, 1) };
        // SAFETY: Both fields were just written, and there is no other reference.
        let this = unsafe { &mut *this };
        let zeros = this.padding() + zeros;
        let input = this.result_mut().get_mut(zeros..).ok_or(EINVAL)?;
        if input.is_empty() {
            return Ok(());
        }
        range(u32::try_from(surplus)?, u32::try_from(input.len())?).read(input)
    }

    /// Returns the input, as long as the modulus.
    pub(super) fn input(&self) -> &[u8] {
        let padded = self.bytes.get(..self.header.result_len);
        let input = padded.and_then(|padded| padded.get(self.padding()..));
        input.unwrap_or_default()
    }

    /// Returns the buffer of the result. Until the fallback writes the result, the buffer contains the
    /// input after leading zeros.
    pub(super) fn result_mut(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(..self.header.result_len)
            .unwrap_or_default()
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

    /// Returns the number of bytes that the result has in addition to the modulus. They are zero.
    fn padding(&self) -> usize {
        self.header.result_len - self.header.modulus_len
    }

    /// Returns the field that [`DeferredRequests`](super::super::DeferredRequests) queues.
    pub(super) fn deferred(this: NonNull<Self>) -> NonNull<DeferredRequest> {
        this.cast()
    }

    /// Returns the ranges that the device reads and writes. `key` is the key of a stateless request.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the input or the key is empty.
    ///
    /// # Safety
    ///
    /// The operand must be in memory that may be mapped for a device. It must not move or change as long
    /// as the result is used.
    pub(super) unsafe fn describe(&mut self, key: Option<Arc<Secret>>) -> Result<Ranges> {
        self.header.key = key;
        let key = self.header.key.as_ref().map(|key| key.bytes());
        let padding = self.padding();
        let padded = self.bytes.get(..self.header.result_len);
        let input = padded.and_then(|padded| padded.get(padding..));
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
            // SAFETY: The entry is a valid list of one entry. The caller guarantees that it does not move.
            *range = unsafe { SgRange::new(entry, 0, len) };
        }
        let [key, input] = ranges;
        Ok(Ranges {
            key,
            input,
            destination: self.destination(padding, self.header.modulus_len)?,
        })
    }

    /// Copies the result of the fallback to the destination.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the scatterlist is shorter than the destination.
    pub(super) fn copy_result(&self) -> Result {
        self.write(self.header.result_len)?;
        self.set_result_len();
        Ok(())
    }

    /// Moves the device's result of `written` bytes to the end of the destination, and writes leading
    /// zeros before it. The device has written the result at offset `padding()` of the destination.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `written` is above the length of the modulus, or the scatterlist shorter than the
    /// destination.
    pub(super) fn align_result(&mut self, written: usize) -> Result {
        let missing = self.header.modulus_len.checked_sub(written).ok_or(EINVAL)?;
        let padding = self.padding();
        if missing == 0 {
            self.write(padding)?;
            self.set_result_len();
            return Ok(());
        }
        let dst = self.destination(padding, written)?;
        let (zeros, result) = self
            .result_mut()
            .split_at_mut_checked(padding + missing)
            .ok_or(EINVAL)?;
        zeros.fill(0);
        dst.read(result)?;
        self.copy_result()
    }

    /// Copies the first `len` bytes to the beginning of the destination.
    fn write(&self, len: usize) -> Result {
        let bytes = self.bytes.get(..len).ok_or(EINVAL)?;
        self.destination(0, len)?.write(bytes)
    }

    /// Sets the caller's `dst_len` to the length of the result. If the destination is too short, this is
    /// the length that the caller must provide.
    pub(super) fn set_result_len(&self) {
        // SAFETY: By the type invariant the request is valid.
        // CAST: An operand has at most `MAX_LEN` bytes.
        unsafe { (*self.header.raw.as_ptr()).dst_len = self.header.result_len as u32 };
    }

    /// Returns true if the destination is at least as long as the result.
    pub(super) fn fits_dst(&self) -> bool {
        // SAFETY: By the type invariant the request is valid.
        // CAST: Both targets of this driver have 32 bits at least.
        unsafe { (*self.header.raw.as_ptr()).dst_len as usize >= self.header.result_len }
    }

    /// Wipes the bytes, and drops the key.
    ///
    /// # Safety
    ///
    /// `this` must be loaded. It must not be used as an operand afterwards.
    pub(super) unsafe fn clear(this: NonNull<Self>) {
        let this = this.as_ptr();
        // SAFETY: The caller guarantees that the operand is loaded.
        drop(unsafe { (*this).header.key.take() });
        // SAFETY: The bytes are valid for writes of their length.
        unsafe { helpers::memzero_explicit((&raw mut (*this).bytes).cast(), MAX_LEN) };
    }
}

/// Checks that the first `len` bytes of a list are 0. `range(offset, len)` returns a range of the list.
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

    /// Does nothing. The test runs no deferred request.
    ///
    /// # Safety
    ///
    /// None.
    unsafe fn do_nothing(_deferred: NonNull<DeferredRequest>) {}

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
        let run = do_nothing as unsafe fn(NonNull<DeferredRequest>);
        let header =
            OperandHeader::new(NonNull::from(&mut raw), Direction::Decrypt, run, 6, 8).unwrap();

        let mut memory = KBox::<Operand>::new_uninit(GFP_KERNEL).unwrap();
        let this = NonNull::from(&mut *memory).cast::<Operand>();
        // SAFETY: `this` is valid for writes, and the source of `raw` is a valid scatterlist.
        unsafe { Operand::load(this, header) }.unwrap();
        let key = Arc::new(Secret::new(&[b"key"]).unwrap(), GFP_KERNEL).unwrap();
        // SAFETY: The operand was just loaded.
        let operand = unsafe { &mut *this.as_ptr() };
        // SAFETY: The operand is heap memory, and no device uses the ranges.
        unsafe { operand.describe(Some(key.clone())) }.unwrap();
        assert_eq!(operand.input(), b"input!");

        // SAFETY: The operand is loaded. Only its bytes are read afterwards.
        unsafe { Operand::clear(this) };
        // SAFETY: `clear` has left the bytes initialised.
        let bytes = unsafe { &(*this.as_ptr()).bytes };
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert!(Arc::into_unique_or_drop(key).is_some());
        let _: KBox<MaybeUninit<Operand>> = memory;
    }
}
