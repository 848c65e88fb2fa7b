// SPDX-License-Identifier: GPL-2.0

//! What is done for a device: it is looked after, started again when it fails, and put to rest.

use super::{
    super::{
        controlq,
        dataq,
        dataq::Look, //
    },
    Config,
    ControlMessage,
    Device,
    Phase,
    State,
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
            Destroyed,
            DESTROYED, //
        }, //
    },
};
use core::cmp::Ordering;
use kernel::{
    device::Bound,
    fmt,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic,
        Msecs, //
    }, //
};

/// The same for what is waited for, and soon there.
const SOON: Msecs = 20;

/// How long the steps that end the use of a device may take each, if the device has had its time, in
/// milliseconds.
const GRACE: i64 = 1000;

/// How often a device may fail without having returned a request in between.
const FRUITLESS_FAILURES: u32 = 5;

/// How often a device may fail within [`PERIOD`], whatever it does in between.
const FAILURES: u32 = 60;

/// What [`FAILURES`] are counted in, in milliseconds.
const PERIOD: i64 = 600_000;

/// What is needed to look after a device that is bound.
pub(super) struct Care {
    queues: Arc<Queues>,
    failures: Failures,
    born: Instant<Monotonic>,
    /// When requests are to be looked after the next time, in milliseconds since `born`.
    next_look: i64,
    /// Set while the device is not ready.
    ready_poll: Option<ReadyPoll>,
    /// Of messages about readiness.
    log: LogLimit,
}

impl Care {
    pub(super) fn new(queues: Arc<Queues>) -> Self {
        Self {
            queues,
            failures: Failures::new(),
            born: Instant::now(),
            next_look: 0,
            ready_poll: None,
            log: LogLimit::new(),
        }
    }

    /// Logs that the device became ready, or not ready, which it may do all the time.
    fn log_readiness(&mut self, message: fmt::Arguments<'_>) {
        let dev = self.queues.device();
        match self.log.admit(self.born.elapsed().as_millis()) {
            Admit::Log => dev_info!(dev, "{message}\n"),
            Admit::LogLast => {
                dev_info!(
                    dev,
                    "{message}; further changes are not logged for a while\n"
                );
            }
            Admit::Drop => {}
        }
    }

    /// Returns the time, in milliseconds since `born`.
    fn now(&self) -> i64 {
        self.born.elapsed().as_millis()
    }
}

/// How many messages a device can cause that the driver does not limit otherwise.
struct LogLimit {
    /// In this period.
    count: u32,
    /// When the period began, in milliseconds.
    since: i64,
}

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Admit {
    Log,
    /// Log it, and say that no more are logged.
    LogLast,
    Drop,
}

impl LogLimit {
    /// How many messages are logged within [`PERIOD`].
    const MAX: u32 = 10;

    const fn new() -> Self {
        Self { count: 0, since: 0 }
    }

    /// Counts a message at `now`.
    fn admit(&mut self, now: i64) -> Admit {
        if self.count == 0 || now.saturating_sub(self.since) > PERIOD {
            self.count = 0;
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        match self.count.cmp(&Self::MAX) {
            Ordering::Less => Admit::Log,
            Ordering::Equal => Admit::LogLast,
            Ordering::Greater => Admit::Drop,
        }
    }
}

/// When to look at a device that is not ready: it may become ready without a notification.
///
/// The interval begins with [`MIN`](Self::MIN), and doubles up to [`MAX`](Self::MAX), so that an
/// idle guest is not kept awake. All times are in milliseconds.
struct ReadyPoll {
    interval: Msecs,
    next: i64,
}

impl ReadyPoll {
    const MIN: Msecs = 2_000;
    const MAX: Msecs = 32_000;

    fn new(now: i64) -> Self {
        Self {
            interval: Self::MIN,
            next: now + i64::from(Self::MIN),
        }
    }

    /// Returns true, and begins the next interval, if the present one is over.
    fn is_due(&mut self, now: i64) -> bool {
        if now < self.next {
            return false;
        }
        self.interval = (2 * self.interval).min(Self::MAX);
        self.next = now + i64::from(self.interval);
        true
    }

    /// Returns how much of the interval is left, at least 1.
    fn left(&self, now: i64) -> Msecs {
        Msecs::try_from(self.next - now).unwrap_or(0).max(1)
    }
}

/// How often a device has failed.
struct Failures {
    /// Since it has returned a request.
    fruitless: u32,
    /// In this period.
    recent: u32,
    /// When the period began, in milliseconds of any clock.
    since: i64,
    /// How many requests it had returned when it failed last.
    returned: u64,
}

impl Failures {
    const fn new() -> Self {
        Self {
            fruitless: 0,
            recent: 0,
            since: 0,
            returned: 0,
        }
    }

