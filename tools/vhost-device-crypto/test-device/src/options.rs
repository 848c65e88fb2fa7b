// SPDX-License-Identifier: GPL-2.0
//! The command line.

use std::fmt::Write;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use vhost_device_crypto::backend::{EVENT_IDX, INDIRECT_DESC};
use vhost_device_crypto::options::{number, numbered, public_key_threads, queues, socket_count};
use virtio_crypto_device::capabilities::{
    AeadIv, Capabilities, ChainAad, ChainDigest, Choice, EcdsaNumber, SessionAad, SessionIds,
    StatelessBy,
};
use virtio_crypto_device::protocol::algorithm::Service;
use virtio_crypto_device::protocol::feature;

use crate::fault::{Fault, Kind};
use crate::test_device::FrontEnd;
use crate::vfio;

/// A virtio crypto device for tests of drivers, with fault injection, over vhost-user or vfio-user
#[derive(Debug, Parser)]
#[command(name = "crypto-test-device", version)]
pub struct Options {
    /// Print the capabilities that QEMU's conventions for vhost-user back ends define, as JSON, and
    /// exit. Other options are ignored
    #[arg(long)]
    pub print_capabilities: bool,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the device: wait for a front end, and serve it until it disconnects
    #[command(after_help = faults_help())]
    Serve(Box<Serve>),
    /// List the faults that the device can inject
    Faults {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send commands to the monitor of a device and print the replies. The exit status is 1 if a
    /// command fails
    Ctl(Ctl),
}

/// Options of `serve`.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Socket at which to listen for the front end
    #[arg(short, long, value_name = "PATH", required_unless_present = "socket_fd")]
    pub socket_path: Option<PathBuf>,

