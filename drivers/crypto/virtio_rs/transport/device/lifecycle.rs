// SPDX-License-Identifier: GPL-2.0

//! The lifecycle of a device: watchdog, recovery, suspend and unbind.

use super::{
    super::{
        controlq,
        dataq,
        dataq::Progress, //
    },
    state::{
        DeviceState,
        Event, //
    },
    watchdog::{
        Failures,
        ReadyPoll,
        Watchdog, //
    },
    Config,
    ControlMessage,
    Device,
    DeviceInner,
    RETRY,
    WORDS, //
};
use crate::{
    support::work::WorkHandler,
    virtio,
    virtio::Queues,
    wire::{
        control::{
            Destroy,
            DestroyResponse,
            DESTROY_RESPONSE_LEN, //
        }, //
    },
};
use kernel::{
    device::Bound,
    prelude::*,
    sync::atomic::{
        Acquire,
        Relaxed, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic,
        Msecs, //
    }, //
};

/// The interval at which the driver checks whether a device that has become ready has returned its earlier
/// requests, in milliseconds.
const DRAIN_POLL: Msecs = 20;

/// The minimum time limit of each step of [`quiesce`](DeviceInner::quiesce), in milliseconds.
const GRACE: i64 = 1000;

impl WorkHandler for DeviceInner {
    /// Runs the watchdog, updates the state of the device, and calls its callbacks.
    fn run(&self) -> Option<Msecs> {
        let (next_poll, update) = self.poll()?;
        let is_changed = match update {
            Update::Unchanged => false,
            Update::Changed => true,
            Update::RetryAfter(delay) => return Some(delay),
        };
        // Acquire: pairs with the release in `request_sessions`.
        let reestablish_pending = self.reestablish_pending.xchg(0, Acquire) != 0;
        if is_changed || reestablish_pending {
            self.callbacks.device_changed();
        }
        next_poll
    }
}

/// The result of an update of a device's state.
enum Update {
    /// The state has not changed.
    Unchanged,
    /// The callbacks must be called.
    Changed,
    /// The update must be repeated after this delay, in milliseconds.
    RetryAfter(Msecs),
}

impl DeviceInner {
    /// Runs the watchdog, and updates the state of the device. Returns the delay until the next call, if any,
    /// and the result of the update. Returns `None` if the device is not bound any more.
    fn poll(&self) -> Option<(Option<Msecs>, Update)> {
        let mut watchdog = self.watchdog.lock();
        let watchdog = (*watchdog).as_mut()?;
        let next_check = self.check_timeouts(watchdog);
        let update = self.update_state(watchdog);
        let ready_poll = watchdog
            .ready_poll
            .as_ref()
            .map(|poll| poll.remaining(watchdog.now()));
        let retry = controlq::retry(&self.control).then_some(RETRY);
        let next_poll = [next_check, ready_poll, retry].into_iter().flatten().min();
        Some((next_poll, update))
    }

    /// Checks for timed-out requests, at most once per watchdog interval. A config change also runs this work
    /// item and must not age requests faster. Returns the delay until the next check, or `None` if all data
    /// queues are idle.
    fn check_timeouts(&self, watchdog: &mut Watchdog) -> Option<Msecs> {
        let now = watchdog.now();
        if let Some(remaining) = Msecs::try_from(watchdog.next_check - now)
            .ok()
            .filter(|remaining| *remaining > 0)
        {
            return Some(remaining);
        }
        let interval = self.watchdog_interval();
        watchdog.next_check = now + i64::from(interval);

        let progress = self.data.iter().map(|queue| dataq::check_progress(queue));
        let worst = progress.max().unwrap_or(Progress::Idle);
        if worst == Progress::Stalled && self.state.apply(Event::Fail) {
            pr_err!("request timeout ({} ms), resetting device\n", self.timeout);
        }
        (worst != Progress::Idle).then_some(interval)
    }

