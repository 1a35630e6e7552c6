//! What a peer does on command, with its sockets by name.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Child;

use rustix::net::sockopt;

use super::crowd::{self, Crowd};
use super::datagrams::Datagrams;
use super::{sockets, uring, worker};

type Answer = Result<String, Box<dyn std::error::Error>>;

/// What a peer has open.
#[derive(Default)]
pub(super) struct State {
    listener: Option<TcpListener>,
    streams: HashMap<String, TcpStream>,
    workers: Vec<Child>,
    gate: Option<UnixDatagram>,
    crowd: Crowd,
    datagrams: Datagrams,
}

impl State {
    /// Carries out one command and answers it.
    pub(super) fn obey(&mut self, line: &str) -> Answer {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["listen", address] => self.listen(TcpListener::bind((address, 0))?),
            ["listen-at", address] => self.listen(TcpListener::bind(address)?),
            ["listen-as", protocol, address] => self.listen(sockets::listen(protocol, address)?),
            ["unlisten"] => Ok(format!("{:?}", self.listener.take().is_some())),
            ["connect", name, address] => self.keep(name, TcpStream::connect(address)?),
            ["open", name, protocol] => self.keep(name, sockets::open(protocol)?),
            ["refused", address] => match TcpStream::connect(address) {
                Ok(_) => Err("somebody listens".into()),
                Err(_) => Ok("refused".into()),
            },
            ["accept", name] => {
                let (stream, from) = self.listener()?.accept()?;
                self.keep(name, stream)?;
                Ok(from.port().to_string())
            }
            ["attempt", name, address] => sockets::attempt(self.stream(name)?, address),
            ["start", name, address] => sockets::start(self.stream(name)?, address),
            ["fastopen", name, address, count] => {
                sockets::fast_open(self.stream(name)?, address, count.parse()?)
            }
            ["disconnect", name] => sockets::disconnect(self.stream(name)?),
            ["set", name, option] => sockets::set(self.stream(name)?, option),
            ["gate"] => {
                self.gate = Some(sockets::gate(std::process::id())?);
                Ok("open".into())
            }
            ["pass", name, pid] => sockets::pass(self.stream(name)?, pid.parse()?),
            ["take", name] => {
                let stream = sockets::take(self.gate.as_ref().ok_or("no gate")?)?;
                self.keep(name, stream)
            }
            ["uring-connect", address, count] => uring::connect(address, count.parse()?),
            ["uring-serve", count] => uring::serve(self.listener()?.try_clone()?, count.parse()?),
            ["churn", count, bytes, address] => self.churn(count.parse()?, bytes.parse()?, address),
            ["serve", count] => self.serve(count.parse()?),
            [
                "attend" | "attended" | "hold" | "keep" | "write-kept" | "finish-kept" | "release" | "visit",
                ..,
            ] => self.crowd(&words),
            [verb, ..] if verb.starts_with("udp-") => self.datagrams.obey(&words),
            ["worker"] => self.start_worker(),
            ["hand", name] => self.hand_to_child(name),
            [verb, name] => on_stream(verb, self.stream(name)?, 0).inspect(|_| self.forget(verb, name)),
            [verb, name, count] => on_stream(verb, self.stream(name)?, count.parse()?),
            _ => Err("no such command".into()),
        }
    }

    fn crowd(&mut self, words: &[&str]) -> Answer {
        let listener = || self.listener.as_ref().ok_or("not listening");
        match *words {
            ["attend", threads, most] => self.crowd.attend(listener()?, threads.parse()?, most.parse()?),
            ["attended"] => self.crowd.attended(),
            ["hold", count, most, address] => self.crowd.hold(count.parse()?, most.parse()?, address),
            ["keep", count, most] => self.crowd.keep(listener()?, count.parse()?, most.parse()?),
            ["write-kept"] => self.crowd.write_kept(),
            ["finish-kept"] => self.crowd.finish_kept(),
            ["release"] => self.crowd.release(),
            ["visit", way, threads, count, most, addresses] => {
                crowd::visit(way, threads.parse()?, count.parse()?, most.parse()?, addresses)
            }
            _ => Err("no such command".into()),
        }
    }

    fn listen(&mut self, listener: TcpListener) -> Answer {
        let port = listener.local_addr()?.port();
        self.listener = Some(listener);
        Ok(port.to_string())
    }

    /// Keeps a socket under a name and answers its local port.
    fn keep(&mut self, name: &str, stream: TcpStream) -> Answer {
        let port = stream.local_addr()?.port();
        self.streams.insert(name.into(), stream);
        Ok(port.to_string())
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
    fn churn(&self, count: usize, bytes: usize, address: &str) -> Answer {
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
    fn serve(&self, count: usize) -> Answer {
        let mut received = 0;
        for _ in 0..count {
            let (mut stream, _) = self.listener()?.accept()?;
            received += std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Ok(received.to_string())
    }

    fn start_worker(&mut self) -> Answer {
        let listener: OwnedFd = self.listener()?.try_clone()?.into();
        self.remember(worker::start(worker::ACCEPTS, listener)?)
    }

    /// Leaves the connection to a process of its own: this one keeps no descriptor of it.
    fn hand_to_child(&mut self, name: &str) -> Answer {
        let stream = self.streams.remove(name).ok_or("no such socket")?;
        self.remember(worker::start(worker::SERVES, stream.into())?)
    }

    fn remember(&mut self, child: Child) -> Answer {
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

fn on_stream(verb: &str, stream: &mut TcpStream, count: usize) -> Answer {
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
