//! A real web server from the distribution's package, with a configuration of its own and real clients, in a
//! namespace of its own. What both ends say of each connection is here; what the daemon says is not.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::wait::{until, within};
use crate::world::NetNs;

const PORT: u16 = 8080;

/// A master and two workers. Dropping it stops them.
pub struct Nginx {
    pub space: NetNs,
    place: Place,
    master: Child,
}

/// A running curl.
pub struct Fetch {
    child: Child,
}

/// What a curl that has ended says of its one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    pub pid: u32,
    pub port: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// What nginx says of a connection, added up over its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    pub worker: u32,
    pub requests: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

impl Nginx {
    /// Starts it with one file of this size, as `/file` and slowly, a third of a megabyte a second, as `/slow`.
    pub fn start(file_bytes: usize) -> Self {
        let (space, place) = (NetNs::new(), Place::new());
        place.write("file", vec![b'x'; file_bytes]);
        let config = place.write("nginx.conf", configuration(&place));
        let mut command = Command::new("nginx");
        command.arg("-p").arg(place.path()).arg("-c").arg(config);
        let stderr = std::fs::File::create(place.of("stderr")).expect("the place is writable");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut master = space.inside(|| command.spawn()).expect("nginx is installed");
        until("nginx", || {
            let said = || std::fs::read_to_string(place.of("stderr")).unwrap_or_default();
            assert!(master.try_wait().expect("it is our child").is_none(), "nginx ended: {}", said());
            // It is written after the port is bound.
            std::fs::read_to_string(place.of("nginx.pid")).ok().filter(|pid| !pid.is_empty())
        });
        Self { space, place, master }
    }

    pub fn port(&self) -> u64 {
        PORT.into()
    }

    pub fn master_pid(&self) -> u32 {
        self.master.id()
    }

    /// Starts a curl that fetches these paths one after the other over one connection.
    pub fn fetch(&self, paths: &[&str]) -> Fetch {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--fail", "--max-time", "20", "--noproxy", "*", "-w"]);
        command
            .arg("%{stderr}%{local_port} %{num_connects} %{size_request} %{size_header} %{size_download}\\n");
        command.args(paths.iter().map(|path| format!("http://127.0.0.1:{PORT}{path}")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Fetch { child: self.space.inside(|| command.spawn()).expect("curl is installed") }
    }

    /// What the log of nginx says of the connection from this port, once it knows of so many requests.
    pub fn served(&self, client_port: u64, requests: u64) -> Served {
        until("the line in the log of nginx", || {
            let log = std::fs::read_to_string(self.place.of("access.log")).ok()?;
            let lines: Vec<[u64; 4]> = log.lines().filter_map(numbers).collect();
            let mut of_connection = lines.into_iter().filter(|[port, ..]| *port == client_port).peekable();
            let worker = of_connection.peek()?[1];
            let mut served = Served {
                worker: u32::try_from(worker).expect("a pid"),
                requests: 0,
                sent_bytes: 0,
                received_bytes: 0,
            };
            for [_, pid, sent, received] in of_connection {
                assert_eq!(pid, worker, "one worker serves a connection");
                served.requests += 1;
                served.sent_bytes += sent;
                served.received_bytes += received;
            }
            (served.requests == requests).then_some(served)
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        if within(crate::wait::DEADLINE, || self.master.try_wait().ok()?).is_none() {
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

impl Fetch {
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for its end.
    pub fn end(self) -> Fetched {
        let pid = self.child.id();
        let output = self.child.wait_with_output().expect("it is our child");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl: {said}");
        let requests: Vec<[u64; 5]> = said.lines().filter_map(numbers).collect();
        let port = requests.first().unwrap_or_else(|| panic!("curl said: {said}"))[0];
        let mut fetched = Fetched { pid, port, sent_bytes: 0, received_bytes: 0 };
        for [_, _, request, header, download] in &requests {
            fetched.sent_bytes += request;
            fetched.received_bytes += header + download;
        }
        let connects: u64 = requests.iter().map(|[_, connects, ..]| connects).sum();
        assert_eq!(connects, 1, "all requests on one connection: {said}");
        fetched
    }
}

fn numbers<const N: usize>(line: &str) -> Option<[u64; N]> {
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn configuration(place: &Place) -> String {
    let here = place.path().display();
    let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/{kind};"))
        .join("\n    ");
    format!(
        "daemon off;
worker_processes 2;
pid {here}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    {scratch}
    log_format connection '$remote_port $pid $bytes_sent $request_length';
    access_log {here}/access.log connection;
    server {{
        listen 127.0.0.1:{PORT};
        root {here};
        location = /slow {{ alias {here}/file; limit_rate 300k; }}
    }}
}}
"
    )
}
