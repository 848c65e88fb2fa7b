// SPDX-License-Identifier: GPL-2.0

//! A device: its limits, its queues, and whether it is of use.

use super::{
    controlq,
    controlq::{
        Control,
        ControlMessage,
        ControlQueue, //
    },
    dataq,
    dataq::{
        Data,
        DataQueue, //
    },
};
use crate::{
    support::work::{
        Chore,
        Worker, //
    },
    virtio,
    virtio::{
        Endpoint,
        Queues, //
    },
    wire::{
        config::{
            Config,
            WORDS, //
        },
        control::{
            Destroy,
            ANSWER,
            DESTROYED, //
        },
    },
};
use kernel::{
    device,
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex,
        SpinLockIrq, //
    },
    time::{
        delay::fsleep,
        Delta,
        Msecs, //
    },
    types::ScopeGuard, //
};

/// The feature bit of devices that follow version 1 of the specification.
const VIRTIO_F_VERSION_1: u32 = 32;

/// A device with a worker that looks after it.
pub(crate) type Device = Worker<State>;

/// How far a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
enum Phase {
    /// It says that it is not ready.
    Waiting = 0,
    /// It takes requests.
    Ready = 1,
    /// It broke the rules or does not answer; it is not used until it is bound again.
    Failed = 2,
    /// It is being unbound.
    Closed = 3,
}

/// Who wants to know which devices there are.
pub(crate) trait Observer: Send + Sync {
    /// A device has become ready, or is ready no more.
    ///
    /// Context: process, may sleep.
    fn changed(&self);
}

/// What is there only while the device is bound.
struct Link {
    vdev: ARef<virtio::Device>,
    queues: Arc<Queues>,
    /// The device was reset after a failure.
    reset: bool,
}

/// The sessions that the device has for us.
struct Sessions {
    open: bool,
    ids: RBTree<u64, ()>,
}

/// What is known of a device.
#[pin_data]
pub(crate) struct State {
    config: Config,
    max_segment: usize,
    timeout: Msecs,
    phase: Atomic<u32>,
    /// How many sessions are being created.
    creating: Atomic<u32>,
    data: KVec<Arc<DataQueue>>,
    control: Arc<ControlQueue>,
    observer: Arc<dyn Observer>,
    #[pin]
    sessions: SpinLockIrq<Sessions>,
    #[pin]
    link: Mutex<Option<Link>>,
}

impl Device {
    /// Reads what the device says of itself and sets up its queues.
    ///
    /// Context: process, may sleep; from `probe`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it does not offer VIRTIO_F_VERSION_1. `EINVAL`: its configuration makes no sense. `EAGAIN`: its configuration does not hold still.
    /// Others as the transport has them.
    pub(crate) fn probe(
        dev: &virtio::Device<device::Core<'_>>,
        observer: Arc<dyn Observer>,
        timeout: Msecs,
    ) -> Result<Arc<Self>> {
        if !dev.has_feature(VIRTIO_F_VERSION_1) {
            dev_err!(
                dev,
                "the device is older than version 1 of the specification\n"
            );
            return Err(ENODEV);
        }
        let config = Config::parse(&dev.read_config::<WORDS>()?).inspect_err(|_| {
            dev_err!(dev, "impossible number of data queues\n");
        })?;

        // All queues must be set up; the control queue is the one behind the data queues.
        let mut data = KVec::new();
        let mut endpoints: KVec<Arc<dyn Endpoint>> = KVec::new();
        for index in 0..config.data_queues() {
            let queue = Data::new_queue(index)?;
            data.push(queue.clone(), GFP_KERNEL)?;
            endpoints.push(queue, GFP_KERNEL)?;
        }
        let control = Control::new_queue()?;
        endpoints.push(control.clone(), GFP_KERNEL)?;
        let queues = dev.find_queues(endpoints).inspect_err(|err| {
            dev_err!(
                dev,
                "setting up {} queues failed ({:?})\n",
                data.len() + 1,
                err
            );
        })?;

        let vdev: &virtio::Device = dev;
        let link = Link {
            vdev: vdev.into(),
            queues,
            reset: false,
        };
        Arc::pin_init(
            Worker::new(pin_init!(State {
                config,
                max_segment: dev.max_segment(),
                timeout,
                phase: Atomic::new(Phase::Waiting as u32),
                creating: Atomic::new(0),
                data,
                control,
                observer,
                sessions <- new_spinlock_irq!(Sessions {
                    open: true,
                    ids: RBTree::new(),
                }),
                link <- new_mutex!(Some(link)),
            })),
            GFP_KERNEL,
        )
    }

