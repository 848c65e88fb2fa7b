// SPDX-License-Identifier: GPL-2.0

//! The number that a request is about, in the request's context.

use super::{
    super::{
        later::Waiting,
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

/// How much of data that is too long is looked at at a time, in bytes.
const CHUNK: usize = 64;

/// What a device reads and writes.
pub(super) struct Ranges {
    /// Empty in session mode.
    pub(super) key: SgRange,
    pub(super) number: SgRange,
    pub(super) destination: SgRange,
}

/// What is known of a request.
///
/// # Invariants
///
/// - `waiting` comes first.
/// - `raw` is the request the context belongs to.
/// - `size` is not above `MAX_LEN`, and `len` not above `size`.
#[repr(C)]
pub(super) struct About {
    waiting: Waiting,
    raw: NonNull<Raw>,
    direction: Direction,
    /// The key that is sent along; it stays until the request is done.
    key: Option<Arc<Secret>>,
    /// Lists of an entry each: the key and the operand.
    lists: [bindings::scatterlist; 2],
    len: usize,
    size: usize,
}

impl About {
    /// Describes a request whose operand has `len` bytes, and its result `size`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: that is too long, or the result shorter than the operand.
    pub(super) fn new(
        raw: NonNull<Raw>,
        direction: Direction,
        run: unsafe fn(NonNull<Waiting>),
        len: usize,
        size: usize,
    ) -> Result<Self> {
        if size > MAX_LEN || len > size {
            return Err(EINVAL);
        }
        // INVARIANT: As was just checked.
        Ok(Self {
            waiting: Waiting::new(run),
            raw,
            direction,
            key: None,
            lists: Default::default(),
            len,
            size,
        })
    }
}

/// What lies in the context of every request, in front of what belongs to a device.
///
/// # Invariants
///
/// `about` comes first.
///
/// The number is at the end of the first `size` bytes, with zeros in front, until software makes its
/// result there.
#[cfg_attr(target_arch = "x86_64", repr(C, align(8)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(128)))]
pub(super) struct Operand {
    about: About,
    bytes: [u8; MAX_LEN],
}

kernel::static_assert!(align_of::<Operand>() >= bindings::VC_CRYPTO_DMA_ALIGN as usize);

impl Operand {
    /// Fills an operand with the number that the source of a request is, with zeros in front.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the source is shorter than it is said to be, or the number longer than the operand.
    /// That is not filled then.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes, the request valid, and its source a valid scatterlist.
    pub(super) unsafe fn load(this: NonNull<Self>, about: About) -> Result {
        let raw = about.raw.as_ptr();
        // SAFETY: The caller guarantees that the request is valid, and its source a valid scatterlist,
        // which the akcipher API requires until the request is complete.
        let range = |offset, len| unsafe { SgRange::new((*raw).src, offset, len) };
        // SAFETY: The caller guarantees that the request is valid.
        // CAST: Both targets of this driver have 32 bits at least.
        let src_len = unsafe { (*raw).src_len } as usize;
        let surplus = src_len.saturating_sub(about.len);
        check_zeros(range, surplus)?;

        let this = this.as_ptr();
        let zeros = about.len - (src_len - surplus);
        // In two steps: all of it is large for a stack.
        // SAFETY: By the safety requirements.
        unsafe { (&raw mut (*this).about).write(about) };
        // SAFETY: By the safety requirements.
        unsafe { (&raw mut (*this).bytes).write_bytes(0, 1) };
        // SAFETY: All of it was just written, and nobody else refers to it.
        let this = unsafe { &mut *this };
        let zeros = this.padding() + zeros;
        let number = this.result_mut().get_mut(zeros..).ok_or(EINVAL)?;
        if number.is_empty() {
            return Ok(());
        }
        range(u32::try_from(surplus)?, u32::try_from(number.len())?).read(number)
    }

    /// Returns the number.
    pub(super) fn number(&self) -> &[u8] {
        let whole = self.bytes.get(..self.about.size);
        let number = whole.and_then(|whole| whole.get(self.padding()..));
        number.unwrap_or_default()
    }

    /// Returns what is as long as the result and ends with the number.
    pub(super) fn result_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.about.size).unwrap_or_default()
    }

    /// Returns the request.
    pub(super) fn raw(&self) -> NonNull<Raw> {
        self.about.raw
    }

    /// Returns what is to be done.
    pub(super) fn direction(&self) -> Direction {
        self.about.direction
    }

    /// Returns a range of the request's destination.
    fn destination(&self, offset: usize, len: usize) -> Result<SgRange> {
        let (offset, len) = (u32::try_from(offset)?, u32::try_from(len)?);
        // SAFETY: By the type invariant the request is valid. The akcipher API requires that its
        // destination is a valid scatterlist until the request is complete.
        Ok(unsafe { SgRange::new((*self.about.raw.as_ptr()).dst, offset, len) })
    }

    /// Returns how many zeros are in front of the number, and of what a device makes of it.
    fn padding(&self) -> usize {
        self.about.size - self.about.len
    }

    /// Returns what lets the request wait.
    pub(super) fn waiting(this: NonNull<Self>) -> NonNull<Waiting> {
        this.cast()
    }

    /// Describes what a device is to read, a key first if there is one, and where it is to write.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the operand, or the key, is empty.
    ///
    /// # Safety
    ///
    /// The operand must lie in memory that may be mapped for a device, and stay there, and not
    /// change, as long as the result is used.
    pub(super) unsafe fn describe(&mut self, key: Option<Arc<Secret>>) -> Result<Ranges> {
        self.about.key = key;
        let key = self.about.key.as_ref().map(|key| key.bytes());
        let whole = self.bytes.get(..self.about.size);
        let number = whole.and_then(|whole| whole.get(self.about.size - self.about.len..));
        let mut ranges = [SgRange::EMPTY; 2];
        for ((bytes, entry), range) in [key, number]
            .iter()
            .zip(&mut self.about.lists)
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
        let [key, number] = ranges;
        Ok(Ranges {
            key,
            number,
            destination: self.destination(self.padding(), self.about.len)?,
        })
    }

    /// Makes what software has left here the request's result.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the destination is shorter than it is said to be.
    pub(super) fn deliver(&self) -> Result {
        self.write(self.about.size)?;
        self.set_result_len();
        Ok(())
    }

    /// Makes a result of the first `written` bytes that a device has left in the destination, behind
    /// the padding: moves them to the end, with zeros in front.
    ///
    /// # Errors
    ///
    /// `EINVAL`: that is more than there can be, or the destination is shorter than it is said to be.
    pub(super) fn place(&mut self, written: usize) -> Result {
        let missing = self.about.len.checked_sub(written).ok_or(EINVAL)?;
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
        self.deliver()
    }

    /// Writes the first `len` bytes to the front of the destination.
    fn write(&self, len: usize) -> Result {
        let bytes = self.bytes.get(..len).ok_or(EINVAL)?;
        self.destination(0, len)?.write(bytes)
    }

    /// Says how long the result is, or has to be.
    pub(super) fn set_result_len(&self) {
        // SAFETY: By the type invariant.
        // CAST: A request is not as long.
        unsafe { (*self.about.raw.as_ptr()).dst_len = self.about.size as u32 };
    }

    /// Returns true if the consumer has room for the result.
    pub(super) fn has_room(&self) -> bool {
        // SAFETY: By the type invariant.
        // CAST: Both targets of this driver have 32 bits at least.
        unsafe { (*self.about.raw.as_ptr()).dst_len as usize >= self.about.size }
    }

    /// Wipes the number, and lets go of the key.
    ///
    /// # Safety
    ///
    /// `this` must be filled, and is not used any more.
    pub(super) unsafe fn clear(this: NonNull<Self>) {
        let this = this.as_ptr();
        // SAFETY: By the safety requirements.
        drop(unsafe { (*this).about.key.take() });
        // SAFETY: As above; the bytes are valid for writes of their length.
        unsafe { helpers::memzero_explicit((&raw mut (*this).bytes).cast(), MAX_LEN) };
    }
}

