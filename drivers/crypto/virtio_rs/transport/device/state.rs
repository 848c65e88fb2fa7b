// SPDX-License-Identifier: GPL-2.0

//! The state of a device, and the events that change it.
//!
//! ```text
//!             BecomeReady             Fail
//!   NotReady -------------> Ready -----------> Failed ----------> Disabled
//!    ^ ^  |  <-------------                    ^  |     Disable      |
//!    | |  |  BecomeNotReady                    |  |                  |
//!    | |  +------------------------------------+  |                  |
//!    | |       Fail                               |                  |
//!    | +------------------------------------------+                  |
//!    |         Restart                                               |
//!    +---------------- Frozen <---- Freeze: any of the above --------+
//!         Restore
//!                      Unbound <--- Unbind: any other state
//! ```
//!
//! | event | caused by |
//! |---|---|
//! | `BecomeReady`, `BecomeNotReady` | the device's work item, after it has read the status |
//! | `Fail` | timeout, protocol violation, `DEVICE_NEEDS_RESET`; any context but hard interrupt |
//! | `Restart`, `Disable` | the device's work item, after it has reset the device |
//! | `Freeze`, `Restore` | suspend, function reset, shutdown; the device lock is held |
//! | `Unbind` | unbind; the device lock is held |
//!
//! The state is one word, which requests read without a lock. The accesses are relaxed, because the state
//! publishes no other data: the queues and the session table have their own locks. `cmpxchg` orders the
//! events of several threads. An event without a transition from the current state has no effect, and
//! [`AtomicDeviceState::apply`] returns false.

use self::{
    DeviceState::*,
    Event::*, //
};
use crate::support::read_once::read_once;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The state of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum DeviceState {
    /// `VIRTIO_CRYPTO_S_HW_READY` is 0, or was not read since the last reset.
    NotReady = 0,
    /// The device accepts requests.
    Ready = 1,
    /// The device must be reset and restarted.
    Failed = 2,
    /// The device failed too often. It is not used until it is rebound, or frozen and restored.
    Disabled = 3,
    /// The device is suspended, or another part of the kernel resets it.
    Frozen = 4,
    /// The device is being unbound, or is not bound any more.
    Unbound = 5,
}

/// An event that changes the state of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// The device is ready, and the sessions of earlier epochs are destroyed.
    BecomeReady,
    /// The device is not ready any more.
    BecomeNotReady,
    /// The device must be reset.
    Fail,
    /// The device was reset and restarted.
    Restart,
    /// The device failed too often.
    Disable,
    /// The device is about to lose its state.
    Freeze,
    /// The device was set up again after it was frozen.
    Restore,
    /// The device is being unbound.
    Unbind,
}

/// All transitions.
const TRANSITIONS: [(DeviceState, Event, DeviceState); 16] = [
    (NotReady, BecomeReady, Ready),
    (NotReady, Fail, Failed),
    (NotReady, Freeze, Frozen),
    (NotReady, Unbind, Unbound),
    (Ready, BecomeNotReady, NotReady),
    (Ready, Fail, Failed),
    (Ready, Freeze, Frozen),
    (Ready, Unbind, Unbound),
    (Failed, Restart, NotReady),
    (Failed, Disable, Disabled),
    (Failed, Freeze, Frozen),
    (Failed, Unbind, Unbound),
    (Disabled, Freeze, Frozen),
    (Disabled, Unbind, Unbound),
    (Frozen, Restore, NotReady),
    (Frozen, Unbind, Unbound),
];

impl DeviceState {
    /// Returns the state after an event. Returns `None` if the event has no effect.
    fn after(self, event: Event) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, cause, _)| (*from, *cause) == (self, event))
            .map(|(_, _, to)| *to)
    }

    fn from_u32(value: u32) -> Self {
        [NotReady, Ready, Failed, Disabled, Frozen]
            .into_iter()
            // CAST: The enum is a `u32`.
            .find(|state| *state as u32 == value)
            .unwrap_or(Unbound)
    }

    /// Returns the name that debugfs shows.
    pub(super) const fn name(self) -> &'static str {
        match self {
            NotReady => "not_ready",
            Ready => "ready",
            Failed => "failed",
            Disabled => "disabled",
            Frozen => "frozen",
            Unbound => "unbound",
        }
    }
}

/// A [`DeviceState`] that several threads read and change.
pub(super) struct AtomicDeviceState(Atomic<u32>);

