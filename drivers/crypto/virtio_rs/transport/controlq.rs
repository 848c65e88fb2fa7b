// SPDX-License-Identifier: GPL-2.0

//! The control queue: requests, responses, and their timeout.

use crate::{
    support::{
        bh::BhDisabled,
        completion::Completion, //
    },
    virtio::{
        BufferStatus,
        Handler,
        Message,
        Queue,
        QueueGuard, //
    },
    wire::control::MAX_RESPONSE_LEN,
};
use core::pin::Pin;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        SpinLockIrq, //
    },
    time::Msecs, //
};

/// The number of times that a waiting thread schedules the bottom half before a timeout. The bottom half
/// polls the ring.
const POLLS: u32 = 3;

/// The time that a thread waits for the bottom half after the last poll, in milliseconds.
const GRACE: Msecs = 20;

/// The control queue of a device.
pub(crate) type ControlQueue = Queue<ControlQueueHandler>;

/// A request on the control queue.
pub(crate) type ControlMessage = Pin<KBox<Message<ControlRequestData, MAX_RESPONSE_LEN>>>;

/// The driver's data of a control request.
pub(crate) struct ControlRequestData {
    /// The thread that waits for the response, if any.
    waiter: Option<Arc<ResponseWaiter>>,
    /// The next request in [`ControlBacklog`].
    next: Option<ControlMessage>,
}

/// The response that a thread waits for.
#[pin_data]
struct ResponseWaiter {
    #[pin]
    done: Completion,
    /// An error until there is a response.
    #[pin]
    response: SpinLockIrq<Result<[u8; MAX_RESPONSE_LEN]>>,
}

/// Requests that wait for a free descriptor or for memory, in order.
///
/// The messages form linked lists, because adding a request must not allocate memory.
pub(crate) struct ControlBacklog {
    // Two stacks form a queue: `push` adds to `inbox`, and `pop` reverses `inbox` into `out` when `out` is
    // empty.
    out: Option<ControlMessage>,
    inbox: Option<ControlMessage>,
}

impl ControlBacklog {
    const fn new() -> Self {
        Self {
            out: None,
            inbox: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.out.is_none() && self.inbox.is_none()
    }

    fn push(&mut self, message: ControlMessage) {
        Self::stack(&mut self.inbox, message);
    }

    fn push_front(&mut self, message: ControlMessage) {
        Self::stack(&mut self.out, message);
    }

    fn pop(&mut self) -> Option<ControlMessage> {
        if self.out.is_none() {
            while let Some(message) = Self::unstack(&mut self.inbox) {
                Self::stack(&mut self.out, message);
            }
        }
        Self::unstack(&mut self.out)
    }

    /// Removes and returns the requests with a waiting thread.
    fn split_off_waited(&mut self) -> Self {
        let mut waited = Self::new();
        let mut others = Self::new();
        while let Some(message) = self.pop() {
            if message.data().waiter.is_some() {
                waited.push(message);
            } else {
                others.push(message);
            }
        }
        *self = others;
        waited
    }

    fn stack(head: &mut Option<ControlMessage>, mut message: ControlMessage) {
        message.as_mut().data_mut().next = head.take();
        *head = Some(message);
    }

    fn unstack(head: &mut Option<ControlMessage>) -> Option<ControlMessage> {
        let mut message = head.take()?;
        *head = message.as_mut().data_mut().next.take();
        Some(message)
    }
}

impl Drop for ControlBacklog {
    fn drop(&mut self) {
        // Drop the messages one by one. Dropping a long list recursively would overflow the stack.
        while self.pop().is_some() {}
    }
}

/// The handler of the control queue.
pub(crate) struct ControlQueueHandler;

impl Handler for ControlQueueHandler {
    type Buffer = ControlMessage;
    type State = ControlBacklog;

    fn handle_used(queue: &Queue<Self>, bh: &BhDisabled) {
        loop {
            let mut locked = queue.lock(bh);
            locked.disable_notifications();
            let used = locked.take_used();
            let sent = if used.is_some() || locked.in_flight() == 0 {
                Self::send_next(&mut locked)
            } else {
                Sent::Nothing
            };
            if used.is_none() && matches!(sent, Sent::Nothing) && locked.enable_notifications() {
                return;
            }
            match sent {
                Sent::Kick => locked.into_kick().notify(),
                Sent::Nothing => drop(locked),
                Sent::Refused(err, mut refused) => {
                    drop(locked);
                    while let Some(message) = refused.pop() {
                        Self::reply(message, Err(err));
                    }
                }
            }
            if let Some((message, _)) = used {
                let response = message.response();
                Self::reply(message, Ok(response));
            }
        }
    }

