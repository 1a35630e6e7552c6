//! Waiting beside the daemon until it is ready, and then printing the lines to paste.
//!
//! It runs as a process of its own, because the one that started it becomes the daemon. It never touches the daemon.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::stop::{Stop, failed};
use crate::workspace::Workspace;

/// The hidden command that runs this: `x announce PID SOCKET`.
pub(crate) const COMMAND: &str = "announce";

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// How long one answer may take; a daemon that is starting may have bound its socket and not serve it yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts the announcement for the daemon that this process is about to become.
pub(crate) fn in_background(socket: &Path) -> Result<(), Stop> {
    let own = std::env::current_exe().map_err(failed("finding this program"))?;
    // The shell ends at once, so that the announcement is nobody's child: the daemon would never collect it.
    // It also makes the announcement deaf to Ctrl-C; it ends when the daemon does.
    let status = Command::new("sh")
        .args(["-c", "\"$@\" &", "sh"])
        .arg(own)
        .args([COMMAND, &std::process::id().to_string()])
        .arg(socket)
        .stdin(Stdio::null())
        .status()
        .map_err(failed("running sh"))?;
    if status.success() { Ok(()) } else { Err(Stop::Failed(format!("starting the announcement: {status}"))) }
}

/// The hidden command: waits, prints and ends.
pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let [daemon, socket] = arguments else {
        return Err(Stop::Usage(format!("`{COMMAND}` is for `run` alone")));
    };
    let (process, socket) = (Path::new("/proc").join(daemon), Path::new(socket));
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        // When the daemon ended early, its own message is all there is to say.
        if !process.exists() {
            return Ok(());
        }
        if answers(socket) {
            let shown = Workspace::locate()?.shown(socket);
            print_lines(&lines(&shown));
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    print_lines(&[format!("{} does not answer after {} s.", socket.display(), DEADLINE.as_secs())]);
    Ok(())
}

/// Whether a daemon on this socket says that it is ready.
pub(crate) fn answers(socket: &Path) -> bool {
    status(socket).is_some_and(|code| code == 200)
}

/// The status code of `GET /readyz`.
fn status(socket: &Path) -> Option<u16> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    // The status line is enough.
    while !answer.contains(&b'\n') {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    status_code(&String::from_utf8_lossy(&answer))
}

fn status_code(answer: &str) -> Option<u16> {
    let mut words = answer.lines().next()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// What to paste, in the order in which it teaches something.
fn lines(socket: &str) -> Vec<String> {
    let curl = format!("curl --unix-socket {}", quoted(socket));
    vec![
        String::new(),
        "Sockeye is ready. In another terminal:".into(),
        String::new(),
        "  # what it traces, and how".into(),
        format!("  {curl} http://localhost/v1/status"),
        "  # register a client, then ask what is new for it, again and again".into(),
        format!("  {curl} -X PUT http://localhost/v1/clients/me"),
        format!("  {curl} http://localhost/v1/clients/me/connections"),
        "  # the dialect of the reference system".into(),
        format!("  {curl} 'http://localhost/network_tracer/connections?client_id=me-too'"),
        String::new(),
    ]
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn print_lines(lines: &[String]) {
    // sudo may hold the terminal in raw mode, where a line feed alone does not return to the first column.
    let end = if std::io::stdout().is_terminal() { "\r\n" } else { "\n" };
    print!("{}{end}", lines.join(end));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_of_http_counts_as_an_answer() {
        assert_eq!(status_code("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"), Some(200));
        assert_eq!(status_code("HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status_code("220 mail.example\r\n"), None);
        assert_eq!(status_code(""), None);
    }

    #[test]
    fn a_socket_path_survives_the_shell() {
        assert_eq!(quoted("target/sockeye.sock"), "target/sockeye.sock");
        assert_eq!(quoted("/my dir/it's"), "'/my dir/it'\\''s'");
    }
}
