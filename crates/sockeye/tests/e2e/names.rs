//! Names of remote ends, as real programs asked real name servers for them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::curl::get;
use crate::daemon::Daemon;
use crate::ledger::{Ledger, number};
use crate::needs::runs_here;
use crate::place::Place;
use crate::resolvers::{NameServer, PROGRAMS, dig};
use crate::told_lookups::reference;
use crate::wait::until;
use crate::world::{RIGHT_V4, VethPair};

/// A server of one file without content. Its addresses are those of one test: names are of addresses, in whatever namespace.
struct Site {
    world: VethPair,
    v4: String,
    v6: String,
    listener: TcpListener,
}

const PORT: u16 = 8080;

impl Site {
    fn new(number: &str) -> Self {
        let world = VethPair::new();
        let (v4, v6) = (format!("10.9.0.{number}"), format!("fd09::{number}"));
        world.right.ip(&["address", "add", &format!("{v4}/24"), "dev", "cable"]);
        world.right.ip(&["address", "add", &format!("{v6}/64"), "dev", "cable", "nodad"]);
        let listener = world.right.inside(|| TcpListener::bind(("::", PORT))).expect("the port is free");
        Self { world, v4, v6, listener }
    }

    /// Lines for a name server: two names and an alias of the address, and one of IPv6.
    fn zone(&self, zone: &str) -> String {
        let Self { v4, v6, .. } = self;
        format!(
            "host-record=alpha.{zone}.test,{v4}\nhost-record=beta.{zone}.test,{v4}\nhost-record=six.{zone}.test,{v6}\n\
             cname=www.{zone}.test,alpha.{zone}.test"
        )
    }

    /// A curl that asks as the library of the system does it, configured by these lines, and fetches from one name after the
    /// other. Gives its process id and its ports.
    fn fetch_all(&self, resolver: &str, names: &[&str]) -> (u32, Vec<u64>) {
        let place = Place::new();
        let config = place.write("resolv.conf", format!("{resolver}\n"));
        let alone = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", alone]).arg(config);
        command.args(["curl", "-q", "-sS", "--fail", "--max-time", "20", "--noproxy", "*"]);
        command.args(["-w", "%{local_port} "]);
        command.args(names.iter().map(|name| format!("http://{name}:{PORT}/")));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.world.left.inside(|| command.spawn()).expect("unshare is installed");
        let pid = child.id();
        names.iter().for_each(|_| self.serve());
        let output = child.wait_with_output().expect("it is our child");
        let said = String::from_utf8_lossy(&output.stdout);
        let ports = said.split_whitespace().map(|port| port.parse().expect("a port")).collect();
        (pid, ports)
    }

    fn fetch(&self, resolver: &str, name: &str) -> (u32, u64) {
        let (pid, ports) = self.fetch_all(&format!("nameserver {resolver}"), &[name]);
        (pid, ports[0])
    }

    /// Answers one request.
    fn serve(&self) {
        let (mut stream, _) = self.listener.accept().expect("curl connects");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("curl asks");
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("curl reads");
    }

    /// The connection of that port and process, when it is told as closed.
    fn told(&self, ledger: &mut Ledger, (pid, port): (u32, u64)) -> Value {
        until("the connection", || {
            ledger.poll();
            let found = ledger.find(&self.world.left, "local", port).filter(|told| told.closed())?;
            assert_eq!(number(&found.last["owner"]["pid"]), u64::from(pid), "{}", found.last);
            Some(found.last.clone())
        })
    }
}

fn names(told: &Value) -> Vec<&str> {
    told["names"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[test]
fn a_connection_has_the_name_first_that_its_own_process_asked_for() {
    if !runs_here(PROGRAMS) || !runs_here(&["unshare", "bash"]) {
        return;
    }
    let site = Site::new("61");
    let _server = NameServer::dnsmasq(&site.world.right, &[RIGHT_V4], &site.zone("names"));
    let _resolver = NameServer::unbound(&site.world.left, "53", RIGHT_V4);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    let alpha = site.fetch(RIGHT_V4, "alpha.names.test");
    let beta = site.fetch(RIGHT_V4, "beta.names.test");
    // The resolver on loopback asks too, and that is another process.
    let alias = site.fetch("127.0.0.1", "www.names.test");
    let six = site.fetch(RIGHT_V4, "six.names.test");
    // One that asked for nothing.
    let silent = site.fetch(RIGHT_V4, &site.v4);

    let all = ["alpha.names.test", "beta.names.test", "www.names.test"];
    for (fetched, first) in
        [(alpha, "alpha.names.test"), (beta, "beta.names.test"), (alias, "www.names.test")]
    {
        let told = site.told(&mut ledger, fetched);
        let mut found = names(&told);
        assert_eq!(found.first(), Some(&first), "{told}");
        found.sort_unstable();
        assert_eq!(found, all, "{told}");
    }
    let told = site.told(&mut ledger, alias);
    assert_eq!(names(&told)[1], "alpha.names.test", "what it is an alias of: {told}");
    assert_eq!(names(&site.told(&mut ledger, six)), ["six.names.test"]);
    // The one given last.
    assert_eq!(names(&site.told(&mut ledger, silent))[0], "www.names.test");
    let mut of_reference = reference(&daemon.socket(), "b")["dns"].take();
    let mut found: Vec<Value> =
        of_reference[&site.v4]["names"].as_array_mut().map(std::mem::take).expect("they are told");
    found.sort_unstable_by_key(|name| name.as_str().map(str::to_owned));
    assert_eq!(found, all, "{of_reference}");
    assert_eq!(of_reference[&site.v6]["names"], serde_json::json!(["six.names.test"]), "{of_reference}");
}

#[test]
fn of_two_names_that_one_process_asked_for_the_last_one_is_first() {
    if !runs_here(PROGRAMS) || !runs_here(&["unshare", "bash"]) {
        return;
    }
    let site = Site::new("62");
    let _server = NameServer::dnsmasq(&site.world.right, &[RIGHT_V4], &site.zone("two"));
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let resolver = format!("nameserver {RIGHT_V4}");
    let (pid, ports) = site.fetch_all(&resolver, &["alpha.two.test", "beta.two.test"]);
    // Somebody else asks later.
    dig(&site.world.left, &[&format!("@{RIGHT_V4}")], &[("www.two.test", "A"), ("alpha.two.test", "A")]);
    for port in ports {
        let told = site.told(&mut ledger, (pid, port));
        assert_eq!(names(&told), ["beta.two.test", "alpha.two.test", "www.two.test"], "{told}");
    }
}

#[test]
fn names_that_were_asked_for_over_tcp_are_those_of_the_process_too() {
    if !runs_here(PROGRAMS) || !runs_here(&["unshare", "bash"]) {
        return;
    }
    let site = Site::new("63");
    let _server = NameServer::dnsmasq(&site.world.right, &[RIGHT_V4], &site.zone("tcp"));
    let daemon = Daemon::with(&[("SOCKEYE_COLLECT__DNS_TCP", "true")]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let resolver = format!("options use-vc\nnameserver {RIGHT_V4}");
    let (pid, ports) = site.fetch_all(&resolver, &["beta.tcp.test"]);
    let (other, more) = site.fetch_all(&resolver, &["alpha.tcp.test"]);
    for (fetched, expected) in [
        ((pid, ports[0]), ["beta.tcp.test", "alpha.tcp.test"]),
        ((other, more[0]), ["alpha.tcp.test", "beta.tcp.test"]),
    ] {
        let told = site.told(&mut ledger, fetched);
        assert_eq!(names(&told), expected, "{told}");
    }
}
