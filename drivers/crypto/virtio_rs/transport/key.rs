// SPDX-License-Identifier: GPL-2.0

//! Key bindings: the ways in which a request tells the device its key.

use super::{
    dataq::DataQueueHandler,
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

/// The way in which the requests of a key tell a device the key.
pub(crate) enum Binding {
    /// Requests name a session with the key.
    Session(Session),
    /// Requests carry the key.
    Stateless(Arc<Device>, Arc<Secret>),
}

/// The owner of a binding. After the owner is dropped, the session is destroyed when no request uses it any
/// more.
pub(crate) type BindingRef = PerQueueRef<Binding>;

/// A binding with the counts of the requests that use it.
pub(crate) type SharedBinding = Shared<Binding>;

/// A [`BindingRef`] that requests look up without a lock.
pub(crate) type PublishedBinding = Published<Binding>;

impl Binding {
    /// Creates a binding to a session.
    ///
    /// Context: process, may sleep.
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
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn stateless(device: &Arc<Device>, key: &Arc<Secret>) -> Result<BindingRef> {
        // A stateless request does not use the binding while it is in flight, so no queue needs a count.
        // The request contains a copy of the key, or for RSA a reference to the key.
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

    /// Returns the key that requests carry, or an empty slice if they name a session.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Session(_) => &[],
            Self::Stateless(_, key) => key.bytes(),
        }
    }

    /// Evaluates the result of a request, as [`Session::evaluate`] does.
    #[inline(always)]
    pub(super) fn evaluate(&self, result: Result) -> Result {
        match self {
            Self::Session(session) => session.evaluate(result),
            Self::Stateless(..) => result,
        }
    }
}

impl Counted for Binding {
    type Handler = DataQueueHandler;

    fn unused(&self) {
        if let Self::Session(session) = self {
            session.destroy();
        }
    }
}
