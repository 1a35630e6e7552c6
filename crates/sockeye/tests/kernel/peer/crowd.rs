//! Many connections at once, each of which ends in one of several ways, with bytes that follow from its port.
//!
//! Both ends count what they wrote and read. Does not know who judges that.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};

use rustix::net::{AddressFamily, RecvFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::sockets;

type Answer = Result<String, Box<dyn std::error::Error>>;

/// What both ends of the connection send that was opened from this port: the request and the answer, in bytes,
/// 1 to `most` each.
pub fn sizes(port: u16, most: u64) -> (u64, u64) {
    let spread = |factor: u64| 1 + ((u64::from(port) * factor) % 65_536) * most / 65_536;
    (spread(40_503), spread(24_109))
}

/// What an end has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    pub connections: u64,
    pub wrote: u64,
    pub read: u64,
}

impl AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.wrote += more.wrote;
        self.read += more.read;
    }
}

impl Done {
    fn words(self) -> String {
        format!("{} {} {}", self.connections, self.wrote, self.read)
    }

    /// From the answer of a peer.
    pub fn parse(words: &str) -> Self {
        let numbers: Vec<u64> = words.split(' ').map(|word| word.parse().expect("a number")).collect();
        let &[connections, wrote, read] = numbers.as_slice() else { panic!("{words:?}") };
        Self { connections, wrote, read }
    }
}

/// The many connections of a peer.
#[derive(Default)]
pub(super) struct Crowd {
    kept: Vec<TcpStream>,
    attended: Arc<Mutex<Done>>,
}

impl Crowd {
    /// Serves whoever connects from now on, on several threads: takes the request, answers, and closes after the
    /// other end.
    pub(super) fn attend(&self, listener: &TcpListener, threads: usize, most: u64) -> Answer {
        for _ in 0..threads {
            let (listener, attended) = (listener.try_clone()?, Arc::clone(&self.attended));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    // Whoever gave up before its request was whole is not counted.
                    let Ok(stream) = stream else { continue };
                    if let Ok(done) = serve(&stream, most) {
                        *attended.lock().expect("no other panics") += done;
                    }
                }
            });
        }
        Ok("attending".into())
    }

    pub(super) fn attended(&self) -> Answer {
        Ok(self.attended.lock().expect("no other panics").words())
    }

    /// Opens connections and keeps them after the exchange.
    pub(super) fn hold(&mut self, count: usize, most: u64, address: &str) -> Answer {
        allow_descriptors()?;
        let mut done = Done::default();
        for _ in 0..count {
            let stream = TcpStream::connect(address)?;
            done += exchange(&stream, most)?;
            stream.set_nodelay(true)?;
            self.kept.push(stream);
        }
        Ok(done.words())
    }

    /// The other end of `hold`.
    pub(super) fn keep(&mut self, listener: &TcpListener, count: usize, most: u64) -> Answer {
        allow_descriptors()?;
        let mut done = Done::default();
        for _ in 0..count {
            let (stream, _) = listener.accept()?;
            done += answer(&stream, most)?;
            self.kept.push(stream);
        }
        Ok(done.words())
    }

    /// Sends one byte on all of them, which nobody reads.
    pub(super) fn write_kept(&self) -> Answer {
        self.kept.iter().try_for_each(|mut stream| stream.write_all(&[7]))?;
        Ok("written".into())
    }

    /// Says on all of them that nothing more comes from this end.
    pub(super) fn finish_kept(&self) -> Answer {
        self.kept.iter().try_for_each(|stream| stream.shutdown(Shutdown::Write))?;
        Ok("finished".into())
    }

    /// Closes what was kept.
    pub(super) fn release(&mut self) -> Answer {
        Ok(std::mem::take(&mut self.kept).len().to_string())
    }
}

/// As many as the host lets a process have; more is not everywhere root's to take.
fn allow_descriptors() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Opens `count` connections on each of several threads, to the addresses in turn, and ends them in this way.
pub(super) fn visit(way: &str, threads: usize, count: usize, most: u64, addresses: &str) -> Answer {
    let addresses: Vec<SocketAddr> = addresses.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let visits = || -> io::Result<Done> {
        let mut done = Done::default();
        for address in addresses.iter().cycle().take(count) {
            done += visit_once(way, *address, most)?;
        }
        Ok(done)
    };
    let mut done = Done::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(visits)).collect();
        for thread in running {
            done += thread.join().expect("it does not panic")?;
        }
        Ok(done.words())
    })
}

