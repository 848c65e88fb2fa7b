// SPDX-License-Identifier: GPL-2.0

//! How long requests have been with the device.
//!
//! Nobody keeps a list of them, and clocks are not cheap. So a queue has a few ages, each with a
//! count of its requests: somebody looks at regular intervals, and each look begins a new age, once
//! the oldest one is empty.

/// How many ages there are. A request is in the oldest one [`CHECKS_PER_TIMEOUT`] looks after it was sent.
const AGES: usize = 4;

/// How many looks a request may see.
pub(in crate::transport) const CHECKS_PER_TIMEOUT: u32 = AGES as u32 - 1;

/// AgeBuckets of the requests that a device has.
pub(super) struct AgeBuckets {
    now: usize,
    ages: [AgeBucket; AGES],
}

#[derive(Clone, Copy)]
struct AgeBucket {
    /// How many of its requests the device still has.
    count: u32,
    /// How many requests had come back in all when the age ended,
    completed: u64,
    /// and how many the device had then.
    in_flight: u32,
}

/// What a look finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overdue {
    /// Nothing is too old.
    No,
    /// Something is too old, but the device gets on with what came before it.
    Slow,
    /// Something is too old, and the device has completed nothing since, or all that it had then.
    Lost,
}

impl AgeBuckets {
    /// Begins the first age.
    pub(super) const fn new() -> Self {
        Self {
            now: 0,
            ages: [AgeBucket {
                count: 0,
                completed: 0,
                in_flight: 0,
            }; AGES],
        }
    }

    /// Counts a request that is sent; returns its age, to be given to [`remove`](Self::remove).
    pub(super) fn add(&mut self) -> u8 {
        self.ages[self.now].count += 1;
        // CAST: There are few.
        self.now as u8
    }

    /// Counts a request that has come back.
    pub(super) fn remove(&mut self, age: u8) {
        if let Some(age) = self.ages.get_mut(usize::from(age)) {
            age.count = age.count.saturating_sub(1);
        }
    }

    /// Looks, and begins a new age if the oldest one is empty. `completed` requests have come back in
    /// all, and the device has `in_flight`.
    pub(super) fn advance(&mut self, completed: u64, in_flight: u32) -> Overdue {
        let oldest = (self.now + 1) % AGES;
        let AgeBucket {
            count,
            completed: before,
            in_flight: had,
        } = self.ages[oldest];
        if count != 0 {
            let since = completed.wrapping_sub(before);
            return if since == 0 || since >= u64::from(had) {
                Overdue::Lost
            } else {
                Overdue::Slow
            };
        }
        let age = &mut self.ages[self.now];
        age.completed = completed;
        age.in_flight = in_flight;
        self.now = oldest;
        Overdue::No
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_timeout)]
mod tests {
    use super::*;

    /// A device.
    struct Device {
        ages: AgeBuckets,
        completed: u64,
        in_flight: u32,
    }

    impl Device {
        fn new() -> Self {
            Self {
                ages: AgeBuckets::new(),
                completed: 0,
                in_flight: 0,
            }
        }

        fn send(&mut self) -> u8 {
            self.in_flight += 1;
            self.ages.add()
        }

        fn give_back(&mut self, age: u8) {
            self.in_flight -= 1;
            self.completed += 1;
            self.ages.remove(age);
        }

        fn check(&mut self) -> Overdue {
            self.ages.advance(self.completed, self.in_flight)
        }
    }

    #[test]
    fn a_request_that_never_comes_back_is_lost() {
        let mut device = Device::new();
        device.send();
        for _ in 0..CHECKS_PER_TIMEOUT {
            assert_eq!(device.check(), Overdue::No);
        }
        assert_eq!(device.check(), Overdue::Lost);
    }

    #[test]
    fn one_that_others_overtake_is_lost() {
        let mut device = Device::new();
        device.send();
        for _ in 0..CHECKS_PER_TIMEOUT {
            let other = device.send();
            assert_eq!(device.check(), Overdue::No);
            device.give_back(other);
        }
        assert_eq!(device.check(), Overdue::Lost);
    }

    #[test]
    fn a_slow_device_gets_its_time() {
        let mut device = Device::new();
        let mut sent = [0; 100];
        for age in &mut sent {
            *age = device.send();
        }
        for (looks, age) in (0..).zip(sent) {
            let found = device.check();
            assert!((found == Overdue::No) == (looks < CHECKS_PER_TIMEOUT));
            assert!(found != Overdue::Lost);
            device.give_back(age);
        }
        assert_eq!(device.check(), Overdue::No);
    }

    #[test]
    fn a_slow_device_that_stops_is_found_out() {
        let mut device = Device::new();
        let first = device.send();
        for _ in 0..99 {
            device.send();
        }
        for _ in 0..CHECKS_PER_TIMEOUT {
            device.check();
        }
        device.give_back(first);
        // It goes on with another age's; what is left of the first is as old as before.
        assert_eq!(device.check(), Overdue::Slow);
    }

    #[test]
    fn a_busy_device_is_young_for_ever() {
        let mut device = Device::new();
        let mut last = device.send();
        for _ in 0..1000 {
            let next = device.send();
            device.give_back(last);
            last = next;
            assert_eq!(device.check(), Overdue::No);
        }
    }
}