impl AtomicDeviceState {
    /// Creates a state that is [`DeviceState::NotReady`].
    pub(super) const fn new() -> Self {
        // CAST: The enum is a `u32`.
        Self(Atomic::new(NotReady as u32))
    }

    /// Returns the state.
    pub(super) fn get(&self) -> DeviceState {
        DeviceState::from_u32(self.0.load(Relaxed))
    }

    /// Returns true if the state is [`DeviceState::Ready`].
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        // CAST: The enum is a `u32`.
        read_once(&self.0) == Ready as u32
    }

    /// Changes the state. Returns false if the event has no effect.
    ///
    /// Context: any.
    pub(super) fn apply(&self, event: Event) -> bool {
        loop {
            let now = self.get();
            let Some(next) = now.after(event) else {
                return false;
            };
            // CAST: The enum is a `u32`.
            if self.0.cmpxchg(now as u32, next as u32, Relaxed).is_ok() {
                return true;
            }
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_state)]
mod tests {
    use super::*;

    const EVENTS: [Event; 8] = [
        BecomeReady,
        BecomeNotReady,
        Fail,
        Restart,
        Disable,
        Freeze,
        Restore,
        Unbind,
    ];

    /// For each state, the next state after each of [`EVENTS`].
    const EXPECTED: [(DeviceState, [Option<DeviceState>; 8]); 6] = {
        const NONE: Option<DeviceState> = None;
        const NOT_READY: Option<DeviceState> = Some(NotReady);
        const FAILED: Option<DeviceState> = Some(Failed);
        const DISABLED: Option<DeviceState> = Some(Disabled);
        const FROZEN: Option<DeviceState> = Some(Frozen);
        const UNBOUND: Option<DeviceState> = Some(Unbound);
        [
            (
                NotReady,
                [Some(Ready), NONE, FAILED, NONE, NONE, FROZEN, NONE, UNBOUND],
            ),
            (
                Ready,
                [NONE, NOT_READY, FAILED, NONE, NONE, FROZEN, NONE, UNBOUND],
            ),
            (
                Failed,
                [NONE, NONE, NONE, NOT_READY, DISABLED, FROZEN, NONE, UNBOUND],
            ),
            (
                Disabled,
                [NONE, NONE, NONE, NONE, NONE, FROZEN, NONE, UNBOUND],
            ),
            (
                Frozen,
                [NONE, NONE, NONE, NONE, NONE, NONE, NOT_READY, UNBOUND],
            ),
            (Unbound, [NONE; 8]),
        ]
    };

    /// Returns an [`AtomicDeviceState`] with the value `state`.
    fn in_state(state: DeviceState) -> AtomicDeviceState {
        AtomicDeviceState(Atomic::new(state as u32))
    }

    #[test]
    fn each_event_has_its_effect_in_each_state() {
        for (from, expected) in EXPECTED {
            for (event, to) in EVENTS.into_iter().zip(expected) {
                let state = in_state(from);
                assert_eq!(state.get(), from);
                assert_eq!(state.apply(event), to.is_some());
                assert_eq!(state.get(), to.unwrap_or(from));
                assert_eq!(state.is_ready(), state.get() == Ready);
            }
        }
        let effects = EXPECTED.iter().flat_map(|(_, row)| row);
        assert_eq!(effects.flatten().count(), TRANSITIONS.len());
    }

    #[test]
    fn each_state_has_at_most_one_transition_for_an_event() {
        for (index, (from, event, _)) in TRANSITIONS.iter().enumerate() {
            let before = TRANSITIONS.iter().take(index);
            assert!(before
                .into_iter()
                .all(|(other, cause, _)| (other, cause) != (from, event)));
        }
    }

    #[test]
    fn a_restart_has_no_effect_on_a_frozen_device() {
        let state = AtomicDeviceState::new();
        assert!(state.apply(Fail));
        // If two threads detect the same failure, only one of them reports it.
        assert!(!state.apply(Fail));
        assert!(state.apply(Freeze));
        // The work item restarts the device after the freeze.
        assert!(!state.apply(Restart));
        assert_eq!(state.get(), Frozen);
        assert!(state.apply(Restore) && state.apply(BecomeReady));
        assert!(state.apply(Unbind));
        assert!(!state.apply(Freeze) && !state.apply(Unbind));
        assert_eq!(state.get(), Unbound);
    }
}
