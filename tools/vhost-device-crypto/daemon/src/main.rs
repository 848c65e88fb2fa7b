// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The program `vhost-device-crypto`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vhost_device_crypto::options::{capabilities_json, has_print_capabilities, Options};
use vhost_device_crypto::{process, serve};

fn main() -> ExitCode {
    if has_print_capabilities() {
        println!("{}", capabilities_json());
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();
    // Initialize OpenSSL before any thread starts and without an exit handler, which could run
    // while threads still use OpenSSL.
    openssl::init();
    process::exit_on_panic();
    match serve::serve(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vhost-device-crypto: {error}");
            ExitCode::from(2)
        }
    }
}
