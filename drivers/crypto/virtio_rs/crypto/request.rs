// SPDX-License-Identifier: GPL-2.0

//! Requests in flight of all types, and lists of them.

use crate::{
    bindings,
    support::{
        bh::BhDisabled,
        dma::{
            SgLists,
            VirtqueueBuffer, //
        },
    },
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// The direction of a cipher operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// The return value of a callback that the crypto API has called with a request.
///
/// Only this layer creates return codes: from a result, or after a queue has taken the request.
#[must_use]
pub(crate) struct ReturnCode(c_int);

impl ReturnCode {
    /// Returns the code of a complete request.
    ///
    /// `EINPROGRESS` and `EBUSY` become `EIO`: as return values they mean that the request is not complete.
    pub(super) fn done(result: Result) -> Self {
        Self(match result {
            Ok(()) => 0,
            Err(err) if err == EINPROGRESS || err == EBUSY => EIO.to_errno(),
            Err(err) => err.to_errno(),
        })
    }

    /// Returns the code of a request that a queue has taken and completes later.
    pub(super) fn submitted(how: Submitted) -> Self {
        Self(how.code.to_errno())
    }

    /// Returns the value that the C callback must return.
    pub(super) fn into_raw(self) -> c_int {
        self.0
    }
}

/// Proof that a queue has taken a request: it is in flight or in the backlog.
#[derive(Clone, Copy)]
pub(crate) struct Submitted {
    /// The code that the callback returns.
    code: Error,
}

impl Submitted {
    /// The request is in flight. The code that returns this value must ensure that it is completed.
    pub(crate) const QUEUED: Self = Self { code: EINPROGRESS };

    /// The request was added to the backlog. Only [`BacklogList`] returns this, for requests that allow it.
    const BACKLOGGED: Self = Self { code: EBUSY };
}

/// The result of passing a request to a queue: the queue has taken the request, or returns the request with
/// an error.
///
/// A function returns this type in registers. It would return the `Result` that
/// [`into_result`](Self::into_result) creates in memory.
#[must_use]
pub(crate) struct Submission<D: 'static> {
    code: Error,
    returned: Option<InFlightRequest<D>>,
}

impl<D: 'static> From<Result<Submitted, (Error, InFlightRequest<D>)>> for Submission<D> {
    #[inline(always)]
    fn from(result: Result<Submitted, (Error, InFlightRequest<D>)>) -> Self {
        let (code, returned) = match result {
            Ok(how) => (how.code, None),
            Err((err, request)) => (err, Some(request)),
        };
        Self { code, returned }
    }
}

impl<D: 'static> Submission<D> {
    /// Returns the error and the request if the queue has not taken the request.
    #[inline(always)]
    pub(super) fn into_result(self) -> Result<Submitted, (Error, InFlightRequest<D>)> {
        match self.returned {
            None => Ok(Submitted { code: self.code }),
            Some(request) => Err((self.code, request)),
        }
    }
}

/// The completion functions of a request type.
pub(super) struct CtxOps<D: 'static> {
    /// Completes the request. The header is invalid when the function returns.
    pub(super) complete: unsafe fn(NonNull<CtxHeader<D>>, Result, &BhDisabled),
    /// Calls the completion with `EINPROGRESS`, which means that the request has left the backlog.
    pub(super) in_progress: unsafe fn(NonNull<CtxHeader<D>>, &BhDisabled),
}

/// The beginning of every request context. Queues use only this header, because they do not know the type
/// of the request. `D` is the data that a queue keeps for a request.
#[repr(C)]
pub(super) struct CtxHeader<D: 'static> {
    ops: &'static CtxOps<D>,
    next: Option<NonNull<CtxHeader<D>>>,
    pub(super) lists: SgLists,
    pub(super) segments: u32,
    /// The status byte, the last byte that the device writes.
    pub(super) status: NonNull<u8>,
    private: D,
    /// The number of bytes that the device claims to have written.
    pub(super) used: u32,
    /// The caller allows the request to be backlogged.
    may_backlog: bool,
    /// The request has entered the backlog, and its completion was not called with `EINPROGRESS` yet.
    in_progress_due: bool,
    /// The request was completed without being posted, so the device has not changed its data.
    pub(super) never_posted: bool,
}

impl<D: Default + 'static> CtxHeader<D> {
    /// Creates a header without segments and without a status.
    #[inline]
    pub(super) fn new(ops: &'static CtxOps<D>, may_backlog: bool) -> Self {
        Self {
            ops,
            next: None,
            lists: SgLists::new(),
            segments: 0,
            status: NonNull::dangling(),
            private: D::default(),
            used: 0,
            may_backlog,
            in_progress_due: false,
            never_posted: false,
        }
    }
}

