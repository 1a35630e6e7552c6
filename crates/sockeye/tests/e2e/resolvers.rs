//! Real name servers from the distribution's packages, with configurations of their own, and the real `dig`, each in the
//! namespace that the test names. What the daemon says of them is not here.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::wait::{until, within};
use crate::world::NetNs;

/// The programs that the tests of names need.
pub const PROGRAMS: &[&str] = &["curl", "ip", "dig", "dnsmasq", "unbound"];

/// A running name server. Dropping it stops it.
pub struct NameServer {
    child: Child,
    _place: Place,
}

/// How many answers of each response code there were, by name and type.
pub type Answers = BTreeMap<(String, String), BTreeMap<String, u64>>;

/// What dig says of its queries.
#[derive(Debug)]
pub struct Dug {
    pub answers: Answers,
    /// How long it ran.
    pub took: Duration,
}

impl NameServer {
    /// A `dnsmasq` that knows what these lines of its configuration say, and refuses what is not of the zone `test`.
    pub fn dnsmasq(space: &NetNs, addresses: &[&str], lines: &str) -> Self {
        let place = Place::new();
        let listen: String = addresses.iter().map(|address| format!("listen-address={address}\n")).collect();
        let fixed = "no-resolv\nno-hosts\nbind-interfaces\nlocal=/test/\nuser=root\nlog-facility=-\n";
        let config = place.write("dnsmasq.conf", format!("{fixed}{listen}{lines}\n"));
        let mut command = Command::new("dnsmasq");
        command.arg("--keep-in-foreground").arg(format!("--conf-file={}", config.display()));
        command.arg(format!("--pid-file={}", place.of("pid").display()));
        Self::start(space, place, command)
    }

    /// An `unbound` on this port of 127.0.0.1 that asks another for what it does not have, except for `broken.test`, which nobody serves.
    pub fn unbound(space: &NetNs, port: &str, asks: &str) -> Self {
        let place = Place::new();
        let here = place.path().display();
        let config = format!(
            "server:
    directory: \"{here}\"
    pidfile: \"{here}/pid\"
    chroot: \"\"
    username: \"\"
    do-daemonize: no
    use-syslog: no
    module-config: \"iterator\"
    unknown-server-time-limit: 10000
    interface: 127.0.0.1
    port: {port}
    access-control: 127.0.0.0/8 allow
    local-zone: \"test.\" nodefault
remote-control:
    control-enable: no
forward-zone:
    name: \".\"
    forward-addr: {asks}
forward-zone:
    name: \"broken.test.\"
    forward-addr: 127.0.0.1@1
"
        );
        let config = place.write("unbound.conf", config);
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(config);
        Self::start(space, place, command)
    }

    fn start(space: &NetNs, place: Place, mut command: Command) -> Self {
        let stderr = std::fs::File::create(place.of("stderr")).expect("the place is writable");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut child = space.inside(|| command.spawn()).expect("it is installed");
        until("the name server", || {
            let said = || std::fs::read_to_string(place.of("stderr")).unwrap_or_default();
            assert!(child.try_wait().expect("it is our child").is_none(), "it ended: {}", said());
            // It is written after the port is bound.
            std::fs::read_to_string(place.of("pid")).ok().filter(|pid| !pid.is_empty())
        });
        Self { child, _place: place }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if within(crate::wait::DEADLINE, || self.child.try_wait().ok()?).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A socket that takes queries and never answers.
pub fn silent(space: &NetNs, address: &str, port: u16) -> UdpSocket {
    space.inside(|| UdpSocket::bind((address, port))).expect("the port is free")
}

/// Asks one question after the other, each from a socket of its own: `server` with its options, then names and types.
pub fn dig(space: &NetNs, server: &[&str], questions: &[(&str, &str)]) -> Dug {
    let mut command = Command::new("dig");
    // Nothing of this host's configuration is read.
    command.args(["-r", "+tries=1", "+timeout=10", "+noall", "+comments", "+question"]).args(server);
    command.args(questions.iter().flat_map(|(name, kind)| [name, kind]));
    command.stdin(Stdio::null());
    let begin = Instant::now();
    let output = space.inside(|| command.output()).expect("dig is installed");
    let took = begin.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    let statuses: Vec<&str> = said.lines().filter_map(status).collect();
    assert_eq!(statuses.len(), questions.len(), "one answer to each question: {said}");
    let mut answers = Answers::new();
    for ((name, kind), status) in questions.iter().zip(statuses) {
        let of_name = answers.entry(((*name).to_owned(), (*kind).to_owned())).or_default();
        *of_name.entry(status.to_owned()).or_default() += 1;
    }
    Dug { answers, took }
}

/// Response code of a line that begins an answer.
fn status(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("status: ")?;
    rest.split(',').next()
}

/// Adds answers to others.
pub fn add(all: &mut Answers, more: Answers) {
    for (key, by_rcode) in more {
        let of_key = all.entry(key).or_default();
        by_rcode.into_iter().for_each(|(rcode, count)| *of_key.entry(rcode).or_default() += count);
    }
}
