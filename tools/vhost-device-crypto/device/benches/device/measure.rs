// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Measures how many requests per second the device serves, and how many OpenSSL performs.
//!
//! The clock is the CPU time of the thread. On a busy machine the measurement takes longer, with
//! almost the same result. Each queue has a thread. The rates of the threads are added, as if each
//! had its own CPU.

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

/// Number of repetitions, and the CPU time of each.
#[derive(Clone, Copy)]
pub struct Clock {
    pub times: usize,
    pub time: Duration,
}

/// Requests per second of the device, and of OpenSSL on the same number of threads.
pub struct Rates {
    pub device: f64,
    pub openssl: f64,
}

/// Hooks that store the first requirement that a request violates.
#[derive(Default)]
struct FirstViolation(OnceLock<Requirement>);

impl Hooks for FirstViolation {
    type Ring = ();

    fn check(&self, requirement: Requirement, met: bool) {
        if !met {
            self.0.get_or_init(|| requirement);
        }
    }
}

/// A device and a ring for each of its data queues.
type Bench<'w, H> = (Arc<Device<H>>, Vec<Driver<'w, H>>);

/// Creates a device with a session for `work`, and a ring for each data queue. Performs every
/// request once and compares the result with OpenSSL's.
fn set_up<H: Hooks + Default>(
    work: &Work,
    depth: u16,
    queues: u16,
) -> Result<Bench<'_, H>, Box<dyn Error>> {
    // No features are negotiated, so ECDSA is only available with this setting.
    let capabilities = Capabilities {
        queues,
        legacy: true,
        // The worker performs all operations, in the thread that is measured.
        public_key_threads: 0,
        ecdsa_number: EcdsaNumber::Always,
        ..Capabilities::default()
    };
    let device = Arc::new(Device::new(capabilities, H::default()));
    device.start(0);
    let (mut request, mut response) = (work.session.clone(), [0xff; 16]);
    let chain =
        Chain { readable: Span::from(&mut request[..]), writable: Span::from(&mut response[..]) };
    device.control(&chain);
    let (id, status) = response.split_at(8);
    if status[..4] != [0; 4] {
        return Err(format!("creating the session failed with status {}", status[0]).into());
    }
    let id = u64::from_le_bytes(id.try_into()?);
    let drivers = (0..queues).map(|index| -> Result<_, Box<dyn Error>> {
        let mut driver = Driver::new(&device, index, work, id, depth)?;
        driver.round();
        if !driver.is_correct() {
            return Err("the device's results differ from OpenSSL's".into());
        }
        Ok(driver)
    });
    let drivers = drivers.collect::<Result<_, _>>()?;
    Ok((device, drivers))
}

/// Performs each request once and checks results and requirements.
pub fn check(work: &Work, depth: u16, queues: u16) -> Result<(), Box<dyn Error>> {
    let (device, _drivers) = set_up::<FirstViolation>(work, depth, queues)?;
    if let Some(requirement) = device.hooks.0.get() {
        return Err(format!("a request violates {requirement:?}").into());
    }
    Ok((work.openssl)()?()?)
}

/// Returns the CPU time of this thread.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(code, 0, "every thread has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Calls `perform` for at least `time` of CPU time. Each call performs `requests` requests. Returns
/// the number of requests per second.
fn rate(
    time: Duration,
    requests: u32,
    mut perform: impl FnMut() -> Result<(), ErrorStack>,
) -> Result<f64, ErrorStack> {
    let (begin, mut count, mut batch) = (cpu_time(), 0, 1_u32);
    loop {
        for _ in 0..batch {
            perform()?;
        }
        count += u64::from(batch) * u64::from(requests);
        let elapsed = cpu_time() - begin;
        if elapsed >= time {
            return Ok(count as f64 / elapsed.as_secs_f64());
        }
        // Increase the batch until reading the clock has no effect on the result.
        if elapsed < time / 64 {
            batch *= 2;
        }
    }
}

/// Measures device and OpenSSL alternately in one thread, `clock.times` times. At `barrier` the
/// threads wait for each other, so all measure the same at a time.
fn run(
    mut driver: Driver<'_, ()>,
    work: &Work,
    clock: Clock,
    barrier: &Barrier,
) -> Result<Vec<[f64; 2]>, ErrorStack> {
    let mut call = (work.openssl)();
    (0..clock.times)
        .map(|_| {
            barrier.wait();
            let device = rate(clock.time, driver.depth(), || {
                driver.round();
                Ok(())
            })?;
            assert!(driver.is_served(), "a request was not served");
            barrier.wait();
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

/// Measures a kind of request with a thread for each queue.
pub fn measure(
    work: &Work,
    depth: u16,
    queues: u16,
    clock: Clock,
) -> Result<Rates, Box<dyn Error>> {
    let (_device, drivers) = set_up::<()>(work, depth, queues)?;
    let barrier = Barrier::new(drivers.len());
    let threads = thread::scope(|scope| {
        let start = |driver| scope.spawn(|| run(driver, work, clock, &barrier));
        let threads: Vec<_> = drivers.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    let threads = threads.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Add the rates of all threads in each repetition, and return the median of the repetitions.
    let total = |which: usize| {
        let rates = (0..clock.times).map(|time| threads.iter().map(|run| run[time][which]).sum());
        median(rates.collect())
    };
    Ok(Rates { device: total(0), openssl: total(1) })
}
