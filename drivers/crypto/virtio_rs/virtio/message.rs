// SPDX-License-Identifier: GPL-2.0

//! A buffer on the heap: a message that the device reads, and its response.

use crate::{
    bindings,
    bindings::helpers,
    support::{
        dma::{
            DmaAligned,
            SgLists,
            VirtqueueBuffer, //
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

/// A message to a device, with memory for a response of up to `RESPONSE` bytes and the driver's `data`.
///
/// Dropping the message wipes its bytes, which may include a key.
///
/// # Invariants
///
/// `sgs` describes `bytes` and the first `response_len` bytes of `response`. It is rebuilt before each
/// use.
#[pin_data]
pub(crate) struct Message<T, const RESPONSE: usize> {
    data: T,
    bytes: Secret,
    header_len: usize,
    response_len: usize,
    // Only the device writes to these cache lines.
    #[pin]
    response: Opaque<DmaAligned<[u8; RESPONSE]>>,
    #[pin]
    sgs: Opaque<[bindings::scatterlist; 3]>,
    lists: SgLists,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The scatterlist entries point into the message itself.
unsafe impl<T: Send, const RESPONSE: usize> Send for Message<T, RESPONSE> {}

// SAFETY: A shared reference gives access to `data`, and read access to the response. The device writes the
// response only while there is no reference.
unsafe impl<T: Sync, const RESPONSE: usize> Sync for Message<T, RESPONSE> {}

impl<T, const RESPONSE: usize> Message<T, RESPONSE> {
    /// Creates a message of two segments, `header` and `tail`. If `tail` is empty, the message has one
    /// segment. The device may write `response_len` bytes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `header` is empty, or `response_len` is 0 or above `RESPONSE`;
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn new(
        data: T,
        header: &[u8],
        tail: &[u8],
        response_len: usize,
    ) -> Result<Pin<KBox<Self>>> {
        if header.is_empty() || response_len == 0 || response_len > RESPONSE {
            return Err(EINVAL);
        }
        let bytes = Secret::new(&[header, tail])?;
        KBox::pin_init(
            pin_init!(Self {
                data,
                bytes,
                header_len: header.len(),
                response_len,
                // Poison. A status byte that the device does not write reads 0xff, which is not
                // `VIRTIO_CRYPTO_OK`.
                response: Opaque::new(DmaAligned([0xff; RESPONSE])),
                sgs: Opaque::new(Default::default()),
                lists: SgLists::new(),
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )
    }

    /// Replaces the header.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the length differs.
    pub(crate) fn set_header(self: Pin<&mut Self>, header: &[u8]) -> Result {
        // SAFETY: `bytes` is not structurally pinned, and nothing is moved.
        let this = unsafe { self.get_unchecked_mut() };
        if header.len() != this.header_len {
            return Err(EINVAL);
        }
        let bytes = this
            .bytes
            .bytes_mut()
            .get_mut(..header.len())
            .ok_or(EINVAL)?;
        bytes.copy_from_slice(header);
        Ok(())
    }

    /// Returns the number of segments, including the response.
    pub(crate) fn segments(&self) -> u32 {
        if self.bytes.bytes().len() == self.header_len {
            2
        } else {
            3
        }
    }

    /// Returns the driver's data.
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// Returns a mutable reference to the driver's data.
    pub(crate) fn data_mut(self: Pin<&mut Self>) -> &mut T {
        // SAFETY: `data` is not structurally pinned.
        unsafe { &mut self.get_unchecked_mut().data }
    }

    /// Returns the first byte of the message.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn first_byte(&self) -> u8 {
        self.bytes.bytes().first().copied().unwrap_or(0)
    }

    /// Returns the response, or the poison if the device has not written it.
    pub(crate) fn response(&self) -> [u8; RESPONSE] {
        // SAFETY: The driver owns the message, so the message is not in the virtqueue, and the device does
        // not write to the response. Any bytes are valid.
        unsafe { (*self.response.get()).0 }
    }
}

// SAFETY: `into_raw` returns the pointer of a `KBox`, which is unique. The lists are terminated, and consist
// of heap memory of the message: `bytes`, which does not change, and `response`, which only the owner of the
// message reads.
unsafe impl<T: Send, const RESPONSE: usize> VirtqueueBuffer for Pin<KBox<Message<T, RESPONSE>>> {
    fn sgs(&mut self) -> Result<&mut SgLists> {
        let bytes = self.bytes.bytes();
        let tail_len = bytes.len() - self.header_len;
        let sgs = self.sgs.get().cast::<bindings::scatterlist>();
        let (header_ptr, header_len) = (bytes.as_ptr(), self.header_len);
        let readable = if tail_len == 0 { 1 } else { 2 };

        // SAFETY: `sgs` has three entries. `readable` is at most 2.
        unsafe { bindings::sg_init_table(sgs, readable) };
        // SAFETY: The header is heap memory of `header_len` bytes.
        unsafe { helpers::sg_set_buf(sgs, header_ptr.cast(), u32::try_from(header_len)?) };
        if tail_len != 0 {
            // SAFETY: `bytes` has `header_len + tail_len` bytes, and the table has a second entry.
            unsafe {
                helpers::sg_set_buf(
                    sgs.add(1),
                    header_ptr.add(header_len).cast(),
                    u32::try_from(tail_len)?,
                )
            };
        }
        // SAFETY: `sgs` has three entries.
        let response = unsafe { sgs.add(2) };
        // SAFETY: The entry is valid. The response is heap memory of at least `response_len` bytes.
        unsafe {
            bindings::sg_init_one(
                response,
                self.response.get().cast::<c_void>(),
                u32::try_from(self.response_len)?,
            )
        };

        // SAFETY: `lists` is not structurally pinned.
        let lists = unsafe { &mut self.as_mut().get_unchecked_mut().lists };
        let mut writer = lists.fill();
        writer.push_readable(sgs)?;
        writer.push_writable(response)?;
        writer.finish();
        Ok(lists)
    }

    fn into_raw(self) -> NonNull<c_void> {
        // SAFETY: The message is not moved out of the `KBox`.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) });
        // SAFETY: The pointer of a `KBox` is not null.
        unsafe { NonNull::new_unchecked(this.cast()) }
    }

    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: The caller guarantees that `raw` comes from `into_raw`, which has called `KBox::into_raw`.
        unsafe { Pin::new_unchecked(KBox::from_raw(raw.as_ptr().cast())) }
    }
}
