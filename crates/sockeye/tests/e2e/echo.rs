//! A server in Python that answers over TCP and UDP, and says who talked to it: what a translation did to the address of a
//! client is known from the other end.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::place::Place;
use crate::wait::until;
use crate::world::NetNs;

/// Answers each connection once and closes it, and sends each datagram back. Both families have sockets of their own.
const PROGRAM: &str = "
import select, socket, sys
sockets = []
for family, any in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(family, kind)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any, 80))
        if kind == socket.SOCK_STREAM:
            s.listen()
        sockets.append(s)
say = lambda what, who: print(what, who[0], who[1], flush=True)
print('ready', flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        if s.type == socket.SOCK_STREAM:
            c, who = s.accept()
            c.recv(4096)
            say('tcp', who)
            c.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nOK')
            c.close()
        else:
            data, who = s.recvfrom(4096)
            say('udp', who)
            s.sendto(data, who)
";

/// The running server, at port 80 of every address of its namespace.
pub struct Echo {
    child: Child,
    place: Place,
}

impl Echo {
    /// Starts it in the namespace, with further arguments that it does not look at.
    pub fn start(space: &NetNs, arguments: &[&str]) -> Self {
        Self::start_by(space, Command::new("python3"), arguments)
    }

    /// The same, where another program runs python.
    pub fn start_by(space: &NetNs, python: Command, arguments: &[&str]) -> Self {
        let place = Place::new();
        let output = std::fs::File::create(place.of("said")).expect("the place is writable");
        let mut command = python;
        // In a file, because what is told of a command line is bounded.
        command.arg(place.write("echo.py", PROGRAM)).args(arguments).stdin(Stdio::null()).stdout(output);
        let child = space.inside(|| command.spawn()).expect("python is installed");
        let echo = Self { child, place };
        until("the server", || echo.said().starts_with("ready").then_some(()));
        echo
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Who talked to it over this protocol, in their order.
    pub fn heard(&self, protocol: &str) -> Vec<SocketAddr> {
        let said = self.said();
        let of_protocol = said.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(' '));
        let end = |line: &str| {
            let (address, port) = line.split_once(' ')?;
            Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
        };
        of_protocol.filter_map(end).collect()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.place.of("said")).unwrap_or_default()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address as it stands in a URL.
fn in_url(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// A curl fetches something from there; gives its port and its process id. It has ended then.
pub fn fetch(space: &NetNs, address: &str, port: u16, arguments: &[&str]) -> (u64, u32) {
    fetch_by(space, Command::new("curl"), address, port, arguments)
}

/// The same, where another program becomes curl.
pub fn fetch_by(space: &NetNs, curl: Command, address: &str, port: u16, arguments: &[&str]) -> (u64, u32) {
    let mut command = curl;
    command.args([
        "-q",
        "-sS",
        "--max-time",
        "20",
        "--noproxy",
        "*",
        "-o",
        "/dev/null",
        "-w",
        "%{local_port}",
    ]);
    command.args(arguments).arg(format!("http://{}:{port}/", in_url(address)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = space.inside(|| command.spawn()).expect("curl is installed");
    let pid = child.id();
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let port = String::from_utf8_lossy(&output.stdout);
    (port.parse().unwrap_or_else(|_| panic!("curl said: {port}")), pid)
}

/// A shell sends six bytes there and waits until they are back. It has ended then.
pub fn ask(space: &NetNs, address: &str, port: u16) {
    // The shell itself reads byte by byte, and the rest of a datagram is gone.
    let script =
        format!("exec 3<>/dev/udp/{address}/{port}; echo hello >&3; [ $(timeout 20 head -n 1 <&3) = hello ]");
    let status = space.inside(|| Command::new("bash").args(["-c", &script]).status());
    assert!(status.expect("the shell starts").success(), "{address} has answered");
}
