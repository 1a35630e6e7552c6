//! The processes that a server of many processes starts: they take their socket as standard input.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::ROLE;

/// The role of a worker that shares the listener and accepts.
pub(super) const ACCEPTS: &str = "worker";

/// The role of a child that is given an accepted connection.
pub(super) const SERVES: &str = "child";

/// The role of a child that sends datagrams through its parent's socket.
pub(super) const SENDS: &str = "sender";

/// The role of a process that executes another program.
pub(super) const EXECUTES: &str = "executes";

/// Starts a process in one of these roles.
pub(super) fn start(role: &str, socket: OwnedFd) -> std::io::Result<Child> {
    start_with(role, &[], socket)
}

/// Starts a process in one of these roles with further words.
pub(super) fn start_with(role: &str, words: &[&str], socket: OwnedFd) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args([ROLE, role]).args(words).stdin(Stdio::from(socket)).spawn()
}

/// Accepts one connection, tells its pid through it, and keeps it until the other end closes.
pub(super) fn accept_one() {
    let listener = TcpListener::from(standard_input());
    let (mut stream, _) = listener.accept().expect("somebody connects");
    stream.write_all(&std::process::id().to_be_bytes()).expect("the other end reads");
    let _ = stream.read(&mut [0; 16]);
}

/// Echoes one byte, then keeps the connection until the other end closes.
pub(super) fn serve_one() {
    let mut stream = TcpStream::from(standard_input());
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("the other end writes");
    stream.write_all(&byte).expect("the other end reads");
    let _ = stream.read(&mut byte);
}

/// The socket that it is given.
pub(super) fn standard_input() -> OwnedFd {
    std::io::stdin().as_fd().try_clone_to_owned().expect("it is open")
}

/// Becomes the program of the first argument with the others as its arguments, by a thread that is not the first.
pub(super) fn execute_from_a_thread(mut arguments: impl Iterator<Item = String>) {
    let mut command = Command::new(arguments.next().expect("a program"));
    command.args(arguments);
    let error = std::thread::spawn(move || command.exec()).join().expect("it does not panic");
    panic!("{error}");
}
