//! Who may use the API, and over what: the socket's owner and group, and TCP with a token.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::rc::Rc;

use serde_json::Value;

use crate::curl::{Answer, get, request, request_in_groups, request_over_tcp, try_request};
use crate::daemon::Daemon;
use crate::ledger::number;
use crate::needs::runs_here;
use crate::place::Place;

const ROOT: u32 = 0;
const ALICE: u32 = 1000;
const OWNER: u32 = 1007;
const GROUP: u32 = 1050;

const TOKEN: &str = "0123456789abcdefghij";
pub const RIGHT: &str = "Authorization: Bearer 0123456789abcdefghij";

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

/// A place with a token in the file `token`.
fn place_with_token() -> (Rc<Place>, String) {
    let place = Rc::new(Place::new());
    let token = place.write("token", format!("{TOKEN}\n"));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    (place, token.to_str().expect("the place has a plain name").to_owned())
}

/// A daemon that listens on this TCP address too, with room for so many clients of each user, and the address that it says it has.
pub fn daemon_on(address: &str, clients: &str) -> (Daemon, String) {
    let (place, token) = place_with_token();
    let variables = [
        ("SOCKEYE_LISTEN__TCP", address),
        ("SOCKEYE_LISTEN__TOKEN_FILE", &token),
        ("SOCKEYE_LISTEN__MODE", "0666"),
        ("SOCKEYE_LIMITS__CLIENTS_PER_USER", clients),
    ];
    let daemon = Daemon::start_in(&place, &variables);
    let said = daemon.stderr();
    let address = said.split_whitespace().find_map(|word| word.strip_prefix("tcp="));
    let address = address.unwrap_or_else(|| panic!("no address in {said}")).to_owned();
    (daemon, address)
}

#[test]
fn with_a_group_root_the_owner_and_its_members_may_use_the_api_and_strangers_may_not() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let (owner, group) = (OWNER.to_string(), GROUP.to_string());
    let daemon = Daemon::with(&[
        ("SOCKEYE_LISTEN__MODE", "0666"),
        ("SOCKEYE_LISTEN__OWNER", &owner),
        ("SOCKEYE_LISTEN__GROUP", &group),
    ]);
    let socket = daemon.socket();
    let file = std::fs::symlink_metadata(&socket).expect("the socket is there");
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (OWNER, GROUP, 0o666));
    for (uid, groups) in [
        (ROOT, &[ROOT][..]),
        (OWNER, &[OWNER]),
        (ALICE, &[GROUP]),
        (ALICE, &[ALICE, GROUP]),
        (ALICE, &[ALICE, 3, GROUP, 2000]),
    ] {
        let answer = request_in_groups(&socket, uid, groups, "/livez");
        assert_eq!(answer.status, 200, "{uid} of {groups:?}: {answer:?}");
    }
    let refused = (403, "/problems/not-permitted".to_owned());
    for groups in [&[ALICE][..], &[ROOT], &[ALICE, ROOT, GROUP - 1, GROUP + 1, OWNER]] {
        for path in ["/livez", "/v1/status", "/nothing", "/v1/clients/a/connections"] {
            let answer = request_in_groups(&socket, ALICE, groups, path);
            assert_eq!(problem(&answer), refused, "{groups:?} {path}");
        }
        let reference = request_in_groups(&socket, ALICE, groups, "/network_tracer/connections");
        assert_eq!((reference.status, reference.json()["error"].is_string()), (403, true));
    }
    assert_eq!(get(&socket, "/v1/status").json()["clients"], 0, "nothing came of that");
}

#[test]
fn a_member_whom_the_mode_keeps_out_cannot_connect() {
    if !runs_here(&["curl"]) {
        return;
    }
    let group = ALICE.to_string();
    let daemon = Daemon::with(&[("SOCKEYE_LISTEN__MODE", "0600"), ("SOCKEYE_LISTEN__GROUP", &group)]);
    let refused = try_request(&daemon.socket(), ALICE, "GET", "/livez");
    assert!(refused.is_err_and(|error| error.contains("connect")));
}

#[test]
fn the_socket_belongs_to_the_owner_and_the_group_of_these_names() {
    if !runs_here(&[]) {
        return;
    }
    let (owner, uid) = an_entry_of("/etc/passwd");
    let (group, gid) = an_entry_of("/etc/group");
    let daemon = Daemon::with(&[("SOCKEYE_LISTEN__OWNER", &owner), ("SOCKEYE_LISTEN__GROUP", &group)]);
    let file = std::fs::symlink_metadata(daemon.socket()).expect("the socket is there");
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (uid, gid, 0o660));
}

/// Name and number of somebody other than root.
fn an_entry_of(file: &str) -> (String, u32) {
    let names = std::fs::read_to_string(file).expect("every host has one");
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = fields.get(2)?.parse().ok().filter(|number| *number != ROOT)?;
        Some((fields[0].to_owned(), number))
    };
    names.lines().find_map(entry).expect("every host has more than root")
}

