// SPDX-License-Identifier: GPL-2.0

//! A device: its configuration, queues, sessions and state.

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
        ControlQueue,
        ControlQueueHandler, //
    },
    dataq,
    dataq::{
        DataQueue,
        DataQueueHandler, //
    },
    session, //
};
use crate::{
    crypto::Limits,
    settings::Settings,
    support::{
        work::OwnedDelayedWork,
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
        control::MAX_RESPONSE_LEN,
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
            Release, //
        },
        Arc,
        Mutex, //
    },
    time::Msecs, //
};

/// The maximum number of data queues. All queues of a device must be set up. The specification allows 65535,
/// for which the transport would allocate too much memory at once.
const MAX_DATA_QUEUES: usize = 2048;

/// The delay before a failed step is repeated, in milliseconds.
const RETRY: Msecs = 1000;

pub(crate) use self::debugfs::show;
pub(super) use self::session_table::IdNode;

/// A device with the work item of its watchdog and recovery.
pub(crate) type Device = OwnedDelayedWork<DeviceInner>;

/// The functions that a device calls when its state changes.
pub(crate) trait DeviceCallbacks: Send + Sync {
    /// Called after a device has become ready or not ready, and when sessions must be created. The function
    /// must not wait for a device, because it runs in the work item that resets a failed device.
    ///
    /// Context: process, may sleep.
    fn device_changed(&self);
}

/// The data of a device.
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
    /// The number of restarts.
    restarts: Atomic<u32>,
    /// 1 if sessions must be created and [`DeviceCallbacks::device_changed`] was not called yet, else 0.
    reestablish_pending: Atomic<u32>,
    /// `None` after unbind. The lock is held only for a short time.
    #[pin]
    queues: Mutex<Option<Arc<Queues>>>,
    /// `None` after unbind. The lock is held during a recovery.
    #[pin]
    watchdog: Mutex<Option<Watchdog>>,
}

impl Device {
    /// Reads the configuration of a device, and sets up its queues.
    ///
    /// Recovery runs on `workqueue`, which has a rescuer thread. Memory reclaim may wait for requests that
    /// only a reset returns, so recovery must not wait for memory reclaim.
    ///
    /// Context: process, may sleep; from `probe`.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the device does not offer VIRTIO_F_VERSION_1;
    /// - `EINVAL` if the configuration is invalid, or the device has more than [`MAX_DATA_QUEUES`];
    /// - `EAGAIN` if the device changes the configuration during every attempt to read it;
    /// - other errors of the transport.
    pub(crate) fn probe(
        dev: &virtio::Device<device::Core<'_>>,
        callbacks: Arc<dyn DeviceCallbacks>,
        settings: &Settings,
        workqueue: Arc<ReclaimWorkqueue>,
    ) -> Result<Arc<Self>> {
        if !dev.is_version_1() {
            dev_err!(dev, "VIRTIO_F_VERSION_1 not offered\n");
            return Err(ENODEV);
        }
        let config = Config::parse(&dev.read_config::<WORDS>()?).inspect_err(|_| {
            dev_err!(dev, "invalid number of data queues\n");
        })?;

        if config.data_queues() > MAX_DATA_QUEUES {
            dev_err!(
                dev,
                "{} data queues, maximum is {MAX_DATA_QUEUES}\n",
                config.data_queues()
            );
            return Err(EINVAL);
        }

        // The control queue comes after the data queues.
        let mut data = KVec::new();
        let mut virtqueues: KVec<Arc<dyn QueueOps>> = KVec::new();
        for index in 0..config.data_queues() {
            let queue = DataQueueHandler::new_queue(index)?;
            data.push(queue.clone(), GFP_KERNEL)?;
            virtqueues.push(queue, GFP_KERNEL)?;
        }
        let control = ControlQueueHandler::new_queue()?;
        virtqueues.push(control.clone(), GFP_KERNEL)?;
        let queues = dev.find_queues(virtqueues, data.len()).inspect_err(|err| {
            dev_err!(
                dev,
                "failed to set up {} virtqueues: {:?}\n",
                data.len() + 1,
                err
            );
        })?;

        let watchdog = Watchdog::new(queues.clone());
        let inner = pin_init!(DeviceInner {
            config,
            features: Features::new(|bit| dev.has_feature(bit)),
            limits: Limits {
                max_segment_size: dev.max_segment_size(),
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
        Arc::pin_init(
            OwnedDelayedWork::new_for_reclaim(inner, workqueue),
            GFP_KERNEL,
        )
    }

    /// Marks the device failed after a protocol violation or a timeout. The work item resets the device,
    /// which returns all requests in flight, and restarts the device. Returns false if the call has no
    /// effect, for example because the device is already marked.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn fail(&self) -> bool {
        let has_effect = self.state.apply(Event::Fail);
        if has_effect {
            self.queue();
        }
        has_effect
    }

    /// Reports that the device has assigned a session ID twice in an epoch. The work item resets the device.
    /// The driver does not trust results of the epoch's sessions any more.
    ///
    /// Context: any but hard interrupt.
    pub(super) fn report_duplicate_id(&self, epoch: u32) {
        // Mark the epoch first: logging takes long, and a caller may be about to evaluate a result.
        self.sessions.mark_untrusted(epoch);
        if self.fail() {
            pr_err!("duplicate session ID, resetting device\n");
        }
    }

    /// Reports that the device has lost a session. The transform gets a new session.
    ///
    /// Context: any but hard interrupt.
    pub(super) fn report_lost_session(&self, epoch: u32, id: u64) {
        self.sessions.lose(epoch, id);
        self.request_sessions();
    }

    /// Schedules the creation of sessions for the keys without a usable binding.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn request_sessions(&self) {
        // Release: pairs with the acquire in `run`. A work item that reads 1 also sees which sessions are
        // lost or missing. If the work item already runs, it may read 1 before it is queued again.
        self.reestablish_pending.store(1, Release);
        self.queue();
    }

    /// Sends a control request and waits for the response. A timeout marks the device failed.
    pub(super) fn send_control(
        &self,
        request: &[u8],
        key: &[u8],
        response_len: usize,
    ) -> Result<[u8; MAX_RESPONSE_LEN]> {
        let res = controlq::send_and_wait(&self.control, request, key, response_len, self.timeout);
        match res {
            Err(err) if err == ETIMEDOUT => {
                if self.fail() {
                    pr_err!("control request timed out after {} ms\n", self.timeout);
                }
            }
            // The ring is broken, so the device cannot return any request.
            Err(err) if err == EIO => {
                self.fail();
            }
            _ => {}
        }
        res
    }

    /// Sends a control request without waiting for the response.
    ///
    /// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
    pub(super) fn send_control_nowait(&self, message: ControlMessage) {
        // `message` is a DESTROY. An error needs no action: the device was reset or removed and has lost its
        // sessions, or the ring is broken and the device must be reset.
        let _ = controlq::send_nowait(&self.control, message);
        if controlq::retry(&self.control) {
            self.queue_delayed(RETRY);
        }
    }

    /// Arms the watchdog, which detects requests that the device does not return.
    ///
    /// Context: any but hard interrupt.
    pub(crate) fn arm_watchdog(&self) {
        self.queue_delayed(self.watchdog_interval());
    }
}

impl DeviceInner {
    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the negotiated features.
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// Returns the limits of the device's requests.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the request timeout in milliseconds.
    pub(crate) fn timeout(&self) -> Msecs {
        self.timeout
    }