    /// Number of devices, each for its own guest. If N is more than 1, the number of the device,
    /// from 0 on, is appended to the paths of sockets, monitors, reports and traces
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = socket_count)]
    pub socket_count: usize,

    /// File descriptor of an open socket, which either listens or is connected to the front end
    #[arg(long, visible_alias = "fd", value_name = "FD")]
    #[arg(conflicts_with_all = ["socket_path", "socket_count"])]
    pub socket_fd: Option<RawFd>,

    /// Protocol of the front end. With vfio-user the device is a complete PCI function
    #[arg(long, value_enum, default_value_t)]
    pub front_end: FrontEnd,

    /// Number of data queues, 1 to 63
    #[arg(long, value_name = "N", default_value_t = Capabilities::default().queues)]
    #[arg(value_parser = queues)]
    pub queues: u16,

    /// Device features to offer
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub features: Vec<Feature>,

    /// Offer revision-1
    #[arg(long)]
    pub revision_1: bool,

    /// Offer revision-1 and all stateless modes
    #[arg(long)]
    pub stateless: bool,

    /// Do not offer VIRTIO_F_INDIRECT_DESC
    #[arg(long)]
    pub no_indirect_desc: bool,

    /// Do not offer VIRTIO_F_EVENT_IDX
    #[arg(long)]
    pub no_event_idx: bool,

    /// Offer packed rings (this option and the next six only apply to vfio-user)
    #[arg(long)]
    pub packed: bool,

    /// Offer VIRTIO_F_IN_ORDER
    #[arg(long)]
    pub in_order: bool,

    /// Offer VIRTIO_F_ACCESS_PLATFORM, for a device behind an IOMMU
    #[arg(long)]
    pub access_platform: bool,

    /// Do not offer VIRTIO_F_RING_RESET
    #[arg(long)]
    pub no_ring_reset: bool,

    /// Number of interrupt vectors, 0 to 256 [default: one for each queue and one for config
    /// changes]
    #[arg(long, value_name = "N", value_parser = vectors)]
    pub vectors: Option<u16>,

    /// Maximum size of a ring: a power of 2, at most 32768
    #[arg(long, value_name = "N", default_value_t = vfio::Settings::default().queue_size)]
    #[arg(value_parser = queue_size)]
    pub queue_size: u16,

    /// Length of the device's configuration space, 0 to 4096 bytes
    #[arg(long, value_name = "BYTES", default_value_t = vfio::Settings::default().config_len)]
    #[arg(value_parser = config_size)]
    pub config_size: usize,

    /// Services to offer: cipher, hash, mac, aead, akcipher, or none [default: all]
    #[arg(long, value_name = "NAME,...", value_parser = services)]
    pub services: Option<Services>,

    /// Mask of the ciphers to offer. All masks are decimal, or hexadecimal with 0x [default: all]
    #[arg(long, value_name = "MASK", value_parser = number::<u64>)]
    pub cipher_mask: Option<u64>,

    /// Mask of the hashes to offer
    #[arg(long, value_name = "MASK", value_parser = number::<u32>)]
    pub hash_mask: Option<u32>,

    /// Mask of the MACs to offer
    #[arg(long, value_name = "MASK", value_parser = number::<u64>)]
    pub mac_mask: Option<u64>,

    /// Mask of the AEADs to offer
    #[arg(long, value_name = "MASK", value_parser = number::<u32>)]
    pub aead_mask: Option<u32>,

    /// Mask of the public-key algorithms to offer
    #[arg(long, value_name = "MASK", value_parser = number::<u32>)]
    pub akcipher_mask: Option<u32>,

    /// Also serve algorithms that are not offered, as QEMU does
    #[arg(long)]
    pub serve_unadvertised: bool,

    /// Maximum length of a cipher or AEAD key, in bytes
    #[arg(long, value_name = "BYTES", value_parser = number::<u32>)]
    #[arg(default_value_t = Capabilities::default().max_cipher_key_len)]
    pub max_cipher_key_len: u32,

    /// Maximum length of a MAC key, in bytes
    #[arg(long, value_name = "BYTES", value_parser = number::<u32>)]
    #[arg(default_value_t = Capabilities::default().max_auth_key_len)]
    pub max_auth_key_len: u32,

    /// Maximum length of a request, in bytes
    #[arg(long, value_name = "BYTES", value_parser = number::<u64>)]
    #[arg(default_value_t = Capabilities::default().max_size)]
    pub max_size: u64,

    /// Threads for public-key operations, 0 to 64. With 0 the workers of the queues perform them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = public_key_threads)]
    pub public_key_threads: usize,

    /// Maximum number of sessions
    #[arg(long, value_name = "N", value_parser = number::<usize>)]
    #[arg(default_value_t = Capabilities::default().table_size)]
    pub table_size: usize,

    /// How session IDs are assigned
    #[arg(long, value_parser = choice::<SessionIds>(), default_value = default_name::<SessionIds>())]
    pub session_ids: SessionIds,

    /// Keep sessions when the device is reset, as QEMU's device does
    #[arg(long)]
    pub keep_sessions: bool,

    /// Position of the associated data in a chained request in session mode
    #[arg(long, value_parser = choice::<ChainAad>(), default_value = default_name::<ChainAad>())]
    pub chain_aad: ChainAad,

    /// Whether the device returns or verifies the digest in sessions that hash before they decrypt
    #[arg(long, value_parser = choice::<ChainDigest>(), default_value = default_name::<ChainDigest>())]
    pub chain_digest: ChainDigest,

    /// Meaning of aad_len 0 in a session: the length is open, or exactly 0
    #[arg(long, value_parser = choice::<SessionAad>(), default_value = default_name::<SessionAad>())]
    pub session_aad: SessionAad,

    /// Position of the nonce in a CCM request
    #[arg(long, value_parser = choice::<AeadIv>(), default_value = default_name::<AeadIv>())]
    pub ccm_iv: AeadIv,

    /// Position of the nonce in a GCM request
    #[arg(long, value_parser = choice::<AeadIv>(), default_value = default_name::<AeadIv>())]
    pub gcm_iv: AeadIv,

    /// Whether the flag of a request or the feature selects the stateless layout
    #[arg(long, value_parser = choice::<StatelessBy>(), default_value = default_name::<StatelessBy>())]
    pub stateless_by: StatelessBy,

    /// Algorithm number of ECDSA: 2 with revision-1 only, 2 always, or 3
    #[arg(long, value_parser = choice::<EcdsaNumber>(), default_value = default_name::<EcdsaNumber>())]
    pub ecdsa_number: EcdsaNumber,

    /// Start with HW_READY cleared
    #[arg(long)]
    pub not_ready: bool,

    /// Add one of the faults listed below:
    /// NAME[:value=N][:queue=N|control][:opcode=N][:after=N][:count=N]; can be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,

    /// Socket of the monitor, which accepts commands while the device runs; see ctl
    #[arg(long, value_name = "PATH")]
    pub monitor: Option<PathBuf>,

    /// File for a JSON report, which is written when the process ends
    #[arg(long, value_name = "PATH")]
    pub report: Option<PathBuf>,

    /// File for the trace, with a line of JSON for each request
    #[arg(long, value_name = "PATH")]
    pub trace: Option<PathBuf>,

    /// Wait for another front end after one has disconnected
    #[arg(long)]
    pub keep_serving: bool,

    /// Allow core dumps of this process, which contain the keys of the guest
    #[arg(long)]
    pub core_dumps: bool,

    /// Filter for the log on standard error, for example info or crypto_test_device=debug
    #[arg(long, value_name = "FILTER", default_value = "warn", value_parser = log_filter)]
    pub log: String,
}

