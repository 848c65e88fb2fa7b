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
        DataQueue,
        Look, //
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
        algorithm::Service,
        config::{
            Config,
            WORDS, //
        },
        control::{
            Destroy,
            ANSWER,
            DESTROYED, //
        },
        feature::Features, //
    },
};
use kernel::{
    cpu::CpuId,
    device,
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
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

/// How long after it could not be done at once something is tried again, in milliseconds.
const RETRY: Msecs = 1000;

/// The most data queues the driver sets up; all of them have to be. The specification allows 65535,
/// for which transports would ask for more memory at once than there can be.
const MAX_DATA_QUEUES: usize = 2048;

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
    ///
    /// # Errors
    ///
    /// `EAGAIN`: not everything that follows could be done; to be called again after a while.
    fn changed(&self) -> Result;
}

/// What is there only while the device is bound.
struct Link {
    queues: Arc<Queues>,
    /// The device was reset after a failure.
    reset: bool,
}

/// The sessions that the device has for us.
struct Sessions {
    /// Some may be created.
    open: bool,
    /// How many are being created or destroyed just now.
    busy: u32,
    ids: RBTree<u64, Service>,
}

/// What is known of a device.
#[pin_data]
pub(crate) struct State {
    config: Config,
    features: Features,
    max_segment: usize,
    timeout: Msecs,
    phase: Atomic<u32>,
    /// How often the device was not ready any more: what it knew before is void.
    epoch: Atomic<u32>,
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
    /// `ENODEV`: it does not offer VIRTIO_F_VERSION_1. `EINVAL`: its configuration makes no sense, or it has more queues than the driver sets up. `EAGAIN`: its configuration does not hold still.
    /// Others as the transport has them.
    pub(crate) fn probe(
        dev: &virtio::Device<device::Core<'_>>,
        observer: Arc<dyn Observer>,
        timeout: Msecs,
    ) -> Result<Arc<Self>> {
        if !dev.is_version_1() {
            dev_err!(
                dev,
                "the device is older than version 1 of the specification\n"
            );
            return Err(ENODEV);
        }
        let config = Config::parse(&dev.read_config::<WORDS>()?).inspect_err(|_| {
            dev_err!(dev, "impossible number of data queues\n");
        })?;

        if config.data_queues() > MAX_DATA_QUEUES {
            dev_err!(
                dev,
                "{} data queues are more than the driver sets up\n",
                config.data_queues()
            );
            return Err(EINVAL);
        }

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
        let queues = dev.find_queues(endpoints, data.len()).inspect_err(|err| {
            dev_err!(
                dev,
                "setting up {} queues failed ({:?})\n",
                data.len() + 1,
                err
            );
        })?;

        let link = Link {
            queues,
            reset: false,
        };
        Arc::pin_init(
            Worker::new(pin_init!(State {
                config,
                features: Features::new(|bit| dev.has_feature(bit)),
                max_segment: dev.max_segment(),
                timeout,
                phase: Atomic::new(Phase::Waiting as u32),
                epoch: Atomic::new(0),
                data,
                control,
                observer,
                sessions <- new_spinlock_irq!(Sessions {
                    open: true,
                    busy: 0,
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

    /// Ends the use of a device that is about to be unbound, and cuts the link to it.
    ///
    /// Context: process, may sleep.
    pub(crate) fn close(&self) {
        self.quiesce(Phase::Closed);
        *self.link.lock() = None;
        self.shut();
    }

    /// Ends the use of a device that is about to lose its power.
    ///
    /// Context: process, may sleep.
    pub(crate) fn freeze(&self) {
        self.quiesce(Phase::Failed);
        if let Some(link) = &mut *self.link.lock() {
            link.reset = true;
        }
    }

    /// Waits until the device has returned all requests, and tells it to forget our sessions.
    fn quiesce(&self, phase: Phase) {
        let answers = self.is_ready();
        self.advance(phase);
        for queue in &self.data {
            dataq::set_open(queue, false);
        }
        if answers {
            self.wait_until(|| self.data.iter().all(|queue| dataq::is_idle(queue)));
            self.sessions.lock().open = false;
            self.wait_until(|| self.sessions.lock().busy == 0);
            self.destroy_sessions();
            self.wait_until(|| {
                self.sessions.lock().busy == 0 && self.control.lock().in_flight() == 0
            });
        }
    }

    /// Sees to it that requests that do not come back are noticed.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn watch(&self) {
        self.queue_in(self.look_interval());
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
            core::mem::replace(&mut sessions.ids, RBTree::new())
        };
        let revision = self.features.revision();
        while let Some((id, service)) = ids.cursor_front().map(|cursor| {
            let (id, service) = cursor.current();
            (*id, *service)
        }) {
            ids.remove(&id);
            let destroy = Destroy::new(service, id);
            match controlq::prepare(destroy.bytes(revision), DESTROYED) {
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

    /// Returns the features in force.
    pub(crate) fn features(&self) -> &Features {
        &self.features
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
        let index = Queues::index_for(CpuId::current(), self.data.len())?;
        self.data.get(index).map(|queue| &**queue)
    }

    /// Returns true if the device takes requests, or may do so again.
    pub(crate) fn may_return(&self) -> bool {
        self.phase.load(Relaxed) <= Phase::Ready as u32
    }

    /// Returns in which of its lives the device is.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Says that a session is being created, until the returned value is dropped; returns the
    /// device's life with it.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is about to forget all sessions.
    pub(super) fn creating(&self) -> Result<(u32, impl Drop + use<'_>)> {
        let mut sessions = self.sessions.lock();
        if !sessions.open {
            return Err(ENODEV);
        }
        sessions.busy += 1;
        let guard = ScopeGuard::new(|| self.sessions.lock().busy -= 1);
        Ok((self.epoch(), guard))
    }

    /// Enters a session in the books.
    ///
    /// # Errors
    ///
    /// `EEXIST`: it is there already. `ENODEV`: the device is about to forget all sessions, or has.
    pub(super) fn add_session(
        &self,
        epoch: u32,
        service: Service,
        id: u64,
        node: RBTreeNodeReservation<u64, Service>,
    ) -> Result {
        let mut sessions = self.sessions.lock();
        if !sessions.open || epoch != self.epoch() {
            return Err(ENODEV);
        }
        if sessions.ids.get(&id).is_some() {
            return Err(EEXIST);
        }
        sessions.ids.insert(node.into_node(id, service));
        Ok(())
    }

    /// Strikes a session off the books. Returns nothing if it is not there; else the device is not
    /// closed before the returned value is dropped, so that it can be told.
    pub(super) fn remove_session(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        let mut sessions = self.sessions.lock();
        if epoch != self.epoch() {
            return None;
        }
        sessions.ids.remove_node(&id)?;
        sessions.busy += 1;
        Some(ScopeGuard::new(|| self.sessions.lock().busy -= 1))
    }

    /// Begins another life: what the device knew is void.
    fn forget_sessions(&self) {
        let ids = {
            let mut sessions = self.sessions.lock();
            self.epoch.fetch_add(1, Relaxed);
            core::mem::replace(&mut sessions.ids, RBTree::new())
        };
        drop(ids);
    }

    /// Returns how often to look after requests: a device that has not returned any for its time
    /// is found out after three to four looks.
    fn look_interval(&self) -> Msecs {
        (self.timeout / 2).max(1)
    }

    /// Looks after requests that do not come back. Returns true if there are some to look after.
    fn look(&self) -> bool {
        let looks = self.data.iter().map(|queue| dataq::look(queue));
        let worst = looks.max().unwrap_or(Look::Idle);
        if worst == Look::Stuck && self.advance(Phase::Failed) {
            pr_err!(
                "a device has not returned requests for {} ms or more\n",
                self.timeout
            );
        }
        worst != Look::Idle
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
    /// Looks how the device is, and does what follows.
    fn run(&self) -> Option<Msecs> {
        let watch = self.look().then(|| self.look_interval());
        let news = match &mut *self.link.lock() {
            Some(link) => self.check(link),
            None => return None,
        };
        if news && self.observer.changed().is_err() {
            return Some(RETRY);
        }
        watch
    }
}

impl State {
    /// Looks what the device says of itself; returns true if others want to know, too.
    fn check(&self, link: &mut Link) -> bool {
        let queues = &link.queues;
        let says = queues.with_device(|dev| {
            if dev.needs_reset() && self.advance(Phase::Failed) {
                dev_err!(dev, "the device asks to be reset\n");
            }
            Config::is_ready(dev.read_config_word(0))
        });
        let Some(ready) = says else {
            return false;
        };
        if self.phase.load(Relaxed) == Phase::Failed as u32 {
            if !link.reset {
                link.reset = true;
                queues.with_device(|dev| {
                    dev_err!(dev, "the device is given up; bind it again to use it\n");
                });
                queues.reset();
            }
            return true;
        }
        if !self.set_ready(ready) {
            // Something may be left to do since the last time.
            return ready;
        }
        queues.with_device(|dev| {
            if ready {
                let (queues, bytes) = (self.data.len(), self.config.max_size());
                dev_info!(
                    dev,
                    "ready: {queues} data queue(s), requests of up to {bytes} bytes\n"
                );
            } else {
                dev_warn!(dev, "the device is not ready\n");
            }
        });
        for queue in &self.data {
            dataq::set_open(queue, ready);
        }
        if !ready {
            self.forget_sessions();
        }
        true
    }
}
