// SPDX-License-Identifier: GPL-2.0

//! Which algorithms the kernel is offered, and which devices do them.
//!
//! An algorithm is registered once for all devices, as soon as one of them has shown that it does
//! it, and unregistered when the last of these is gone. What a device says it can do is not enough:
//! some refuse what they advertise, some do more than they advertise.

mod skcipher;

use crate::{
    crypto::algorithm::Registration,
    settings::Settings,
    transport::device::{
        Device,
        Observer, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// A device, and what it has shown that it does.
struct Member {
    device: Arc<Device>,
    /// One bit for each row of [`skcipher::TABLE`]; none until the device was ready.
    ciphers: Option<u32>,
}

/// The devices, for transforms to choose from.
#[pin_data]
pub(crate) struct Devices {
    settings: Settings,
    #[pin]
    members: Mutex<KVec<Member>>,
    turn: Atomic<usize>,
}

impl Devices {
    /// Returns a ready device that does row `index` of the cipher table; they take turns.
    fn pick(&self, index: usize) -> Option<Arc<Device>> {
        let members = self.members.lock();
        let turn = self.turn.fetch_add(1, Relaxed);
        let count = members.len();
        (0..count)
            .filter_map(|step| turn.wrapping_add(step).checked_rem(count))
            .filter_map(|position| members.get(position))
            .find(|member| member.device.is_ready() && member.does(index))
            .map(|member| member.device.clone())
    }

    /// Returns true if a device does row `index` of the cipher table, even if not just now.
    fn any(&self, index: usize) -> bool {
        let members = self.members.lock();
        members
            .iter()
            .any(|member| member.device.may_return() && member.does(index))
    }

    /// Returns a ready device that was not asked yet what it does.
    fn unknown(&self) -> Option<Arc<Device>> {
        let members = self.members.lock();
        members
            .iter()
            .find(|member| member.device.is_ready() && member.ciphers.is_none())
            .map(|member| member.device.clone())
    }
}

impl Member {
    fn does(&self, index: usize) -> bool {
        self.ciphers
            .is_some_and(|ciphers| ciphers & 1 << index != 0)
    }
}

/// What is registered with the crypto framework.
#[pin_data]
pub(crate) struct Registry {
    module: &'static ThisModule,
    devices: Arc<Devices>,
    /// The flavours of each row of the cipher table that are registered.
    #[pin]
    registered: Mutex<[Option<KVec<Registration>>; skcipher::TABLE.len()]>,
}

impl Registry {
    /// Creates a registry without devices.
    pub(crate) fn new(module: &'static ThisModule, settings: Settings) -> Result<Arc<Self>> {
        let devices = Arc::pin_init(
            pin_init!(Devices {
                settings,
                members <- new_mutex!(KVec::new()),
                turn: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        Arc::pin_init(
            pin_init!(Self {
                module,
                devices,
                registered <- new_mutex!([const { None }; skcipher::TABLE.len()]),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the user's settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.devices.settings
    }

    /// Takes a device into account.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn add(&self, device: &Arc<Device>) -> Result {
        let member = Member {
            device: device.clone(),
            ciphers: None,
        };
        self.devices.members.lock().push(member, GFP_KERNEL)?;
        Ok(())
    }

    /// Leaves a device out of account: no new transform chooses it, and what only it did is
    /// unregistered.
    pub(crate) fn remove(&self, device: &Arc<Device>) {
        let removed = {
            let mut members = self.devices.members.lock();
            let index = members
                .iter()
                .position(|member| Arc::ptr_eq(&member.device, device));
            index.and_then(|index| members.remove(index).ok())
        };
        drop(removed);
        // What could not be done will be when the next device comes.
        let _ = self.changed();
    }

    /// Asks devices that became ready what they do.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: one has not answered.
    fn explore(&self) -> Result {
        while let Some(device) = self.devices.unknown() {
            let ciphers = skcipher::explore(&device).map_err(|_| EAGAIN)?;
            let mut members = self.devices.members.lock();
            for member in &mut *members {
                if Arc::ptr_eq(&member.device, &device) {
                    member.ciphers = Some(ciphers);
                }
            }
        }
        Ok(())
    }
}

impl Observer for Registry {
    fn changed(&self) -> Result {
        // Also sees to it that there is one change at a time. Neither transforms nor requests take
        // this lock, so self-tests go on while it is held.
        let mut registered = self.registered.lock();
        let mut outcome = self.explore();
        for ((index, row), slot) in skcipher::TABLE.iter().enumerate().zip(&mut *registered) {
            if !self.devices.any(index) {
                *slot = None;
            } else if slot.is_none() {
                match skcipher::register(index, &self.devices, self.module) {
                    Ok(registrations) => *slot = Some(registrations),
                    // The self-test of an earlier registration is still under way.
                    Err(err) if err == EEXIST => outcome = Err(EAGAIN),
                    Err(err) => pr_err!("registering {} failed ({:?})\n", row.name, err),
                }
            }
        }
        outcome
    }
}