/// Options of `ctl`.
#[derive(Args, Clone, Debug)]
pub struct Ctl {
    /// Socket of the monitor [default: the first WORD]
    #[arg(long, value_name = "PATH")]
    pub monitor: Option<PathBuf>,

    /// Commands in JSON, one per WORD; or one of: status; fault FAULT...; clear; clear NAME; ready
    /// on|off; config-change; needs-reset; disconnect; complete [fifo|lifo]; exit. Without a
    /// command, lines of JSON are read from standard input
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
}

/// A device feature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Feature {
    #[value(name = "revision-1")]
    Revision1,
    CipherStateless,
    HashStateless,
    MacStateless,
    AeadStateless,
    AkcipherStateless,
}

/// A list of services, which may be empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Services(pub Vec<Service>);

impl Feature {
    fn bit(self) -> u64 {
        match self {
            Feature::Revision1 => feature::REVISION_1,
            Feature::CipherStateless => feature::stateless(Service::Cipher),
            Feature::HashStateless => feature::stateless(Service::Hash),
            Feature::MacStateless => feature::stateless(Service::Mac),
            Feature::AeadStateless => feature::stateless(Service::Aead),
            Feature::AkcipherStateless => feature::stateless(Service::Akcipher),
        }
    }
}

impl Serve {
    /// Returns the path for a device. With more than one device, the number is appended to the
    /// path.
    pub fn numbered(&self, path: &Option<PathBuf>, number: usize) -> Option<PathBuf> {
        numbered(path.as_ref(), number, self.socket_count)
    }

    /// Returns the capabilities of the device.
    pub fn capabilities(&self) -> Capabilities {
        let default = Capabilities::default();
        let mut features = self.features.iter().fold(0, |bits, feature| bits | feature.bit());
        if self.revision_1 {
            features |= feature::REVISION_1;
        }
        if self.stateless {
            features |= feature::ALL;
        }
        Capabilities {
            queues: self.queues,
            features,
            services: self.services.clone().map_or(default.services, |services| services.0),
            cipher_mask: self.cipher_mask.unwrap_or(default.cipher_mask),
            hash_mask: self.hash_mask.unwrap_or(default.hash_mask),
            mac_mask: self.mac_mask.unwrap_or(default.mac_mask),
            aead_mask: self.aead_mask.unwrap_or(default.aead_mask),
            akcipher_mask: self.akcipher_mask.unwrap_or(default.akcipher_mask),
            legacy: true,
            serve_unadvertised: self.serve_unadvertised,
            max_cipher_key_len: self.max_cipher_key_len,
            max_auth_key_len: self.max_auth_key_len,
            max_size: self.max_size,
            akcipher_rate: default.akcipher_rate,
            public_key_threads: self.public_key_threads,
            table_size: self.table_size,
            session_ids: self.session_ids,
            keep_sessions: self.keep_sessions,
            chain_aad: self.chain_aad,
            chain_digest: self.chain_digest,
            session_aad: self.session_aad,
            ccm_iv: self.ccm_iv,
            gcm_iv: self.gcm_iv,
            stateless_by: self.stateless_by,
            ecdsa_number: self.ecdsa_number,
        }
    }

