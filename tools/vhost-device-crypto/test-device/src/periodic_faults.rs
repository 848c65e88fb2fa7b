// SPDX-License-Identifier: GPL-2.0
//! The faults that happen periodically: `toggle-ready`, `config-storm` and `interrupt-storm`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Kind;
use crate::test_device::{Notice, TestDevice};
use crate::wakeup::MAX_PERIOD;

/// Minimum period of a fault. The maximum is [`MAX_PERIOD`].
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// A periodic fault and the time at which it happens next.
struct Tick {
    kind: Kind,
    next: Option<Instant>,
}

/// Starts the thread of the periodic faults, which runs until the process ends.
pub fn start(device: Arc<TestDevice>) -> std::io::Result<()> {
    let run = move || run(&device);
    thread::Builder::new().name("faults".into()).spawn(run)?;
    Ok(())
}

fn run(device: &TestDevice) {
    let kinds = [Kind::ToggleReady, Kind::ConfigStorm, Kind::InterruptStorm];
    let mut ticks = kinds.map(|kind| Tick { kind, next: None });
    // Whether the device was ready before `toggle-ready` was added.
    let mut ready_before = None;
    loop {
        let now = Instant::now();
        for tick in &mut ticks {
            let period = period(device, tick.kind);
            if period.is_none() && tick.kind == Kind::ToggleReady {
                if let Some(ready) = ready_before.take() {
                    device.set_ready(ready, Notice::Interrupt);
                }
            }
            let due = tick.next.is_some_and(|next| next <= now);
            if due && device.faults().fire_config(tick.kind).is_some() {
                match tick.kind {
                    Kind::ToggleReady => {
                        let ready = device.service.device.is_ready();
                        ready_before.get_or_insert(ready);
                        device.set_ready(!ready, Notice::Interrupt);
                    }
                    // If the notification cannot be sent now, the next one will be.
                    Kind::ConfigStorm => drop(device.service.channel.config_change()),
                    _ => drop(device.function.get().and_then(|front| front.interrupt())),
                }
            }
            tick.next = match (period, tick.next) {
                (None, _) => None,
                (Some(_), Some(next)) if next > now => Some(next),
                (Some(period), _) => Some(now + period),
            };
        }
        let next = ticks.iter().filter_map(|tick| tick.next).min();
        device.wakeup.wait(next);
    }
}

/// Returns the period of a fault, if it is active.
fn period(device: &TestDevice, kind: Kind) -> Option<Duration> {
    let faults = device.faults().list();
    let fault = faults.iter().find(|fault| fault.name == kind)?;
    let value = fault.value.unwrap_or(kind.default_value());
    Some(Duration::from_millis(value).clamp(MIN_PERIOD, MAX_PERIOD))
}
