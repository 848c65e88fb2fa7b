// SPDX-License-Identifier: GPL-2.0
//! Handles the messages of vfio-user.
//!
//! This file does not use the server of the vfio_user crate. That server cannot close its
//! connection, sends error replies with error number 0, and loses its position in the stream after
//! an invalid message. The tests use the client of that crate.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::dma::Mapping;
use super::function::Function;
use super::layout::{BAR, BAR_LEN};
use super::pci_config;
use vhost_device_crypto::framing::{self, number, Framing, Message};
use virtio_crypto_device::warn_limited;

/// A header has four words: message ID and command, total size, flags, error.
const HEADER_LEN: usize = 16;
const FRAMING: Framing = Framing {
    header_len: HEADER_LEN,
    body_len: |header| (number(header, 4) as usize).checked_sub(HEADER_LEN),
    max_len: MAX_TRANSFER + 4096,
};

/// Maximum length of an access, in bytes.
const MAX_TRANSFER: usize = 1 << 20;

/// Flags of a header.
const TYPE_MASK: u32 = 0xf;
const REPLY: u32 = 1;
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// Commands.
const VERSION: u16 = 1;
const DMA_MAP: u16 = 2;
const DMA_UNMAP: u16 = 3;
const DEVICE_GET_INFO: u16 = 4;
const DEVICE_GET_REGION_INFO: u16 = 5;
const DEVICE_GET_IRQ_INFO: u16 = 7;
const DEVICE_SET_IRQS: u16 = 8;
const REGION_READ: u16 = 9;
const REGION_WRITE: u16 = 10;
const DEVICE_RESET: u16 = 13;

/// Capabilities that the server announces in its reply to VERSION. The version is 0.0, which QEMU
/// requires.
const CAPABILITIES: &str =
    r#"{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"pgsizes":4096}}"#;

/// Flags of DMA mappings.
const DMA_READ: u32 = 1;
const DMA_WRITE: u32 = 2;
const UNMAP_ALL: u32 = 2;

/// Flags of the device: supports reset, PCI.
const INFO_RESET: u32 = 1;
const INFO_PCI: u32 = 2;

/// Regions: the BARs from 0 on, and the configuration space.
const NUM_REGIONS: u32 = 9;
const BAR_REGION: u32 = BAR as u32;
const SPACE_REGION: u32 = 7;
const READ_AND_WRITE: u32 = 3;

/// Indexes of interrupt types.
const NUM_IRQS: u32 = 5;
const INTX: u32 = 0;
const MSIX: u32 = 2;
/// Bus errors. The device raises none, but QEMU sets an eventfd for them.
const BUS_ERROR: u32 = 3;

/// Flags of an interrupt: supports eventfds, can be masked, is masked when raised.
const IRQ_EVENTFD: u32 = 1;
const IRQ_MASKABLE: u32 = 2;
const IRQ_AUTOMASKED: u32 = 4;

/// Flags of DEVICE_SET_IRQS: the type of the data (none, eventfds) and the action.
const SET_NONE: u32 = 1;
const SET_EVENTFD: u32 = 4;
const SET_MASK: u32 = 8;
const SET_UNMASK: u32 = 16;
const SET_TRIGGER: u32 = 32;

/// Serves a front end until it disconnects.
pub fn handle_connection(function: &Arc<Function>, socket: UnixStream) -> io::Result<()> {
    function.connect(socket.try_clone()?);
    let result = handle_messages(function, &socket);
    function.handle_disconnect();
    match result {
        // The front end did not wait for the last reply, or the device has closed the connection.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn handle_messages(function: &Function, socket: &UnixStream) -> io::Result<()> {
    while let Some(Message { bytes, files }) = framing::receive(socket, FRAMING)? {
        let (header, body) = bytes.split_at(HEADER_LEN);
        // The first word of the header has the message ID and the command.
        let (first, flags) = (number(header, 0), number(header, 8));
        if flags & TYPE_MASK != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a reply without a request"));
        }
        let command = (first >> 16) as u16;
        let files = files.into_iter().map(File::from).collect();
        let result = execute(function, command, body, files);
        if let Err(error) = &result {
            warn_limited!("command {command} failed: {error}");
        }
        if flags & NO_REPLY == 0 {
            framing::send(socket, &reply(first, result))?;
        }
    }
    Ok(())
}

