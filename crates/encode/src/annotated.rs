//! The records of a delta, each with what is known about it, asked for in batches: who knows it takes no lock for each, and no
//! answer is held as a whole.

use std::iter::Zip;
use std::vec::IntoIter;

use connections::{Annotate, Annotation, Connection, Direction, Nat, OtherEnd, RollUp};
use deltas::{Change, ChangeOf, Record, RollUpId};

/// Records in a batch: about 50 KiB.
const BATCH: usize = 64;

/// A record, unpacked.
#[expect(clippy::large_enum_variant, reason = "there is one batch of them at a time")]
pub(crate) enum Unpacked {
    /// One connection.
    One(Change),
    /// Several of which only sums are told, and the first of them where it is known.
    Several(RollUpId, RollUp, Option<Box<Connection>>),
}

impl From<Record<'_>> for Unpacked {
    fn from(record: Record<'_>) -> Self {
        match record {
            Record::One(one) => Self::One(ChangeOf::change(&one)),
            Record::Several(id, rollup, first) => Self::Several(id, rollup, first),
        }
    }
}

impl AsRef<Unpacked> for Unpacked {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Records with what is known about them, in their order.
pub(crate) struct Annotated<'a, I: Iterator> {
    records: I,
    context: &'a dyn Annotate,
    batch: Zip<IntoIter<I::Item>, IntoIter<Annotation<'a>>>,
}

/// Annotates these records, or what has one.
pub(crate) fn annotated<I: Iterator>(records: I, context: &dyn Annotate) -> Annotated<'_, I>
where
    I::Item: AsRef<Unpacked>,
{
    Annotated { records, context, batch: Vec::new().into_iter().zip(Vec::new()) }
}

impl<'a, I: Iterator> Iterator for Annotated<'a, I>
where
    I::Item: AsRef<Unpacked>,
{
    type Item = (I::Item, Annotation<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(next) = self.batch.next() {
            return Some(next);
        }
        let records: Vec<I::Item> = self.records.by_ref().take(BATCH).collect();
        let mut of_connections = self
            .context
            .annotate(&mut records.iter().filter_map(|record| record.as_ref().connection()))
            .into_iter();
        let annotate = |record: &I::Item| match record.as_ref() {
            Unpacked::One(_) => of_connections.next().unwrap_or_default(),
            Unpacked::Several(_, _, Some(first)) => {
                in_common(of_connections.next().unwrap_or_default(), first)
            }
            Unpacked::Several(_, rollup, None) => self.context.annotate_roll_up(rollup),
        };
        let annotations: Vec<Annotation<'a>> = records.iter().map(annotate).collect();
        self.batch = records.into_iter().zip(annotations);
        self.batch.next()
    }
}

impl Unpacked {
    /// The connection by which it can be annotated.
    fn connection(&self) -> Option<&Connection> {
        match self {
            Self::One(change) => Some(&change.connection),
            Self::Several(_, _, first) => first.as_deref(),
        }
    }
}

