// SPDX-License-Identifier: GPL-2.0
//! A device without rings, and requests for it. The requests are encoded by the tables of the
//! specification, without code of the device, so that encoder and parser do not share mistakes.

#![allow(dead_code, missing_docs)]

use crypto_test_device::instrument::{self, Device};
use crypto_test_device::trace::Trace;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::device::Scratch;
use virtio_crypto_device::memory::{Chain, Slice, Slices};
use virtio_crypto_device::protocol::feature;

/// Status codes.
pub const OK: u32 = 0;
pub const ERR: u32 = 1;
pub const BADMSG: u32 = 2;
pub const NOTSUPP: u32 = 3;
pub const INVSESS: u32 = 4;
pub const NOSPC: u32 = 5;
pub const KEY_REJECTED: u32 = 6;

/// Directions.
pub const ENCRYPT: u32 = 1;
pub const DECRYPT: u32 = 2;

/// Numbers of algorithms. A hash has the same number as its HMAC.
pub const AES_CBC: u32 = 3;
pub const SHA1: u32 = 2;
pub const SHA256: u32 = 4;
pub const GCM: u32 = 1;
pub const CCM: u32 = 2;

/// Orders and hash modes of algorithm chaining.
pub const HASH_THEN_CIPHER: u32 = 1;
pub const CIPHER_THEN_HASH: u32 = 2;
pub const PLAIN: u32 = 1;
pub const AUTH: u32 = 2;

/// Opcodes of control requests.
pub const CIPHER_CREATE: u32 = 0x0002;
pub const CIPHER_DESTROY: u32 = 0x0003;
pub const HASH_CREATE: u32 = 0x0102;
pub const HASH_DESTROY: u32 = 0x0103;
pub const MAC_CREATE: u32 = 0x0202;
pub const AEAD_CREATE: u32 = 0x0302;
pub const AKCIPHER_CREATE: u32 = 0x0404;

/// Opcodes of data requests.
pub const CIPHER_ENCRYPT: u32 = 0x0000;
pub const HASH: u32 = 0x0100;
pub const MAC: u32 = 0x0200;
pub const AEAD_ENCRYPT: u32 = 0x0300;
pub const AEAD_DECRYPT: u32 = 0x0301;
pub const AKCIPHER_ENCRYPT: u32 = 0x0400;
pub const AKCIPHER_SIGN: u32 = 0x0402;

/// `VIRTIO_CRYPTO_F_REVISION_1` and all stateless modes.
pub const STATELESS: u64 = feature::ALL;

/// The response to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    pub status: u32,
    pub output: Vec<u8>,
    pub written: u32,
}

/// A device that gets requests as function calls, without rings and without a front end.
pub struct Kit {
    pub device: Device,
    features: u64,
}

/// Maximum length of the slices of a request.
pub type SegmentLen = usize;

/// The segment lengths with which each request is sent. With the first, the request has a single
/// segment.
pub const SEGMENT_LENS: [SegmentLen; 5] = [usize::MAX, 1, 7, 16, 64];

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Divides a buffer into slices.
fn cut(bytes: &mut [u8], segment_len: SegmentLen) -> Slices<'_> {
    let slice = Slice::from(bytes);
    let mut slices = Slices::default();
    let mut at = 0;
    while at < slice.len() {
        let len = segment_len.min(slice.len() - at);
        slices.push(slice.subslice(at, len).unwrap());
        at += len;
    }
    slices
}

impl Kit {
    /// Creates a device with all algorithms, without features and without faults.
    pub fn new() -> Self {
        Self::with(Capabilities::default(), 0)
    }

    /// Creates a device whose driver has accepted these features.
    pub fn with(mut capabilities: Capabilities, features: u64) -> Self {
        capabilities.features = features;
        capabilities.legacy = true;
        let device = instrument::device(capabilities, Trace::default());
        device.start(features);
        Kit { device, features }
    }

    pub fn fault(&self, fault: &str) {
        self.device.hooks.faults.add(fault.parse().unwrap());
    }

    fn natural(&self) -> bool {
        self.features & feature::REVISION_1 != 0
    }

    /// Pads the fixed-length fields of a request to the length of the layout. `natural` is the
    /// length with revision 1.
    fn pad(&self, mut bytes: Vec<u8>, natural: usize) -> Vec<u8> {
        assert!(bytes.len() <= natural);
        bytes.resize(if self.natural() { natural } else { 72 }, 0);
        bytes
    }

