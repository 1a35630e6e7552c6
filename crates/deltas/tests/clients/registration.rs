//! Who may register, use and remove a client, and how many there can be.

use deltas::{Ask, ClientLimits, Peer, Refusal, Registration, Settings, View};

use crate::world::{USER, World, id};

const OTHER: Peer = Peer::User(1001);

#[test]
fn registering_again_finds_the_client_with_what_it_was_told() {
    let mut world = World::new();
    assert_eq!(world.register_as("a", USER), Ok(Registration::New));
    world.read(1, 10);
    assert_eq!(world.tell("a"), [(1, 10, false)]);
    assert_eq!(world.register_as("a", USER), Ok(Registration::Known));
    assert_eq!(world.tell("a"), []);
    assert_eq!(world.clients.list().len(), 1);
}

#[test]
fn an_unknown_client_is_refused() {
    let mut world = World::new();
    assert_eq!(world.begin_as("a", USER, Ask::default()), Err(Refusal::UnknownClient));
    assert_eq!(world.clients.remove(&id("a"), USER, world.now), Err(Refusal::UnknownClient));
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::UnknownClient));
}

#[test]
fn a_client_belongs_to_the_user_that_registered_it() {
    let mut world = World::new();
    world.register("a");
    assert_eq!(world.register_as("a", OTHER), Err(Refusal::NotOwner));
    assert_eq!(world.begin_as("a", OTHER, Ask::default()), Err(Refusal::NotOwner));
    assert_eq!(world.poll_as("a", OTHER).err(), Some(Refusal::NotOwner));
    assert_eq!(world.clients.remove(&id("a"), OTHER, world.now), Err(Refusal::NotOwner));
    assert_eq!(world.state("a").owner, USER);
}

#[test]
fn root_may_use_every_client_and_does_not_become_its_owner() {
    let mut world = World::new();
    world.register("a");
    assert_eq!(world.register_as("a", Peer::ROOT), Ok(Registration::Known));
    assert!(world.poll_as("a", Peer::ROOT).is_ok());
    assert_eq!(world.state("a").owner, USER);
    assert_eq!(world.clients.remove(&id("a"), Peer::ROOT, world.now), Ok(()));
}

#[test]
fn nobody_but_root_may_use_a_client_of_root() {
    let mut world = World::new();
    assert_eq!(world.register_as("a", Peer::ROOT), Ok(Registration::New));
    assert_eq!(world.register_as("a", USER), Err(Refusal::NotOwner));
}

#[test]
fn a_request_that_is_refused_does_not_put_off_the_expiry() {
    let mut world = World::new();
    world.register("a");
    world.wait(119);
    assert_eq!(world.register_as("a", OTHER), Err(Refusal::NotOwner));
    assert_eq!(world.begin_as("a", OTHER, Ask::default()), Err(Refusal::NotOwner));
    world.wait(2);
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::UnknownClient));
}

#[test]
fn the_default_id_is_another_client_for_each_user() {
    let mut world = World::new();
    for peer in [USER, OTHER, Peer::ROOT] {
        assert_eq!(world.register_as("-1", peer), Ok(Registration::New));
    }
    world.read(1, 10);
    let first = world.poll_as("-1", USER).expect("an answer");
    world.acknowledge(&first);
    assert_eq!(world.poll_as("-1", USER).map(|delta| delta.changes.count()), Ok(0));
    assert_eq!(world.poll_as("-1", OTHER).map(|delta| delta.changes.count()), Ok(1));
    assert_eq!(world.clients.list().len(), 3);
}

#[test]
fn the_seventeenth_client_of_a_user_is_refused() {
    let mut world = World::new();
    for number in 0..16 {
        world.register(&format!("client-{number}"));
    }
    assert_eq!(world.register_as("one-more", USER), Err(Refusal::TooManyClientsOfUser { limit: 16 }));
    assert_eq!(world.register_as("client-3", USER), Ok(Registration::Known));
    assert_eq!(world.register_as("of-another", OTHER), Ok(Registration::New));
    world.remove("client-3");
    assert_eq!(world.register_as("one-more", USER), Ok(Registration::New));
}

