// SPDX-License-Identifier: GPL-2.0

//! Keys, as devices get them.

use super::{
    dataq::Data,
    device::Device,
    session::Session, //
};
use crate::{
    support::secret::Secret,
    virtio::{
        Counted,
        PerQueueRef,
        Published,
        Shared, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How a device gets a key.
pub(crate) enum Binding {
    /// Requests name a session that has it.
    Session(Session),
    /// Requests carry it.
    Stateless(Arc<Device>, Arc<Secret>),
}

/// A binding that the requests which name its session keep.
pub(crate) type BindingRef = PerQueueRef<Binding>;

/// A binding that was looked up.
pub(crate) type SharedBinding = Shared<Binding>;

/// Where requests look a binding up.
pub(crate) type PublishedBinding = Published<Binding>;

impl Binding {
    /// Creates a binding to a session.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted. The session is destroyed.
    pub(crate) fn session(session: Session) -> Result<BindingRef> {
        let device = session.device().clone();
        PerQueueRef::new(device.data_queues(), Self::Session(session))
    }

    /// Creates a binding for requests that carry the key.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn stateless(device: &Arc<Device>, key: &Arc<Secret>) -> Result<BindingRef> {
        // Requests do not keep it: they have a copy of the key.
        PerQueueRef::new(&[], Self::Stateless(device.clone(), key.clone()))
    }

    /// Returns true if the device accepts requests, and knows the session.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            Self::Session(session) => session.is_usable(),
            Self::Stateless(device, _) => device.is_ready(),
        }
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Arc<Device> {
        match self {
            Self::Session(session) => session.device(),
            Self::Stateless(device, _) => device,
        }
    }

    /// Returns the epoch of the session. Returns `None` if requests carry the key.
    pub(crate) fn epoch(&self) -> Option<u32> {
        match self {
            Self::Session(session) => Some(session.epoch()),
            Self::Stateless(..) => None,
        }
    }

    /// Returns the key that requests carry. It is empty if they name a session.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Session(_) => &[],
            Self::Stateless(_, key) => key.bytes(),
        }
    }

    /// Judges the result of a request, as [`Session::judge`] does.
    pub(super) fn judge(&self, result: Result) -> Result {
        match self {
            Self::Session(session) => session.judge(result),
            Self::Stateless(..) => result,
        }
    }
}

impl Counted for Binding {
    type Handler = Data;

    fn unused(&self) {
        if let Self::Session(session) = self {
            session.destroy();
        }
    }
}
