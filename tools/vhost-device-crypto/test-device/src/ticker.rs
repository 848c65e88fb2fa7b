// SPDX-License-Identifier: GPL-2.0
//! The faults that happen by themselves: `toggle-ready`, `config-storm` and
//! `interrupt-storm`.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Kind;
use crate::service::{Notice, Service};

/// The shortest time between two ticks.
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// The longest; longer ones are as good as this one.
const MAX_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// What wakes the thread up.
#[derive(Debug, Default)]
pub struct Ticker {
    changed: Mutex<bool>,
    wake: Condvar,
}

/// One of the faults.
struct Tick {
    kind: Kind,
    next: Option<Instant>,
}

impl Ticker {
    /// The faults have changed.
    pub fn wake(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits until something has changed, or until then.
    fn wait(&self, until: Option<Instant>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*changed {
            let left =
                until.map_or(MAX_PERIOD, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.wake.wait_timeout(changed, left);
            changed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *changed = false;
    }
}

/// Starts the thread, which lasts as long as the process.
pub fn start(service: Arc<Service>) -> std::io::Result<()> {
    let run = move || run(&service);
    thread::Builder::new().name("ticker".into()).spawn(run)?;
    Ok(())
}

fn run(service: &Service) {
    let kinds = [Kind::ToggleReady, Kind::ConfigStorm, Kind::InterruptStorm];
    let mut ticks = kinds.map(|kind| Tick { kind, next: None });
    let mut was_ready = None;
    loop {
        let now = Instant::now();
        for tick in &mut ticks {
            let period = period(service, tick.kind);
            if period.is_none() && tick.kind == Kind::ToggleReady {
                if let Some(ready) = was_ready.take() {
                    service.set_ready(ready, Notice::Interrupt);
                }
            }
            let due = tick.next.is_some_and(|next| next <= now);
            if due && service.device.faults.fire_config(tick.kind).is_some() {
                match tick.kind {
                    Kind::ToggleReady => {
                        let ready = service.device.is_ready();
                        was_ready.get_or_insert(ready);
                        service.set_ready(!ready, Notice::Interrupt);
                    }
                    // A front end that has no time for this one gets the next one.
                    Kind::ConfigStorm => drop(service.channel.config_change()),
                    _ => drop(service.channel.front().and_then(|front| front.interrupt())),
                }
            }
            tick.next = match (period, tick.next) {
                (None, _) => None,
                (Some(_), Some(next)) if next > now => Some(next),
                (Some(period), _) => Some(now + period),
            };
        }
        let next = ticks.iter().filter_map(|tick| tick.next).min();
        service.ticker.wait(next);
    }
}

/// The time between two ticks, if there is such a fault.
fn period(service: &Service, kind: Kind) -> Option<Duration> {
    let faults = service.device.faults.list();
    let fault = faults.iter().find(|fault| fault.name == kind)?;
    let value = fault.value.unwrap_or(kind.default_value());
    Some(Duration::from_millis(value).clamp(MIN_PERIOD, MAX_PERIOD))
}
