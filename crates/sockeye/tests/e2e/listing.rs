//! What lives, listed by the real daemon, and what its debug paths show of it: no client is any different afterwards.

use serde_json::Value;

use crate::curl::{get, put};
use crate::daemon::Daemon;
use crate::exchange::Exchange;
use crate::needs::runs_here;
use crate::wait::until;

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

#[test]
fn what_lives_is_listed_by_what_is_asked_for_and_told_to_no_client() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let exchange = Exchange::new();
    let mut live = exchange.open(3);
    live.iter_mut().for_each(|pair| pair.send(1000));
    assert_eq!(put(&socket, "/v1/clients/a", "").status, 201);
    let (netns, server, near) = (exchange.space.inode(), exchange.port(), live[0].near_port());
    let pid = std::process::id();
    let listed = |query: &str| get(&socket, &format!("/v1/connections?netns={netns}{query}")).json();
    for (query, matched) in [
        ("".to_owned(), 6),
        ("&state=established&protocol=tcp&cidr=127.0.0.0/8".to_owned(), 6),
        (format!("&local_port={server}"), 3),
        (format!("&direction=outgoing&pid={pid}"), 3),
        (format!("&port={near}"), 2),
        (format!("&local_port={near}&remote_port={server}"), 1),
        ("&protocol=udp".to_owned(), 0),
        ("&cidr=10.0.0.0/8".to_owned(), 0),
        ("&remote=::1".to_owned(), 0),
        ("&pid=1".to_owned(), 0),
    ] {
        assert_eq!(listed(&query)["matched"], matched, "{query}");
    }
    let one = listed(&format!("&local_port={near}&fields=total,local,owner"));
    let connection = &list(&one["connections"])[0];
    assert_eq!(
        (&connection["total"]["sent_bytes"], &connection["local"]["port"]),
        (&1000.into(), &near.into())
    );
    assert_eq!((&connection["owner"]["pid"], connection.get("state")), (&pid.into(), None));
    let two = listed("&limit=2");
    assert_eq!((&two["matched"], &two["told"], list(&two["connections"]).len()), (&6.into(), &2.into(), 2));

    let told = get(&socket, "/v1/clients/a/connections").json();
    let told = list(&told["connections"]).iter().filter(|connection| connection["netns"] == netns);
    assert_eq!(told.count(), 6, "nothing was taken from the client");
    live.into_iter().for_each(crate::exchange::Pair::close);
    until("the closes", || (listed("")["matched"] == 0).then_some(()));
}

#[test]
fn the_debug_paths_show_what_there_is_and_change_nothing() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__CLIENTS", "7")]);
    let socket = daemon.socket();
    let exchange = Exchange::new();
    let mut live = exchange.open(1);
    live[0].send(1000);
    let maps = get(&socket, "/network_tracer/debug/net_maps").json();
    let ours = |maps: &Value| {
        list(&maps["conns"]).iter().filter(|conn| conn["netNS"] == exchange.space.inode()).count()
    };
    assert_eq!(
        (ours(&maps), ours(&get(&socket, "/network_tracer/debug/net_maps").json())),
        (2, 2),
        "each time"
    );
    assert_eq!(list(&get(&socket, "/v1/clients").json()["clients"]).len(), 0, "no client came of it");

    let state = "/network_tracer/debug/net_state?client_id=agent";
    assert_eq!(get(&socket, state).json(), serde_json::json!({}));
    assert_eq!(get(&socket, "/network_tracer/connections?client_id=agent").status, 200);
    let near = get(&socket, &format!("/v1/connections?local_port={}", live[0].near_port())).json();
    let id = list(&near["connections"])[0]["id"].as_str().expect("an id").to_owned();
    let told = until("what was told", || get(&socket, state).json().get(&id).cloned());
    assert_eq!((&told["total_sent"], &told["total_tcp_established"]), (&1000.into(), &1.into()));

    let table = get(&socket, "/network_tracer/debug/ebpf_maps?maps=connection_table").body;
    assert!(table.starts_with("tracer:\nmap connection_table: id ") && table.lines().count() > 2, "{table}");
    let all = get(&socket, "/network_tracer/debug/ebpf_maps").body;
    assert!(all.contains("map closed_records: ") && all.contains("map overflow_records: "), "{all}");
    let config = get(&socket, "/config");
    assert_eq!(config.header("content-type"), Some("application/toml"));
    assert!(config.body.contains("[limits]") && config.body.contains("\nclients = 7\n"), "{}", config.body);
    let stats = get(&socket, "/debug/stats").json();
    assert!(
        stats["network_tracer"]["counters"]["passes"].as_u64().is_some_and(|passes| passes > 0),
        "{stats}"
    );
    for (page, has) in [("conntrack/cached", "Entries"), ("conntrack/host", "RootNS")] {
        let page = get(&socket, &format!("/network_tracer/debug/{page}"));
        assert!(page.status == 200 && page.json()[has].is_object() != (has == "RootNS"), "{page:?}");
    }
    assert_eq!(get(&socket, "/network_tracer/debug/usm_telemetry").status, 404);
    assert!(get(&socket, "/telemetry").body.contains("sockeye_build_info"));
}
