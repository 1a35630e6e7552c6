//! Who may use the API over the unix socket, where everybody may connect to it.

use endpoints::SocketAccess;

use crate::world::{OPEN, Setting, World, connect_as};

const OWNER: u32 = 1007;
const GROUP: u32 = 1050;
const STRANGER: u32 = 1008;

/// An API for the owner and the group; nothing where only root could make it.
fn world() -> World {
    let root = rustix::process::getuid().is_root();
    let access = SocketAccess { owner: root.then_some(OWNER), group: root.then_some(GROUP), ..OPEN };
    World::with(Setting { access, ..Setting::default() })
}

#[tokio::test]
async fn a_stranger_is_refused_on_every_path() {
    let world = world();
    for (method, path) in [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/v1/status"),
        ("PUT", "/v1/clients/a"),
        ("GET", "/v1/clients/a/connections"),
        ("POST", "/livez"),
        ("GET", "/nothing"),
    ] {
        let groups = [STRANGER, 1, GROUP - 1, GROUP + 1];
        let Some(mut stranger) = connect_as(&world.socket, STRANGER, &groups) else { return };
        stranger.request(method, path).await;
        let answer = stranger.answer().await;
        answer.assert_problem(403, "not-permitted");
        assert_eq!(answer.header("connection"), Some("close"), "it takes nobody's place");
    }
    let Some(mut stranger) = connect_as(&world.socket, STRANGER, &[STRANGER]) else { return };
    let reference = stranger.get("/network_tracer/connections").await;
    assert_eq!((reference.status, reference.json()["error"].is_string()), (403, true));
    assert_eq!(reference.header("content-type"), Some("application/json"));
    assert_eq!(*world.state.polls_asked().borrow(), 0);
    let clients = world.ask("GET", "/v1/clients").await.json();
    assert_eq!(clients["clients"].as_array().map(Vec::len), Some(0), "nothing was registered");
}

#[tokio::test]
async fn root_the_owner_and_members_of_the_group_are_answered() {
    let world = world();
    let many: Vec<u32> = (0..=100).map(|number| 2000 + number).chain([GROUP]).collect();
    for (uid, groups) in [
        (0, &[0][..]),
        (OWNER, &[OWNER]),
        (STRANGER, &[GROUP]),
        (STRANGER, &[STRANGER, GROUP]),
        (STRANGER, &[STRANGER, 1, 2, 3, GROUP, 5000]),
        (STRANGER, &many),
    ] {
        let Some(mut user) = connect_as(&world.socket, uid, groups) else { return };
        assert_eq!(user.get("/livez").await.status, 200, "{uid} {groups:?}");
        let id = format!("c{}-{uid}", groups.len());
        user.request("PUT", &format!("/v1/clients/{id}")).await;
        assert_eq!(user.answer().await.json()["owner_uid"], uid, "{uid} {groups:?}");
    }
}

#[tokio::test]
async fn who_connected_counts_and_not_who_asks() {
    let world = world();
    // The thread that connected is gone, and this one is root.
    let Some(mut member) = connect_as(&world.socket, STRANGER, &[STRANGER, GROUP]) else { return };
    for id in ["a", "b"] {
        member.request("PUT", &format!("/v1/clients/{id}")).await;
        assert_eq!(member.answer().await.json()["owner_uid"], STRANGER);
    }
}

#[tokio::test]
async fn without_a_group_whoever_may_connect_is_answered() {
    let world = World::start();
    let Some(mut stranger) = connect_as(&world.socket, STRANGER, &[STRANGER]) else { return };
    assert_eq!(stranger.get("/livez").await.status, 200);
}
