// SPDX-License-Identifier: GPL-2.0

//! What is done for a device: it is looked after, started again when it fails, and put to rest.

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
    support::work::Chore,
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
    sync::atomic::Relaxed,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic,
        Msecs, //
    }, //
};

/// How soon to look again for requests that are about to come back, in milliseconds.
const DRAIN_POLL: Msecs = 20;

/// How long the steps that end the use of a device may take each, if the device has had its time, in
/// milliseconds.
const GRACE: i64 = 1000;

impl Chore for DeviceInner {
    /// Looks how the device is, and does what follows.
    fn run(&self) -> Option<Msecs> {
        let (watch, check) = self.poll()?;
        let news = match check {
            Update::Unchanged => false,
            Update::Changed => true,
            Update::RetryAfter(delay) => return Some(delay),
        };
        let reestablish_pending = self.reestablish_pending.xchg(0, Relaxed) != 0;
        if news || reestablish_pending {
            self.callbacks.device_changed();
        }
        watch
    }
}

/// What has come of a look at a device.
enum Update {
    /// It is as it was.
    Unchanged,
    /// Others want to know.
    Changed,
    /// To be done again after so many milliseconds.
    RetryAfter(Msecs),
}

impl DeviceInner {
    /// Looks how the device is, and does what follows for the device itself. Returns when to do that
    /// again, if there is a reason to, and what has come of it; nothing if it is not bound any more.
    fn poll(&self) -> Option<(Option<Msecs>, Update)> {
        let mut watchdog = self.watchdog.lock();
        let watchdog = (*watchdog).as_mut()?;
        let (watch, check) = (self.check_timeouts(watchdog), self.update_state(watchdog));
        let poll = watchdog
            .ready_poll
            .as_ref()
            .map(|poll| poll.left(watchdog.now()));
        let retry = controlq::retry(&self.control).then_some(RETRY);
        Some(([watch, poll, retry].into_iter().flatten().min(), check))
    }

    /// Looks after requests that do not come back, if it is time to: a device that has something to
    /// say all the time shall not make them grow old. Returns when to look again, if there may be
    /// some to look after.
    fn check_timeouts(&self, watchdog: &mut Watchdog) -> Option<Msecs> {
        let now = watchdog.now();
        if let Some(left) = Msecs::try_from(watchdog.next_check - now)
            .ok()
            .filter(|left| *left > 0)
        {
            return Some(left);
        }
        let interval = self.watchdog_interval();
        watchdog.next_check = now + i64::from(interval);

        let looks = self.data.iter().map(|queue| dataq::check_progress(queue));
        let worst = looks.max().unwrap_or(Progress::Idle);
        if worst == Progress::Stalled && self.state.apply(Event::Fail) {
            pr_err!(
                "a device has not returned requests for {} ms or more\n",
                self.timeout
            );
        }
        (worst != Progress::Idle).then_some(interval)
    }

