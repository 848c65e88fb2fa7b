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
    /// Initialises a slot without segments, whose status is not known yet.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writes.
    #[inline]
    pub(super) unsafe fn init(this: *mut Self, ops: &'static SlotOps<D>, may_backlog: bool) {
        let slot = Self {
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
        };
        // SAFETY: The caller guarantees that `this` is valid for writes.
        unsafe { this.write(slot) };
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

    /// Returns true if it may wait for room in the queue.
    fn may_backlog(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.slot.as_ptr()).may_backlog }
    }

    /// Returns true if it is the request whose slot that is.
    pub(super) fn is_at(&self, slot: NonNull<Slot<D>>) -> bool {
        self.slot == slot
    }

    /// Returns how many descriptors it takes.
    pub(crate) fn segments(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { (*self.slot.as_ptr()).segments }
    }

    /// Returns what the queue keeps with the request.
    pub(crate) fn private(&self) -> &D {
        // SAFETY: By the type invariant.
        unsafe { &(*self.slot.as_ptr()).private }
    }

    /// Returns what the queue keeps with the request.
    pub(crate) fn private_mut(&mut self) -> &mut D {
        // SAFETY: By the type invariant.
        unsafe { &mut (*self.slot.as_ptr()).private }
    }

    /// Returns the last byte of what the device writes besides the data: 0xff unless it wrote it.
    pub(crate) fn last_result_byte(&self) -> u8 {
        // SAFETY: By the type invariant.
        let status = unsafe { (*self.slot.as_ptr()).status };
        // SAFETY: A filled slot has a status. Volatile: a device that breaks the rules may still write to
        // it.
        unsafe { status.as_ptr().read_volatile() }
    }

    /// Keeps how many bytes the device says it has written: its word, not to be relied upon.
    pub(crate) fn set_used(&mut self, used: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.slot.as_ptr()).used = used };
    }

    /// Completes a request that was never sent: the driver may do it otherwise.
    ///
    /// Context: as for [`complete`](Self::complete).
    pub(crate) fn refuse(self, bh: &Bh) {
        // SAFETY: By the type invariant.
        unsafe { (*self.slot.as_ptr()).untouched = true };
        self.complete(Err(ENODEV), bh);
    }

    /// Completes the request.
    ///
    /// Context: bottom half, no lock held: the consumer's callback may submit again.
    pub(crate) fn complete(self, result: Result, bh: &Bh) {
        let slot = self.into_slot();
        // SAFETY: By the type invariant, which ends here.
        unsafe { Self::end(slot, result, bh) };
    }

    /// Tells the consumer that the request has left the backlog, if it is still to be told.
    ///
    /// # Safety
    ///
    /// `slot` must be that of an `Inflight`.
    unsafe fn pay_accept(slot: NonNull<Slot<D>>, bh: &Bh) {
        // SAFETY: By the safety requirements.
        if core::mem::take(unsafe { &mut (*slot.as_ptr()).owes_accept }) {
            // SAFETY: By the safety requirements.
            unsafe { ((*slot.as_ptr()).ops.accept)(slot, bh) };
        }
    }

    /// Finishes the request.
    ///
    /// # Safety
    ///
    /// `slot` must be that of an `Inflight` that is used no more.
    unsafe fn end(slot: NonNull<Slot<D>>, result: Result, bh: &Bh) {
        // SAFETY: By the safety requirements.
        unsafe { Self::pay_accept(slot, bh) };
        // SAFETY: By the safety requirements.
        unsafe { ((*slot.as_ptr()).ops.finish)(slot, result, bh) };
    }
}

impl<D: 'static> Drop for Inflight<D> {
    fn drop(&mut self) {
        let bh = Bh::disable();
        // SAFETY: By the type invariant, which ends here.
        unsafe { Self::end(self.slot, Err(EIO), &bh) };
    }
}

// SAFETY: The pointer is the slot's, which is unique by the type invariant. The lists are in the slot;
// a `Builder` has made them, of memory that stays valid until the request is finished, which takes an
// `Inflight`.
unsafe impl<D: Send + 'static> Lend for Inflight<D> {
    fn lists(&mut self) -> Result<&mut Lists> {
        // SAFETY: By the type invariant.
        Ok(unsafe { &mut (*self.slot.as_ptr()).lists })
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
    pub(crate) fn accept(self, bh: &Bh) -> Inflight<D> {
        // SAFETY: By the type invariant.
        unsafe { Inflight::pay_accept(self.0.slot, bh) };
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
    pub(crate) fn push(&mut self, request: Inflight<D>) {
        let slot = request.into_slot();
        // SAFETY: The slot was an `Inflight`'s.
        unsafe { (*slot.as_ptr()).next = None };
        match self.tail {
            // SAFETY: By the type invariant.
            Some(tail) => unsafe { (*tail.as_ptr()).next = Some(slot) },
            None => self.head = Some(slot),
        }
        self.tail = Some(slot);
        self.len += 1;
    }

    /// Adds a request at the beginning.
    fn push_front(&mut self, request: Inflight<D>) {
        let slot = request.into_slot();
        // SAFETY: The slot was an `Inflight`'s.
        unsafe { (*slot.as_ptr()).next = self.head };
        self.head = Some(slot);
        self.tail = self.tail.or(Some(slot));
        self.len += 1;
    }

    /// Takes the first request.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Inflight<D>> {
        let slot = self.head?;
        // SAFETY: By the type invariant.
        self.head = unsafe { (*slot.as_ptr()).next };
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        // INVARIANT: The slot left the list and was an `Inflight`'s.
        Some(Inflight { slot })
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
    pub(crate) fn push_back(&mut self, request: Inflight<D>) -> Result<Submitted, Inflight<D>> {
        if !request.may_backlog() {
            return Err(request);
        }
        // SAFETY: By the type invariant of `Inflight`.
        unsafe { (*request.slot.as_ptr()).owes_accept = true };
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