    /// Gives the device up: it broke the rules, or does not answer. It is reset soon, which brings
    /// every request back.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn fail(&self) {
        if self.advance(Phase::Failed) {
            self.queue();
        }
    }

    /// Sends a control request and waits for the answer; a device that does not give one fails.
    pub(super) fn call(
        &self,
        request: &[u8],
        key: &[u8],
        answer_len: usize,
    ) -> Result<[u8; ANSWER]> {
        let res = controlq::call(&self.control, request, key, answer_len, self.timeout);
        if res == Err(ETIMEDOUT) {
            pr_err!(
                "a control request was not answered within {} ms\n",
                self.timeout
            );
            self.fail();
        }
        res
    }

    /// Waits until the device has returned all requests, tells it to forget our sessions, and cuts
    /// the link to it. It must be about to be unbound.
    ///
    /// Context: process, may sleep.
    pub(crate) fn close(&self) {
        let answers = self.is_ready();
        self.advance(Phase::Closed);
        for queue in &self.data {
            dataq::close(queue);
        }
        if answers {
            self.wait_until(|| self.data.iter().all(|queue| dataq::is_idle(queue)));
            self.destroy_sessions();
            self.wait_until(|| {
                self.creating.load(Acquire) == 0 && self.control.lock().in_flight() == 0
            });
        }
        *self.link.lock() = None;
        self.shut();
    }

    /// Waits until `condition` is met, for as long as a device has for an answer.
    fn wait_until(&self, condition: impl Fn() -> bool) {
        const STEP: Msecs = 5;

        let mut waited = 0;
        while !condition() && waited < self.timeout {
            fsleep(Delta::from_millis(i64::from(STEP)));
            waited += STEP;
        }
    }

    /// Tells the device to forget every session it has for us.
    fn destroy_sessions(&self) {
        let mut ids = {
            let mut sessions = self.sessions.lock();
            sessions.open = false;
            core::mem::replace(&mut sessions.ids, RBTree::new())
        };
        while let Some(id) = ids.cursor_front().map(|cursor| *cursor.current().0) {
            ids.remove(&id);
            match controlq::prepare(Destroy::cipher(id).as_bytes(), DESTROYED) {
                Ok(destroy) => self.post(destroy),
                Err(_) => pr_warn!("no memory to destroy session {id} of a device that goes\n"),
            }
        }
    }
}

impl State {
    /// Returns what the device says of itself.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the most that one segment of a request may hold, in bytes.
    pub(crate) fn max_segment(&self) -> usize {
        self.max_segment
    }

    /// Returns how long the device has for an answer, in milliseconds.
    pub(crate) fn timeout(&self) -> Msecs {
        self.timeout
    }

    /// Returns true if the device takes requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Ready as u32
    }

    /// Returns the queue for requests made on this CPU.
    pub(crate) fn data_queue(&self) -> Option<&DataQueue> {
        let cpu = kernel::cpu::CpuId::current().as_u32();
        // CAST: Both targets of this driver have 32 bits at least.
        let index = (cpu as usize).checked_rem(self.data.len())?;
        self.data.get(index).map(|queue| &**queue)
    }

    /// Says that a session is being created, until the returned value is dropped.
    pub(super) fn creating(&self) -> impl Drop + use<'_> {
        self.creating.fetch_add(1, Relaxed);
        ScopeGuard::new(|| {
            self.creating.fetch_sub(1, Release);
        })
    }

    /// Enters a session in the books.
    ///
    /// # Errors
    ///
    /// `EEXIST`: it is there already. `ENODEV`: the device is about to forget all sessions.
    pub(super) fn add_session(&self, id: u64, node: RBTreeNodeReservation<u64, ()>) -> Result {
        let mut sessions = self.sessions.lock();
        if sessions.ids.get(&id).is_some() {
            return Err(EEXIST);
        }
        if !sessions.open {
            return Err(ENODEV);
        }
        sessions.ids.insert(node.into_node(id, ()));
        Ok(())
    }

    /// Strikes a session off the books. Returns false if it is not there.
    pub(super) fn remove_session(&self, id: u64) -> bool {
        let node = self.sessions.lock().ids.remove_node(&id);
        node.is_some()
    }

    /// Sends a control request whose answer is of no interest.
    pub(super) fn post(&self, message: ControlMessage) {
        // Without a device there is nobody to tell.
        let _ = controlq::post(&self.control, message);
    }

    /// Moves on to a later phase; returns false if the device is there, or further, already.
    fn advance(&self, to: Phase) -> bool {
        let to = to as u32;
        let mut now = self.phase.load(Relaxed);
        while now < to {
            match self.phase.cmpxchg(now, to, Relaxed) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Sets `Ready` or `Waiting`, whichever the device says; returns true if that is news.
    fn set_ready(&self, ready: bool) -> bool {
        let (from, to) = if ready {
            (Phase::Waiting, Phase::Ready)
        } else {
            (Phase::Ready, Phase::Waiting)
        };
        self.phase.cmpxchg(from as u32, to as u32, Relaxed).is_ok()
    }
}

impl Chore for State {
    /// Looks what the device says of itself, and does what follows.
    fn run(&self) {
        {
            let mut guard = self.link.lock();
            let Some(link) = &mut *guard else {
                return;
            };
            let dev = &*link.vdev;
            if dev.needs_reset() && self.advance(Phase::Failed) {
                dev_err!(dev, "the device asks to be reset\n");
            }
            if self.phase.load(Relaxed) == Phase::Failed as u32 {
                if link.reset {
                    return;
                }
                link.reset = true;
                dev_err!(dev, "the device is given up; bind it again to use it\n");
                link.queues.reset();
            } else {
                let ready = Config::is_ready(dev.read_config_word(0));
                if !self.set_ready(ready) {
                    return;
                }
                if ready {
                    dev_info!(
                        dev,
                        "ready: {} data queue(s), requests of up to {} bytes\n",
                        self.data.len(),
                        self.config.max_size(),
                    );
                } else {
                    dev_warn!(dev, "the device is not ready\n");
                }
            }
        }
        self.observer.changed();
    }
}
