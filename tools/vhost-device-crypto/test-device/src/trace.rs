// SPDX-License-Identifier: GPL-2.0
//! The trace: a line of JSON for each decoded request, so tests can examine the requests of a
//! driver. The trace contains no keys and no data.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use virtio_crypto_device::hooks::{Decoded, Served};
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::status::status_name;

/// A line of the trace.
#[derive(Serialize)]
struct Line<'a> {
    /// Number of earlier requests in the trace.
    number: u64,
    queue: QueueId,
    #[serde(flatten)]
    request: &'a Decoded,
    /// Lengths of the device-readable segments.
    readable: Vec<usize>,
    /// Lengths of the device-writable segments.
    writable: Vec<usize>,
    /// The session ID of a new session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u64>,
    status: &'static str,
    /// Number of written bytes that the used ring reports.
    written: u32,
}

/// Writes the trace, or discards it.
#[derive(Default)]
pub struct Trace {
    out: Option<Mutex<Box<dyn Write + Send>>>,
    number: AtomicU64,
}

impl Trace {
    /// Writes lines to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Trace { out: Some(Mutex::new(out)), number: AtomicU64::new(0) }
    }

    /// Writes the line of a request. Errors are logged.
    pub fn write(&self, served: &Served<'_, '_>) {
        let Some(out) = &self.out else { return };
        let chain = served.chain;
        let line = Line {
            number: self.number.fetch_add(1, Ordering::Relaxed),
            queue: served.id.queue,
            request: served.request,
            readable: chain.readable.slices().map(|slice| slice.len()).collect(),
            writable: chain.writable.slices().map(|slice| slice.len()).collect(),
            session_id: served.session_id,
            status: status_name(served.status),
            written: served.written,
        };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = out.write_all(&text).and_then(|()| out.flush()) {
                tracing::warn!("writing the trace failed: {error}");
            }
        }
    }
}

/// Returns the name of an opcode, without the prefix `VIRTIO_CRYPTO_`.
pub fn opcode_name(opcode: u32) -> &'static str {
    match opcode {
        0x0000 => "CIPHER_ENCRYPT",
        0x0001 => "CIPHER_DECRYPT",
        0x0002 => "CIPHER_CREATE_SESSION",
        0x0003 => "CIPHER_DESTROY_SESSION",
        0x0100 => "HASH",
        0x0102 => "HASH_CREATE_SESSION",
        0x0103 => "HASH_DESTROY_SESSION",
        0x0200 => "MAC",
        0x0202 => "MAC_CREATE_SESSION",
        0x0203 => "MAC_DESTROY_SESSION",
        0x0300 => "AEAD_ENCRYPT",
        0x0301 => "AEAD_DECRYPT",
        0x0302 => "AEAD_CREATE_SESSION",
        0x0303 => "AEAD_DESTROY_SESSION",
        0x0400 => "AKCIPHER_ENCRYPT",
        0x0401 => "AKCIPHER_DECRYPT",
        0x0402 => "AKCIPHER_SIGN",
        0x0403 => "AKCIPHER_VERIFY",
        0x0404 => "AKCIPHER_CREATE_SESSION",
        0x0405 => "AKCIPHER_DESTROY_SESSION",
        _ => "unknown",
    }
}