fn reply(first: u32, result: io::Result<Vec<u8>>) -> Message {
    let (flags, error, body) = match result {
        Ok(body) => (REPLY, 0, body),
        Err(error) => (REPLY | ERROR, errno(&error), Vec::new()),
    };
    let mut bytes = Vec::new();
    for word in [first, (HEADER_LEN + body.len()) as u32, flags, error] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(body);
    Message { bytes, files: Vec::new() }
}

fn errno(error: &io::Error) -> u32 {
    let number = error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::Unsupported => libc::ENOTSUP,
        io::ErrorKind::InvalidInput => libc::EINVAL,
        _ => libc::EIO,
    });
    number.unsigned_abs()
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

/// Executes a command. Returns the body of the reply.
fn execute(
    function: &Function,
    command: u16,
    body: &[u8],
    files: Vec<File>,
) -> io::Result<Vec<u8>> {
    let number64 = |at| u64::from(number(body, at)) | u64::from(number(body, at + 4)) << 32;
    let require = |len| if body.len() < len { Err(invalid()) } else { Ok(()) };
    match command {
        VERSION => version(body),
        DMA_MAP => {
            require(32)?;
            map(function, number(body, 4), [number64(8), number64(16), number64(24)], files)?;
            Ok(Vec::new())
        }
        DMA_UNMAP => {
            require(24)?;
            function.unmap(number64(8), number64(16), number(body, 4) & UNMAP_ALL != 0)?;
            Ok(body[..24].to_vec())
        }
        DEVICE_GET_INFO => {
            require(16)?;
            Ok(words(&[16, INFO_RESET | INFO_PCI, NUM_REGIONS, NUM_IRQS]))
        }
        DEVICE_GET_REGION_INFO => {
            require(32)?;
            region_info(number(body, 8))
        }
        DEVICE_GET_IRQ_INFO => {
            require(16)?;
            irq_info(function, number(body, 8))
        }
        DEVICE_SET_IRQS => {
            require(20)?;
            let count = number(body, 16) as usize;
            set_irqs(function, number(body, 8), number(body, 4), number(body, 12), count, files)?;
            Ok(Vec::new())
        }
        REGION_READ => {
            require(16)?;
            let mut reply = body[..16].to_vec();
            reply.extend(read(function, number(body, 8), number64(0), number(body, 12))?);
            Ok(reply)
        }
        REGION_WRITE => {
            require(16)?;
            let data = body.get(16..).filter(|data| data.len() == number(body, 12) as usize);
            write(function, number(body, 8), number64(0), data.ok_or_else(invalid)?)?;
            Ok(body[..16].to_vec())
        }
        DEVICE_RESET => {
            function.reset_function();
            Ok(Vec::new())
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn version(body: &[u8]) -> io::Result<Vec<u8>> {
    // Major and minor version. The capabilities of the front end are ignored.
    match number(body, 0) & 0xffff {
        0 if body.len() >= 4 => {}
        _ => return Err(invalid()),
    }
    let mut reply = words(&[0]);
    reply.extend(CAPABILITIES.bytes());
    reply.push(0);
    Ok(reply)
}

/// Maps guest memory at `address`. Memory without a file, for example of the firmware, is ignored.
fn map(
    function: &Function,
    flags: u32,
    [offset, address, size]: [u64; 3],
    mut files: Vec<File>,
) -> io::Result<()> {
    match files.pop() {
        Some(file) if flags & DMA_READ != 0 => {
            let writable = flags & DMA_WRITE != 0;
            function.map(Mapping { address, size, file, offset, writable })
        }
        _ => Ok(()),
    }
}

fn region_info(index: u32) -> io::Result<Vec<u8>> {
    let (flags, size) = match index {
        BAR_REGION => (READ_AND_WRITE, BAR_LEN),
        SPACE_REGION => (READ_AND_WRITE, pci_config::LEN as u64),
        0..NUM_REGIONS => (0, 0),
        _ => return Err(invalid()),
    };
    Ok(words(&[32, flags, index, 0, size as u32, (size >> 32) as u32, 0, 0]))
}

fn irq_info(function: &Function, index: u32) -> io::Result<Vec<u8>> {
    let (flags, count) = match index {
        INTX => (IRQ_EVENTFD | IRQ_MASKABLE | IRQ_AUTOMASKED, 1),
        MSIX => (IRQ_EVENTFD, u32::from(function.vectors())),
        BUS_ERROR => (IRQ_EVENTFD, 1),
        0..NUM_IRQS => (0, 0),
        _ => return Err(invalid()),
    };
    Ok(words(&[16, flags, index, count]))
}

fn set_irqs(
    function: &Function,
    index: u32,
    flags: u32,
    start: u32,
    count: usize,
    files: Vec<File>,
) -> io::Result<()> {
    let interrupts = function.interrupts();
    let start = start as usize;
    if flags & SET_EVENTFD != 0 && !files.is_empty() && files.len() != count {
        return Err(invalid());
    }
    let mut files = files.into_iter();
    match (index, flags) {
        (INTX, flags) if flags == SET_EVENTFD | SET_TRIGGER => {
            interrupts.set_line_event(files.next())
        }
        // An action without data and a count of 0 removes all eventfds.
        (INTX, flags) if flags == SET_NONE | SET_TRIGGER && count == 0 => {
            interrupts.set_line_event(None)
        }
        (INTX, flags) if flags == SET_NONE | SET_MASK => interrupts.mask_line(true),
        (INTX, flags) if flags == SET_NONE | SET_UNMASK => interrupts.mask_line(false),
        (MSIX, flags) if flags == SET_EVENTFD | SET_TRIGGER => {
            if count > interrupts.vectors() {
                return Err(invalid());
            }
            interrupts.set_events(start, (0..count).map(|_| files.next()).collect())
        }
        (MSIX, flags) if flags == SET_NONE | SET_TRIGGER && count == 0 => {
            interrupts.set_events(0, (0..interrupts.vectors()).map(|_| None).collect())
        }
        (BUS_ERROR, flags) if flags == SET_EVENTFD | SET_TRIGGER => Ok(()),
        // The function has no other interrupts.
        (0..NUM_IRQS, flags) if flags == SET_NONE | SET_TRIGGER && count == 0 => Ok(()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Returns the offset of an access, if the access is within the region.
fn check_range(size: u64, offset: u64, len: usize) -> io::Result<u64> {
    let end = offset.checked_add(len as u64);
    match end.is_some_and(|end| end <= size) && len <= MAX_TRANSFER {
        true => Ok(offset),
        false => Err(invalid()),
    }
}

fn read(function: &Function, region: u32, offset: u64, count: u32) -> io::Result<Vec<u8>> {
    let len = count as usize;
    match region {
        BAR_REGION => {
            let offset = check_range(BAR_LEN, offset, len)?;
            let mut data = vec![0; len];
            function.read(offset, &mut data);
            Ok(data)
        }
        SPACE_REGION => {
            let at = check_range(pci_config::LEN as u64, offset, len)?;
            let mut data = vec![0; len];
            function.read_pci_config(at as usize, &mut data);
            Ok(data)
        }
        _ => Err(invalid()),
    }
}

fn write(function: &Function, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
    match region {
        BAR_REGION => function.write(check_range(BAR_LEN, offset, data.len())?, data),
        SPACE_REGION => {
            let at = check_range(pci_config::LEN as u64, offset, data.len())?;
            function.write_pci_config(at as usize, data);
        }
        _ => return Err(invalid()),
    }
    Ok(())
}
