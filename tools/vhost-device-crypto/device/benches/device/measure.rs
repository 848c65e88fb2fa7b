// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The clock: how often the device serves a request, and OpenSSL does the same.
//!
//! Time is that of the thread on a processor, so a busy machine makes it take longer, but changes
//! little in what is measured. Each queue has a thread; their rates are added up, as if each had
//! a processor of its own.

use std::error::Error;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use openssl::error::ErrorStack;
use virtio_crypto_device::capabilities::{Capabilities, EcdsaNumber};
use virtio_crypto_device::device::Device;
use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::memory::{Chain, Span};
use virtio_crypto_device::requirement::Requirement;

use crate::driver::Driver;
use crate::work::Work;

/// How long something is measured: so many times, for so long on a processor.
#[derive(Clone, Copy)]
pub struct Clock {
    pub times: usize,
    pub time: Duration,
}

/// Requests per second: of the device, and of OpenSSL on as many threads.
pub struct Rates {
    pub device: f64,
    pub openssl: f64,
}

/// Hooks that keep the first requirement which a request violates.
#[derive(Default)]
struct Watch(OnceLock<Requirement>);

impl Hooks for Watch {
    type Ring = ();

    fn check(&self, requirement: Requirement, met: bool) {
        if !met {
            self.0.get_or_init(|| requirement);
        }
    }
}

/// A device, and a ring for each of its queues.
type Bench<'w, H> = (Arc<Device<H>>, Vec<Driver<'w, H>>);

/// Creates a device with this work's session, and a ring for each queue. Every request is made once,
/// and its result compared with OpenSSL's.
fn set_up<H: Hooks + Default>(
    work: &Work,
    depth: u16,
    queues: u16,
) -> Result<Bench<'_, H>, Box<dyn Error>> {
    // No features are negotiated here, so the number is not that of the specification.
    let capabilities = Capabilities {
        queues,
        legacy: true,
        ecdsa_number: EcdsaNumber::Always,
        ..Capabilities::default()
    };
    let device = Arc::new(Device::new(capabilities, H::default()));
    device.start(0);
    let (mut request, mut outcome) = (work.session.clone(), [0xff; 16]);
    let chain =
        Chain { readable: Span::from(&mut request[..]), writable: Span::from(&mut outcome[..]) };
    device.control(&chain);
    drop(chain);
    let (id, status) = outcome.split_at(8);
    if status[..4] != [0; 4] {
        return Err(format!("the device creates no session: status {}", status[0]).into());
    }
    let id = u64::from_le_bytes(id.try_into()?);
    let drivers = (0..queues).map(|index| -> Result<_, Box<dyn Error>> {
        let mut driver = Driver::new(&device, index, work, id, depth)?;
        driver.round();
        if !driver.is_right() {
            return Err("the device's results are not OpenSSL's".into());
        }
        Ok(driver)
    });
    let drivers = drivers.collect::<Result<_, _>>()?;
    Ok((device, drivers))
}

/// Makes each request once.
pub fn check(work: &Work, depth: u16, queues: u16) -> Result<(), Box<dyn Error>> {
    let (device, _drivers) = set_up::<Watch>(work, depth, queues)?;
    if let Some(requirement) = device.hooks.0.get() {
        return Err(format!("a request violates {requirement:?}").into());
    }
    Ok((work.openssl)()?()?)
}

/// How long this thread has had a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(code, 0, "every thread has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How many calls of `body` there are in a second of the processor's, counting `each` for one.
fn rate(
    time: Duration,
    each: u32,
    mut body: impl FnMut() -> Result<(), ErrorStack>,
) -> Result<f64, ErrorStack> {
    let (begin, mut count, mut batch) = (processor_time(), 0, 1_u32);
    loop {
        for _ in 0..batch {
            body()?;
        }
        count += u64::from(batch) * u64::from(each);
        let took = processor_time() - begin;
        if took >= time {
            return Ok(count as f64 / took.as_secs_f64());
        }
        // The clock is not read often enough to matter.
        if took < time / 64 {
            batch *= 2;
        }
    }
}

/// What one thread has measured: device and OpenSSL in turn, as often as the clock says.
fn run(
    mut driver: Driver<'_, ()>,
    work: &Work,
    clock: Clock,
    together: &Barrier,
) -> Result<Vec<[f64; 2]>, ErrorStack> {
    let mut call = (work.openssl)();
    (0..clock.times)
        .map(|_| {
            together.wait();
            let device = rate(clock.time, driver.depth(), || {
                driver.round();
                Ok(())
            })?;
            assert!(driver.is_served(), "a request was not served");
            together.wait();
            let openssl = match &mut call {
                Ok(call) => rate(clock.time, 1, call)?,
                Err(error) => return Err(error.clone()),
            };
            Ok([device, openssl])
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures a work, with a thread for each queue.
pub fn measure(
    work: &Work,
    depth: u16,
    queues: u16,
    clock: Clock,
) -> Result<Rates, Box<dyn Error>> {
    let (_device, drivers) = set_up::<()>(work, depth, queues)?;
    let together = Barrier::new(drivers.len());
    let threads = thread::scope(|scope| {
        let start = |driver| scope.spawn(|| run(driver, work, clock, &together));
        let threads: Vec<_> = drivers.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    let threads = threads.into_iter().collect::<Result<Vec<_>, _>>()?;
    let sum = |which: usize| {
        let rates = (0..clock.times).map(|time| threads.iter().map(|run| run[time][which]).sum());
        median(rates.collect())
    };
    Ok(Rates { device: sum(0), openssl: sum(1) })
}
