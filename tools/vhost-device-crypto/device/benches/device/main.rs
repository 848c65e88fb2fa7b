// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Measures the device through rings and without a guest: requests and bytes per second by size,
//! depth and number of queues. For comparison it measures OpenSSL called in a loop on the same
//! number of threads. The two are measured alternately, and medians are printed. Before the
//! measurement the result of every request is compared with OpenSSL's.
//!
//! Run `cargo bench` on an idle machine. `cargo bench -- --help` lists the options.

mod driver;
mod hmac;
mod measure;
mod plan;
mod public_key;
mod work;

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use measure::Rates;
use plan::{Plan, Scope, Setting};
use work::Work;

#[derive(Parser)]
#[command(about = "Measures the device through rings in memory, and OpenSSL for comparison.")]
struct Options {
    /// Measure few settings, which takes about 15 seconds.
    #[arg(long, conflicts_with = "all")]
    quick: bool,
    /// Measure all settings, which takes several minutes. The default are the settings of the
    /// report, which take about a minute.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Only compare all results with OpenSSL's.
    #[arg(long)]
    check: bool,
    /// Only use settings whose name contains this text, for example "gcm(aes) encrypt, 4096 bytes".
    filter: Option<String>,
    /// `cargo bench` passes this option to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The printed result of a setting.
#[derive(Serialize)]
struct Row {
    service: &'static str,
    algorithm: &'static str,
    direction: &'static str,
    size: usize,
    depth: u16,
    queues: u16,
    requests_per_second: f64,
    bytes_per_second: f64,
    openssl_requests_per_second: f64,
    openssl_bytes_per_second: f64,
}

impl Row {
    fn new(work: &Work, setting: &Setting, rates: &Rates) -> Self {
        let size = work.size as f64;
        Row {
            service: work.service,
            algorithm: work.algorithm,
            direction: work.direction,
            size: work.size,
            depth: setting.depth,
            queues: setting.queues,
            requests_per_second: rates.device.round(),
            bytes_per_second: (rates.device * size).round(),
            openssl_requests_per_second: rates.openssl.round(),
            openssl_bytes_per_second: (rates.openssl * size).round(),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let name = format!("{} {}", self.algorithm, self.direction);
        let share = 100.0 * self.requests_per_second / self.openssl_requests_per_second;
        let megabytes = self.bytes_per_second / 1e6;
        let Row { size, depth, queues, requests_per_second: requests, .. } = self;
        writeln!(
            out,
            "{name:<20}{size:>7}{depth:>7}{queues:>8}{requests:>14.0}{megabytes:>10.1}{share:>11.0}%"
        )
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let scope = match (options.quick, options.all) {
        (true, _) => Scope::Quick,
        (_, true) => Scope::All,
        _ => Scope::Report,
    };
    let plan = Plan::new(scope)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if !options.json && !options.check {
        writeln!(
            out,
            "{:<20}{:>7}{:>7}{:>8}{:>14}{:>10}{:>12}",
            "algorithm", "bytes", "depth", "queues", "requests/s", "MB/s", "of OpenSSL"
        )?;
    }
    let mut rows = Vec::new();
    for (number, setting) in (1..).zip(&plan.settings) {
        let (work, Setting { depth, queues, .. }) = (&plan.works[setting.work], setting);
        let name = format!(
            "{} {}, {} bytes, depth {depth}, {queues} queue{}",
            work.algorithm,
            work.direction,
            work.size,
            if *queues == 1 { "" } else { "s" }
        );
        if options.filter.as_ref().is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let failed = |error| format!("{name}: {error}");
        if options.check {
            measure::check(work, *depth, *queues).map_err(failed)?;
            continue;
        }
        if options.json {
            eprintln!("device {number}/{}: {name}", plan.settings.len());
        }
        let rates = measure::measure(work, *depth, *queues, plan.clock).map_err(failed)?;
        let row = Row::new(work, setting, &rates);
        if !options.json {
            row.print(&mut out)?;
            out.flush()?;
        }
        rows.push(row);
    }
    if options.check {
        writeln!(out, "{} settings: all results equal OpenSSL's", plan.settings.len())?;
    } else if options.json {
        serde_json::to_writer_pretty(&mut out, &rows)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("device: {error}");
            ExitCode::FAILURE
        }
    }
}