    /// Looks what the device says of itself.
    fn update_state(&self, watchdog: &mut Watchdog) -> Update {
        let queues = watchdog.queues.clone();
        let says = queues.with_device(|dev| {
            if dev.is_disconnected() {
                if self.state.apply(Event::Fail) {
                    dev_err!(dev, "the device is gone\n");
                }
            } else if dev.needs_reset() && self.state.apply(Event::Fail) {
                dev_err!(dev, "the device asks to be reset\n");
            }
            Config::is_ready(dev.read_config_word(0))
        });
        let check = match (self.state.get(), says) {
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
        check
    }

    /// Resets and restarts a device that is not ready, once per interval of [`ReadyPoll`]. The
    /// status was just read; some devices only update it when they are reset.
    fn poll_ready(&self, watchdog: &mut Watchdog) -> Update {
        let now = watchdog.now();
        let due = watchdog
            .ready_poll
            .as_mut()
            .is_some_and(|poll| poll.is_due(now));
        // The watchdog resets a device that does not return its requests.
        if !due || !self.is_drained() {
            return Update::Unchanged;
        }
        let queues = &watchdog.queues;
        queues.reset();
        match self.restart(queues) {
            Ok(()) => {
                let status = queues.with_device(|dev| dev.read_config_word(0));
                if status.is_some_and(Config::is_ready) {
                    self.enter_ready(watchdog)
                } else {
                    Update::Unchanged
                }
            }
            Err(err) if self.state.apply(Event::Fail) => {
                dev_err!(
                    queues.device(),
                    "starting the device again failed ({err:?})\n"
                );
                Update::RetryAfter(RETRY)
            }
            // Whoever has it sleep starts it again.
            Err(_) => Update::Unchanged,
        }
    }

    /// Returns true if the device has no request, and no session is being created or destroyed.
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
        // What it has from before it was not ready may be for a session whose number it would give to
        // another one now. If it never comes back, the device is reset.
        //
        // A session that is being created belongs to the last epoch. It must be in the book before
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

    /// Resets a device that has failed, and starts it again, unless that has happened too often.
    fn recover(&self, watchdog: &mut Watchdog) -> Update {
        let queues = &watchdog.queues;
        self.close_queues();
        self.sessions.start_epoch();
        queues.reset();

        let returned = self.data.iter().map(|queue| dataq::completed(queue)).sum();
        let now = watchdog.now();
        if !watchdog.failures.count(now, returned) {
            if self.state.apply(Event::Disable) {
                dev_err!(
                    queues.device(),
                    "the device is given up, having failed again and again; bind it again to use it\n"
                );
            }
            return Update::Changed;
        }
        match self.restart(queues) {
            Ok(()) => {
                dev_info!(queues.device(), "the device was reset and started again\n");
                self.restarts.fetch_add(1, Relaxed);
                self.state.apply(Event::Restart);
                Update::RetryAfter(0)
            }
            // Whoever has it sleep starts it again.
            Err(_) if self.state.get() != DeviceState::Failed => Update::Unchanged,
            Err(err) => {
                dev_err!(
                    queues.device(),
                    "starting the device again failed ({err:?})\n"
                );
                Update::RetryAfter(RETRY)
            }
        }
    }

    fn restart(&self, queues: &Queues) -> Result {
        queues.restart()?;
        self.compare_config(queues).inspect_err(|_| queues.reset())
    }

    /// Compares the configuration of the device with that read by `probe`, apart from the status.
    /// Requests and sessions are made for the limits that `probe` has read.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the configuration differs, or is invalid.
    /// - `EAGAIN` if the device changes it whenever it is read.
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

    /// Sees to the sessions that a device had for us before it was reset, or was not ready. The
    /// specification does not say what becomes of them: some devices forget them, some do not.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory. What is left is in the book.
    fn destroy_stale_sessions(&self) -> Result {
        let Some(first) = self.sessions.pop_stale() else {
            return Ok(());
        };
        let revision = self.features.revision();
        let answer = controlq::send_and_wait(
            &self.control,
            first.destroy().bytes(revision),
            &[],
            DESTROY_RESPONSE_LEN,
            self.timeout,
        );
        match answer.map(|answer| DestroyResponse::parse(&answer)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                self.sessions.clear_stale();
                return Ok(());
            }
            // It was not sent. An id for which a DESTROY was sent is not asked for again.
            Err(err) if err == ENOMEM => {
                self.sessions.put_back(first);
                return Err(ENOMEM);
            }
            Err(err) => {
                if err == ETIMEDOUT || err == EIO {
                    self.state.apply(Event::Fail);
                } else {
                    // A reset has returned it.
                    self.sessions.put_back(first);
                }
                return Ok(());
            }
        }
        while let Some(old) = self.sessions.pop_stale() {
            match self.prepare_destroy(&old.destroy()) {
                Ok(message) => self.post_without_retry(message),
                Err(err) => {
                    self.sessions.put_back(old);
                    return Err(err);
                }
            }
        }
        Ok(())
    }

    /// Tells the device to forget every session it has for us.
    fn destroy_sessions(&self) {
        while let Some(session) = self.sessions.pop() {
            match self.prepare_destroy(&session.destroy()) {
                Ok(message) => self.post_without_retry(message),
                Err(_) => {
                    kernel::pr_warn_once!("no memory to destroy sessions: the device keeps them\n")
                }
            }
        }
    }