    /// Counts one more, at `now`, of a device that has returned so many requests in all; returns
    /// false if that is one too many.
    fn count(&mut self, now: i64, returned: u64) -> bool {
        if returned != self.returned {
            self.fruitless = 0;
            self.returned = returned;
        }
        if self.recent == 0 || now.saturating_sub(self.since) > PERIOD {
            self.recent = 0;
            self.since = now;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        self.recent = self.recent.saturating_add(1);
        self.fruitless <= FRUITLESS_FAILURES && self.recent <= FAILURES
    }
}

impl Chore for State {
    /// Looks how the device is, and does what follows.
    fn run(&self) -> Option<Msecs> {
        let (watch, check) = self.tend()?;
        let news = match check {
            Check::Nothing => false,
            Check::News => true,
            Check::Again(delay) => return Some(delay),
        };
        let untold = self.untold.xchg(0, Relaxed) != 0;
        if news || untold {
            self.observer.changed();
        }
        watch
    }
}

/// What has come of a look at a device.
enum Check {
    /// It is as it was.
    Nothing,
    /// Others want to know.
    News,
    /// To be done again after so many milliseconds.
    Again(Msecs),
}

impl State {
    /// Looks how the device is, and does what follows for the device itself. Returns when to do that
    /// again, if there is a reason to, and what has come of it; nothing if it is not bound any more.
    fn tend(&self) -> Option<(Option<Msecs>, Check)> {
        let mut care = self.care.lock();
        let care = (*care).as_mut()?;
        let (watch, check) = (self.look(care), self.check(care));
        let poll = care.ready_poll.as_ref().map(|poll| poll.left(care.now()));
        let retry = controlq::retry(&self.control).then_some(RETRY);
        Some(([watch, poll, retry].into_iter().flatten().min(), check))
    }

    /// Looks after requests that do not come back, if it is time to: a device that has something to
    /// say all the time shall not make them grow old. Returns when to look again, if there may be
    /// some to look after.
    fn look(&self, care: &mut Care) -> Option<Msecs> {
        let now = care.now();
        if let Some(left) = Msecs::try_from(care.next_look - now)
            .ok()
            .filter(|left| *left > 0)
        {
            return Some(left);
        }
        let interval = self.look_interval();
        care.next_look = now + i64::from(interval);

        let looks = self.data.iter().map(|queue| dataq::look(queue));
        let worst = looks.max().unwrap_or(Look::Idle);
        if worst == Look::Stuck && self.phase.advance(Phase::Failed) {
            pr_err!(
                "a device has not returned requests for {} ms or more\n",
                self.timeout
            );
        }
        (worst != Look::Idle).then_some(interval)
    }

    /// Looks what the device says of itself.
    fn check(&self, care: &mut Care) -> Check {
        let queues = care.queues.clone();
        let says = queues.with_device(|dev| {
            if dev.is_gone() {
                if self.phase.advance(Phase::Failed) {
                    dev_err!(dev, "the device is gone\n");
                }
            } else if dev.needs_reset() && self.phase.advance(Phase::Failed) {
                dev_err!(dev, "the device asks to be reset\n");
            }
            Config::is_ready(dev.read_config_word(0))
        });
        let check = match (self.phase.get(), says) {
            (Phase::Failed, _) => self.recover(care),
            (Phase::Waiting | Phase::Ready, Some(true)) => self.become_ready(care),
            (Phase::Ready, Some(false)) => self.become_unready(care),
            (Phase::Waiting, Some(false)) => self.poll_ready(care),
            _ => Check::Nothing,
        };
        if self.phase.get() != Phase::Waiting {
            care.ready_poll = None;
        } else if care.ready_poll.is_none() {
            care.ready_poll = Some(ReadyPoll::new(care.now()));
        }
        check
    }

    /// Resets and restarts a device that is not ready, once per interval of [`ReadyPoll`]. The
    /// status was just read; some devices only update it when they are reset.
    fn poll_ready(&self, care: &mut Care) -> Check {
        let now = care.now();
        let due = care
            .ready_poll
            .as_mut()
            .is_some_and(|poll| poll.is_due(now));
        // The watchdog resets a device that does not return its requests.
        if !due || !self.is_drained() {
            return Check::Nothing;
        }
        let queues = &care.queues;
        queues.reset();
        match self.restart(queues) {
            Ok(()) => {
                let status = queues.with_device(|dev| dev.read_config_word(0));
                if status.is_some_and(Config::is_ready) {
                    self.become_ready(care)
                } else {
                    Check::Nothing
                }
            }
            Err(err) if self.phase.change(Phase::Waiting, Phase::Failed) => {
                dev_err!(
                    queues.device(),
                    "starting the device again failed ({err:?})\n"
                );
                Check::Again(RETRY)
            }
            // Whoever has it sleep starts it again.
            Err(_) => Check::Nothing,
        }
    }

