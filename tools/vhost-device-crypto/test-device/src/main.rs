// SPDX-License-Identifier: GPL-2.0
//! The program `crypto-test-device`.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use crypto_test_device::options::{faults_json, faults_list, Command, Options, Serve};
use crypto_test_device::{ctl, serve};
use tracing_subscriber::EnvFilter;
use vhost_device_crypto::options::{capabilities_json, has_print_capabilities};
use vhost_device_crypto::process;

fn main() -> ExitCode {
    if has_print_capabilities() {
        println!("{}", capabilities_json());
        return ExitCode::SUCCESS;
    }
    match Options::parse().command {
        Command::Serve(options) => serve(&options),
        Command::Faults { json } => {
            let text = if json { format!("{:#}\n", faults_json()) } else { faults_list() };
            match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(error),
            }
        }
        Command::Ctl(options) => match ctl::run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => fail(error),
        },
    }
}

fn serve(options: &Serve) -> ExitCode {
    // clap has validated the filter.
    let filter = EnvFilter::try_new(&options.log).unwrap_or_default();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();
    // Initialize OpenSSL before any thread starts and without an exit handler, which could run
    // while threads still use OpenSSL.
    openssl::init();
    process::exit_on_panic();
    match serve::serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

fn fail(error: impl Display) -> ExitCode {
    eprintln!("crypto-test-device: {error}");
    ExitCode::from(2)
}
