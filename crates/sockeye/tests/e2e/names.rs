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
use crate::resolvers::{NameServer, PROGRAMS};
use crate::told_lookups::reference;
use crate::wait::until;
use crate::world::{RIGHT_V4, VethPair};

/// A server of one file without content, and addresses that no other test has: names are of addresses, in whatever
/// namespace.
struct Site {
    world: VethPair,
    listener: TcpListener,
}

const V4: &str = "10.9.0.61";
const V6: &str = "fd09::61";
const PORT: u16 = 8080;

impl Site {
    fn new() -> Self {
        let world = VethPair::new();
        world.right.ip(&["address", "add", &format!("{V4}/24"), "dev", "cable"]);
        world.right.ip(&["address", "add", &format!("{V6}/64"), "dev", "cable", "nodad"]);
        let listener = world.right.inside(|| TcpListener::bind(("::", PORT))).expect("the port is free");
        Self { world, listener }
    }

    /// A curl that asks this name server, as the library of the system does it, fetches from this name. Gives its process id
    /// and port.
    fn fetch(&self, resolver: &str, options: &[&str], name: &str) -> (u32, u64) {
        let place = Place::new();
        let config = place.write("resolv.conf", format!("nameserver {resolver}\n"));
        let alone = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", alone]).arg(config);
        command.args(["curl", "-q", "-sS", "--fail", "--max-time", "20", "--noproxy", "*"]);
        command.args(["-w", "%{local_port}"]).args(options).arg(format!("http://{name}:{PORT}/"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.world.left.inside(|| command.spawn()).expect("unshare is installed");
        let pid = child.id();
        let (mut stream, _) = self.listener.accept().expect("curl connects");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("curl asks");
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("curl reads");
        drop(stream);
        let output = child.wait_with_output().expect("it is our child");
        let said = String::from_utf8_lossy(&output.stdout);
        (pid, said.parse().unwrap_or_else(|_| panic!("{output:?}")))
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

fn zone() -> String {
    format!(
        "host-record=alpha.names.test,{V4}\nhost-record=beta.names.test,{V4}\nhost-record=six.names.test,{V6}\n\
         cname=www.names.test,alpha.names.test"
    )
}

#[test]
fn a_connection_has_the_name_first_that_its_own_process_asked_for() {
    if !runs_here(PROGRAMS) || !runs_here(&["unshare", "bash"]) {
        return;
    }
    let site = Site::new();
    let _server = NameServer::dnsmasq(&site.world.right, &[RIGHT_V4], &zone());
    let _resolver = NameServer::unbound(&site.world.left, RIGHT_V4);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    let alpha = site.fetch(RIGHT_V4, &["-4"], "alpha.names.test");
    let beta = site.fetch(RIGHT_V4, &["-4"], "beta.names.test");
    // The resolver on loopback asks too, and that is another process.
    let alias = site.fetch("127.0.0.1", &["-4"], "www.names.test");
    let six = site.fetch(RIGHT_V4, &[], "six.names.test");
    // One that asked for nothing.
    let silent = site.fetch(RIGHT_V4, &[], V4);

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
        of_reference[V4]["names"].as_array_mut().map(std::mem::take).expect("they are told");
    found.sort_unstable_by_key(|name| name.as_str().map(str::to_owned));
    assert_eq!(found, all, "{of_reference}");
    assert_eq!(of_reference[V6]["names"], serde_json::json!(["six.names.test"]), "{of_reference}");
}