    /// Returns true if the device has no request, and no session is being created or destroyed.
    fn is_drained(&self) -> bool {
        self.data.iter().all(|queue| dataq::is_idle(queue))
            && self.sessions.is_idle()
            && controlq::is_idle(&self.control)
    }

    fn become_ready(&self, care: &mut Care) -> Check {
        let queues = &care.queues;
        if self.is_ready() {
            return Check::Nothing;
        }
        // What it has from before it was not ready may be for a session whose number it would give to
        // another one now. If it never comes back, the device is reset.
        // A session that is being created belongs to the last epoch. It must be in the book before the
        // sessions of that epoch are destroyed.
        if !self.data.iter().all(|queue| dataq::is_idle(queue)) || !self.sessions.is_idle() {
            return Check::Again(SOON);
        }
        match self.compare_config(queues) {
            Ok(()) => {}
            Err(err) if err == EINVAL => {
                if self.phase.advance(Phase::Failed) {
                    dev_err!(queues.device(), "configuration changed, resetting device\n");
                }
                return Check::Again(0);
            }
            Err(_) => return Check::Again(RETRY),
        }
        if self.settle_old_sessions().is_err() {
            return Check::Again(RETRY);
        }
        if !self.phase.change(Phase::Waiting, Phase::Ready) {
            return Check::Again(0);
        }
        let (count, bytes) = (self.data.len(), self.config.max_size());
        care.log_readiness(fmt!("ready: {count} data queue(s), max_size {bytes}"));
        let epoch = self.epoch();
        for queue in &self.data {
            dataq::open(queue, epoch);
        }
        Check::News
    }

    fn become_unready(&self, care: &mut Care) -> Check {
        if !self.phase.change(Phase::Ready, Phase::Waiting) {
            return Check::Nothing;
        }
        care.log_readiness(fmt!("device not ready"));
        self.close_queues();
        self.sessions.forget();
        Check::News
    }

    fn close_queues(&self) {
        for queue in &self.data {
            dataq::close(queue);
        }
    }

