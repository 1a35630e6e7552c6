//! The other ends against a naive model: a list of all ends, each of which is looked at.

#[path = "fixtures/connections.rs"]
mod fixtures;

use std::net::IpAddr;
use std::sync::Arc;

use connections::{Connection, ConnectionId, Direction, End, GlobalId, KernelTime, Nat, Protocol};
use context::{EndLimits, Ends, Found};
use fixtures::{connection, owner};
use proptest::prelude::*;

/// Ends are told apart up to here, and remembered.
const LIMITS: EndLimits = EndLimits { live: 6, ended: 4 };

const ADDRESSES: [&str; 5] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2", "127.0.0.1:1", "0.0.0.0:1"];

#[derive(Default)]
struct Model {
    /// In the order in which the ended ones ended.
    ends: Vec<End>,
}

impl Model {
    fn note(&mut self, end: &End) {
        let known = self.ends.iter().position(|known| known.connection.id == end.connection.id);
        let live = self.ends.iter().filter(|end| !end.ended).count();
        match known.map(|place| (place, self.ends[place].ended)) {
            Some((_, true)) if !end.ended => {}
            Some((place, before)) if before == end.ended => self.ends[place] = end.clone(),
            Some((place, _)) => {
                self.ends.remove(place);
                self.ends.push(end.clone());
            }
            None if !end.ended && live >= LIMITS.live => {}
            None => self.ends.push(end.clone()),
        }
        while self.ends.iter().filter(|end| end.ended).count() > LIMITS.ended {
            let oldest = self.ends.iter().position(|end| end.ended).expect("there are some");
            self.ends.remove(oldest);
        }
    }

    fn find(&self, asking: &Connection, nat: Option<&Nat>) -> Found<'static> {
        let others: Vec<_> = self.ends.iter().map(|end| &end.connection).collect();
        let others = others.into_iter().filter(|other| other.id != asking.id);
        let (tells, others): (Vec<&Connection>, Vec<&Connection>) =
            others.partition(|other| same_global_id(asking, other));
        let mirrored = || {
            others.into_iter().filter(|other| met(asking, other) && mirrored(asking, other, nat)).collect()
        };
        let candidates: Vec<&Connection> = if tells.is_empty() { mirrored() } else { tells };

        let of_nat = nat
            .is_some_and(|nat| nat.remote.ip().is_loopback() || on_one_host(nat.local.ip(), nat.remote.ip()));
        let intra_host = stays_inside(asking) || of_nat || !candidates.is_empty();
        let who = |end: &Connection| {
            (end.tuple.netns, end.owner.map(|owner| (owner.pid, owner.started_at_boot_ns)))
        };
        let all_alike = candidates.iter().all(|end| who(end) == who(candidates[0]));
        let mut directions: Vec<_> = candidates.iter().map(|end| end.direction).collect();
        directions.retain(|direction| *direction != Direction::Unknown);
        let agreed = directions.iter().all(|direction| *direction == directions[0]);
        let direction = if agreed { directions.first().copied() } else { None };
        let other_end = candidates.first().filter(|_| all_alike).map(|end| connections::OtherEnd {
            netns: end.tuple.netns,
            owner: end.owner.map(|owner| Arc::new(owner).into()),
            direction: direction.unwrap_or(Direction::Unknown),
        });
        Found { other_end, intra_host }
    }
}

/// The times of the test are whole seconds, which no slack spans.
fn met(one: &Connection, other: &Connection) -> bool {
    let times =
        |end: &Connection| (end.opened_at.unwrap_or_default(), end.closed_at.unwrap_or(KernelTime(u64::MAX)));
    let ((opened, closed), (other_opened, other_closed)) = (times(one), times(other));
    opened <= other_closed && other_opened <= closed
}

fn usable_id(end: &Connection) -> Option<GlobalId> {
    end.global_id.filter(|_| end.direction != Direction::Unknown)
}

fn same_global_id(one: &Connection, other: &Connection) -> bool {
    usable_id(one).is_some() && usable_id(one) == usable_id(other) && one.direction != other.direction
}