/// A request in flight, which must be completed once. Dropping it completes it with `EIO`.
///
/// # Invariants
///
/// `header` is the only pointer to the valid header of a filled context, whose request is not complete.
#[must_use]
pub(crate) struct InFlightRequest<D: 'static> {
    header: NonNull<CtxHeader<D>>,
}

// SAFETY: A request is not tied to a thread.
unsafe impl<D: Send + 'static> Send for InFlightRequest<D> {}

impl<D: 'static> InFlightRequest<D> {
    /// Creates a request in flight.
    ///
    /// # Safety
    ///
    /// `header` must be the valid header of a filled context. Nothing else may use the header until the
    /// request is complete.
    pub(super) unsafe fn new(header: NonNull<CtxHeader<D>>) -> Self {
        // INVARIANT: The caller guarantees that the header is valid and has no other user.
        Self { header }
    }

    /// Returns the header. The caller must complete the request.
    pub(super) fn into_header(self) -> NonNull<CtxHeader<D>> {
        ManuallyDrop::new(self).header
    }

    fn header(&self) -> &CtxHeader<D> {
        // SAFETY: By the type invariant the header is valid, and `self` has the only pointer to it.
        unsafe { self.header.as_ref() }
    }

    fn header_mut(&mut self) -> &mut CtxHeader<D> {
        // SAFETY: By the type invariant the header is valid, and `self` has the only pointer to it.
        unsafe { self.header.as_mut() }
    }

    /// Returns true if `header` is the header of this request.
    pub(super) fn is_at(&self, header: NonNull<CtxHeader<D>>) -> bool {
        self.header == header
    }

    /// Returns true if the request may wait in a backlog.
    pub(crate) fn may_backlog(&self) -> bool {
        self.header().may_backlog
    }

    /// Returns the number of segments.
    pub(crate) fn segments(&self) -> u32 {
        self.header().segments
    }

    /// Returns the queue's data of the request.
    pub(crate) fn private(&self) -> &D {
        &self.header().private
    }

    /// Returns the queue's data of the request for writing.
    pub(crate) fn private_mut(&mut self) -> &mut D {
        &mut self.header_mut().private
    }

    /// Returns the status byte, or the poison 0xff if the device has not written it.
    pub(crate) fn last_result_byte(&self) -> u8 {
        let status = self.header().status.as_ptr();
        // `virtqueue_get_buf()` has executed a read barrier after it found the used entry, and has unmapped
        // the memory.
        //
        // SAFETY: A filled context has a status. The read is volatile, because a faulty device may still
        // write to it.
        unsafe { status.read_volatile() }
    }

    /// Stores the number of bytes that the device claims to have written. The number may be wrong.
    pub(crate) fn set_used(&mut self, used: u32) {
        self.header_mut().used = used;
    }

    /// Completes, with `ENODEV`, a request that was never sent. The driver may then run it on the fallback.
    ///
    /// Context: as for [`complete`](Self::complete).
    pub(crate) fn complete_unsent(mut self, bh: &BhDisabled) {
        self.header_mut().never_posted = true;
        self.complete(Err(ENODEV), bh);
    }

    /// Completes the request.
    ///
    /// Context: bottom half, no lock held: the completion callback may submit another request.
    #[inline]
    pub(crate) fn complete(self, result: Result, bh: &BhDisabled) {
        // SAFETY: The request is not used any more, and `ManuallyDrop` does not drop it.
        unsafe { ManuallyDrop::new(self).complete_raw(result, bh) };
    }

    /// Calls the completion with `EINPROGRESS` if the request was in the backlog. Only the first call has an
    /// effect.
    #[inline]
    fn notify_in_progress(&mut self, bh: &BhDisabled) {
        if core::mem::take(&mut self.header_mut().in_progress_due) {
            // SAFETY: By the type invariant the header is that of a request in flight.
            unsafe { (self.header().ops.in_progress)(self.header, bh) };
        }
    }

    /// Completes the request without consuming it.
    ///
    /// # Safety
    ///
    /// `self` must not be used or dropped afterwards.
    #[inline]
    unsafe fn complete_raw(&mut self, result: Result, bh: &BhDisabled) {
        self.notify_in_progress(bh);
        // SAFETY: By the type invariant the header is that of a request in flight. The caller guarantees
        // that it is not used any more.
        unsafe { (self.header().ops.complete)(self.header, result, bh) };
    }
}

impl<D: 'static> Drop for InFlightRequest<D> {
    fn drop(&mut self) {
        let bh = BhDisabled::disable();
        // SAFETY: `self` is being dropped, and is not used after this call.
        unsafe { self.complete_raw(Err(EIO), &bh) };
    }
}