    /// Returns the ring features that are not offered over vhost-user.
    pub fn withheld_features(&self) -> u64 {
        let mut withheld = 0;
        if self.no_indirect_desc {
            withheld |= INDIRECT_DESC;
        }
        if self.no_event_idx {
            withheld |= EVENT_IDX;
        }
        withheld
    }

    /// Returns the settings of the PCI function for vfio-user.
    pub fn function_settings(&self) -> vfio::Settings {
        let features = [
            (INDIRECT_DESC, !self.no_indirect_desc),
            (EVENT_IDX, !self.no_event_idx),
            (vfio::PACKED, self.packed),
            (vfio::IN_ORDER, self.in_order),
            (vfio::ACCESS_PLATFORM, self.access_platform),
            (vfio::RING_RESET, !self.no_ring_reset),
        ];
        let offered = features.iter().filter(|(_, offered)| *offered);
        vfio::Settings {
            features: offered.fold(0, |bits, (feature, _)| bits | feature),
            vectors: self.vectors,
            queue_size: self.queue_size,
            config_len: self.config_size,
        }
    }
}

/// Returns a parser for the values of a setting.
fn choice<T: Choice + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let names = T::ALL.iter().map(|(_, name)| *name);
    PossibleValuesParser::new(names).map(|name| {
        let entry = T::ALL.iter().find(|(_, entry_name)| *entry_name == name);
        // The first parser has rejected all other names, so the default is not used.
        entry.map_or(T::ALL[0].0, |(value, _)| *value)
    })
}

fn default_name<T: Choice + Default>() -> &'static str {
    T::default().name()
}

fn vectors(text: &str) -> Result<u16, String> {
    let count = number(text)?;
    if count > vfio::MAX_VECTORS {
        return Err(format!("out of range (0 to {})", vfio::MAX_VECTORS));
    }
    Ok(count)
}

fn queue_size(text: &str) -> Result<u16, String> {
    let size: u16 = number(text)?;
    match size.is_power_of_two() {
        true => Ok(size),
        false => Err("not a power of 2".into()),
    }
}

fn config_size(text: &str) -> Result<usize, String> {
    let size = number(text)?;
    match size <= vfio::MAX_CONFIG_LEN {
        true => Ok(size),
        false => Err(format!("out of range (0 to {})", vfio::MAX_CONFIG_LEN)),
    }
}

fn services(text: &str) -> Result<Services, String> {
    let service = |text: &str| {
        let mut services = Service::ALL.iter();
        let found = services.find(|service| service.name().to_ascii_lowercase() == text);
        let error = || format!("'{text}' is not one of cipher, hash, mac, aead, akcipher");
        found.copied().ok_or_else(error)
    };
    match text {
        "none" => Ok(Services(Vec::new())),
        _ => text.split(',').map(service).collect::<Result<_, _>>().map(Services),
    }
}

/// Validates a log filter. The result is a string because clap requires `Clone`, which a filter
/// does not implement.
fn log_filter(text: &str) -> Result<String, String> {
    let filter = tracing_subscriber::EnvFilter::try_new(text);
    filter.map(|_| text.into()).map_err(|error| error.to_string())
}

/// Returns the catalogue of faults for `--help`.
pub fn faults_help() -> String {
    let mut text = "Faults, with the default VALUE in brackets:\n".to_string();
    text += &faults_list();
    text
}

/// Returns the catalogue of faults as text.
pub fn faults_list() -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        // Writing to a string cannot fail.
        let _ = write!(text, "  {:<20}{}", kind.name(), kind.help());
        if kind.help().contains("VALUE") {
            let _ = write!(text, " [{}]", kind.default_value());
        }
        text.push('\n');
    }
    text
}

/// Returns the catalogue of faults as JSON.
pub fn faults_json() -> serde_json::Value {
    let fault = |kind: &Kind| {
        serde_json::json!({
            "name": kind.name(),
            "help": kind.help(),
            "default_value": kind.default_value(),
        })
    };
    Kind::ALL.iter().map(fault).collect()
}
