// SPDX-License-Identifier: GPL-2.0

//! Requests on their way, whatever their type.

use crate::{
    bindings,
    support::{
        bh::Bh,
        lend::{
            Lend,
            Lists, //
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

/// What a cipher does with the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// What the framework is told when a driver's callback returns.
///
/// Only this layer makes one: from a result, or when a request was handed over.
#[must_use]
pub(crate) struct Answer(c_int);

impl Answer {
    /// The request is finished.
    ///
    /// An error the framework gives another meaning to becomes `EIO`.
    pub(super) fn done(result: Result) -> Self {
        Self(match result {
            Ok(()) => 0,
            Err(err) if err == EINPROGRESS || err == EBUSY => EIO.to_errno(),
            Err(err) => err.to_errno(),
        })
    }

    /// The request was taken; its completion will be called.
    pub(super) fn submitted(how: Submitted) -> Self {
        Self(if how.backlogged {
            EBUSY.to_errno()
        } else {
            EINPROGRESS.to_errno()
        })
    }

    /// Returns what the C callback returns.
    pub(super) fn into_raw(self) -> c_int {
        self.0
    }
}

/// How a queue has taken a request.
#[derive(Clone, Copy)]
pub(crate) struct Submitted {
    backlogged: bool,
}

impl Submitted {
    /// The request is on its way: whoever has it owes it its completion.
    pub(crate) const QUEUED: Self = Self { backlogged: false };

    /// It waits for room; the consumer is told to slow down. Only [`Fifo`] says so, of requests that
    /// allow it.
    const BACKLOGGED: Self = Self { backlogged: true };
}

/// What a type of requests does.
pub(super) struct SlotOps<D: 'static> {
    /// Finishes the request and gives it back to its consumer; the slot is gone when it returns.
    pub(super) finish: unsafe fn(NonNull<Slot<D>>, Result, &Bh),
    /// Tells the consumer of a backlogged request that it has moved on.
    pub(super) accept: unsafe fn(NonNull<Slot<D>>, &Bh),
}

/// What every request context starts with, for a queue that does not know its type. `D` is the data
/// that the queue keeps with each request.
#[repr(C)]
pub(super) struct Slot<D: 'static> {
    ops: &'static SlotOps<D>,
    next: Option<NonNull<Slot<D>>>,
    pub(super) lists: Lists,
    pub(super) segments: u32,
    /// The last byte that the device writes.
    pub(super) status: NonNull<u8>,
    private: D,
    /// How many bytes the device says it has written.
    pub(super) used: u32,
    /// Whether the consumer allowed the request to wait for room.
    may_backlog: bool,
    /// Whether the consumer is still to be told that the request left the backlog.
    owes_accept: bool,
    /// Whether the request has come back without having been sent.
    pub(super) untouched: bool,
}

impl<D: Default + 'static> Slot<D> {
    /// Creates a slot without segments, whose status is not known yet.
    #[inline]
    pub(super) fn new(ops: &'static SlotOps<D>, may_backlog: bool) -> Self {
        Self {
            ops,
            next: None,
            lists: Lists::new(),
            segments: 0,
            status: NonNull::dangling(),
            private: D::default(),
            used: 0,
            may_backlog,
            owes_accept: false,
            untouched: false,
        }
    }
}

/// A request that is under way, and must be completed once.
///
/// Dropping it completes it with `EIO`: it cannot be forgotten.
///
/// # Invariants
///
/// `slot` is the only pointer to a valid, filled slot whose request is not finished.
#[must_use]
pub(crate) struct Inflight<D: 'static> {
    slot: NonNull<Slot<D>>,
}

// SAFETY: A request is not tied to a thread.
unsafe impl<D: Send + 'static> Send for Inflight<D> {}

