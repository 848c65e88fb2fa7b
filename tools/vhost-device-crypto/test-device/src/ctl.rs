// SPDX-License-Identifier: GPL-2.0
//! `crypto-test-device ctl`: a client of [`crate::monitor`].

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::{json, Value};

use crate::options::Ctl;

/// Sends the commands and prints the replies. Returns whether all commands succeeded.
pub fn run(options: &Ctl) -> io::Result<bool> {
    let (path, commands) = commands(options).map_err(io::Error::other)?;
    let with_path = |error: io::Error| {
        let text = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    let mut socket = UnixStream::connect(&path).map_err(with_path)?;
    let mut replies = BufReader::new(socket.try_clone()?);
    let mut all_succeeded = true;
    let mut send = |command: &str| -> io::Result<()> {
        socket.write_all(format!("{command}\n").as_bytes())?;
        let mut reply = String::new();
        if replies.read_line(&mut reply)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let value: Value = serde_json::from_str(&reply)?;
        all_succeeded &= value.get("error").is_none();
        io::stdout().write_all(reply.as_bytes())
    };
    if commands.is_empty() {
        for line in io::stdin().lines() {
            let line = line?;
            // The monitor does not reply to an empty line.
            if !line.trim().is_empty() {
                send(&line)?;
            }
        }
    } else {
        commands.iter().try_for_each(|command| send(command))?;
    }
    Ok(all_succeeded)
}

/// Returns the path of the monitor and the commands to send.
fn commands(options: &Ctl) -> Result<(PathBuf, Vec<String>), String> {
    let mut words = options.words.iter().map(String::as_str);
    let path = match &options.monitor {
        Some(path) => path.clone(),
        None => PathBuf::from(words.next().ok_or("the path of the monitor's socket is missing")?),
    };
    let words: Vec<&str> = words.collect();
    let one = |command: Value| vec![command.to_string()];
    let commands = match words[..] {
        [] => Vec::new(),
        [name @ ("status" | "config-change" | "needs-reset" | "disconnect" | "exit" | "complete"
        | "clear")] => one(json!({"command": name})),
        ["clear", name] => one(json!({"command": "clear", "name": name})),
        ["complete", order] => one(json!({"command": "complete", "order": order})),
        ["ready", "on"] => one(json!({"command": "ready", "ready": true})),
        ["ready", "off"] => one(json!({"command": "ready", "ready": false})),
        ["fault", _, ..] => {
            let faults = words[1..].iter();
            faults.map(|fault| json!({"command": "fault", "fault": fault}).to_string()).collect()
        }
        _ if words.iter().all(|word| word.starts_with('{')) => {
            // A command must be one line, so replace line breaks in the JSON text.
            words.iter().map(|word| word.replace('\n', " ")).collect()
        }
        _ => return Err(format!("unknown command '{}'; see --help", words.join(" "))),
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
    fn words_are_converted_to_json() {
        assert_eq!(parse(&["status"]).unwrap(), [r#"{"command":"status"}"#]);
        assert_eq!(parse(&["fault", "crash", "delay:value=5"]).unwrap().len(), 2);
        assert_eq!(parse(&["ready", "off"]).unwrap(), [r#"{"command":"ready","ready":false}"#]);
        assert_eq!(parse(&["{\n}", "{}"]).unwrap(), ["{ }", "{}"]);
        assert!(parse(&[]).unwrap().is_empty());
        for bad in [&["unknown"][..], &["ready"], &["ready", "no"], &["fault"], &["{}", "status"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