/// Checks that the first `len` bytes of a list are 0. `range` returns a range of the list.
///
/// # Errors
///
/// `EINVAL` if one is not, or the list is shorter.
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

    /// Stands in for what would do the request later.
    ///
    /// # Safety
    ///
    /// Nothing to see to: it does nothing.
    unsafe fn never(_waiting: NonNull<Waiting>) {}

    #[test]
    fn a_number_is_wiped_and_the_key_let_go() {
        let mut bytes = KVec::new();
        bytes.extend_from_slice(b"\0number", GFP_KERNEL).unwrap();
        let mut list = KBox::new(bindings::scatterlist::default(), GFP_KERNEL).unwrap();
        // SAFETY: The entry is valid for writes, the bytes are heap memory.
        unsafe { bindings::sg_init_one(&mut *list, bytes.as_ptr().cast(), 7) };
        let mut raw = Raw {
            src: &mut *list,
            src_len: 7,
            ..Default::default()
        };
        let run = never as unsafe fn(NonNull<Waiting>);
        let about = About::new(NonNull::from(&mut raw), Direction::Decrypt, run, 6, 8).unwrap();

        let mut place = KBox::<Operand>::new_uninit(GFP_KERNEL).unwrap();
        let this = NonNull::from(&mut *place).cast::<Operand>();
        // SAFETY: It is valid for writes; the request has a source.
        unsafe { Operand::load(this, about) }.unwrap();
        let key = Arc::new(Secret::new(&[b"key"]).unwrap(), GFP_KERNEL).unwrap();
        // SAFETY: It was just filled.
        let operand = unsafe { &mut *this.as_ptr() };
        // SAFETY: It is heap memory, and no device is told of it.
        unsafe { operand.describe(Some(key.clone())) }.unwrap();
        assert_eq!(operand.number(), b"number");

        // SAFETY: It is filled, and not used as what it is afterwards.
        unsafe { Operand::clear(this) };
        // SAFETY: The bytes are initialised still.
        let bytes = unsafe { &(*this.as_ptr()).bytes };
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert!(Arc::into_unique_or_drop(key).is_some());
        let _: KBox<MaybeUninit<Operand>> = place;
    }
}
