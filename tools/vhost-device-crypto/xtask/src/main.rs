// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Build tasks. `cargo run -p xtask -- mangen DIRECTORY` writes the manual page of the daemon.

use std::error::Error;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use vhost_device_crypto::options::Options;

/// Sections of the manual page after the options.
const SECTIONS: &str = r#".SH ENVIRONMENT
.TP
\fBRUST_LOG\fR
Log level or filter, for example \fIinfo\fR. The log goes to standard error. The default is \fIwarn\fR.
.SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
The daemon serves the requests that are in its rings, and then exits.
.SH FILES
.TP
\fI/etc/default/vhost\-device\-crypto\fR, \fI/etc/default/vhost\-device\-crypto\-GUEST\fR
The variable \fBOPTIONS\fR, with options for the service vhost\-device\-crypto@GUEST.
.TP
\fI/run/vhost\-device\-crypto/GUEST/socket\fR
The socket of this service. The front end must be in the group kvm.
.SH NOTES
QEMU crashes if the daemon ends while a guest uses \fBvhost\-user\-test\-device\-pci\fR. Stop the guest first. With
\fBcryptodev\-vhost\-user\fR the guest continues without the device. If the chardev has \fBreconnect\-ms=\fR, the
guest uses the device again after the daemon was restarted.
.PP
With \fBcryptodev\-vhost\-user\fR QEMU only supports ciphers and algorithm chaining, and one data queue.
.SH EXAMPLES
A device with four data queues, and QEMU with this device. The number of virtqueues is the number of
data queues plus one:
.PP
.nf
vhost\-device\-crypto \-\-socket\-path /run/crypto.sock \-\-queues 4

qemu\-system\-x86_64 ... \
    \-object memory\-backend\-memfd,id=mem,size=2G,share=on \
    \-machine q35,memory\-backend=mem \-m 2G \
    \-chardev socket,id=crypto,path=/run/crypto.sock \
    \-device vhost\-user\-test\-device\-pci,chardev=crypto,virtio\-id=20,num_vqs=5,vq_size=256,config_size=56
.fi
.PP
QEMU's own crypto device, which connects again after the daemon was restarted:
.PP
.nf
vhost\-device\-crypto \-\-socket\-path /run/crypto.sock

qemu\-system\-x86_64 ... \
    \-object memory\-backend\-memfd,id=mem,size=2G,share=on \
    \-machine q35,memory\-backend=mem \-m 2G \
    \-chardev socket,id=crypto,path=/run/crypto.sock,reconnect\-ms=1000 \
    \-object cryptodev\-vhost\-user,id=cryptodev,chardev=crypto \
    \-device virtio\-crypto\-pci,cryptodev=cryptodev
.fi
"#;

fn mangen(directory: &Path) -> Result<(), Box<dyn Error>> {
    let man = Man::new(Options::command());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend_from_slice(SECTIONS.as_bytes());
    fs::create_dir_all(directory)?;
    Ok(fs::write(directory.join("vhost-device-crypto.1"), page)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mangen", directory] => mangen(Path::new(directory)),
        _ => Err("usage: xtask mangen DIRECTORY".into()),
    }
}
