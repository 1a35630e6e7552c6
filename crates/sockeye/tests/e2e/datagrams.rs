//! Datagrams of real programs, as both dialects tell them.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::needs::runs_here;
use crate::wait::until;
use crate::world::NetNs;

/// A server in a namespace of its own.
struct Server {
    space: NetNs,
    socket: UdpSocket,
    port: u16,
}

impl Server {
    fn new() -> Self {
        let space = NetNs::new();
        let socket = space.inside(|| UdpSocket::bind("127.0.0.1:0")).expect("the namespace has loopback");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a time-out");
        let port = socket.local_addr().expect("it is bound").port();
        Self { space, socket, port }
    }

    /// A shell sends six bytes.
    fn hear_a_shell(&self) {
        let script = format!("echo hello > /dev/udp/127.0.0.1/{}", self.port);
        let status = self.space.inside(|| Command::new("bash").args(["-c", &script]).status());
        assert!(status.expect("the shell starts").success());
        let received = self.socket.recv(&mut [0; 16]).expect("it arrived");
        assert_eq!(received, 6);
    }

    /// Asks until the connection to the server is told; the shell has closed it.
    fn sent(&self, daemon: &Daemon, path: &str, list: &str, is_sent: impl Fn(&Value, u16) -> bool) -> Value {
        until("the datagram", || {
            let answer = curl::get(&daemon.socket(), path).json();
            let all = answer[list].as_array().expect("a list").clone();
            let netns = self.space.inode();
            let here = |found: &Value| found["netns"] == netns || found["netNS"] == netns;
            all.into_iter().find(|found| here(found) && is_sent(found, self.port))
        })
    }
}

fn native(found: &Value, port: u16) -> bool {
    found["remote"]["port"] == port
}

#[test]
fn a_shells_datagram_is_told_with_its_process_in_both_dialects() {
    if !runs_here(&["curl", "ip", "bash"]) {
        return;
    }
    let (daemon, server) = (Daemon::start(), Server::new());
    curl::request(&daemon.socket(), 0, "PUT", "/v1/clients/a");
    let register = "/network_tracer/register?client_id=b";
    assert_eq!(curl::get(&daemon.socket(), register).status, 200);
    server.hear_a_shell();
    let told = server.sent(&daemon, "/v1/clients/a/connections", "connections", native);
    assert_eq!(
        (&told["protocol"], &told["state"], &told["direction"]),
        (&"udp".into(), &"closed".into(), &"outgoing".into())
    );
    assert_eq!(
        (&told["total"]["sent_bytes"], &told["total"]["sent_packets"]),
        (&6.into(), &1.into()),
        "{told}"
    );
    assert_eq!(
        (&told["owner"]["command"], &told["owner"]["source"]),
        (&"bash".into(), &"send".into()),
        "{told}"
    );
    assert!(told["tcp"].is_null() && told["total"]["retransmits"].is_null(), "nothing of TCP: {told}");
    assert_eq!(told["udp"]["drops"], 0, "{told}");
    let path = "/network_tracer/connections?client_id=b";
    let told = server.sent(&daemon, path, "conns", |found, port| found["raddr"]["port"] == port);
    assert_eq!((&told["type"], &told["lastBytesSent"]), (&"udp".into(), &"6".into()), "{told}");
    assert_eq!((&told["lastTcpClosed"], &told["lastPacketsSent"]), (&0.into(), &"1".into()), "{told}");
}

#[test]
fn udp_is_followed_where_no_hierarchy_of_cgroups_is_mounted() {
    if !runs_here(&["curl", "ip", "bash", "unshare"]) {
        return;
    }
    let alone = "umount --lazy --recursive /sys/fs/cgroup && exec \"$0\" \"$@\"";
    let daemon = Daemon::started_by(&["unshare", "--mount", "bash", "-c", alone]);
    let server = Server::new();
    curl::request(&daemon.socket(), 0, "PUT", "/v1/clients/a");
    server.hear_a_shell();
    let told = server.sent(&daemon, "/v1/clients/a/connections", "connections", native);
    assert_eq!(told["total"]["sent_bytes"], 6, "{told}");
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let capabilities = status["capabilities"].as_array().expect("a list");
    let udp = capabilities.iter().find(|found| found["name"] == "udp").expect("it is listed");
    assert!(udp["served_by"].is_string() && udp["degradation"].is_null(), "{udp}");
}

#[test]
fn a_poll_tells_what_the_last_audit_found() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::start();
    curl::request(&daemon.socket(), 0, "PUT", "/v1/clients/a");
    let audit = until("the first audit", || {
        let answer = curl::get(&daemon.socket(), "/v1/clients/a/connections").json();
        answer["coverage"]["audit"].as_object().cloned()
    });
    assert!(audit["namespaces"].as_u64() > Some(0) && audit["drift"].is_object(), "{audit:?}");
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    assert!(status["audit"]["audits"].as_u64() > Some(0), "{status}");
    assert!(curl::get(&daemon.socket(), "/metrics").body.contains("sockeye_audits_total 1\n"));
}