    fn reclaim(
        _queue: &Queue<Self>,
        message: ControlMessage,
        status: BufferStatus,
        _bh: &BhDisabled,
    ) {
        let response = match status {
            BufferStatus::Used => Ok(message.response()),
            BufferStatus::Unused => Err(ENODEV),
        };
        Self::reply(message, response);
    }

    fn queue_reset(queue: &Queue<Self>, bh: &BhDisabled) {
        loop {
            let message = queue.lock(bh).state().pop();
            match message {
                Some(message) => Self::reply(message, Err(ENODEV)),
                None => return,
            }
        }
    }
}

/// The result of an attempt to send the first request in [`ControlBacklog`].
enum Sent {
    /// The backlog is empty, or its first request could not be sent yet.
    Nothing,
    /// The request was added to the ring, and the device must be kicked.
    Kick,
    /// The requests cannot be sent, and fail with the error.
    Refused(Error, ControlBacklog),
}

impl ControlQueueHandler {
    /// Creates the queue of a device.
    pub(crate) fn new_queue() -> Result<Arc<ControlQueue>> {
        let name = CString::try_from_fmt(fmt!("controlq"))?;
        Arc::pin_init(Queue::new(name, 0, ControlBacklog::new()), GFP_KERNEL)
    }

    fn reply(message: ControlMessage, response: Result<[u8; MAX_RESPONSE_LEN]>) {
        if let Some(waiter) = &message.data().waiter {
            *waiter.response.lock() = response;
            waiter.done.complete();
        }
    }

    /// Adds a request to the ring. VIRTIO forbids a descriptor chain that is longer than the ring, even in an
    /// indirect table. The virtqueue does not check this limit, so this function does.
    ///
    /// # Errors
    ///
    /// On error the request is returned, with
    /// - `E2BIG` if the request has more segments than the ring has descriptors;
    /// - an error of [`QueueGuard::add`].
    fn add(
        locked: &mut QueueGuard<'_, Self>,
        message: ControlMessage,
    ) -> Result<(), (Error, ControlMessage)> {
        if locked.is_live() && message.segments() > locked.size() {
            return Err((E2BIG, message));
        }
        locked.add(message)
    }