#[test]
fn who_has_the_token_is_limited_like_a_user_and_sees_its_own_clients() {
    let mut world = World::with(ClientLimits { clients_per_user: 1, ..ClientLimits::default() });
    world.register("of-a-user");
    assert_eq!(world.register_as("a", Peer::Token), Ok(Registration::New));
    assert_eq!(world.register_as("b", Peer::Token), Err(Refusal::TooManyClientsOfUser { limit: 1 }));
    assert_eq!(world.register_as("of-a-user", Peer::Token), Err(Refusal::NotOwner));
    assert_eq!(world.register_as("a", USER), Err(Refusal::NotOwner));
    assert_eq!(world.register_as("a", Peer::ROOT), Ok(Registration::Known));
    let listed = world.clients.list_for(Peer::Token);
    assert_eq!(listed.iter().map(|state| state.owner).collect::<Vec<_>>(), [Peer::Token]);
}

#[test]
fn the_sixty_fifth_client_is_refused_and_none_expires_for_it() {
    let mut world = World::new();
    for number in 0..64 {
        assert_eq!(world.register_as(&format!("client-{number}"), Peer::ROOT), Ok(Registration::New));
    }
    for peer in [USER, Peer::ROOT] {
        assert_eq!(world.register_as("one-more", peer), Err(Refusal::TooManyClients { limit: 64 }));
    }
    assert_eq!((world.clients.list().len(), world.clients.expired_count()), (64, 0));
    // Those that expired by themselves make room.
    world.wait(121);
    assert_eq!(world.register_as("one-more", USER), Ok(Registration::New));
    assert_eq!((world.clients.list().len(), world.clients.expired_count()), (1, 64));
}

#[test]
fn the_limits_are_those_of_the_configuration() {
    let mut world = World::with(ClientLimits { clients: 2, clients_per_user: 1, ..ClientLimits::default() });
    world.register("a");
    assert_eq!(world.register_as("b", USER), Err(Refusal::TooManyClientsOfUser { limit: 1 }));
    assert_eq!(world.register_as("b", OTHER), Ok(Registration::New));
    assert_eq!(world.register_as("c", Peer::ROOT), Err(Refusal::TooManyClients { limit: 2 }));
}

#[test]
fn settings_hold_until_others_are_asked_for_and_a_poll_may_differ() {
    let mut world = World::new();
    world.set("a", Settings { view: Some(View::Ports), ..Settings::default() });
    world.register("a");
    assert_eq!((world.state("a").view, world.poll_after("a", 0).view), (View::Ports, View::Ports));
    let ask = Ask { after: Some(1), view: Some(View::Each) };
    let begun = world.begin_as("a", USER, ask).expect("it may begin");
    assert_eq!(world.answer(begun.ticket).map(|answer| answer.view), Ok(View::Each));
    assert_eq!((world.state("a").view, world.poll_after("a", 2).view), (View::Ports, View::Ports));
    world.register("b");
    assert_eq!(world.poll("b").view, View::Each);
}

#[test]
fn a_refused_registration_changes_no_settings() {
    let mut world = World::new();
    world.register("a");
    let before = world.state("a");
    world.wait(1);
    let settings = Settings { ttl_ns: Some(60_000_000_000), view: Some(View::Ports) };
    assert_eq!(world.clients.register(&id("a"), OTHER, settings, world.now), Err(Refusal::NotOwner));
    assert_eq!(world.state("a"), before);
}

#[test]
fn clients_are_listed_to_their_user_and_to_root() {
    let mut world = World::new();
    for (client, peer) in [("b", USER), ("a", OTHER), ("c", Peer::ROOT), ("-1", USER), ("-1", OTHER)] {
        assert_eq!(world.register_as(client, peer), Ok(Registration::New));
    }
    let listed = |peer| {
        let states = world.clients.list_for(peer).into_iter();
        states.map(|state| (state.id.to_string(), state.owner)).collect::<Vec<_>>()
    };
    assert_eq!(listed(USER), [("-1".to_owned(), USER), ("b".to_owned(), USER)]);
    assert_eq!(listed(OTHER), [("-1".to_owned(), OTHER), ("a".to_owned(), OTHER)]);
    let all: Vec<_> = listed(Peer::ROOT).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all, ["-1", "-1", "a", "b", "c"]);
    assert_eq!(listed(Peer::User(7)), []);
}

#[test]
fn clients_are_listed_by_id_with_what_is_kept_for_them() {
    let mut world = World::new();
    world.register("b");
    world.register("a");
    world.read(1, 10);
    world.read(2, 10);
    world.tell("b");
    world.close(2, 10);
    let [a, b] = &world.clients.list()[..] else { panic!("two clients") };
    assert_eq!((a.id.as_str(), a.sequence, a.acknowledged, a.baselines, a.closed_waiting), ("a", 0, 0, 0, 1));
    assert_eq!((b.id.as_str(), b.sequence, b.acknowledged, b.baselines, b.closed_waiting), ("b", 1, 1, 2, 1));
}
