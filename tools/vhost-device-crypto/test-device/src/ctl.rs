// SPDX-License-Identifier: GPL-2.0
//! `crypto-test-device ctl`: a client of [`crate::monitor`].

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::{json, Value};

use crate::options::Ctl;

/// Sends the commands and prints the answers; returns whether none has an error.
pub fn run(options: &Ctl) -> io::Result<bool> {
    let (path, commands) = commands(options).map_err(io::Error::other)?;
    let named = |error: io::Error| {
        let text = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    let mut socket = UnixStream::connect(&path).map_err(named)?;
    let mut answers = BufReader::new(socket.try_clone()?);
    let mut good = true;
    let mut ask = |command: &str| -> io::Result<()> {
        socket.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        if answers.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let value: Value = serde_json::from_str(&answer)?;
        good &= value.get("error").is_none();
        io::stdout().write_all(answer.as_bytes())
    };
    if commands.is_empty() {
        for line in io::stdin().lines() {
            let line = line?;
            // The monitor does not answer what is nothing.
            if !line.trim().is_empty() {
                ask(&line)?;
            }
        }
    } else {
        commands.iter().try_for_each(|command| ask(command))?;
    }
    Ok(good)
}

/// Where the monitor is, and what it is to be sent.
fn commands(options: &Ctl) -> Result<(PathBuf, Vec<String>), String> {
    let mut words = options.words.iter().map(String::as_str);
    let path = match &options.monitor {
        Some(path) => path.clone(),
        None => PathBuf::from(words.next().ok_or("the monitor's socket is not named")?),
    };
    let words: Vec<&str> = words.collect();
    let simple = |name: &str| json!({"command": name});
    let one = |command: Value| vec![command.to_string()];
    let commands = match words[..] {
        [] => Vec::new(),
        [name @ ("status" | "config-change" | "needs-reset" | "disconnect" | "exit" | "complete"
        | "clear")] => one(simple(name)),
        ["clear", name] => one(json!({"command": "clear", "name": name})),
        ["complete", order] => one(json!({"command": "complete", "order": order})),
        ["ready", "on"] => one(json!({"command": "ready", "ready": true})),
        ["ready", "off"] => one(json!({"command": "ready", "ready": false})),
        ["fault", _, ..] => {
            let faults = words[1..].iter();
            faults.map(|fault| json!({"command": "fault", "fault": fault}).to_string()).collect()
        }
        _ if words.iter().all(|word| word.starts_with('{')) => {
            // A line of JSON has no line breaks, unless somebody has put them there.
            words.iter().map(|word| word.replace('\n', " ")).collect()
        }
        _ => return Err(format!("'{}' is no command; see --help", words.join(" "))),
    };
    Ok((path, commands))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Vec<String>, String> {
        let words = ["socket"].iter().chain(words).map(ToString::to_string).collect();
        commands(&Ctl { monitor: None, words }).map(|(path, commands)| {
            assert_eq!(path, PathBuf::from("socket"));
            commands
        })
    }

    #[test]
    fn words_are_short_for_json() {
        assert_eq!(parse(&["status"]).unwrap(), [r#"{"command":"status"}"#]);
        assert_eq!(parse(&["fault", "crash", "delay:value=5"]).unwrap().len(), 2);
        assert_eq!(parse(&["ready", "off"]).unwrap(), [r#"{"command":"ready","ready":false}"#]);
        assert_eq!(parse(&["{\n}", "{}"]).unwrap(), ["{ }", "{}"]);
        assert!(parse(&[]).unwrap().is_empty());
        for bad in [&["lie"][..], &["ready"], &["ready", "no"], &["fault"], &["{}", "status"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
