// SPDX-License-Identifier: GPL-2.0

//! SessionTable: a key that a device knows.

use super::{
    controlq,
    controlq::ControlMessage,
    device::{
        Device,
        IdNode, //
    },
};
use crate::{
    support::read_once::read_once,
    wire::{
        algorithm::Service,
        control::{
            CreateResponse,
            Destroy,
            ANSWER,
            DESTROY_RESPONSE_LEN, //
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

/// A session of a device. Dropping it destroys it, as [`destroy`](Self::destroy) does.
pub(crate) struct Session {
    device: Arc<Device>,
    /// The device's life in which it was created.
    epoch: u32,
    id: u64,
    /// The device has said that it does not know it.
    lost: Atomic<u32>,
    /// The DESTROY request, until it is sent.
    destroy: Pin<KBox<SpinLockIrq<Option<ControlMessage>>>>,
}

impl Session {
    /// Creates a session of a service: `request` is the CREATE without the key.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `EIO`, `EOPNOTSUPP`, `ENOSPC`: the device refuses. `ENODEV`: it is gone, or has to be reset.
    /// `ETIMEDOUT`: it does not answer; it is not used any more. `ENOMEM`: no memory.
    pub(crate) fn create(
        device: &Arc<Device>,
        service: Service,
        request: &[u8],
        key: &[u8],
    ) -> Result<Self> {
        // Nothing may fail once the device has a session: there must be a way to get rid of it.
        let node = IdNode::new(GFP_KERNEL)?;
        let revision = device.features().revision();
        let mut request_to_destroy = controlq::prepare(
            Destroy::new(service, 0).bytes(revision),
            DESTROY_RESPONSE_LEN,
        )?;
        let destroy = KBox::pin_init(new_spinlock_irq!(None), GFP_KERNEL)?;

        // Whoever closes the device waits for this.
        let (epoch, _creating) = device.begin_create()?;
        // In an epoch that has just begun it may still have requests of the last one.
        if !device.is_ready() {
            return Err(ENODEV);
        }
        let answer = device.send_control(request, key, ANSWER)?;
        let id = CreateResponse::parse(&answer)?;
        request_to_destroy
            .as_mut()
            .set_header(Destroy::new(service, id).bytes(revision))?;
        match device.add_session(epoch, service, id, node) {
            Ok(()) => {
                *destroy.lock() = Some(request_to_destroy);
                Ok(Self {
                    device: device.clone(),
                    epoch,
                    id,
                    lost: Atomic::new(0),
                    destroy,
                })
            }
            // The device is being closed, and still has this one.
            Err(err) if err == ENODEV => {
                device.send_control_nowait(request_to_destroy);
                Err(ENODEV)
            }
            Err(err) if err == EAGAIN => Err(ENODEV),
            // The device hands out an id twice: it has forgotten a session, or lies. Which key a
            // request gets that names it nobody knows.
            Err(_) => {
                device.report_duplicate_id(epoch);
                Err(ENODEV)
            }
        }
    }

    /// Returns the id the device knows it by.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns true if the device takes requests, and still knows the session.
    pub(super) fn is_usable(&self) -> bool {
        self.device.is_ready() && self.device.epoch() == self.epoch && !self.is_lost()
    }

    /// Returns the device's epoch that it belongs to.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns true if what the device has done in the session was done with its key: if it has not
    /// lost the session, nor given its number to another.
    #[inline]
    fn is_trusted(&self) -> bool {
        !self.is_lost() && !self.device.is_untrusted(self.epoch)
    }

    /// Returns true if the device has said that it does not know the session.
    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        read_once(&self.lost) != 0
    }

    /// Evaluates the result of a request in this session. `ENOKEY` marks the session as lost. The
    /// result is that of [`distrust`] if the session is lost or its epoch untrusted.
    ///
    /// Context: any but hard interrupt.
    #[inline]
    pub(super) fn judge(&self, result: Result) -> Result {
        if result == Err(ENOKEY) {
            self.invalidate();
        }
        if self.is_trusted() {
            result
        } else {
            distrust(result)
        }
    }

    /// Says that the device does not know the session. Its user gets another one soon.
    ///
    /// Its number stays in the book until no request names it any more: a device that gives it to
    /// another session before is noticed.
    #[cold]
    fn invalidate(&self) {
        if self.lost.cmpxchg(0, 1, Relaxed).is_ok() {
            self.device.report_lost_session(self.epoch, self.id);
        }
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Sends the DESTROY request: no request names the session any more. This does not sleep, and
    /// allocates nothing. Only the first call does something.
    ///
    /// Context: process or bottom half, interrupts enabled: no `SpinLockIrq` held.
    pub(super) fn destroy(&self) {
        let Some(request) = self.destroy.lock().take() else {
            return;
        };
        // If it is not in the books, the device has been told, or is gone.
        let Some(_busy) = self.device.remove_session(self.epoch, self.id) else {
            return;
        };
        // One that the device does not know is not destroyed: the number may be that of another by
        // the time it gets the request.
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
/// - `EIO` if it was `EBADMSG` or `EKEYREJECTED`, which depend on the key;
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