    /// Reads the status of the device, and updates the state.
    fn update_state(&self, watchdog: &mut Watchdog) -> Update {
        let queues = watchdog.queues.clone();
        let hw_ready = queues.with_device(|dev| {
            if dev.is_disconnected() {
                if self.state.apply(Event::Fail) {
                    dev_err!(dev, "device disconnected\n");
                }
            } else if dev.needs_reset() && self.state.apply(Event::Fail) {
                dev_err!(dev, "device needs reset\n");
            }
            Config::is_ready(dev.read_config_word(0))
        });
        let update = match (self.state.get(), hw_ready) {
            (DeviceState::Failed, _) => self.recover(watchdog),
            (DeviceState::NotReady | DeviceState::Ready, Some(true)) => self.enter_ready(watchdog),
            (DeviceState::Ready, Some(false)) => self.enter_not_ready(watchdog),
            (DeviceState::NotReady, Some(false)) => self.poll_ready(watchdog),
            _ => Update::Unchanged,
        };
        if self.state.get() != DeviceState::NotReady {
            watchdog.ready_poll = None;
        } else if watchdog.ready_poll.is_none() {
            watchdog.ready_poll = Some(ReadyPoll::new(watchdog.now()));
        }
        update
    }

    /// Resets and restarts a device that is not ready, once per interval of [`ReadyPoll`]. Reading the status
    /// is not enough, because some devices only update the status when they are reset.
    fn poll_ready(&self, watchdog: &mut Watchdog) -> Update {
        let now = watchdog.now();
        let due = watchdog
            .ready_poll
            .as_mut()
            .is_some_and(|poll| poll.is_due(now));
        // Wait until the device has returned its requests. If it does not, the watchdog resets it.
        if !due || !self.is_drained() {
            return Update::Unchanged;
        }
        let queues = &watchdog.queues;
        queues.reset();
        match self.restart(queues, false) {
            Ok(()) => {
                let status = queues.with_device(|dev| dev.read_config_word(0));
                if status.is_some_and(Config::is_ready) {
                    self.enter_ready(watchdog)
                } else {
                    Update::Unchanged
                }
            }
            Err(err) if self.state.apply(Event::Fail) => {
                dev_err!(queues.device(), "restart failed: {err:?}\n");
                Update::RetryAfter(RETRY)
            }
            // The device was frozen. `restore` starts it.
            Err(_) => Update::Unchanged,
        }
    }

    /// Returns true if no request is in flight, and no session is being created or destroyed.
    fn is_drained(&self) -> bool {
        self.data.iter().all(|queue| dataq::is_idle(queue))
            && self.sessions.is_idle()
            && controlq::is_idle(&self.control)
    }

    fn enter_ready(&self, watchdog: &mut Watchdog) -> Update {
        let queues = &watchdog.queues;
        if self.is_ready() {
            return Update::Unchanged;
        }
        // Requests from before the device became not ready may name session IDs that the device could now
        // assign to new sessions. Wait until they are complete. If they never complete, the watchdog resets
        // the device.
        //
        // A session that is being created belongs to the previous epoch. It must be in the table before
        // the sessions of that epoch are destroyed.
        if !self.data.iter().all(|queue| dataq::is_idle(queue)) || !self.sessions.is_idle() {
            return Update::RetryAfter(DRAIN_POLL);
        }
        match self.compare_config(queues) {
            Ok(()) => {}
            Err(err) if err == EINVAL => {
                if self.state.apply(Event::Fail) {
                    dev_err!(queues.device(), "configuration changed, resetting device\n");
                }
                return Update::RetryAfter(0);
            }
            Err(_) => return Update::RetryAfter(RETRY),
        }
        if self.destroy_stale_sessions().is_err() {
            return Update::RetryAfter(RETRY);
        }
        if !self.state.apply(Event::BecomeReady) {
            return Update::RetryAfter(0);
        }
        let (count, bytes) = (self.data.len(), self.config.max_size());
        watchdog.log_readiness(fmt!("ready: {count} data queue(s), max_size {bytes}"));
        let epoch = self.epoch();
        for queue in &self.data {
            dataq::open(queue, epoch);
        }
        Update::Changed
    }

    fn enter_not_ready(&self, watchdog: &mut Watchdog) -> Update {
        if !self.state.apply(Event::BecomeNotReady) {
            return Update::Unchanged;
        }
        watchdog.log_readiness(fmt!("device not ready"));
        self.close_queues();
        self.sessions.start_epoch();
        Update::Changed
    }

    fn close_queues(&self) {
        for queue in &self.data {
            dataq::close(queue);
        }
    }