impl<D: 'static> Inflight<D> {
    /// Takes over a request.
    ///
    /// # Safety
    ///
    /// `slot` must be valid and filled, its request not finished, and used by nobody else until it
    /// is.
    pub(super) unsafe fn new(slot: NonNull<Slot<D>>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { slot }
    }

    /// Returns the slot, which the caller is now responsible for.
    pub(super) fn into_slot(self) -> NonNull<Slot<D>> {
        ManuallyDrop::new(self).slot
    }

    fn slot(&self) -> &Slot<D> {
        // SAFETY: By the type invariant the slot is valid, and this has the only pointer to it.
        unsafe { self.slot.as_ref() }
    }

    fn slot_mut(&mut self) -> &mut Slot<D> {
        // SAFETY: By the type invariant the slot is valid, and this has the only pointer to it.
        unsafe { self.slot.as_mut() }
    }

    /// Returns true if it is the request whose slot that is.
    pub(super) fn is_at(&self, slot: NonNull<Slot<D>>) -> bool {
        self.slot == slot
    }

    /// Returns true if the request may wait in a backlog.
    pub(crate) fn may_backlog(&self) -> bool {
        self.slot().may_backlog
    }

    /// Returns how many descriptors it takes.
    pub(crate) fn segments(&self) -> u32 {
        self.slot().segments
    }

    /// Returns what the queue keeps with the request.
    pub(crate) fn private(&self) -> &D {
        &self.slot().private
    }

    /// Returns what the queue keeps with the request.
    pub(crate) fn private_mut(&mut self) -> &mut D {
        &mut self.slot_mut().private
    }

    /// Returns the last byte of what the device writes besides the data: 0xff unless the device wrote
    /// it.
    pub(crate) fn last_result_byte(&self) -> u8 {
        let status = self.slot().status.as_ptr();
        // SAFETY: A filled slot has a status. Volatile: a device that breaks the rules may still write to
        // it.
        unsafe { status.read_volatile() }
    }

    /// Keeps the number of bytes that the device claims to have written, which may be wrong.
    pub(crate) fn set_used(&mut self, used: u32) {
        self.slot_mut().used = used;
    }

    /// Completes a request that was never sent: the driver may run it on the fallback.
    ///
    /// Context: as for [`complete`](Self::complete).
    pub(crate) fn refuse(mut self, bh: &Bh) {
        self.slot_mut().untouched = true;
        self.complete(Err(ENODEV), bh);
    }

    /// Completes the request.
    ///
    /// Context: bottom half, no lock held: the caller's callback may submit again.
    #[inline]
    pub(crate) fn complete(self, result: Result, bh: &Bh) {
        // SAFETY: It is not used any more, and not dropped.
        unsafe { ManuallyDrop::new(self).end(result, bh) };
    }

    /// Calls the completion with `EINPROGRESS` if the request has left the backlog and that was not done
    /// yet.
    #[inline]
    fn pay_accept(&mut self, bh: &Bh) {
        if core::mem::take(&mut self.slot_mut().owes_accept) {
            // SAFETY: By the type invariant the slot is that of a request in flight.
            unsafe { (self.slot().ops.accept)(self.slot, bh) };
        }
    }

    /// Finishes the request.
    ///
    /// # Safety
    ///
    /// `self` must not be used or dropped afterwards.
    #[inline]
    unsafe fn end(&mut self, result: Result, bh: &Bh) {
        self.pay_accept(bh);
        // SAFETY: By the type invariant the slot is that of a request in flight. The caller guarantees
        // that it is not used any more.
        unsafe { (self.slot().ops.finish)(self.slot, result, bh) };
    }
}

impl<D: 'static> Drop for Inflight<D> {
    fn drop(&mut self) {
        let bh = Bh::disable();
        // SAFETY: This is the last use.
        unsafe { self.end(Err(EIO), &bh) };
    }
}

// SAFETY: The pointer is the slot's, which is unique by the type invariant. The lists are in the slot;
// a `Builder` has made them, of memory that stays valid until the request is finished, which takes an
// `Inflight`.
unsafe impl<D: Send + 'static> Lend for Inflight<D> {
    fn lists(&mut self) -> Result<&mut Lists> {
        Ok(&mut self.slot_mut().lists)
    }

    fn into_raw(self) -> NonNull<c_void> {
        self.into_slot().cast()
    }

    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirements it was given away as an `Inflight`.
        Self { slot: raw.cast() }
    }
}

