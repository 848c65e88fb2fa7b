// SPDX-License-Identifier: GPL-2.0

//! How requests name a key to a device: by a session, which is a key that the device knows, or they carry
//! the key.

use super::{
    controlq,
    controlq::ControlMessage,
    dataq::DataQueueHandler,
    device::{
        Device,
        IdNode, //
    },
};
use crate::{
    support::{
        read_once::read_once,
        secret::Secret, //
    },
    virtio::{
        Counted,
        PerQueueRef,
        Published,
        Shared, //
    },
    wire::{
        algorithm::Service,
        control::{
            CreateResponse,
            Destroy,
            DESTROY_RESPONSE_LEN,
            MAX_RESPONSE_LEN, //
        },
    },
};
use core::pin::Pin;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLockIrq, //
    }, //
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

/// A session of a device. Dropping the `Session` destroys the session, as [`destroy`](Self::destroy) does.
pub(crate) struct Session {
    device: Arc<Device>,
    /// The epoch in which the session was created.
    epoch: u32,
    id: u64,
    /// 1 if the device does not know the session any more, else 0.
    lost: Atomic<u32>,
    /// The DESTROY request, until it is sent.
    destroy: Pin<KBox<SpinLockIrq<Option<ControlMessage>>>>,
}

impl Session {
    /// Creates a session. `request` is the CREATE request without the key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// - `EIO`, `EOPNOTSUPP`, `ENOSPC` if the device rejects the request;
    /// - `ENODEV` if the device is not ready, removed, or must be reset;
    /// - `ETIMEDOUT` if the device does not respond. The device is then marked failed;
    /// - `ENOMEM` if memory is exhausted.
    pub(crate) fn create(
        device: &Arc<Device>,
        service: Service,
        request: &[u8],
        key: &[u8],
    ) -> Result<Self> {
        // Allocate everything first. After a successful CREATE, an error path would leak the session in
        // the device.
        let node = IdNode::new(GFP_KERNEL)?;
        let layout = device.features().layout();
        let mut destroy_request =
            controlq::prepare(Destroy::new(service, 0).bytes(layout), DESTROY_RESPONSE_LEN)?;
        let destroy = KBox::pin_init(new_spinlock_irq!(None), GFP_KERNEL)?;

        // Unbinding the device waits until `_creating` is dropped.
        let (epoch, _creating) = device.begin_create()?;
        // At the beginning of an epoch the device is not ready, and may still have requests of the previous
        // epoch.
        if !device.is_ready() {
            return Err(ENODEV);
        }
        let response = device.send_control(request, key, MAX_RESPONSE_LEN)?;
        let id = CreateResponse::parse(&response)?;
        destroy_request
            .as_mut()
            .set_header(Destroy::new(service, id).bytes(layout))?;
        match device.add_session(epoch, service, id, node) {
            Ok(()) => {
                *destroy.lock() = Some(destroy_request);
                Ok(Self {
                    device: device.clone(),
                    epoch,
                    id,
                    lost: Atomic::new(0),
                    destroy,
                })
            }
            // No sessions may be created any more, but the device has created this one.
            Err(err) if err == ENODEV => {
                device.send_control_nowait(destroy_request);
                Err(ENODEV)
            }
            Err(err) if err == EAGAIN => Err(ENODEV),
            // The device assigned an ID that is in use: it lost a session or is faulty. A request with
            // this ID may run with either key.
            Err(_) => {
                device.report_duplicate_id(epoch);
                Err(ENODEV)
            }
        }
    }

    /// Returns the session ID.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns true if the device accepts requests, and knows the session.
    pub(super) fn is_usable(&self) -> bool {
        self.device.is_ready() && self.device.epoch() == self.epoch && !self.is_lost()
    }

    /// Returns the epoch of the session.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns true if the device has used the key of the session, that is, if it has neither lost the
    /// session nor assigned an ID twice in the epoch.
    #[inline]
    fn is_trusted(&self) -> bool {
        !self.is_lost() && !self.device.is_untrusted(self.epoch)
    }

    /// Returns true if the device has reported that it does not know the session.
    ///
    /// Relaxed: a device that has lost the session can only assign the ID again after it got another CREATE
    /// request. The driver sends this request after it has set `lost`, and reads the results of requests
    /// that use the other key later.
    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        read_once(&self.lost) != 0
    }

    /// Evaluates the result of a request in this session. `ENOKEY` marks the session as lost. If the session
    /// is lost, or its epoch is untrusted, returns the result of [`distrust`].
    ///
    /// Context: any but hard interrupt.
    #[inline]
    pub(super) fn evaluate(&self, result: Result) -> Result {
        if result == Err(ENOKEY) {
            self.invalidate();
        }
        if self.is_trusted() {
            result
        } else {
            distrust(result)
        }
    }

    /// Marks the session as lost. The transform gets another session.
    ///
    /// The ID stays in the table until no request uses it. Until then, the driver detects if the device
    /// assigns the ID to another session.
    #[cold]
    fn invalidate(&self) {
        // Relaxed: `request_sessions` orders this before the creation of the next session.
        if self.lost.cmpxchg(0, 1, Relaxed).is_ok() {
            self.device.report_lost_session(self.epoch, self.id);
        }
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Sends the DESTROY request. No request uses the session any more. Does not sleep and allocates no
    /// memory. Only the first call has an effect.
    ///
    /// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
    pub(super) fn destroy(&self) {
        let Some(request) = self.destroy.lock().take() else {
            return;
        };
        // A session that is not in the table was destroyed, or its device was reset or removed.
        let Some(_pending) = self.device.remove_session(self.epoch, self.id) else {
            return;
        };
        // Do not destroy a lost session: the ID may belong to another session when the device gets the
        // request. Relaxed: all uses of the session have ended.
        if self.lost.load(Relaxed) == 0 {
            self.device.send_control_nowait(request);
        }
    }
}

/// Replaces a result that the device may have computed with another key.
///
/// # Errors
///
/// - `ESTALE` if the result was a success: the device may have overwritten the source;
/// - `EIO` if the result was `EBADMSG` or `EKEYREJECTED`, which depend on the key;
/// - any other error unchanged.
pub(super) fn distrust(result: Result) -> Result {
    match result {
        Ok(()) => Err(ESTALE),
        Err(err) if err == EBADMSG || err == EKEYREJECTED => Err(EIO),
        Err(_) => result,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.destroy();
    }
}