fn visit_once(way: &str, address: SocketAddr, most: u64) -> io::Result<Done> {
    match way {
        "close" => exchange(&TcpStream::connect(address)?, most),
        "finish" => {
            let stream = TcpStream::connect(address)?;
            let request = request(&stream, most)?;
            stream.shutdown(Shutdown::Write)?;
            finish(&stream, most, request)
        }
        "reset" => {
            let stream = TcpStream::connect(address)?;
            let done = exchange(&stream, most)?;
            sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO))?;
            Ok(done)
        }
        "unread" => unread(address, most),
        "again" => again(address, most),
        "fastopen" => fast_open(address, most),
        "refused" => match TcpStream::connect(address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Ok(Done { connections: 1, ..Done::default() })
            }
            other => Err(io::Error::other(format!("not refused: {other:?}"))),
        },
        _ => Err(io::Error::other("no such way")),
    }
}

/// Closes while the answer waits unread, which resets the connection.
fn unread(address: SocketAddr, most: u64) -> io::Result<Done> {
    let stream = TcpStream::connect(address)?;
    let wrote = request(&stream, most)?;
    let (_, answer) = sizes(stream.local_addr()?.port(), most);
    let mut buffer = vec![0; length(answer)];
    let flags = RecvFlags::PEEK | RecvFlags::WAITALL;
    let (_, arrived) = rustix::net::recv(&stream, buffer.as_mut_slice(), flags)?;
    match arrived == buffer.len() {
        true => Ok(Done { connections: 1, wrote, read: answer }),
        false => Err(io::Error::other("the answer is not whole")),
    }
}

/// One socket connects three times, and is disconnected each time.
fn again(address: SocketAddr, most: u64) -> io::Result<Done> {
    let stream = open()?;
    let mut done = Done::default();
    for _ in 0..3 {
        rustix::net::connect(&stream, &address)?;
        done += exchange(&stream, most)?;
        rustix::net::connect_unspec(&stream)?;
    }
    Ok(done)
}

/// The first byte of the request is in the SYN; the port that says how many follow is known afterwards.
fn fast_open(address: SocketAddr, most: u64) -> io::Result<Done> {
    let stream = open()?;
    rustix::net::sendto(&stream, &[7], sockets::FAST_OPEN, &address)?;
    let (request, _) = sizes(stream.local_addr()?.port(), most);
    (&stream).write_all(&vec![7; length(request - 1)])?;
    finish(&stream, most, request)
}

fn open() -> io::Result<TcpStream> {
    Ok(TcpStream::from(rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?))
}

/// The opening end: sends the request and takes the answer.
fn exchange(stream: &TcpStream, most: u64) -> io::Result<Done> {
    let wrote = request(stream, most)?;
    finish(stream, most, wrote)
}

fn request(mut stream: &TcpStream, most: u64) -> io::Result<u64> {
    let (request, _) = sizes(stream.local_addr()?.port(), most);
    stream.write_all(&vec![7; length(request)])?;
    Ok(request)
}

fn finish(mut stream: &TcpStream, most: u64, wrote: u64) -> io::Result<Done> {
    let (_, answer) = sizes(stream.local_addr()?.port(), most);
    stream.read_exact(&mut vec![0; length(answer)])?;
    Ok(Done { connections: 1, wrote, read: answer })
}

/// The other end of an exchange.
fn answer(mut stream: &TcpStream, most: u64) -> io::Result<Done> {
    let (request, answer) = sizes(stream.peer_addr()?.port(), most);
    stream.read_exact(&mut vec![0; length(request)])?;
    stream.write_all(&vec![7; length(answer)])?;
    Ok(Done { connections: 1, wrote: answer, read: request })
}

/// An exchange, and then whatever end the other end makes.
fn serve(mut stream: &TcpStream, most: u64) -> io::Result<Done> {
    let done = answer(stream, most)?;
    match stream.read(&mut [0]) {
        Ok(1..) => Err(io::Error::other("a byte too many")),
        Ok(0) | Err(_) => Ok(done),
    }
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it fits")
}