    /// Resets and restarts a failed device, or disables it if it has failed too often.
    fn recover(&self, watchdog: &mut Watchdog) -> Update {
        let queues = &watchdog.queues;
        self.close_queues();
        self.sessions.start_epoch();
        queues.reset();

        let completed = self.data.iter().map(|queue| dataq::completed(queue)).sum();
        let now = watchdog.now();
        if !watchdog.failures.count(now, completed) {
            if self.state.apply(Event::Disable) {
                dev_err!(
                    queues.device(),
                    "disabled after repeated failures, rebind the device to use it\n"
                );
            }
            return Update::Changed;
        }
        // DPDK's device drops requests without indirect descriptors. Accept these descriptors if the device
        // has never completed a request.
        match self.restart(queues, completed == 0) {
            Ok(()) => {
                dev_info!(queues.device(), "device reset and restarted\n");
                // Relaxed: a count for debugfs.
                self.restarts.fetch_add(1, Relaxed);
                self.state.apply(Event::Restart);
                Update::RetryAfter(0)
            }
            // The device was frozen. `restore` starts it.
            Err(_) if self.state.get() != DeviceState::Failed => Update::Unchanged,
            Err(err) => {
                dev_err!(queues.device(), "restart failed: {err:?}\n");
                Update::RetryAfter(RETRY)
            }
        }
    }

    /// Restarts a device that was reset. If `accept_indirect` is true, also negotiates indirect descriptors.
    fn restart(&self, queues: &Queues, accept_indirect: bool) -> Result {
        queues.restart(accept_indirect)?;
        self.compare_config(queues).inspect_err(|_| queues.reset())
    }

    /// Compares the configuration of the device with the configuration that `probe` has read, apart from
    /// the status. Requests and sessions rely on the limits that `probe` has read.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the configuration differs, or is invalid.
    /// - `EAGAIN` if the device changes the configuration during every attempt to read it.
    /// - `ENODEV` if the device is not in use.
    fn compare_config(&self, queues: &Queues) -> Result {
        let words = queues.with_device(|dev| dev.read_config::<WORDS>());
        let config = Config::parse(&words.unwrap_or(Err(ENODEV))?)?;
        if config.same_except_status(&self.config) {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Destroys the sessions that a device had before it was reset or became not ready. The specification
    /// does not say whether a device keeps these sessions. So the driver sends a DESTROY for one session.
    /// Only if the device knows this session, the driver sends a DESTROY for the others.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted. The remaining sessions stay in the table.
    fn destroy_stale_sessions(&self) -> Result {
        let Some(first) = self.sessions.pop_stale() else {
            return Ok(());
        };
        let layout = self.features.layout();
        let response = controlq::send_and_wait(
            &self.control,
            first.destroy().bytes(layout),
            &[],
            DESTROY_RESPONSE_LEN,
            self.timeout,
        );
        match response.map(|response| DestroyResponse::parse(&response)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                self.sessions.clear_stale();
                return Ok(());
            }
            // The request was not sent, so the session may be put back. Two DESTROY requests must not be sent
            // for one ID.
            Err(err) if err == ENOMEM => {
                self.sessions.put_back(first);
                return Err(ENOMEM);
            }
            Err(err) => {
                if err == ETIMEDOUT || err == EIO {
                    self.state.apply(Event::Fail);
                } else {
                    // A reset has returned the request before the device has used it.
                    self.sessions.put_back(first);
                }
                return Ok(());
            }
        }
        while let Some(session) = self.sessions.pop_stale() {
            match self.prepare_destroy(&session.destroy()) {
                Ok(message) => self.post_without_retry(message),
                Err(err) => {
                    self.sessions.put_back(session);
                    return Err(err);
                }
            }
        }
        Ok(())
    }

    /// Sends a DESTROY for every session of the current epoch.
    fn destroy_sessions(&self) {
        while let Some(session) = self.sessions.pop() {
            match self.prepare_destroy(&session.destroy()) {
                Ok(message) => self.post_without_retry(message),
                Err(_) => {
                    kernel::pr_warn_once!("out of memory, sessions stay in the device\n")
                }
            }
        }
    }

    /// Sends a control request without waiting for the response. The caller must call [`controlq::retry`].
    fn post_without_retry(&self, message: ControlMessage) {
        // An error needs no action: the device was reset or removed and has lost its sessions, or the ring is
        // broken and the device must be reset.
        let _ = controlq::send_nowait(&self.control, message);
    }

    fn prepare_destroy(&self, destroy: &Destroy) -> Result<ControlMessage> {
        controlq::prepare(destroy.bytes(self.features.layout()), DESTROY_RESPONSE_LEN)
    }

    /// Applies `event`, waits until the device has returned all requests, and destroys its sessions. This
    /// takes at most [`timeout`](Self::timeout) + 2 x [`GRACE`].
    fn quiesce(&self, event: Event) {
        let responds = self.is_ready() && self.is_operational();
        self.state.apply(event);
        self.close_queues();
        if responds {
            let begin = Instant::now();
            self.wait_until(begin, || {
                self.data.iter().all(|queue| dataq::is_idle(queue))
            });
            self.sessions.set_accepting(false);
            self.wait_until(begin, || self.sessions.is_idle());
            self.destroy_sessions();
            self.wait_until(begin, || {
                !controlq::retry(&self.control)
                    && self.sessions.is_idle()
                    && controlq::is_idle(&self.control)
            });
        }
    }

    /// Waits until `condition` is met. Gives up after [`GRACE`], but not before the request timeout has
    /// passed since `begin`.
    fn wait_until(&self, begin: Instant<Monotonic>, condition: impl Fn() -> bool) {
        let limit = i64::from(self.timeout).max(begin.elapsed().as_millis() + GRACE);
        while !condition() && begin.elapsed().as_millis() < limit {
            fsleep(Delta::from_millis(5));
        }
    }
}

impl DeviceInner {
    /// Calls `f` with the device. Returns `None` if the device is not in use.
    fn with_device<R>(&self, f: impl FnOnce(&virtio::Device<Bound>) -> R) -> Option<R> {
        let queues = self.queues.lock().clone();
        queues?.with_device(f)
    }

