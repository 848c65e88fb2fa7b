// SPDX-License-Identifier: GPL-2.0
//! What the tests share: a device, and requests put together by the specification's
//! tables, apart from the code that reads them.

#![allow(dead_code, missing_docs)]

use crypto_test_device::instrument::{self, Device};
use crypto_test_device::trace::Trace;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::device::Scratch;
use virtio_crypto_device::memory::{Chain, Slice, Span};
use virtio_crypto_device::protocol::feature;

pub const OK: u32 = 0;
pub const ERR: u32 = 1;
pub const BADMSG: u32 = 2;
pub const NOTSUPP: u32 = 3;
pub const INVSESS: u32 = 4;
pub const NOSPC: u32 = 5;
pub const KEY_REJECTED: u32 = 6;

pub const ENCRYPT: u32 = 1;
pub const DECRYPT: u32 = 2;
pub const AES_CBC: u32 = 3;

/// `VIRTIO_CRYPTO_F_REVISION_1` and all stateless modes.
pub const STATELESS: u64 = feature::ALL;

/// What the device wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub status: u32,
    pub output: Vec<u8>,
    pub written: u32,
}

pub struct Kit {
    pub device: Device,
    features: u64,
}

/// How the memory of a request is cut.
pub type Cut = usize;

/// In one piece, and in pieces of these sizes.
pub const CUTS: [Cut; 5] = [usize::MAX, 1, 7, 16, 64];

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn cut(bytes: &mut [u8], cut: Cut) -> Span<'_> {
    let slice = Slice::from(bytes);
    let mut span = Span::new();
    let mut at = 0;
    while at < slice.len() {
        let len = cut.min(slice.len() - at);
        span.push(slice.subslice(at, len).unwrap());
        at += len;
    }
    span
}

impl Kit {
    /// An honest device with all it can do; no features.
    pub fn new() -> Self {
        Self::with(Capabilities::default(), 0)
    }

    /// A device whose driver has accepted these features.
    pub fn with(mut offer: Capabilities, features: u64) -> Self {
        offer.features = features;
        offer.legacy = true;
        let device = instrument::device(offer, Trace::default());
        device.start(features);
        Kit { device, features }
    }

    pub fn fault(&self, fault: &str) {
        self.device.hooks.faults.add(fault.parse().unwrap());
    }

    fn natural(&self) -> bool {
        self.features & feature::REVISION_1 != 0
    }

    /// Pads as the layout wants it: `natural` is the size under revision 1.
    fn fixed(&self, mut bytes: Vec<u8>, natural: usize) -> Vec<u8> {
        assert!(bytes.len() <= natural);
        bytes.resize(if self.natural() { natural } else { 72 }, 0);
        bytes
    }

    pub fn raw_control(&self, mut readable: Vec<u8>, writable: usize) -> (Vec<u8>, u32) {
        keep_seed("control", &[self.features as u8, 0xff, writable as u8], &readable);
        let mut answer = vec![0xff; writable];
        let chain = Chain {
            readable: cut(&mut readable, usize::MAX),
            writable: cut(&mut answer, usize::MAX),
        };
        let written = instrument::control(&self.device, &chain);
        drop(chain);
        (answer, written)
    }

    pub fn raw_data(&self, readable: &[u8], writable: usize, pieces: Cut) -> (Vec<u8>, u32) {
        let layout = match self.features {
            0 => 0,
            feature::REVISION_1 => 1,
            _ => 2,
        };
        let [low, high] = (writable as u16).to_le_bytes();
        keep_seed("data", &[layout, pieces.wrapping_sub(1) as u8, low, high], readable);
        let mut readable = readable.to_vec();
        let mut answer = vec![0xff; writable];
        let chain =
            Chain { readable: cut(&mut readable, pieces), writable: cut(&mut answer, pieces) };
        let written = instrument::data(&self.device, 0, &mut Scratch::default(), &chain);
        drop(chain);
        (answer, written)
    }

    /// The same, in one piece, with something in the memory to write.
    pub fn raw_data_into(&self, readable: &[u8], writable: &mut [u8]) -> u32 {
        let mut readable = readable.to_vec();
        let chain =
            Chain { readable: cut(&mut readable, usize::MAX), writable: cut(writable, usize::MAX) };
        instrument::data(&self.device, 0, &mut Scratch::default(), &chain)
    }

    /// A CREATE: the fixed fields from offset 16 on, and the keys.
    pub fn create(
        &self,
        opcode: u32,
        fields: &[u32],
        natural: usize,
        keys: &[&[u8]],
    ) -> Result<u64, u32> {
        let mut head = vec![opcode, fields.first().copied().unwrap_or(0), 0, 0];
        head.extend(fields);
        let mut bytes = self.fixed(words(&head), natural);
        bytes.extend(keys.concat());
        let (answer, written) = self.raw_control(bytes, 16);
        // The answer begins with the number, which is not written where there is no session.
        match u32::from_le_bytes(answer[8..12].try_into().unwrap()) {
            OK => {
                assert_eq!(written, 16);
                Ok(u64::from_le_bytes(answer[..8].try_into().unwrap()))
            }
            // One that there is not is a fault's, after a session has been made.
            status if status > KEY_REJECTED => Err(status),
            status => {
                assert_eq!(
                    (written, &answer[..8], &answer[12..]),
                    (0, &[0xff; 8][..], &[0; 4][..])
                );
                Err(status)
            }
        }
    }