    pub fn raw_control(&self, mut readable: Vec<u8>, writable: usize) -> (Vec<u8>, u32) {
        store_seed("control", &[self.features as u8, 0xff, writable as u8], &readable);
        let mut response = vec![0xff; writable];
        let (from, to) = (cut(&mut readable, usize::MAX), cut(&mut response, usize::MAX));
        let chain = Chain { readable: from.span(), writable: to.span() };
        let written = instrument::control(&self.device, &chain);
        drop((from, to));
        (response, written)
    }

    pub fn raw_data(
        &self,
        readable: &[u8],
        writable: usize,
        segment_len: SegmentLen,
    ) -> (Vec<u8>, u32) {
        let layout = match self.features {
            0 => 0,
            feature::REVISION_1 => 1,
            _ => 2,
        };
        let [low, high] = (writable as u16).to_le_bytes();
        store_seed("data", &[layout, segment_len.wrapping_sub(1) as u8, low, high], readable);
        let mut readable = readable.to_vec();
        let mut response = vec![0xff; writable];
        let (from, to) = (cut(&mut readable, segment_len), cut(&mut response, segment_len));
        let chain = Chain { readable: from.span(), writable: to.span() };
        let written = instrument::data(&self.device, 0, &mut Scratch::default(), &chain);
        drop((from, to));
        (response, written)
    }

    /// Sends a data request in one slice. The result is written to `writable`.
    pub fn raw_data_into(&self, readable: &[u8], writable: &mut [u8]) -> u32 {
        let mut readable = readable.to_vec();
        let (from, to) = (cut(&mut readable, usize::MAX), cut(writable, usize::MAX));
        let chain = Chain { readable: from.span(), writable: to.span() };
        instrument::data(&self.device, 0, &mut Scratch::default(), &chain)
    }

    /// Sends a CREATE with these fields from offset 16 on, and keys. `natural` is the length of the
    /// header and the fixed-length fields with revision 1. Returns the session ID, or the status.
    pub fn create(
        &self,
        opcode: u32,
        fields: &[u32],
        natural: usize,
        keys: &[&[u8]],
    ) -> Result<u64, u32> {
        let mut header = vec![opcode, fields.first().copied().unwrap_or(0), 0, 0];
        header.extend(fields);
        let mut bytes = self.pad(words(&header), natural);
        bytes.extend(keys.concat());
        let (response, written) = self.raw_control(bytes, 16);
        // The response starts with the session ID, which is only written after success.
        match u32::from_le_bytes(response[8..12].try_into().unwrap()) {
            OK => {
                assert_eq!(written, 16);
                Ok(u64::from_le_bytes(response[..8].try_into().unwrap()))
            }
            // An undefined status comes from a fault, which changes it after the session was
            // created.
            status if status > KEY_REJECTED => Err(status),
            status => {
                assert_eq!(
                    (written, &response[..8], &response[12..]),
                    (0, &[0xff; 8][..], &[0; 4][..])
                );
                Err(status)
            }
        }
    }

    pub fn destroy(&self, opcode: u32, id: u64) -> u32 {
        let header = [opcode, 0, 0, 0, id as u32, (id >> 32) as u32];
        let bytes = self.pad(words(&header), 24);
        let (response, written) = self.raw_control(bytes, 1);
        assert_eq!(written, 1);
        response[0].into()
    }

    pub fn cipher(&self, algo: u32, op: u32, key: &[u8]) -> Result<u64, u32> {
        let mut fields = [0; 14];
        fields[..3].copy_from_slice(&[algo, key.len() as u32, op]);
        fields[12] = 1;
        self.create(CIPHER_CREATE, &fields, 72, &[key])
    }

    /// Creates a session for algorithm chaining. The arrays are `[order, hash_mode]`,
    /// `[cipher, op]` and `[hash, result_len]`.
    pub fn chain(
        &self,
        order: [u32; 2],
        cipher: [u32; 2],
        hash: [u32; 2],
        key: &[u8],
        auth_key: &[u8],
        aad_len: u32,
    ) -> Result<u64, u32> {
        let mut fields = [0; 14];
        fields[..5].copy_from_slice(&[order[0], order[1], cipher[0], key.len() as u32, cipher[1]]);
        fields[6..9].copy_from_slice(&[hash[0], hash[1], auth_key.len() as u32]);
        fields[10] = aad_len;
        fields[12] = 2;
        self.create(CIPHER_CREATE, &fields, 72, &[key, auth_key])
    }

    pub fn hash(&self, algo: u32, len: u32) -> Result<u64, u32> {
        self.create(HASH_CREATE, &[algo, len], 24, &[])
    }

