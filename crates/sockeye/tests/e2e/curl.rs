//! Requests by the real `curl`, as any user. Knows HTTP as curl prints it, and of the API only its document, against which
//! every answer is held.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::openapi::{Seen, assert_promised};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and header fields, as they came.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The `type` of a problem.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["type"].as_str().expect("a problem has a type").to_owned()
    }
}

pub fn get(socket: &Path, path: &str) -> Answer {
    request(socket, 0, "GET", path)
}

/// Sends one request as the user and reads the whole answer.
pub fn request(socket: &Path, uid: u32, method: &str, path: &str) -> Answer {
    try_request(socket, uid, method, path)
        .unwrap_or_else(|error| panic!("curl {method} {path} as {uid}: {error}"))
}

/// Sends a `PUT` with a body as root.
pub fn put(socket: &Path, path: &str, body: &str) -> Answer {
    let mut command = command(socket, 0, "PUT", path);
    command.args(["--data", body]);
    whole_answer(&mut command, "PUT", path).unwrap_or_else(|error| panic!("curl PUT {path}: {error}"))
}

/// The same, where curl may fail; then what it says of it.
pub fn try_request(socket: &Path, uid: u32, method: &str, path: &str) -> Result<Answer, String> {
    whole_answer(&mut command(socket, uid, method, path), method, path)
}

/// A curl that prints one answer with its head.
pub fn command(socket: &Path, uid: u32, method: &str, path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "-i", "--max-time", "20", "-X", method, "--unix-socket"]);
    command.arg(socket).arg(format!("http://sockeye{path}"));
    if uid != 0 {
        command.uid(uid).gid(uid).current_dir("/");
    }
    command
}

/// Sends one request as the user with these groups, of which the first is the primary one.
pub fn request_in_groups(socket: &Path, uid: u32, groups: &[u32], path: &str) -> Answer {
    let curl = command(socket, 0, "GET", path);
    let (primary, more) = groups.split_first().expect("a primary group");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &primary.to_string()]);
    let more: Vec<String> = more.iter().map(u32::to_string).collect();
    if more.is_empty() {
        command.arg("--clear-groups");
    } else {
        command.args(["--groups", &more.join(",")]);
    }
    command.arg(curl.get_program()).args(curl.get_args()).current_dir("/");
    whole_answer(&mut command, "GET", path)
        .unwrap_or_else(|error| panic!("curl {path} as {uid} of {groups:?}: {error}"))
}

/// Sends one request over TCP with these header fields.
pub fn request_over_tcp(address: &str, headers: &[&str], method: &str, path: &str) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "-i", "--noproxy", "*", "--max-time", "20", "-X", method]);
    command.args(headers.iter().flat_map(|header| ["-H", header])).arg(format!("http://{address}{path}"));
    whole_answer(&mut command, method, path)
        .unwrap_or_else(|error| panic!("curl {method} {path} at {address}: {error}"))
}

fn whole_answer(command: &mut Command, method: &str, path: &str) -> Result<Answer, String> {
    let output = command.output().expect("curl is installed");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("the API speaks UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.expect("a status line has a status");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_promised(Seen { method, path, status, headers: &headers, body: body.as_bytes() });
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