    /// Sends the first request in [`ControlBacklog`].
    fn send_next(locked: &mut QueueGuard<'_, Self>) -> Sent {
        let Some(message) = locked.state().pop() else {
            return Sent::Nothing;
        };
        match Self::add(locked, message) {
            Ok(()) => Sent::Kick,
            // `handle_used` tries again after the next response.
            Err((err, message)) if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 => {
                locked.state().push_front(message);
                Sent::Nothing
            }
            // Without a request in flight there is no next response. The device's work item tries again, see
            // `retry`. Requests with a waiting thread fail, so that the thread does not wait for memory.
            Err((err, message)) if err == ENOMEM => {
                locked.state().push_front(message);
                let refused = locked.state().split_off_waited();
                if refused.is_empty() {
                    Sent::Nothing
                } else {
                    Sent::Refused(ENOMEM, refused)
                }
            }
            Err((err, message)) => {
                let mut refused = ControlBacklog::new();
                refused.push(message);
                Sent::Refused(err, refused)
            }
        }
    }
}

/// Creates a request without a waiting thread, for [`send_nowait`].
///
/// # Errors
///
/// `ENOMEM` if memory is exhausted.
pub(super) fn prepare(request: &[u8], response_len: usize) -> Result<ControlMessage> {
    let data = ControlRequestData {
        waiter: None,
        next: None,
    };
    Message::new(data, request, &[], response_len)
}

/// Sends a request, or adds it to [`ControlBacklog`] if it cannot be sent now. If memory is exhausted and no
/// request is in flight, only a request without a waiting thread is added; [`retry`] sends it.
///
/// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
///
/// # Errors
///
/// On error the request is dropped.
/// - `ENODEV` if the device was reset or removed.
/// - `ENOMEM` if memory is exhausted, no request is in flight, and a thread waits for the response.
/// - `EIO` if the ring is broken.
/// - `E2BIG` if the request has more segments than the ring has descriptors.
pub(super) fn send_nowait(queue: &ControlQueue, message: ControlMessage) -> Result {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    if !locked.state().is_empty() {
        locked.state().push(message);
        if locked.in_flight() == 0 {
            drop(locked);
            queue.schedule();
        }
        return Ok(());
    }
    match ControlQueueHandler::add(&mut locked, message) {
        Ok(()) => {
            locked.into_kick().notify();
            Ok(())
        }
        // `handle_used` tries again after the next response.
        Err((err, message)) if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 => {
            locked.state().push(message);
            Ok(())
        }
        Err((err, message)) if err == ENOMEM && message.data().waiter.is_none() => {
            locked.state().push(message);
            Ok(())
        }
        Err((err, message)) => {
            // Unlock first: wiping and freeing the message does not need the lock.
            drop(locked);
            drop(message);
            Err(err)
        }
    }
}

/// Schedules the bottom half to send backlogged requests if no request is in flight, because no response
/// triggers the bottom half then. Returns true if requests are backlogged. The caller must then call this
/// function again after a delay.
pub(super) fn retry(queue: &ControlQueue) -> bool {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    let is_backlogged = locked.is_live() && !locked.state().is_empty();
    let must_schedule = is_backlogged && locked.in_flight() == 0;
    drop(locked);
    if must_schedule {
        queue.schedule();
    }
    is_backlogged
}

/// Returns true if no request is in flight, and [`ControlBacklog`] is empty.
pub(super) fn is_idle(queue: &ControlQueue) -> bool {
    let bh = BhDisabled::disable();
    let mut locked = queue.lock(&bh);
    locked.in_flight() == 0 && locked.state().is_empty()
}

/// Sends `request` and `key`, and waits for a response of up to `response_len` bytes.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// - `ENOMEM` if memory is exhausted;
/// - `ENODEV` if the device was reset or removed;
/// - `EIO` if the ring is broken;
/// - `E2BIG` if the request has more segments than the ring has descriptors;
/// - `ETIMEDOUT` if the device does not respond within `limit` milliseconds. The request stays in flight, and
///   its memory allocated, until the device is reset.
pub(super) fn send_and_wait(
    queue: &ControlQueue,
    request: &[u8],
    key: &[u8],
    response_len: usize,
    limit: Msecs,
) -> Result<[u8; MAX_RESPONSE_LEN]> {
    let waiter = Arc::pin_init(
        pin_init!(ResponseWaiter {
            done <- Completion::new(),
            response <- new_spinlock_irq!(Err(ENODEV)),
        }),
        GFP_KERNEL,
    )?;
    let data = ControlRequestData {
        waiter: Some(waiter.clone()),
        next: None,
    };
    send_nowait(queue, Message::new(data, request, key, response_len)?)?;
    // Schedule the bottom half after each step, because the interrupt of the response may be lost.
    let step = limit.div_ceil(POLLS);
    let responded = (0..POLLS).any(|_| {
        waiter.done.wait(step) || {
            queue.schedule();
            false
        }
    });
    if !responded && !waiter.done.wait(GRACE) {
        return Err(ETIMEDOUT);
    }
    let response = *waiter.response.lock();
    response
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_controlq)]
mod tests {
    use super::*;

    fn message(number: u8, waiter: Option<&Arc<ResponseWaiter>>) -> ControlMessage {
        let data = ControlRequestData {
            waiter: waiter.cloned(),
            next: None,
        };
        Message::new(data, &[number], &[], 1).unwrap()
    }

    fn response_waiter() -> Arc<ResponseWaiter> {
        let waiter = pin_init!(ResponseWaiter {
            done <- Completion::new(),
            response <- new_spinlock_irq!(Err(ENODEV)),
        });
        Arc::pin_init(waiter, GFP_KERNEL).unwrap()
    }

    /// Removes all messages and returns their first bytes.
    fn drain(backlog: &mut ControlBacklog) -> KVec<u8> {
        let mut numbers = KVec::new();
        while let Some(message) = backlog.pop() {
            numbers.push(message.first_byte(), GFP_KERNEL).unwrap();
        }
        numbers
    }

    #[test]
    fn backlogged_requests_keep_their_order() {
        let mut backlog = ControlBacklog::new();
        for number in [1, 2] {
            backlog.push(message(number, None));
        }
        let first = backlog.pop().unwrap();
        backlog.push(message(3, None));
        backlog.push_front(first);
        assert_eq!(drain(&mut backlog)[..], [1, 2, 3]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn requests_with_a_waiting_thread_are_split_off() {
        let mut backlog = ControlBacklog::new();
        let waiter = response_waiter();
        for number in 1..=5 {
            backlog.push(message(number, (number % 2 == 0).then_some(&waiter)));
        }
        let mut waited = backlog.split_off_waited();
        assert_eq!(drain(&mut backlog)[..], [1, 3, 5]);
        while let Some(message) = waited.pop() {
            assert_eq!(message.first_byte() % 2, 0);
            ControlQueueHandler::reply(message, Err(ENOMEM));
            assert!(waiter.done.wait(0));
        }
        assert!(matches!(*waiter.response.lock(), Err(err) if err == ENOMEM));
    }
}