fn mirrored(asking: &Connection, other: &Connection, nat: Option<&Nat>) -> bool {
    if asking.tuple.protocol != other.tuple.protocol || usable_id(asking).and(usable_id(other)).is_some() {
        return false;
    }
    if other.tuple.local.ip().is_unspecified() || other.tuple.remote.ip().is_unspecified() {
        return false;
    }
    let same_netns = asking.tuple.netns == other.tuple.netns;
    let as_it_is = (other.tuple.local, other.tuple.remote) == (asking.tuple.remote, asking.tuple.local)
        && (same_netns || !stays_inside(asking));
    let translated =
        nat.is_some_and(|nat| (other.tuple.local, other.tuple.remote) == (nat.remote, nat.local));
    let over_loopback = other.tuple.local.ip().is_loopback() && other.tuple.remote.ip().is_loopback();
    // What is translated into what it was is no translation.
    let is_one = nat.is_some_and(|nat| (nat.remote, nat.local) != (asking.tuple.remote, asking.tuple.local));
    as_it_is || translated && is_one && (same_netns || !over_loopback)
}

fn stays_inside(end: &Connection) -> bool {
    on_one_host(end.tuple.local.ip(), end.tuple.remote.ip())
}

fn on_one_host(local: IpAddr, remote: IpAddr) -> bool {
    local.is_loopback() && remote.is_loopback() || local == remote && !local.is_unspecified()
}

fn address() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(ADDRESSES[0]), 3 => Just(ADDRESSES[1]), 3 => proptest::sample::select(&ADDRESSES[..])]
}

fn an_end() -> impl Strategy<Value = End> {
    let direction =
        prop_oneof![Just(Direction::Unknown), Just(Direction::Incoming), Just(Direction::Outgoing)];
    let who = (1..3u32, proptest::option::of(1..3u32), 0..12u64);
    let when = (proptest::option::of(0..5u64), proptest::option::of(0..4u64));
    let what = (direction, proptest::option::of(1..3u64), any::<bool>());
    (who, address(), address(), what, when).prop_map(|(who, local, remote, what, when)| {
        let ((netns, pid, cookie), (direction, global_id, is_udp), (opened_s, lasted_s)) = (who, what, when);
        let base = connection(netns, local, remote, direction, global_id);
        let mut tuple = base.tuple;
        if is_udp {
            tuple.protocol = Protocol::Udp;
        }
        let at = |seconds: u64| KernelTime(seconds * 1_000_000_000);
        let closed_at = lasted_s.map(|lasted_s| at(opened_s.unwrap_or(0) + lasted_s));
        let connection = Connection {
            id: ConnectionId { cookie, claimed_at: KernelTime(0) },
            owner: pid.map(owner),
            opened_at: opened_s.map(at),
            closed_at,
            tuple,
            ..base
        };
        End { connection, ended: closed_at.is_some() }
    })
}

fn a_nat() -> impl Strategy<Value = Nat> {
    let parse = |text: &str| text.parse().expect("a test address");
    (address(), address()).prop_map(move |(remote, local)| Nat { remote: parse(remote), local: parse(local) })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn what_is_found_is_what_a_list_of_all_ends_says(
        noted in proptest::collection::vec(an_end(), 0..30),
        asked in proptest::collection::vec((an_end(), proptest::option::of(a_nat())), 1..20),
    ) {
        let (ends, mut model) = (Ends::new(LIMITS), Model::default());
        for end in &noted {
            ends.note(std::slice::from_ref(end));
            model.note(end);
        }
        let known = noted.iter().map(|end| (&end.connection, None));
        let asked = asked.iter().map(|(end, nat)| (&end.connection, *nat));
        let asked: Vec<_> = known.chain(asked).collect();
        let found = ends.find(&asked);
        for ((connection, nat), found) in asked.iter().zip(found) {
            prop_assert_eq!(found, model.find(connection, nat.as_ref()), "{:?} {:?}", connection, nat);
        }
        let counts = ends.counts();
        let ended = model.ends.iter().filter(|end| end.ended).count();
        prop_assert_eq!((counts.live, counts.ended), (model.ends.len() - ended, ended));
    }
}