    pub fn destroy(&self, opcode: u32, id: u64) -> u32 {
        let head = [opcode, 0, 0, 0, id as u32, (id >> 32) as u32];
        let bytes = self.fixed(words(&head), 24);
        let (answer, written) = self.raw_control(bytes, 1);
        assert_eq!(written, 1);
        answer[0].into()
    }

    pub fn cipher(&self, algo: u32, op: u32, key: &[u8]) -> Result<u64, u32> {
        let mut fields = [0; 14];
        fields[..3].copy_from_slice(&[algo, key.len() as u32, op]);
        fields[12] = 1;
        self.create(0x0002, &fields, 72, &[key])
    }

    /// `[order, mode]`, `[cipher, op]`, `[hash, result_len]`.
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
        self.create(0x0002, &fields, 72, &[key, auth_key])
    }

    pub fn hash(&self, algo: u32, len: u32) -> Result<u64, u32> {
        self.create(0x0102, &[algo, len], 24, &[])
    }

    pub fn mac(&self, algo: u32, len: u32, key: &[u8]) -> Result<u64, u32> {
        self.create(0x0202, &[algo, len, key.len() as u32, 0], 32, &[key])
    }

    pub fn aead(&self, algo: u32, op: u32, tag_len: u32, key: &[u8]) -> Result<u64, u32> {
        self.aead_with(algo, op, tag_len, 0, key)
    }

    /// With a length of associated data.
    pub fn aead_with(
        &self,
        algo: u32,
        op: u32,
        tag_len: u32,
        aad_len: u32,
        key: &[u8],
    ) -> Result<u64, u32> {
        self.create(0x0302, &[algo, key.len() as u32, tag_len, aad_len, op, 0], 40, &[key])
    }

    pub fn akcipher(
        &self,
        algo: u32,
        key_type: u32,
        detail: [u32; 2],
        key: &[u8],
    ) -> Result<u64, u32> {
        let fields = [algo, key_type, key.len() as u32, detail[0], detail[1]];
        self.create(0x0404, &fields, 72, &[key])
    }

    /// A data request: the fixed fields from offset 24 on, what is read, and how much
    /// is written beside the status. Cut in every way, it must be served the same.
    pub fn data(
        &self,
        opcode: u32,
        session: u64,
        fields: &[u32],
        natural: usize,
        input: &[&[u8]],
        output: usize,
    ) -> Answer {
        let flag = u32::from(self.natural());
        self.request(opcode, session, flag, fields, natural, input, output)
    }

    /// A stateless request.
    pub fn stateless(
        &self,
        opcode: u32,
        fields: &[u32],
        len: usize,
        input: &[&[u8]],
        output: usize,
    ) -> Answer {
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
    ) -> Answer {
        let mut head = vec![opcode, 0, session as u32, (session >> 32) as u32, flag, 0];
        head.extend(fields);
        let mut bytes = self.fixed(words(&head), natural);
        bytes.extend(input.concat());
        let mut answers = CUTS.map(|pieces| {
            let (answer, written) = self.raw_data(&bytes, output + 1, pieces);
            let (status, output) = answer.split_last().unwrap();
            Answer { status: (*status).into(), output: output.to_vec(), written }
        });
        if (0x0402..0x0403).contains(&opcode) || opcode == 0x0400 {
            // Signatures and PKCS#1 encryption are different each time.
            return answers[0].clone();
        }
        for answer in &answers[1..] {
            assert_eq!(answers[0], *answer, "how a request is cut must not matter");
        }
        answers.reverse();
        answers[0].clone()
    }

    /// A cipher request in a session.
    pub fn crypt(&self, session: u64, op: u32, iv: &[u8], src: &[u8]) -> Answer {
        let len = src.len() as u32;
        let mut fields = [0; 12];
        fields[..3].copy_from_slice(&[iv.len() as u32, len, len]);
        fields[10] = 1;
        self.data(op - 1, session, &fields, 72, &[iv, src], src.len())
    }

    pub fn violations(&self) -> Vec<&'static str> {
        self.device.hooks.violations.list().iter().map(|violation| violation.requirement).collect()
    }

    /// An honest driver was at work.
    pub fn assert_no_violation(&self) {
        assert_eq!(self.violations(), Vec::<&str>::new());
    }
}

/// Hexadecimal text, blanks allowed.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Keeps a request as a seed for the fuzz targets, if `CRYPTO_DEVICE_SEEDS` names a
/// folder: see `fuzz/`.
fn keep_seed(target: &str, head: &[u8], request: &[u8]) {
    let Some(folder) = std::env::var_os("CRYPTO_DEVICE_SEEDS") else { return };
    let folder = std::path::Path::new(&folder).join(target);
    let len = (request.len() as u16).to_le_bytes();
    let seed = [head, &len, request].concat();
    // Enough for a private key of 2048 bits.
    if seed.len() > 4096 {
        return;
    }
    let name: String =
        openssl::sha::sha1(&seed)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), seed).unwrap();
}