    pub fn mac(&self, algo: u32, len: u32, key: &[u8]) -> Result<u64, u32> {
        self.create(MAC_CREATE, &[algo, len, key.len() as u32, 0], 32, &[key])
    }

    pub fn aead(&self, algo: u32, op: u32, tag_len: u32, key: &[u8]) -> Result<u64, u32> {
        self.aead_with(algo, op, tag_len, 0, key)
    }

    /// Creates a session with this length of associated data.
    pub fn aead_with(
        &self,
        algo: u32,
        op: u32,
        tag_len: u32,
        aad_len: u32,
        key: &[u8],
    ) -> Result<u64, u32> {
        self.create(AEAD_CREATE, &[algo, key.len() as u32, tag_len, aad_len, op, 0], 40, &[key])
    }

    pub fn akcipher(
        &self,
        algo: u32,
        key_type: u32,
        detail: [u32; 2],
        key: &[u8],
    ) -> Result<u64, u32> {
        let fields = [algo, key_type, key.len() as u32, detail[0], detail[1]];
        self.create(AKCIPHER_CREATE, &fields, 72, &[key])
    }

    /// Sends a data request with these fields from offset 24 on, this input, and `output` bytes of
    /// output before the status. `natural` is the length of the header and the fixed-length fields
    /// with revision 1. The result must not depend on the segment length.
    pub fn data(
        &self,
        opcode: u32,
        session: u64,
        fields: &[u32],
        natural: usize,
        input: &[&[u8]],
        output: usize,
    ) -> Response {
        let flag = u32::from(self.natural());
        self.request(opcode, session, flag, fields, natural, input, output)
    }

    /// Sends a stateless request, with `len` bytes of header and fixed-length fields.
    pub fn stateless(
        &self,
        opcode: u32,
        fields: &[u32],
        len: usize,
        input: &[&[u8]],
        output: usize,
    ) -> Response {
        self.request(opcode, 0xdead_beef, 0, fields, len, input, output)
    }

    #[allow(clippy::too_many_arguments)]
    pub fn request(
        &self,
        opcode: u32,
        session: u64,
        flag: u32,
        fields: &[u32],
        natural: usize,
        input: &[&[u8]],
        output: usize,
    ) -> Response {
        let mut header = vec![opcode, 0, session as u32, (session >> 32) as u32, flag, 0];
        header.extend(fields);
        let mut bytes = self.pad(words(&header), natural);
        bytes.extend(input.concat());
        let mut responses = SEGMENT_LENS.map(|segment_len| {
            let (response, written) = self.raw_data(&bytes, output + 1, segment_len);
            let (status, output) = response.split_last().unwrap();
            Response { status: (*status).into(), output: output.to_vec(), written }
        });
        if opcode == AKCIPHER_SIGN || opcode == AKCIPHER_ENCRYPT {
            // ECDSA signatures and PKCS#1 encryption are randomized.
            return responses[0].clone();
        }
        for response in &responses[1..] {
            assert_eq!(responses[0], *response, "the result depends on the segment length");
        }
        responses.reverse();
        responses[0].clone()
    }

    /// Sends a cipher request in a session.
    pub fn crypt(&self, session: u64, op: u32, iv: &[u8], src: &[u8]) -> Response {
        let len = src.len() as u32;
        let mut fields = [0; 12];
        fields[..3].copy_from_slice(&[iv.len() as u32, len, len]);
        fields[10] = 1;
        self.data(CIPHER_ENCRYPT + op - ENCRYPT, session, &fields, 72, &[iv, src], src.len())
    }

    pub fn violations(&self) -> Vec<&'static str> {
        self.device.hooks.violations.list().iter().map(|violation| violation.requirement).collect()
    }

    /// Checks that the driver has violated no requirement.
    pub fn assert_no_violation(&self) {
        assert_eq!(self.violations(), Vec::<&str>::new());
    }
}

/// Converts hexadecimal text to bytes. Blanks are ignored.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Stores a request as a seed of the fuzz targets in `fuzz/`, if `CRYPTO_DEVICE_SEEDS` names a
/// directory.
fn store_seed(target: &str, header: &[u8], request: &[u8]) {
    let Some(folder) = std::env::var_os("CRYPTO_DEVICE_SEEDS") else { return };
    let folder = std::path::Path::new(&folder).join(target);
    let len = (request.len() as u16).to_le_bytes();
    let seed = [header, &len, request].concat();
    // The limit allows a private key of 2048 bits.
    if seed.len() > 4096 {
        return;
    }
    let name: String =
        openssl::sha::sha1(&seed)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), seed).unwrap();
}