/// Of what is known of the first of several, what holds for all of them. They share both addresses and the port of the
/// service, and no more: a translation of the service may lead each of them to another place, and at it several processes
/// may answer; and behind the address of a caller there may be many.
fn in_common<'a>(of_first: Annotation<'a>, first: &Connection) -> Annotation<'a> {
    let Annotation { process, nat, names, route, other_end, intra_host } = of_first;
    let remote = first.tuple.remote;
    let goes_there = match first.direction {
        Direction::Incoming => nat.is_none(),
        _ => nat.is_none_or(|nat| nat.remote == remote),
    };
    if !goes_there {
        let intra_host = first.tuple.stays_inside();
        return Annotation { process, names, intra_host, ..Annotation::default() };
    }
    let nat = nat.map(|Nat { remote, mut local }| {
        local.set_port(0);
        Nat { remote, local }
    });
    let other_end = other_end.filter(|_| first.direction == Direction::Outgoing);
    let other_end = other_end.map(|other_end| OtherEnd { owner: None, ..other_end });
    Annotation { process, nat, names, route, other_end, intra_host }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use connections::{
        Command, ConnectionId, Counters, Facts, Interface, InterfaceName, KernelTime, Owner, OwnerSource,
        Process, Protocol, Route, Shared, State, TcpFacts, Tuple,
    };

    use super::*;

    /// Knows of each connection its own port, and how many it was asked for at once.
    struct Ports(RefCell<Vec<usize>>);

    fn end(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    impl Annotate for Ports {
        fn annotate(&self, connections: &mut dyn Iterator<Item = &Connection>) -> Vec<Annotation<'_>> {
            let known = |connection: &Connection| Annotation {
                nat: Some(Nat { local: end(connection.tuple.local.port()), remote: end(443) }),
                other_end: Some(OtherEnd { netns: 1, owner: None, direction: Direction::Unknown }),
                ..Annotation::default()
            };
            let known: Vec<_> = connections.map(known).collect();
            self.0.borrow_mut().push(known.len());
            known
        }

        fn annotate_roll_up(&self, _: &RollUp) -> Annotation<'_> {
            Annotation { intra_host: true, ..Annotation::default() }
        }

        fn process(&self, _: &Owner) -> Option<Arc<Process>> {
            None
        }
    }

    fn connection(port: u16, direction: Direction) -> Connection {
        Connection {
            id: ConnectionId { cookie: port.into(), claimed_at: KernelTime(1) },
            global_id: None,
            tuple: Tuple { protocol: Protocol::Tcp, netns: 1, local: end(port), remote: end(443) },
            direction,
            owner: None,
            state: State::Closed,
            opened_at: None,
            established_at: None,
            closed_at: None,
            pre_existing: false,
            total: Counters::default(),
            before: Counters::default(),
            facts: Facts::Tcp(TcpFacts::default()),
            failure: None,
            failed_at: None,
        }
    }

    fn one(port: u16) -> Unpacked {
        let connection = connection(port, Direction::Outgoing);
        Unpacked::One(Change { connection, delta: Counters::default(), newly_established: false })
    }

    fn several(port: u16, direction: Direction, has_first: bool) -> Unpacked {
        let first = connection(port, direction);
        let rollup = RollUp::beginning_with(&first);
        Unpacked::Several(RollUpId::Log(1), rollup, has_first.then(|| Box::new(first)))
    }

    #[test]
    fn every_record_has_what_is_known_of_it_and_batches_are_small() {
        let kernel = std::iter::once(several(1, Direction::Outgoing, false));
        let records = (1000..1100).map(one).chain(kernel).chain((1100..1200).map(one));
        let context = Ports(RefCell::default());
        let mut ports = Vec::new();
        for (record, annotation) in annotated(records, &context) {
            match record {
                Unpacked::One(change) => {
                    let nat = annotation.nat.expect("it is known of each");
                    assert_eq!(nat.local, change.connection.tuple.local);
                    ports.push(nat.local.port());
                }
                Unpacked::Several(..) => assert!(annotation.intra_host),
            }
        }
        assert_eq!(ports, (1000..1200).collect::<Vec<_>>());
        assert!(context.0.borrow().iter().all(|asked| *asked <= BATCH), "{context:?}", context = context.0);
    }

    fn owner() -> Owner {
        Owner {
            pid: 9,
            tid: 9,
            uid: 0,
            command: Command::default(),
            cgroup_id: None,
            container: None,
            started_at_boot_ns: 1,
            kernel: false,
            source: OwnerSource::Connect,
        }
    }

    /// What several have in common of which the first has this translation, and everything else that there is.
    fn several_with(direction: Direction, nat: Option<Nat>) -> Annotation<'static> {
        let interface = Interface {
            index: 2,
            name: InterfaceName::of(b"eth0").expect("it is short"),
            hardware_address: None,
        };
        let owner = Some(Arc::new(owner()).into());
        let of_first = Annotation {
            nat,
            names: Some(Shared::Counted([Arc::from("a.example")].into())),
            route: Some(Route { gateway: None, interface }),
            other_end: Some(OtherEnd { netns: 1, owner, direction: Direction::Unknown }),
            intra_host: true,
            ..Annotation::default()
        };
        in_common(of_first, &to_another_host(direction))
    }

    fn to_another_host(direction: Direction) -> Connection {
        let mut connection = connection(40_000, direction);
        connection.tuple.remote.set_ip([10, 0, 0, 2].into());
        connection
    }

    #[test]
    fn several_have_in_common_what_is_neither_of_a_port_nor_of_who_answered_one_of_them() {
        let remote = to_another_host(Direction::Outgoing).tuple.remote;
        let masqueraded = several_with(Direction::Outgoing, Some(Nat { remote, local: end(61_000) }));
        assert_eq!(masqueraded.nat, Some(Nat { remote, local: end(0) }));
        let other_end = masqueraded.other_end.expect("where it is they have in common");
        assert_eq!((other_end.netns, other_end.owner), (1, None));
        assert!(
            masqueraded.intra_host
                && masqueraded.route.is_some()
                && masqueraded.names.is_some_and(|names| names.len() == 1)
        );
        let served = several_with(Direction::Incoming, None);
        assert_eq!((served.other_end, served.intra_host, served.route.is_some()), (None, true, true));
    }

    #[test]
    fn where_a_translation_leads_one_of_several_says_nothing_of_the_others() {
        let elsewhere = Nat { remote: "10.9.9.9:80".parse().expect("an address"), local: end(40_000) };
        let here = Nat { remote: to_another_host(Direction::Incoming).tuple.remote, local: end(8080) };
        for (direction, nat) in [(Direction::Outgoing, elsewhere), (Direction::Incoming, here)] {
            let told = several_with(direction, Some(nat));
            let names = told.names.clone();
            assert_eq!(told, Annotation { names, ..Annotation::default() }, "{direction:?}");
        }
    }

    #[test]
    fn several_are_annotated_by_the_first_of_them() {
        let context = Ports(RefCell::default());
        let mut all = annotated(std::iter::once(several(40_000, Direction::Outgoing, true)), &context);
        let (_, told) = all.next().expect("one record");
        let local = end(0);
        assert_eq!((told.nat, told.intra_host), (Some(Nat { remote: end(443), local }), false));
        assert_eq!(context.0.borrow().as_slice(), [1]);
    }
}