    /// Sends a control request whose answer is of no interest. The caller calls [`controlq::retry`].
    fn post_without_retry(&self, message: ControlMessage) {
        // Without a device there is nobody to tell.
        let _ = controlq::send_nowait(&self.control, message);
    }

    fn prepare_destroy(&self, destroy: &Destroy) -> Result<ControlMessage> {
        controlq::prepare(
            destroy.bytes(self.features.revision()),
            DESTROY_RESPONSE_LEN,
        )
    }

    /// Waits until the device has returned all requests, and tells it to forget our sessions. This
    /// takes [`timeout`](Self::timeout) and 2 x [`GRACE`] at most.
    fn quiesce(&self, event: Event) {
        let answers = self.is_ready() && self.is_operational();
        self.state.apply(event);
        self.close_queues();
        if answers {
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

    /// Waits until `condition` is met, until the device has had its time for a response since
    /// `begin`, but for [`GRACE`] at least if that is in the past.
    fn wait_until(&self, begin: Instant<Monotonic>, condition: impl Fn() -> bool) {
        let limit = i64::from(self.timeout).max(begin.elapsed().as_millis() + GRACE);
        while !condition() && begin.elapsed().as_millis() < limit {
            fsleep(Delta::from_millis(5));
        }
    }
}

impl DeviceInner {
    /// Calls `f` with the device; returns nothing if it is not in use.
    fn with_device<R>(&self, f: impl FnOnce(&virtio::Device<Bound>) -> R) -> Option<R> {
        let queues = self.queues.lock().clone();
        queues?.with_device(f)
    }

    /// Returns true if the device says just now that it is ready: it may have changed its mind
    /// before its worker gets to know.
    ///
    /// Context: process, may sleep.
    pub(crate) fn read_hw_ready(&self) -> bool {
        let status = self.with_device(|dev| dev.read_config_word(0));
        status.is_some_and(Config::is_ready)
    }

    /// Returns true if the device operates. It does not after a surprise removal or a function reset,
    /// of which its worker may not know yet.
    fn is_operational(&self) -> bool {
        self.with_device(|dev| dev.is_operational())
            .unwrap_or(false)
    }
}

impl Device {
    /// Looks how the device is for the first time. Others are not told: that is the caller's.
    ///
    /// Context: process, may sleep.
    pub(crate) fn start(&self) {
        let delay = match self.poll() {
            None => None,
            Some((_, Update::RetryAfter(delay))) => Some(delay),
            Some((watch, Update::Unchanged | Update::Changed)) => watch,
        };
        if let Some(delay) = delay {
            self.queue_in(delay);
        }
    }

    /// Ends the use of a device that is about to be unbound.
    ///
    /// Context: process, may sleep.
    pub(crate) fn close(&self) {
        self.quiesce(Event::Unbind);
        // The work item may wait for a control request, which this brings back. So may whoever
        // registers algorithms.
        let queues = self.queues.lock().take();
        if let Some(queues) = queues {
            queues.reset();
        }
        // Nobody looks after the device any more. The work item may just have restarted it.
        let watchdog = self.watchdog.lock().take();
        if let Some(watchdog) = watchdog {
            watchdog.queues.reset();
        }
        self.shut();
    }

    /// Ends the use of a device that is about to be reset, and to lose its power perhaps.
    ///
    /// Context: process, may sleep.
    pub(crate) fn freeze(&self) {
        self.quiesce(Event::Freeze);
        self.sessions.start_epoch();
    }

    /// Begins the use of a device that is back, when its worker is called.
    ///
    /// Context: process, may sleep.
    pub(crate) fn restore(&self) {
        if let Some(watchdog) = &mut *self.watchdog.lock() {
            watchdog.failures = Failures::new();
            // The device must not be reset now; a poll would do so.
            watchdog.ready_poll = None;
        }
        self.sessions.set_accepting(true);
        self.state.apply(Event::Restore);
    }
}