// SAFETY: The pointer is that of the header, which is unique by the type invariant. The lists are in the
// header. `Builder` fills the lists with memory of the context and of the crypto API request. Both stay valid
// until the request is complete, and only this `InFlightRequest` can complete it.
unsafe impl<D: Send + 'static> VirtqueueBuffer for InFlightRequest<D> {
    fn sgs(&mut self) -> Result<&mut SgLists> {
        Ok(&mut self.header_mut().lists)
    }

    fn into_raw(self) -> NonNull<c_void> {
        self.into_header().cast()
    }

    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // INVARIANT: The caller guarantees that `raw` comes from `into_raw` of an `InFlightRequest`.
        Self { header: raw.cast() }
    }
}

/// A request that was taken from the backlog. [`accept`](Self::accept) notifies the caller of that.
#[must_use]
pub(crate) struct Backlogged<D: 'static>(InFlightRequest<D>);

impl<D: 'static> Backlogged<D> {
    /// Notifies the caller that the request has left the backlog, unless the caller was notified before.
    ///
    /// Must be called before the device gets the request. Otherwise the result could arrive first.
    ///
    /// Context: bottom half, no lock held.
    pub(crate) fn accept(mut self, bh: &BhDisabled) -> InFlightRequest<D> {
        self.0.notify_in_progress(bh);
        self.0
    }
}

/// A linked list of requests.
///
/// # Invariants
///
/// The headers from `head` to `tail`, linked by `next`, are those of `len` [`InFlightRequest`]s that were moved
/// to this list.
pub(crate) struct Chain<D: 'static> {
    head: Option<NonNull<CtxHeader<D>>>,
    tail: Option<NonNull<CtxHeader<D>>>,
    len: usize,
}

// SAFETY: Requests are not tied to a thread.
unsafe impl<D: Send + 'static> Send for Chain<D> {}

impl<D: 'static> Chain<D> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The list has no headers.
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// Returns the number of requests.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a request at the end.
    #[inline]
    pub(crate) fn push(&mut self, mut request: InFlightRequest<D>) {
        request.header_mut().next = None;
        let header = request.into_header();
        match self.tail {
            // SAFETY: By the type invariant `tail` is the valid header of a request that this list owns.
            Some(tail) => unsafe { (*tail.as_ptr()).next = Some(header) },
            None => self.head = Some(header),
        }
        self.tail = Some(header);
        self.len += 1;
    }

    /// Adds a request at the beginning.
    fn push_front(&mut self, mut request: InFlightRequest<D>) {
        request.header_mut().next = self.head;
        let header = request.into_header();
        self.head = Some(header);
        self.tail = self.tail.or(Some(header));
        self.len += 1;
    }

    /// Removes the first request.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<InFlightRequest<D>> {
        // INVARIANT: The header was that of an `InFlightRequest`, and leaves the list.
        let request = InFlightRequest { header: self.head? };
        self.head = request.header().next;
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        Some(request)
    }
}

impl<D: 'static> Drop for Chain<D> {
    fn drop(&mut self) {
        // Dropping a request completes it.
        while self.pop().is_some() {}
    }
}

/// Backlogged requests, in order.
pub(crate) struct BacklogList<D: 'static>(Chain<D>);

impl<D: 'static> BacklogList<D> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        Self(Chain::new())
    }

    /// Returns the number of requests.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.head.is_none()
    }

    /// Adds a request at the end. Returns the request if it may not be backlogged.
    pub(crate) fn push_back(
        &mut self,
        mut request: InFlightRequest<D>,
    ) -> Result<Submitted, InFlightRequest<D>> {
        if !request.may_backlog() {
            return Err(request);
        }
        request.header_mut().in_progress_due = true;
        self.0.push(request);
        Ok(Submitted::BACKLOGGED)
    }

    /// Puts back a request that [`pop_front`](Self::pop_front) has returned.
    pub(crate) fn push_front(&mut self, request: InFlightRequest<D>) {
        self.0.push_front(request);
    }

    /// Removes the first request.
    pub(crate) fn pop_front(&mut self) -> Option<Backlogged<D>> {
        self.0.pop().map(Backlogged)
    }
}

impl<D: 'static> Drop for BacklogList<D> {
    fn drop(&mut self) {
        let bh = BhDisabled::disable();
        while let Some(request) = self.pop_front() {
            request.accept(&bh).complete(Err(ENODEV), &bh);
        }
    }
}

/// Calls the completion of a request.
///
/// # Safety
///
/// `request` must be valid and in flight. It is invalid afterwards, unless `errno` is `EINPROGRESS`.
pub(super) unsafe fn call_completion(
    request: *mut bindings::crypto_async_request,
    errno: c_int,
    _bh: &BhDisabled,
) {
    // SAFETY: The caller guarantees that the request is in flight. `_bh` shows that bottom halves are
    // disabled.
    unsafe { bindings::helpers::crypto_request_complete(request, errno) };
}