#[test]
fn over_tcp_the_token_is_needed_for_everything_and_over_the_socket_for_nothing() {
    if !runs_here(&["curl"]) {
        return;
    }
    let (daemon, address) = daemon_on("127.0.0.1:0", "2");
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    for path in ["/livez", "/metrics", "/v1/status", "/v1/listeners"] {
        assert_eq!(request_over_tcp(&address, &[RIGHT], "GET", path).status, 200, "{path}");
    }
    let refused = (401, "/problems/unauthorized".to_owned());
    for headers in [&[][..], &["Authorization: Bearer 0123456789abcdefghi"], &["Authorization: Basic OjA="]] {
        for path in ["/livez", "/nothing", "/v1/clients/a/connections"] {
            let answer = request_over_tcp(&address, headers, "GET", path);
            assert_eq!(problem(&answer), refused, "{headers:?} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let reference = request_over_tcp(&address, headers, "GET", "/network_tracer/register");
        assert_eq!((reference.status, reference.json()["error"].is_string()), (401, true));
    }
    let page = ["Origin: http://evil.example", "Host: evil.example"];
    let preflight = request_over_tcp(&address, &page, "OPTIONS", "/v1/status");
    assert_eq!(problem(&preflight), refused);
    assert!(!preflight.head.to_lowercase().contains("access-control"), "{preflight:?}");
    let mut over_socket = crate::curl::command(&daemon.socket(), ALICE, "GET", "/livez");
    over_socket.args(["-H", "Authorization: Bearer wrong"]);
    let output = over_socket.output().expect("curl is installed");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("HTTP/1.1 200"), "{output:?}");
}

#[test]
fn a_client_of_the_token_is_closed_to_users_but_root_and_is_told_the_same() {
    if !runs_here(&["curl"]) {
        return;
    }
    let (daemon, address) = daemon_on("127.0.0.1:0", "2");
    let socket = daemon.socket();
    let by_token = |method, path: &str| request_over_tcp(&address, &[RIGHT], method, path);
    let registered = by_token("PUT", "/v1/clients/t");
    let owner = (&registered.json()["owner"], &registered.json()["owner_uid"]);
    assert_eq!((registered.status, owner), (201, (&"token".into(), &Value::Null)));
    let poll = "/v1/clients/t/connections";
    let first = number(&by_token("GET", poll).json()["sequence"]);
    assert_eq!(number(&by_token("GET", poll).json()["acknowledged"]), first, "it has arrived");
    let not_owner = (403, "/problems/not-owner".to_owned());
    for (method, path) in [("GET", poll), ("PUT", "/v1/clients/t"), ("DELETE", "/v1/clients/t")] {
        assert_eq!(problem(&request(&socket, ALICE, method, path)), not_owner, "{method} {path}");
    }
    assert_eq!(request(&socket, ROOT, "GET", poll).status, 200);
    for user in [ROOT, ALICE] {
        let id = format!("/v1/clients/of-{user}");
        assert_eq!(request(&socket, user, "PUT", &id).status, 201);
        assert_eq!(problem(&by_token("GET", &id)), not_owner);
    }
    let listed = by_token("GET", "/v1/clients").json();
    assert_eq!(listed["clients"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(by_token("PUT", "/v1/clients/t2").status, 201);
    let refused = (429, "/problems/too-many-clients".to_owned());
    assert_eq!(problem(&by_token("PUT", "/v1/clients/t3")), refused, "it is limited like a user");
    assert_eq!(request(&socket, ROOT, "DELETE", "/v1/clients/t").status, 204);
    assert_eq!(by_token("PUT", "/v1/clients/t3").status, 201);
}

#[test]
fn a_port_that_is_in_use_is_refused_and_the_first_daemon_goes_on() {
    if !runs_here(&["curl"]) {
        return;
    }
    let (_first, address) = daemon_on("127.0.0.1:0", "2");
    let (place, token) = place_with_token();
    let variables = [("SOCKEYE_LISTEN__TCP", address.as_str()), ("SOCKEYE_LISTEN__TOKEN_FILE", &token)];
    let mut second = Daemon::spawn_in(&place, &variables);
    assert_eq!(second.wait_end().code(), Some(1));
    let said = second.stderr();
    assert!(said.contains(&format!("another process is listening on {address}")), "{said}");
    assert!(!second.socket().exists(), "nothing is left of it");
    assert_eq!(request_over_tcp(&address, &[RIGHT], "GET", "/livez").status, 200);
}

#[test]
fn an_address_that_other_hosts_reach_is_served_with_a_warning() {
    if !runs_here(&["curl"]) {
        return;
    }
    let (daemon, address) = daemon_on("0.0.0.0:0", "2");
    let said = daemon.stderr();
    assert!(said.contains("nothing is encrypted"), "{said}");
    let address = address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(request_over_tcp(&address, &[RIGHT], "GET", "/livez").status, 200);
    assert_eq!(request_over_tcp(&address, &[], "GET", "/livez").status, 401);
}
