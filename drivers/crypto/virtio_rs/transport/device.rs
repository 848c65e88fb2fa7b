// SPDX-License-Identifier: GPL-2.0

//! A device: its limits, its queues, and whether it is of use.

mod debugfs;
mod lifecycle;
mod session_table;
mod state;
mod watchdog;

use self::{
    session_table::SessionTable,
    state::{
        AtomicDeviceState,
        DeviceState,
        Event, //
    },
    watchdog::Watchdog, //
};
use super::{
    controlq,
    controlq::{
        ControlMessage,
        ControlQueue, //
        ControlQueueHandler,
    },
    dataq,
    dataq::{
        DataQueue, //
        DataQueueHandler,
    },
    session, //
};
use crate::{
    crypto::Limits,
    settings::Settings,
    support::{
        work::Worker,
        workqueue::ReclaimWorkqueue, //
    },
    virtio,
    virtio::{
        QueueOps,
        Queues, //
    },
    wire::{
        algorithm::Service,
        config::{
            Config,
            WORDS, //
        },
        control::ANSWER,
        feature::Features, //
    },
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    device,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::Msecs, //
};

/// The most data queues the driver sets up; all of them have to be. The specification allows 65535,
/// for which transports would ask for more memory at once than there can be.
const MAX_DATA_QUEUES: usize = 2048;

/// How long after it could not be done at once something is tried again, in milliseconds.
const RETRY: Msecs = 1000;

pub(crate) use self::debugfs::show;
pub(super) use self::session_table::IdNode;

/// A device with a worker that looks after it.
pub(crate) type Device = Worker<DeviceInner>;

/// Who wants to know which devices there are.
pub(crate) trait DeviceCallbacks: Send + Sync {
    /// A device has become ready, or is ready no more, or has lost sessions. What follows may take
    /// long, and may depend on the device: whoever calls this does not wait for it.
    ///
    /// Context: process, may sleep.
    fn device_changed(&self);
}

/// What is known of a device.
#[pin_data]
pub(crate) struct DeviceInner {
    config: Config,
    features: Features,
    limits: Limits,
    timeout: Msecs,
    state: AtomicDeviceState,
    data: KVec<Arc<DataQueue>>,
    control: Arc<ControlQueue>,
    callbacks: Arc<dyn DeviceCallbacks>,
    #[pin]
    sessions: SessionTable,
    /// How often the device was reset and started again.
    restarts: Atomic<u32>,
    /// It has lost sessions, whose users are to get others, which nobody was told yet.
    reestablish_pending: Atomic<u32>,
    /// None once the device is no longer bound. Held for a short time only.
    #[pin]
    queues: Mutex<Option<Arc<Queues>>>,
    /// None once the device is no longer bound. Held while the device is recovered.
    #[pin]
    watchdog: Mutex<Option<Watchdog>>,
}

impl Device {
    /// Reads what the device says of itself and sets up its queues.
    ///
    /// Recovery runs on `workqueue`: memory reclaim may wait for requests that only a reset returns.
    ///
    /// Context: process, may sleep; from `probe`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it does not offer VIRTIO_F_VERSION_1. `EINVAL`: its configuration makes no sense, or it has more queues than the driver sets up. `EAGAIN`: its configuration does not hold still.
    /// Others as the transport has them.
    pub(crate) fn probe(
        dev: &virtio::Device<device::Core<'_>>,
        callbacks: Arc<dyn DeviceCallbacks>,
        settings: &Settings,
        workqueue: Arc<ReclaimWorkqueue>,
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
        let mut endpoints: KVec<Arc<dyn QueueOps>> = KVec::new();
        for index in 0..config.data_queues() {
            let queue = DataQueueHandler::new_queue(index)?;
            data.push(queue.clone(), GFP_KERNEL)?;
            endpoints.push(queue, GFP_KERNEL)?;
        }
        let control = ControlQueueHandler::new_queue()?;
        endpoints.push(control.clone(), GFP_KERNEL)?;
        let queues = dev.find_queues(endpoints, data.len()).inspect_err(|err| {
            dev_err!(
                dev,
                "setting up {} queues failed ({:?})\n",
                data.len() + 1,
                err
            );
        })?;

        let watchdog = Watchdog::new(queues.clone());
        let inner = pin_init!(DeviceInner {
            config,
            features: Features::new(|bit| dev.has_feature(bit)),
            limits: Limits {
                max_segment: dev.max_segment(),
                rescue_in_place: settings.rescue_in_place(),
            },
            timeout: settings.timeout(),
            state: AtomicDeviceState::new(),
            data,
            control,
            callbacks,
            sessions <- SessionTable::new(),
            restarts: Atomic::new(0),
            reestablish_pending: Atomic::new(0),
            queues <- new_mutex!(Some(queues)),
            watchdog <- new_mutex!(Some(watchdog)),
        });
        Arc::pin_init(Worker::new_for_reclaim(inner, workqueue), GFP_KERNEL)
    }

