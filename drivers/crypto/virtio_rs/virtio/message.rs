// SPDX-License-Identifier: GPL-2.0

//! A buffer on the heap: some bytes for the device, some from it.

use crate::{
    bindings,
    bindings::helpers,
    support::{
        lend::{
            Lend,
            Line,
            Lists, //
        },
        secret::Secret,
    },
};
use core::{
    marker::PhantomPinned,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    types::Opaque, //
};

/// A message to a device, and room for an answer of up to `ANSWER` bytes.
///
/// The message's bytes are wiped when it is dropped: they may hold a key. With it goes `data`, which
/// the driver wants to have when the answer comes.
///
/// # Invariants
///
/// `parts` describes `bytes` and the first `answer_len` bytes of `answer`, and is rebuilt before
/// each use.
#[pin_data]
pub(crate) struct Message<T, const ANSWER: usize> {
    data: T,
    bytes: Secret,
    split: usize,
    answer_len: usize,
    // The device writes here, and nobody else in these cache lines.
    #[pin]
    answer: Opaque<Line<[u8; ANSWER]>>,
    #[pin]
    parts: Opaque<[bindings::scatterlist; 3]>,
    lists: Lists,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The scatterlist entries point into the message itself.
unsafe impl<T: Send, const ANSWER: usize> Send for Message<T, ANSWER> {}

// SAFETY: A shared reference gives access to `data`, and to the answer for reading, which the device
// writes only while there is no reference.
unsafe impl<T: Sync, const ANSWER: usize> Sync for Message<T, ANSWER> {}

impl<T, const ANSWER: usize> Message<T, ANSWER> {
    /// Creates a message of `head` and, behind it in a segment of its own, `tail`, which may be
    /// empty; the device may write `answer_len` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory. `EINVAL`: `head` is empty, or the answer does not fit.
    pub(crate) fn new(
        data: T,
        head: &[u8],
        tail: &[u8],
        answer_len: usize,
    ) -> Result<Pin<KBox<Self>>> {
        if head.is_empty() || answer_len == 0 || answer_len > ANSWER {
            return Err(EINVAL);
        }
        let bytes = Secret::new(&[head, tail])?;
        KBox::pin_init(
            pin_init!(Self {
                data,
                bytes,
                split: head.len(),
                answer_len,
                // Not what a device that leaves it alone would like it to say.
                answer: Opaque::new(Line([0xff; ANSWER])),
                parts: Opaque::new(Default::default()),
                lists: Lists::new(),
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )
    }

    /// Writes other bytes over the first part.
    ///
    /// # Errors
    ///
    /// `EINVAL`: they are not as many.
    pub(crate) fn set_head(self: Pin<&mut Self>, head: &[u8]) -> Result {
        // SAFETY: `bytes` is not structurally pinned; its memory stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        if head.len() != this.split {
            return Err(EINVAL);
        }
        let bytes = this.bytes.bytes_mut().get_mut(..head.len()).ok_or(EINVAL)?;
        bytes.copy_from_slice(head);
        Ok(())
    }

    /// Returns what the driver keeps with the message.
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// Returns what the driver keeps with the message.
    pub(crate) fn data_mut(self: Pin<&mut Self>) -> &mut T {
        // SAFETY: `data` is not structurally pinned.
        unsafe { &mut self.get_unchecked_mut().data }
    }

    /// Returns the first byte of the message.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn first_byte(&self) -> u8 {
        self.bytes.bytes().first().copied().unwrap_or(0)
    }

    /// Returns the answer: what is there, written by the device or not.
    pub(crate) fn answer(&self) -> [u8; ANSWER] {
        // SAFETY: A message in the driver's hands is not lent, so the device does not write; any
        // bytes are valid.
        unsafe { (*self.answer.get()).0 }
    }
}

// SAFETY: The pointer is that of a `KBox`, and so unique; the lists are terminated and describe heap
// memory that the message owns: `bytes`, which is not changed, and `answer`, which is behind an
// `Opaque` and only read by who has the message.
unsafe impl<T: Send, const ANSWER: usize> Lend for Pin<KBox<Message<T, ANSWER>>> {
    fn lists(&mut self) -> Result<&mut Lists> {
        let bytes = self.bytes.bytes();
        let tail = bytes.len() - self.split;
        let parts = self.parts.get().cast::<bindings::scatterlist>();
        let (head_ptr, split) = (bytes.as_ptr(), self.split);
        let readable = if tail == 0 { 1 } else { 2 };

        // SAFETY: `parts` has three entries: up to two here and one below.
        unsafe { bindings::sg_init_table(parts, readable) };
        // SAFETY: The bytes are heap memory and there are `split` of them.
        unsafe { helpers::sg_set_buf(parts, head_ptr.cast(), u32::try_from(split)?) };
        if tail != 0 {
            // SAFETY: The vector has `split + tail` bytes, and the table a second entry.
            unsafe {
                helpers::sg_set_buf(
                    parts.add(1),
                    head_ptr.add(split).cast(),
                    u32::try_from(tail)?,
                )
            };
        }
        // SAFETY: There are three entries.
        let answer = unsafe { parts.add(2) };
        // SAFETY: The entry is valid, and the answer is heap memory of at least that length.
        unsafe {
            bindings::sg_init_one(
                answer,
                self.answer.get().cast::<c_void>(),
                u32::try_from(self.answer_len)?,
            )
        };

        // SAFETY: `lists` is not structurally pinned.
        let lists = unsafe { &mut self.as_mut().get_unchecked_mut().lists };
        let mut writer = lists.fill();
        writer.push_readable(parts)?;
        writer.push_writable(answer)?;
        writer.finish();
        Ok(lists)
    }

    fn into_raw(self) -> NonNull<c_void> {
        // SAFETY: The message stays where it is.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) });
        // SAFETY: A box's pointer is not null.
        unsafe { NonNull::new_unchecked(this.cast()) }
    }

    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: By the safety requirements it is a box that was given away.
        unsafe { Pin::new_unchecked(KBox::from_raw(raw.as_ptr().cast())) }
    }
}