    /// Resets a device that has failed, and starts it again, unless that has happened too often.
    fn recover(&self, care: &mut Care) -> Check {
        let queues = &care.queues;
        self.close_queues();
        self.sessions.forget();
        queues.reset();

        let returned = self.data.iter().map(|queue| dataq::returned(queue)).sum();
        let now = care.now();
        if !care.failures.count(now, returned) {
            if self.phase.change(Phase::Failed, Phase::GivenUp) {
                dev_err!(
                    queues.device(),
                    "the device is given up, having failed again and again; bind it again to use it\n"
                );
            }
            return Check::News;
        }
        match self.restart(queues) {
            Ok(()) => {
                dev_info!(queues.device(), "the device was reset and started again\n");
                self.restarts.fetch_add(1, Relaxed);
                self.phase.change(Phase::Failed, Phase::Waiting);
                Check::Again(0)
            }
            // Whoever has it sleep starts it again.
            Err(_) if self.phase.get() != Phase::Failed => Check::Nothing,
            Err(err) => {
                dev_err!(
                    queues.device(),
                    "starting the device again failed ({err:?})\n"
                );
                Check::Again(RETRY)
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
        if config.is_like(&self.config) {
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
    fn settle_old_sessions(&self) -> Result {
        let Some(first) = self.sessions.take_old() else {
            return Ok(());
        };
        let revision = self.features.revision();
        let answer = controlq::call(
            &self.control,
            first.destroy().bytes(revision),
            &[],
            DESTROYED,
            self.timeout,
        );
        match answer.map(|answer| Destroyed::parse(&answer)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                self.sessions.drop_old();
                return Ok(());
            }
            // It was not sent. An id for which a DESTROY was sent is not asked for again.
            Err(err) if err == ENOMEM => {
                self.sessions.put_back(first);
                return Err(ENOMEM);
            }
            Err(err) => {
                if err == ETIMEDOUT || err == EIO {
                    self.phase.advance(Phase::Failed);
                } else {
                    // A reset has returned it.
                    self.sessions.put_back(first);
                }
                return Ok(());
            }
        }
        while let Some(old) = self.sessions.take_old() {
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
        while let Some(session) = self.sessions.take() {
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
        let _ = controlq::post(&self.control, message);
    }

    fn prepare_destroy(&self, destroy: &Destroy) -> Result<ControlMessage> {
        controlq::prepare(destroy.bytes(self.features.revision()), DESTROYED)
    }

    /// Waits until the device has returned all requests, and tells it to forget our sessions. This
    /// takes [`timeout`](Self::timeout) and 2 x [`GRACE`] at most.
    fn quiesce(&self, phase: Phase) {
        let answers = self.is_ready() && self.is_operational();
        self.phase.advance(phase);
        self.close_queues();
        if answers {
            let begin = Instant::now();
            self.wait_until(begin, || {
                self.data.iter().all(|queue| dataq::is_idle(queue))
            });
            self.sessions.set_open(false);
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

impl State {
    /// Calls `f` with the device; returns nothing if it is not in use.
    fn ask<R>(&self, f: impl FnOnce(&virtio::Device<Bound>) -> R) -> Option<R> {
        let queues = self.queues.lock().clone();
        queues?.with_device(f)
    }

    /// Returns true if the device says just now that it is ready: it may have changed its mind
    /// before its worker gets to know.
    ///
    /// Context: process, may sleep.
    pub(crate) fn says_ready(&self) -> bool {
        let status = self.ask(|dev| dev.read_config_word(0));
        status.is_some_and(Config::is_ready)
    }

    /// Returns true if the device operates. It does not after a surprise removal or a function reset,
    /// of which its worker may not know yet.
    fn is_operational(&self) -> bool {
        self.ask(|dev| dev.is_operational()).unwrap_or(false)
    }
}

impl Device {
    /// Looks how the device is for the first time. Others are not told: that is the caller's.
    ///
    /// Context: process, may sleep.
    pub(crate) fn begin(&self) {
        let delay = match self.tend() {
            None => None,
            Some((_, Check::Again(delay))) => Some(delay),
            Some((watch, Check::Nothing | Check::News)) => watch,
        };
        if let Some(delay) = delay {
            self.queue_in(delay);
        }
    }

    /// Ends the use of a device that is about to be unbound.
    ///
    /// Context: process, may sleep.
    pub(crate) fn close(&self) {
        self.quiesce(Phase::Closed);
        // The work item may wait for a control request, which this brings back. So may whoever
        // registers algorithms.
        let queues = self.queues.lock().take();
        if let Some(queues) = queues {
            queues.reset();
        }
        // Nobody looks after the device any more. The work item may just have restarted it.
        let care = self.care.lock().take();
        if let Some(care) = care {
            care.queues.reset();
        }
        self.shut();
    }

    /// Ends the use of a device that is about to be reset, and to lose its power perhaps.
    ///
    /// Context: process, may sleep.
    pub(crate) fn freeze(&self) {
        self.quiesce(Phase::Asleep);
        self.sessions.forget();
    }

    /// Begins the use of a device that is back, when its worker is called.
    ///
    /// Context: process, may sleep.
    pub(crate) fn thaw(&self) {
        if let Some(care) = &mut *self.care.lock() {
            care.failures = Failures::new();
        }
        self.sessions.set_open(true);
        self.phase.change(Phase::Asleep, Phase::Waiting);
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_care)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_never_returns_a_request_is_given_up_soon() {
        let mut failures = Failures::new();
        for _ in 0..FRUITLESS_FAILURES {
            assert!(failures.count(0, 7));
        }
        assert!(!failures.count(0, 7));
    }

    #[test]
    fn a_device_that_works_in_between_may_fail_more_often() {
        let mut failures = Failures::new();
        for served in 0..FAILURES {
            assert!(failures.count(0, u64::from(served) + 1));
        }
        assert!(!failures.count(0, 1000));
    }

    #[test]
    fn a_device_that_is_not_ready_is_polled_less_and_less_often() {
        let mut poll = ReadyPoll::new(1_000);
        assert_eq!(poll.left(1_000), ReadyPoll::MIN);
        let mut now = 1_000;
        for interval in [2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000] {
            assert!(!poll.is_due(now + interval - 1));
            assert_eq!(poll.left(now + interval + 5), 1);
            now += interval;
            assert!(poll.is_due(now));
        }
    }

    #[test]
    fn a_device_writes_a_limited_number_of_messages_to_the_log() {
        let mut log = LogLimit::new();
        for period in 0..3 {
            let now = period * (PERIOD + 1);
            for _ in 1..LogLimit::MAX {
                assert_eq!(log.admit(now), Admit::Log);
            }
            assert_eq!(log.admit(now), Admit::LogLast);
            for _ in 0..1000 {
                assert_eq!(log.admit(now + PERIOD), Admit::Drop);
            }
        }
    }

    #[test]
    fn what_is_long_ago_is_forgiven() {
        let mut failures = Failures::new();
        for served in 0..10 * u64::from(FAILURES) {
            // CAST: Small numbers.
            assert!(failures.count(served as i64 * PERIOD / 10, served + 1));
        }
    }
}
