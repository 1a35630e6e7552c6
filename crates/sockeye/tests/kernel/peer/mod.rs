//! A process that makes traffic on command: one line in, one line out. What it does then is in `obey`.
//!
//! The test binary starts itself in this role, so that owners are real processes and nothing else must be
//! installed.

mod crowd;
mod datagrams;
mod obey;
mod sockets;
mod uring;
mod worker;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use crowd::{Done, sizes};

use crate::world::NetNs;

/// The first argument that puts the binary into this role.
pub const ROLE: &str = "peer";

/// A peer answers within this time, or the test fails.
const DEADLINE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A running peer. Dropping it ends the process.
pub struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a peer in the namespace.
    pub fn start(namespace: &NetNs) -> Self {
        namespace.inside(Self::start_here)
    }

    pub fn start_here() -> Self {
        let binary = std::env::current_exe().expect("the binary has a path");
        let mut child = Command::new(binary)
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, commands, answers }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives a command and waits for its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer(command)
    }

    /// Gives a command; its answer must be taken before the next one.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("the peer runs");
    }

    /// The answer to the command.
    pub fn answer(&mut self, command: &str) -> String {
        let mut ready = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
        let answered = poll(&mut ready, Some(&DEADLINE)).expect("a pipe can be waited for");
        assert!(answered > 0, "{command}: no answer within {DEADLINE:?}");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the peer answers");
        let answer = answer.trim_end().to_owned();
        assert!(!answer.is_empty() && !answer.starts_with("error"), "{command}: {answer:?}");
        answer
    }

    /// Sends `bytes` on socket `near` to socket `far` of the other peer, who reads them all meanwhile.
    pub fn transfer(&mut self, near: &str, other: &mut Peer, far: &str, bytes: usize) {
        let command = format!("send {near} {bytes}");
        self.tell(&command);
        other.ask(&format!("receive {far} {bytes}"));
        self.answer(&command);
    }

    /// Listens and answers the port.
    pub fn listen(&mut self, address: &str) -> u16 {
        self.ask(&format!("listen {address}")).parse().expect("a port")
    }

    /// Connects socket `name` and answers its local port.
    pub fn connect(&mut self, name: &str, address: &str, port: u16) -> u16 {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        self.ask(&format!("connect {name} {address}")).parse().expect("a port")
    }

    /// Connects the open socket `name`, and answers the error number (0 for none) and the local port.
    pub fn attempt(&mut self, name: &str, address: &str, port: u16) -> (u16, u16) {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        let answer = self.ask(&format!("attempt {name} {address}"));
        let (errno, local) = answer.split_once(' ').expect("two words");
        (errno.parse().expect("an error number"), local.parse().expect("a port"))
    }

    /// Ends the process at once, as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started here");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer's own main.
pub fn main(mut arguments: impl Iterator<Item = String>) {
    match arguments.next().as_deref() {
        Some(worker::ACCEPTS) => return worker::accept_one(),
        Some(worker::EXECUTES) => return worker::execute_from_a_thread(arguments),
        Some(worker::SERVES) => return worker::serve_one(),
        Some(worker::SENDS) => return datagrams::send_and_end(worker::standard_input(), arguments),
        _ => {}
    }
    end_with_the_test();
    let mut state = obey::State::default();
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let answer = state.obey(&line).unwrap_or_else(|error| format!("error {error}"));
        // Nobody takes it when the test has failed meanwhile; that is told elsewhere.
        if writeln!(std::io::stdout(), "{answer}").is_err() {
            return;
        }
    }
}

/// A test that fails leaves its peers to themselves, perhaps in the middle of a connect that nobody answers.
fn end_with_the_test() {
    std::thread::spawn(|| {
        let commands = std::io::stdin();
        // Nothing is waited for but the end of whoever gives the commands.
        if poll(&mut [PollFd::new(&commands, PollFlags::empty())], None).is_ok() {
            std::process::exit(0);
        }
    });
}