    /// Returns true if the device accepts requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    /// Returns true if the device accepts requests, or may do so later without being rebound.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(
            self.state.get(),
            DeviceState::Disabled | DeviceState::Unbound
        )
    }

    /// Returns the data queues that [`data_queue`](Self::data_queue) can return, in the order of their
    /// indices. Their number is at most the number of CPU IDs.
    pub(super) fn data_queues(&self) -> &[Arc<DataQueue>] {
        // CAST: `usize` has at least 32 bits on the supported architectures.
        let count = self.data.len().min(nr_cpu_ids() as usize);
        self.data.get(..count).unwrap_or_default()
    }

    /// Returns the data queue that is assigned to the current CPU.
    pub(crate) fn data_queue(&self) -> Option<&DataQueue> {
        let index = Queues::queue_for_cpu(CpuId::current(), self.data.len())?;
        self.data.get(index).map(|queue| &**queue)
    }

    /// Returns the current epoch. Sessions of earlier epochs are stale.
    pub(crate) fn epoch(&self) -> u32 {
        self.sessions.epoch()
    }

    /// Evaluates the result of a request again before the caller gets the result. If the driver has detected
    /// a duplicate session ID in `epoch` after the device returned the request, returns the result of
    /// [`session::distrust`].
    ///
    /// Context: any.
    pub(crate) fn evaluate(&self, epoch: Option<u32>, result: Result) -> Result {
        if epoch.is_some_and(|epoch| self.is_untrusted(epoch)) {
            session::distrust(result)
        } else {
            result
        }
    }

    /// Returns true if the results of an epoch's sessions must not be trusted.
    pub(super) fn is_untrusted(&self, epoch: u32) -> bool {
        self.sessions.is_untrusted(epoch)
    }

    /// Begins the creation of a session, as [`SessionTable::begin_create`] does.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SessionTable::begin_create`].
    pub(super) fn begin_create(&self) -> Result<(u32, impl Drop + use<'_>)> {
        self.sessions.begin_create()
    }

    /// Adds a session to the table.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SessionTable::add`].
    pub(super) fn add_session(
        &self,
        epoch: u32,
        service: Service,
        id: u64,
        node: IdNode,
    ) -> Result {
        self.sessions.add(epoch, service, id, node)
    }

    /// Removes a session from the table, as [`SessionTable::remove`] does.
    pub(super) fn remove_session(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        self.sessions.remove(epoch, id)
    }

    /// Returns the interval of the watchdog's checks. A check detects a timed-out request at most a third of
    /// the timeout late.
    fn watchdog_interval(&self) -> Msecs {
        (self.timeout / dataq::CHECKS_PER_TIMEOUT).max(1)
    }
}