/// A request that waits for room, whose consumer expects to be told when there is some.
///
/// # Invariants
///
/// As for [`Inflight`].
#[must_use]
pub(crate) struct Backlogged<D: 'static>(Inflight<D>);

impl<D: 'static> Backlogged<D> {
    /// Tells the consumer that the request moves on, unless it has been told.
    ///
    /// This must come before the device gets it, for the completion must not overtake it.
    ///
    /// Context: bottom half, no lock held.
    pub(crate) fn accept(mut self, bh: &Bh) -> Inflight<D> {
        self.0.pay_accept(bh);
        self.0
    }
}

/// Requests in order.
///
/// # Invariants
///
/// The slots from `head` to `tail`, linked by `next`, are those of `len` [`Inflight`]s that were
/// given up to this list.
pub(crate) struct Chain<D: 'static> {
    head: Option<NonNull<Slot<D>>>,
    tail: Option<NonNull<Slot<D>>>,
    len: usize,
}

// SAFETY: Requests are not tied to a thread.
unsafe impl<D: Send + 'static> Send for Chain<D> {}

impl<D: 'static> Chain<D> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: No slots.
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
    pub(crate) fn push(&mut self, mut request: Inflight<D>) {
        request.slot_mut().next = None;
        let slot = request.into_slot();
        match self.tail {
            // SAFETY: By the type invariant.
            Some(tail) => unsafe { (*tail.as_ptr()).next = Some(slot) },
            None => self.head = Some(slot),
        }
        self.tail = Some(slot);
        self.len += 1;
    }

    /// Adds a request at the beginning.
    fn push_front(&mut self, mut request: Inflight<D>) {
        request.slot_mut().next = self.head;
        let slot = request.into_slot();
        self.head = Some(slot);
        self.tail = self.tail.or(Some(slot));
        self.len += 1;
    }

    /// Takes the first request.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Inflight<D>> {
        // INVARIANT: The slot was an `Inflight`'s, and leaves the list.
        let request = Inflight { slot: self.head? };
        self.head = request.slot().next;
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        Some(request)
    }
}

impl<D: 'static> Drop for Chain<D> {
    fn drop(&mut self) {
        // A request that is dropped is completed.
        while self.pop().is_some() {}
    }
}

/// Requests that wait for room, in order.
pub(crate) struct Fifo<D: 'static>(Chain<D>);

impl<D: 'static> Fifo<D> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        Self(Chain::new())
    }

    /// Returns how many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.head.is_none()
    }

    /// Adds a request at the end, if it may wait; else it comes back.
    pub(crate) fn push_back(&mut self, mut request: Inflight<D>) -> Result<Submitted, Inflight<D>> {
        if !request.may_backlog() {
            return Err(request);
        }
        request.slot_mut().owes_accept = true;
        self.0.push(request);
        Ok(Submitted::BACKLOGGED)
    }

    /// Puts a request back to where [`pop_front`](Self::pop_front) took it from.
    pub(crate) fn push_front(&mut self, request: Inflight<D>) {
        self.0.push_front(request);
    }

    /// Takes the request that has waited longest.
    pub(crate) fn pop_front(&mut self) -> Option<Backlogged<D>> {
        self.0.pop().map(Backlogged)
    }
}

impl<D: 'static> Drop for Fifo<D> {
    fn drop(&mut self) {
        let bh = Bh::disable();
        while let Some(request) = self.pop_front() {
            request.accept(&bh).complete(Err(ENODEV), &bh);
        }
    }
}

/// Calls the completion of a framework request.
///
/// # Safety
///
/// `request` must be valid, and under way as the framework has it; with another value than
/// `EINPROGRESS` it is gone afterwards.
pub(super) unsafe fn call_completion(
    request: *mut bindings::crypto_async_request,
    errno: c_int,
    _bh: &Bh,
) {
    // SAFETY: By the safety requirements; `_bh` says that this is a bottom half.
    unsafe { bindings::helpers::crypto_request_complete(request, errno) };
}