    /// Lets go of the device: it broke the rules, or does not answer. It is reset soon, which brings
    /// every request back, and started again. Returns false if it was let go before.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn fail(&self) -> bool {
        let fails = self.state.apply(Event::Fail);
        if fails {
            self.queue();
        }
        fails
    }

    /// The device has given two sessions of an epoch the same number. It is reset, and what it has
    /// done in sessions of that epoch is not trusted.
    ///
    /// Context: any but hard interrupt.
    pub(super) fn report_duplicate_id(&self, epoch: u32) {
        // First: a message takes long, and a caller may be about to judge its result.
        self.sessions.mark_untrusted(epoch);
        if self.fail() {
            pr_err!("duplicate session ID, resetting device\n");
        }
    }

    /// The device has said that it does not know a session: its user is to get another one.
    ///
    /// Context: any but hard interrupt.
    pub(super) fn report_lost_session(&self, epoch: u32, id: u64) {
        self.sessions.lose(epoch, id);
        self.request_sessions();
    }

    /// Has sessions created for keys that want them, soon. This does not wait.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn request_sessions(&self) {
        self.reestablish_pending.store(1, Relaxed);
        self.queue();
    }

    /// Sends a control request and waits for the answer; a device that does not give one fails.
    pub(super) fn send_control(
        &self,
        request: &[u8],
        key: &[u8],
        response_len: usize,
    ) -> Result<[u8; ANSWER]> {
        let res = controlq::send_and_wait(&self.control, request, key, response_len, self.timeout);
        match res {
            Err(err) if err == ETIMEDOUT => {
                if self.fail() {
                    pr_err!("control request timed out after {} ms\n", self.timeout);
                }
            }
            // The ring is broken, and nothing in it would come back.
            Err(err) if err == EIO => {
                self.fail();
            }
            _ => {}
        }
        res
    }

    /// Sends a control request whose answer is of no interest.
    ///
    /// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
    pub(super) fn send_control_nowait(&self, message: ControlMessage) {
        // Without a device there is nobody to tell.
        let _ = controlq::send_nowait(&self.control, message);
        if controlq::retry(&self.control) {
            self.queue_in(RETRY);
        }
    }

    /// Sees to it that requests that do not come back are noticed.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn arm_watchdog(&self) {
        self.queue_in(self.watchdog_interval());
    }
}

impl DeviceInner {
    /// Returns what the device says of itself.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the features in force.
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// Returns the limits of the device's requests.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns how long the device has for an answer, in milliseconds.
    pub(crate) fn timeout(&self) -> Msecs {
        self.timeout
    }

    /// Returns true if the device takes requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    /// Returns true if the device takes requests, or may do so again.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(
            self.state.get(),
            DeviceState::Disabled | DeviceState::Unbound
        )
    }

    /// Returns the data queues that [`data_queue`](Self::data_queue) returns, by their index.
    pub(super) fn data_queues(&self) -> &[Arc<DataQueue>] {
        // CAST: Both targets of this driver have 32 bits at least.
        let count = self.data.len().min(nr_cpu_ids() as usize);
        self.data.get(..count).unwrap_or_default()
    }

    /// Returns the queue for requests made on this CPU.
    pub(crate) fn data_queue(&self) -> Option<&DataQueue> {
        let index = Queues::queue_for_cpu(CpuId::current(), self.data.len())?;
        self.data.get(index).map(|queue| &**queue)
    }

    /// Returns the present epoch: sessions of an earlier one are void.
    pub(crate) fn epoch(&self) -> u32 {
        self.sessions.epoch()
    }

    /// Evaluates a result again, some time after the device has returned the request. Returns it as
    /// [`session::distrust`] does if the driver has detected a duplicate session ID in `epoch`
    /// meanwhile.
    ///
    /// Context: any.
    pub(crate) fn judge(&self, epoch: Option<u32>, result: Result) -> Result {
        if epoch.is_some_and(|epoch| self.is_untrusted(epoch)) {
            session::distrust(result)
        } else {
            result
        }
    }

    /// Returns true if what the device has done in sessions of an epoch is not to be trusted.
    pub(super) fn is_untrusted(&self, epoch: u32) -> bool {
        self.sessions.is_untrusted(epoch)
    }

    /// Says that a session is being created, until the returned value is dropped; returns the
    /// epoch with it.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is about to forget all sessions.
    pub(super) fn begin_create(&self) -> Result<(u32, impl Drop + use<'_>)> {
        self.sessions.begin_create()
    }

    /// Enters a session in the book.
    ///
    /// # Errors
    ///
    /// As [`SessionTable::add`] has them.
    pub(super) fn add_session(
        &self,
        epoch: u32,
        service: Service,
        id: u64,
        node: IdNode,
    ) -> Result {
        self.sessions.add(epoch, service, id, node)
    }

    /// Strikes a session off the book. Returns nothing if it is not there; else the device is not
    /// closed before the returned value is dropped, so that it can be told.
    pub(super) fn remove_session(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        self.sessions.remove(epoch, id)
    }

    /// Returns how often to look after requests: one that the device has had for its time, and
    /// a third more at the most, is found out.
    fn watchdog_interval(&self) -> Msecs {
        (self.timeout / dataq::CHECKS_PER_TIMEOUT).max(1)
    }
}
