//! A process that makes traffic on command: one line in, one line out.
//!
//! The test binary starts itself in this role, so that owners are real processes and nothing else must be
//! installed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

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
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        self.ask(&format!("connect {name} {address}:{port}")).parse().expect("a port")
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
    if arguments.next().as_deref() == Some("worker") {
        return worker();
    }
    let mut state = State::default();
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let answer = state.obey(&line).unwrap_or_else(|error| format!("error {error}"));
        println!("{answer}");
    }
}

/// A worker of a pre-forked server: its standard input is the listener. Accepts one connection, tells its
/// pid through it, and keeps it until the other end closes.
fn worker() {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().expect("it is open");
    let listener = TcpListener::from(stdin);
    let (mut stream, _) = listener.accept().expect("somebody connects");
    stream.write_all(&std::process::id().to_be_bytes()).expect("the other end reads");
    let _ = stream.read(&mut [0; 16]);
}

#[derive(Default)]
struct State {
    listener: Option<TcpListener>,
    streams: HashMap<String, TcpStream>,
    workers: Vec<Child>,
}

impl State {
    fn obey(&mut self, line: &str) -> Result<String, Box<dyn std::error::Error>> {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["listen", address] => {
                let listener = TcpListener::bind((address, 0))?;
                let port = listener.local_addr()?.port();
                self.listener = Some(listener);
                Ok(port.to_string())
            }
            ["unlisten"] => Ok(format!("{:?}", self.listener.take().is_some())),
            ["connect", name, address] => {
                let stream = TcpStream::connect(address)?;
                let port = stream.local_addr()?.port();
                self.streams.insert(name.into(), stream);
                Ok(port.to_string())
            }
            ["refused", address] => match TcpStream::connect(address) {
                Ok(_) => Err("somebody listens".into()),
                Err(_) => Ok("refused".into()),
            },
            ["accept", name] => {
                let (stream, from) = self.listener()?.accept()?;
                self.streams.insert(name.into(), stream);
                Ok(from.port().to_string())
            }
            ["churn", count, bytes, address] => self.churn(count.parse()?, bytes.parse()?, address),
            ["serve", count] => self.serve(count.parse()?),
            ["worker"] => self.start_worker(),
            [verb, name] => on_stream(verb, self.stream(name)?, 0).inspect(|_| self.forget(verb, name)),
            [verb, name, count] => on_stream(verb, self.stream(name)?, count.parse()?),
            _ => Err("no such command".into()),
        }
    }

    fn forget(&mut self, verb: &str, name: &str) {
        if matches!(verb, "close" | "reset") {
            self.streams.remove(name);
        }
    }

    fn listener(&self) -> Result<&TcpListener, &'static str> {
        self.listener.as_ref().ok_or("not listening")
    }

    fn stream(&mut self, name: &str) -> Result<&mut TcpStream, &'static str> {
        self.streams.get_mut(name).ok_or("no such socket")
    }

    /// Opens and closes connections one after the other, each sending `bytes`.
    fn churn(&self, count: usize, bytes: usize, address: &str) -> Result<String, Box<dyn std::error::Error>> {
        let payload = vec![7; bytes];
        for _ in 0..count {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(&payload)?;
            stream.shutdown(Shutdown::Write)?;
            // The server closes first or second; both orders happen.
            let _ = stream.read(&mut [0; 1])?;
        }
        Ok("done".into())
    }

    /// Takes connections one after the other and reads each to its end.
    fn serve(&self, count: usize) -> Result<String, Box<dyn std::error::Error>> {
        let mut received = 0;
        for _ in 0..count {
            let (mut stream, _) = self.listener()?.accept()?;
            received += std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Ok(received.to_string())
    }

    fn start_worker(&mut self) -> Result<String, Box<dyn std::error::Error>> {
        let listener: OwnedFd = self.listener()?.try_clone()?.into();
        let binary = std::env::current_exe()?;
        let child = Command::new(binary).args([ROLE, "worker"]).stdin(Stdio::from(listener)).spawn()?;
        let pid = child.id();
        self.workers.push(child);
        Ok(pid.to_string())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn on_stream(verb: &str, stream: &mut TcpStream, count: usize) -> Result<String, Box<dyn std::error::Error>> {
    match verb {
        "send" => {
            stream.write_all(&vec![7; count])?;
            Ok("sent".into())
        }
        "receive" => {
            stream.read_exact(&mut vec![0; count])?;
            Ok("received".into())
        }
        // One byte to and fro, `count` times.
        "ping" => {
            for _ in 0..count {
                stream.write_all(&[7])?;
                stream.read_exact(&mut [0])?;
            }
            Ok("done".into())
        }
        "pong" => {
            for _ in 0..count {
                stream.read_exact(&mut [0])?;
                stream.write_all(&[7])?;
            }
            Ok("done".into())
        }
        "end" => {
            let rest = stream.read(&mut [0; 16]);
            Ok(format!("{rest:?}").replace(' ', ""))
        }
        "finish" => {
            stream.shutdown(Shutdown::Write)?;
            Ok("finished".into())
        }
        "close" => Ok("closed".into()),
        "reset" => {
            sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO))?;
            Ok("reset".into())
        }
        _ => Err("no such command".into()),
    }
}
