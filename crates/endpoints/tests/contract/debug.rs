//! The reference's debug paths: what they tell, to whom, and that no client is any different afterwards.

use serde_json::{Value, json};

use crate::world::{World, connect_as_ordinary_user};

const NET_MAPS: &str = "/network_tracer/debug/net_maps";
const NET_STATE: &str = "/network_tracer/debug/net_state?client_id=a";

#[tokio::test]
async fn what_is_live_is_told_to_whoever_asks_and_to_no_client() {
    let world = World::start();
    world.register("a").await;
    for _ in 0..2 {
        let maps = world.ask("GET", NET_MAPS).await;
        assert_eq!((maps.status, maps.header("content-type")), (200, Some("application/json")));
        let conns = maps.json()["conns"].as_array().map(Vec::len);
        assert_eq!(conns, Some(3), "all of them, each time");
    }
    assert_eq!(world.ask("GET", "/v1/clients").await.json()["clients"].as_array().map(Vec::len), Some(1));
    let told = world.poll("a", "").await.json();
    assert_eq!(told["connections"].as_array().map(Vec::len), Some(3), "nothing was taken from it");
}

#[tokio::test]
async fn what_a_client_was_told_is_shown_and_stays_as_it_is() {
    let world = World::start();
    world.register("a").await;
    assert_eq!(world.ask("GET", NET_STATE).await.json(), json!({}), "nothing was told yet");
    let told = world.poll("a", "").await.json();
    world.resolved(1).await;
    for _ in 0..2 {
        let state = world.ask("GET", NET_STATE).await;
        let Value::Object(state) = state.json() else { panic!("{state:?}") };
        assert_eq!(state.len(), 3);
        for connection in told["connections"].as_array().expect("a list") {
            let id = connection["id"].as_str().expect("an id");
            let totals = json!({
                "total_sent": 10, "total_recv": 20, "total_retransmits": 0,
                "total_tcp_established": 1, "total_tcp_closed": 0,
            });
            assert_eq!(state.get(id), Some(&totals), "{id}");
        }
    }
    assert_eq!(world.poll("a", "").await.json()["connections"], json!([]));
}

#[tokio::test]
async fn what_an_answer_told_that_was_lost_is_not_remembered() {
    let world = World::start();
    world.register("a").await;
    let http = world.polling("a", "").await;
    assert!(http.waiting().await > 0);
    drop(http);
    assert_eq!(world.resolved(1).await, [false]);
    assert_eq!(world.ask("GET", NET_STATE).await.json(), json!({}));
}

#[tokio::test]
async fn the_memory_of_a_client_is_shown_to_its_user_alone() {
    let world = World::start();
    world.register("a").await;
    let (mut stranger, _) = connect_as_ordinary_user(&world.socket);
    if rustix::process::getuid().is_root() {
        let answer = stranger.get(NET_STATE).await;
        assert_eq!((answer.status, answer.json()["error"].is_string()), (403, true));
    }
    let unknown = world.ask("GET", "/network_tracer/debug/net_state?client_id=nobody").await;
    assert_eq!((unknown.status, unknown.json()), (200, json!({})));
    assert_eq!(world.ask("GET", "/v1/clients/nobody").await.status, 404, "and it is not registered by that");
    assert_eq!(world.ask("GET", "/network_tracer/debug/net_state?client_id=a%20b").await.status, 400);
}

#[tokio::test]
async fn the_maps_that_are_asked_for_are_written_as_text() {
    let world = World::start();
    let maps = world.ask("GET", "/network_tracer/debug/ebpf_maps?maps=one,two%20,").await;
    assert_eq!((maps.status, maps.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(maps.body, b"map one\nmap two\n");
    assert_eq!(world.ask("GET", "/network_tracer/debug/ebpf_maps").await.body, b"");
}

#[tokio::test]
async fn what_is_remembered_is_shown_as_the_reference_shows_it() {
    let world = World::start();
    for (page, shown) in [
        ("conntrack/cached", serde_json::json!({"RootNS": 7, "Entries": {}, "IsTruncated": false})),
        ("process_cache", serde_json::json!({})),
    ] {
        let answer = world.ask("GET", &format!("/network_tracer/debug/{page}")).await;
        assert_eq!((answer.status, answer.json()), (200, shown), "{page}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{page}");
    }
}

#[tokio::test]
async fn what_is_not_traced_is_answered_like_a_feature_that_is_off() {
    let world = World::start();
    for feature in [
        // Here the backend has no page of what the kernel tracks.
        "conntrack/host",
        "http_monitoring",
        "http2_monitoring",
        "kafka_monitoring",
        "postgres_monitoring",
        "redis_monitoring",
        "usm_telemetry",
        "usm/traced_programs",
        "usm/blocked_processes",
        "anything_else",
    ] {
        let answer = world.ask("GET", &format!("/network_tracer/debug/{feature}")).await;
        assert_eq!((answer.status, answer.json()["error"].is_string()), (404, true), "{feature}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{feature}");
    }
}

#[tokio::test]
async fn the_state_of_the_daemon_is_told_in_the_shape_of_the_reference() {
    let world = World::start();
    let stats = world.ask("GET", "/debug/stats").await;
    assert_eq!((stats.status, stats.header("content-type")), (200, Some("application/json")));
    let stats = stats.json();
    assert!(stats["network_tracer"]["tracer"]["last_check"].is_u64(), "{stats}");
    assert!(stats["updated_at"].is_u64() && stats["delta_seconds"].is_f64(), "{stats}");
    assert!(stats["uptime"].as_str().is_some_and(|uptime| uptime.ends_with('s')), "{stats}");
    let telemetry = world.ask("GET", "/telemetry").await;
    assert_eq!(telemetry.header("content-type"), world.ask("GET", "/metrics").await.header("content-type"));
    let config = world.ask("GET", "/config").await;
    assert_eq!(config.header("content-type"), Some("application/toml"));
    assert_eq!(config.body, b"[log]\nlevel = \"info\"\n");
}

#[tokio::test]
async fn too_many_listings_of_one_user_are_refused_and_polls_are_not() {
    let world = World::with(crate::world::Setting { connections: 20_000, ..Default::default() });
    world.register("a").await;
    let mut unread = Vec::new();
    for _ in 0..2 {
        let mut http = world.connect().await;
        http.request("GET", NET_MAPS).await;
        http.head().await;
        unread.push(http);
    }
    for path in [NET_MAPS, NET_STATE, "/network_tracer/debug/ebpf_maps", "/v1/connections"] {
        let refused = world.ask("GET", path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{path}");
    }
    assert_eq!(world.poll("a", "").await.status, 200);
}