    /// Reads `VIRTIO_CRYPTO_S_HW_READY`. The state of the device may not reflect the value yet, because the
    /// work item updates it later.
    ///
    /// Context: process, may sleep.
    pub(crate) fn read_hw_ready(&self) -> bool {
        let status = self.with_device(|dev| dev.read_config_word(0));
        status.is_some_and(Config::is_ready)
    }

    /// Returns true if the device operates. After a surprise removal or a function reset this returns false,
    /// even if the work item has not detected the event yet.
    fn is_operational(&self) -> bool {
        self.with_device(|dev| dev.is_operational())
            .unwrap_or(false)
    }
}

impl Device {
    /// Updates the state for the first time, without calling the callbacks.
    ///
    /// Context: process, may sleep.
    pub(crate) fn start(&self) {
        let delay = match self.poll() {
            None => None,
            Some((_, Update::RetryAfter(delay))) => Some(delay),
            Some((next_poll, Update::Unchanged | Update::Changed)) => next_poll,
        };
        if let Some(delay) = delay {
            self.queue_delayed(delay);
        }
    }

    /// Ends the use of a device that is about to be unbound.
    ///
    /// Context: process, may sleep.
    pub(crate) fn close(&self) {
        self.quiesce(Event::Unbind);
        // The work item of the device and the work item of the registry may wait for a control request. The
        // reset returns the request.
        let queues = self.queues.lock().take();
        if let Some(queues) = queues {
            queues.reset();
        }
        // Without the watchdog the work item does nothing. Reset the device again, because the work item may
        // have restarted it after the first reset.
        let watchdog = self.watchdog.lock().take();
        if let Some(watchdog) = watchdog {
            watchdog.queues.reset();
        }
        self.disable_sync();
    }

    /// Ends the use of a device that is about to be reset, and may lose power.
    ///
    /// Context: process, may sleep.
    pub(crate) fn freeze(&self) {
        self.quiesce(Event::Freeze);
        self.sessions.start_epoch();
    }

    /// Allows the use of a device that was frozen. The next run of the work item starts it.
    ///
    /// Context: process, may sleep.
    pub(crate) fn restore(&self) {
        if let Some(watchdog) = &mut *self.watchdog.lock() {
            watchdog.failures = Failures::new();
            // A poll would reset the device, which must not happen now.
            watchdog.ready_poll = None;
        }
        self.sessions.set_accepting(true);
        self.state.apply(Event::Restore);
    }
}
