// SPDX-License-Identifier: GPL-2.0

//! Symmetric ciphers: the table of those the driver knows, and what a request goes through.

mod transform;

use self::transform::Transform;
use super::Devices;
use crate::{
    crypto::{
        algorithm::{
            Names,
            Registration, //
        },
        skcipher,
        skcipher::{
            Algorithm,
            Finished,
            Key,
            Request, //
        },
        software::Software,
        Answer,
        Area,
        Direction, //
    },
    transport::{
        dataq,
        device::Device,
        session::Session, //
    },
    wire,
    wire::{
        algorithm::{
            Cipher,
            Operation, //
        },
        control::CreateCipher,
        data,
        data::CipherRequest, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The block size of AES in bytes.
const AES_BLOCK: usize = 16;

/// A cipher the driver knows.
pub(super) struct Row {
    cipher: Cipher,
    /// What the crypto framework calls it.
    pub(super) name: &'static CStr,
    /// What the asynchronous flavour is called.
    driver_name: &'static CStr,
    /// What the synchronous flavour is called.
    sync_driver_name: &'static CStr,
    block_size: u32,
    min_key_size: u32,
    max_key_size: u32,
    iv_size: u32,
}

/// The ciphers the driver knows.
pub(super) const TABLE: [Row; 1] = [Row {
    cipher: Cipher::AesCbc,
    name: c"cbc(aes)",
    driver_name: c"cbc-aes-virtio",
    sync_driver_name: c"cbc-aes-virtio-sync",
    block_size: AES_BLOCK as u32,
    min_key_size: 16,
    max_key_size: 32,
    iv_size: AES_BLOCK as u32,
}];

/// Finds out which ciphers a device does; returns a bit for each row of the table.
///
/// # Errors
///
/// Any: the device could not be asked.
pub(super) fn explore(device: &Arc<Device>) -> Result<u32> {
    if !device.config().has_cipher_service() {
        return Ok(0);
    }
    let mut found = 0;
    for (index, row) in TABLE.iter().enumerate() {
        let key = [0; 64];
        // CAST: The longest key of any cipher is 64 bytes.
        let key = key.get(..row.min_key_size as usize).ok_or(EINVAL)?;
        match create(device, row.cipher, Operation::Encrypt, key) {
            Ok(_) => found |= 1 << index,
            // That is its answer.
            Err(err) if [EIO, EOPNOTSUPP, ENOSPC, EINVAL].contains(&err) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(found)
}

/// Creates a session for a cipher.
///
/// # Errors
///
/// `EINVAL`: the key is longer than the device takes. Others as [`Session::create`] has them.
fn create(
    device: &Arc<Device>,
    cipher: Cipher,
    operation: Operation,
    key: &[u8],
) -> Result<Session> {
    let len = u32::try_from(key.len())?;
    if len > device.config().max_cipher_key() {
        return Err(EINVAL);
    }
    let request = CreateCipher::new(cipher, operation, len);
    Session::create(device, request.as_bytes(), key)
}

/// Registers both flavours of a row.
///
/// # Errors
///
/// As the crypto framework has them; none is registered then.
pub(super) fn register(
    index: usize,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<KVec<Registration>> {
    let row = TABLE.get(index).ok_or(EINVAL)?;
    let mut registrations = KVec::with_capacity(2, GFP_KERNEL)?;
    registrations.push(
        register_flavour::<false>(row, index, devices, module)?,
        GFP_KERNEL,
    )?;
    registrations.push(
        register_flavour::<true>(row, index, devices, module)?,
        GFP_KERNEL,
    )?;
    Ok(registrations)
}

fn register_flavour<const SYNC: bool>(
    row: &'static Row,
    index: usize,
    devices: &Arc<Devices>,
    module: &'static ThisModule,
) -> Result<Registration> {
    let description = skcipher::Description {
        names: Names {
            name: row.name,
            driver_name: if SYNC {
                row.sync_driver_name
            } else {
                row.driver_name
            },
            priority: devices.settings.priority(SYNC),
            block_size: row.block_size,
        },
        min_key_size: row.min_key_size,
        max_key_size: row.max_key_size,
        iv_size: row.iv_size,
        chunk_size: row.block_size,
    };
    let data = Offer {
        row,
        index,
        devices: devices.clone(),
    };
    skcipher::register::<Flavour<SYNC>>(&description, data, module)
}

/// What all transforms of a cipher share.
pub(super) struct Offer {
    row: &'static Row,
    index: usize,
    devices: Arc<Devices>,
}

/// One of the two ways a cipher is offered: `SYNC` answers before the call returns.
pub(super) struct Flavour<const SYNC: bool>;

/// What is kept with a request that a device has.
pub(super) struct State {
    /// Held until the request is back: a session is not destroyed under it.
    _session: Arc<Session>,
    direction: Direction,
    /// The IV of the next request, if it can be told before the device has done this one.
    next_iv: [u8; AES_BLOCK],
}

impl<const SYNC: bool> Algorithm for Flavour<SYNC> {
    type Data = Offer;
    type Tfm = Transform;
    type Request = State;
    type Area = Area<{ wire::FIXED + AES_BLOCK }, { data::STATUS }>;

    const SYNCHRONOUS: bool = SYNC;

    fn init(offer: &Offer) -> Result<Transform> {
        Transform::new(offer)
    }

    fn software(transform: &Transform) -> &Software {
        transform.software()
    }

    fn set_key(transform: &Transform, key: &Key<'_>) -> Result {
        transform.set_key(key)
    }

    fn crypt(request: Request<'_, Self>, direction: Direction) -> Answer {
        let row = request.tfm().row();
        let len = request.len();
        if len.checked_rem(row.block_size) != Some(0) {
            return request.done(Err(EINVAL));
        }
        if len == 0 {
            return request.done(Ok(()));
        }

        // Whatever the device cannot do, or not for this request, software does.
        if SYNC && !request.may_sleep() {
            return request.software(direction);
        }
        let Some(session) = request.tfm().session(direction) else {
            return request.software(direction);
        };
        let device = session.device().clone();
        let (Some(queue), true) = (
            device.data_queue(),
            data::cipher_fits(row.iv_size, len, device.config().max_size()),
        ) else {
            return request.software(direction);
        };

        let mut iv = [0; AES_BLOCK];
        if let Err(err) = request.read_iv(&mut iv) {
            return request.done(Err(err));
        }
        let header = CipherRequest::new(
            row.cipher,
            operation(direction),
            session.id(),
            row.iv_size,
            len,
        );
        let state = State {
            _session: session,
            direction,
            next_iv: [0; AES_BLOCK],
        };
        let params = [header.as_bytes(), &iv[..]];
        let mut prepared = match request.prepare(state, &params, data::STATUS, device.max_segment())
        {
            Ok(prepared) => prepared,
            Err((_, request)) => return request.software(direction),
        };
        if direction == Direction::Decrypt {
            // The last ciphertext block: gone afterwards if it is done in place.
            let mut next_iv = [0; AES_BLOCK];
            // The length is a multiple of the block, and not zero.
            let _ = prepared.read_source_tail(&mut next_iv);
            prepared.state().next_iv = next_iv;
        }

        let submitted = prepared.submit(
            device.timeout(),
            |inflight| dataq::submit(queue, inflight, || device.watch()),
            || device.fail(),
        );
        match submitted {
            Ok(answer) => answer,
            // The consumer did not want to wait, and is to know that it would have had to.
            Err((err, request)) if err == ENOSPC => request.done(Err(ENOSPC)),
            Err((_, request)) => request.software(direction),
        }
    }

    fn finish(state: State, request: &Finished<'_, Self>, result: Result) -> Result {
        if request.is_untouched() {
            return request.software(state.direction);
        }
        result?;
        let mut iv = state.next_iv;
        if state.direction == Direction::Encrypt {
            request.read_destination_tail(&mut iv)?;
        }
        request.set_iv(&iv)
    }
}

fn operation(direction: Direction) -> Operation {
    match direction {
        Direction::Encrypt => Operation::Encrypt,
        Direction::Decrypt => Operation::Decrypt,
    }
}
