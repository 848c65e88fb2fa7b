// SPDX-License-Identifier: GPL-2.0

//! The control queue: a request, an answer, a time limit.

use crate::{
    support::{
        bh::Bh,
        completion::Completion, //
    },
    virtio::{
        Fate,
        Handler,
        Message,
        Queue, //
    },
    wire::control::ANSWER,
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

/// How many times the ring is looked into while an answer is waited for.
const LOOKS: u32 = 3;

/// How long a bottom half that has been scheduled is waited for, in milliseconds.
const GRACE: Msecs = 20;

/// The control queue of a device.
pub(crate) type ControlQueue = Queue<Control>;

/// A request on the control queue.
pub(crate) type ControlMessage = Pin<KBox<Message<Pending, ANSWER>>>;

/// What is known of a request while the device has it.
pub(crate) struct Pending {
    /// Who waits for the answer, if anybody does.
    reply: Option<Arc<Reply>>,
    /// The next one in [`Overflow`].
    next: Option<ControlMessage>,
}

/// An answer, as somebody waits for it.
#[pin_data]
struct Reply {
    #[pin]
    done: Completion,
    #[pin]
    answer: SpinLockIrq<Option<[u8; ANSWER]>>,
}

/// Requests that found the queue full, in order.
///
/// Linked through the messages themselves: this is used where memory cannot be allocated.
pub(crate) struct Overflow {
    // Two stacks make a queue: what is pushed is turned round when `out` is empty.
    out: Option<ControlMessage>,
    inbox: Option<ControlMessage>,
}

impl Overflow {
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

impl Drop for Overflow {
    fn drop(&mut self) {
        // One by one: a chain that drops itself could be deep.
        while self.pop().is_some() {}
    }
}

/// What the control queue does with answers.
pub(crate) struct Control;

impl Handler for Control {
    type Buffer = ControlMessage;
    type State = Overflow;

    fn used(queue: &Queue<Self>, bh: &Bh) {
        loop {
            let mut locked = queue.lock(bh);
            locked.disable_notifications();
            let Some((message, _)) = locked.take_used() else {
                if locked.enable_notifications() {
                    return;
                }
                continue;
            };
            // There is room for one more.
            if let Some(waiting) = locked.state().pop() {
                match locked.add(waiting) {
                    Ok(()) => locked.into_kick().notify(),
                    // The next answer makes room.
                    Err((err, waiting))
                        if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 =>
                    {
                        locked.state().push_front(waiting);
                        drop(locked);
                    }
                    Err((_, waiting)) => {
                        drop(locked);
                        Self::reply(waiting, Fate::Returned);
                    }
                }
            } else {
                drop(locked);
            }
            Self::reply(message, Fate::Used);
        }
    }

    fn finish(_queue: &Queue<Self>, message: ControlMessage, fate: Fate, _bh: &Bh) {
        Self::reply(message, fate);
    }

    fn closed(queue: &Queue<Self>, bh: &Bh) {
        loop {
            let message = queue.lock(bh).state().pop();
            match message {
                Some(message) => Self::reply(message, Fate::Returned),
                None => return,
            }
        }
    }
}

impl Control {
    /// Creates the queue of a device.
    pub(crate) fn new_queue() -> Result<Arc<ControlQueue>> {
        let name = CString::try_from_fmt(fmt!("control"))?;
        Arc::pin_init(Queue::new(name, 0, Overflow::new()), GFP_KERNEL)
    }

    fn reply(message: ControlMessage, fate: Fate) {
        if let Some(reply) = &message.data().reply {
            if fate == Fate::Used {
                *reply.answer.lock() = Some(message.answer());
            }
            reply.done.complete();
        }
    }
}

/// Prepares a request whose answer nobody waits for. See [`post`].
///
/// # Errors
///
/// `ENOMEM`: no memory.
pub(super) fn prepare(request: &[u8], answer_len: usize) -> Result<ControlMessage> {
    let pending = Pending {
        reply: None,
        next: None,
    };
    Message::new(pending, request, &[], answer_len)
}

/// Sends a request. If there is no device any more, it is dropped.
///
/// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
pub(super) fn post(queue: &ControlQueue, message: ControlMessage) -> Result {
    let bh = Bh::disable();
    let mut locked = queue.lock(&bh);
    if !locked.state().is_empty() && locked.in_flight() != 0 {
        locked.state().push(message);
        return Ok(());
    }
    match locked.add(message) {
        Ok(()) => {
            locked.into_kick().notify();
            Ok(())
        }
        // Sent when an answer makes room.
        Err((err, message)) if (err == ENOSPC || err == ENOMEM) && locked.in_flight() != 0 => {
            locked.state().push(message);
            Ok(())
        }
        Err((err, message)) => {
            // The lock goes first: dropping a message may wake somebody.
            drop(locked);
            drop(message);
            Err(err)
        }
    }
}

/// Returns true if neither the device nor [`Overflow`] has a request.
pub(super) fn is_idle(queue: &ControlQueue) -> bool {
    let bh = Bh::disable();
    let mut locked = queue.lock(&bh);
    locked.in_flight() == 0 && locked.state().is_empty()
}

/// Sends a request of `request` and `key`, and waits for an answer of up to `answer_len` bytes.
///
/// Context: process, may sleep.
///
/// # Errors
///
/// `ENOMEM`: no memory. `ENODEV`: there is no device (any more). `EIO`: the ring is broken.
/// `ETIMEDOUT`: it has not answered within `limit` milliseconds; the memory of the request stays with
/// it until it is reset.
pub(super) fn call(
    queue: &ControlQueue,
    request: &[u8],
    key: &[u8],
    answer_len: usize,
    limit: Msecs,
) -> Result<[u8; ANSWER]> {
    let reply = Arc::pin_init(
        pin_init!(Reply {
            done <- Completion::new(),
            answer <- new_spinlock_irq!(None),
        }),
        GFP_KERNEL,
    )?;
    let pending = Pending {
        reply: Some(reply.clone()),
        next: None,
    };
    post(queue, Message::new(pending, request, key, answer_len)?)?;
    // The answer may have come without an interrupt.
    let step = limit.div_ceil(LOOKS);
    let answered = (0..LOOKS).any(|_| {
        reply.done.wait(step) || {
            queue.schedule();
            false
        }
    });
    if !answered && !reply.done.wait(GRACE) {
        return Err(ETIMEDOUT);
    }
    let answer = *reply.answer.lock();
    answer.ok_or(ENODEV)
}
