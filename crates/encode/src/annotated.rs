//! The records of a delta, each with what is known about it, asked for in batches: who knows it takes no lock for each, and no
//! answer is held as a whole.

use connections::{Annotate, Annotation, Connection, Direction, RollUp};
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
    batch: std::vec::IntoIter<(I::Item, Annotation)>,
}

/// Annotates these records, or what has one.
pub(crate) fn annotated<I: Iterator>(records: I, context: &dyn Annotate) -> Annotated<'_, I>
where
    I::Item: AsRef<Unpacked>,
{
    Annotated { records, context, batch: Vec::new().into_iter() }
}

impl<I: Iterator> Iterator for Annotated<'_, I>
where
    I::Item: AsRef<Unpacked>,
{
    type Item = (I::Item, Annotation);

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
            Unpacked::Several(_, rollup, Some(_)) => {
                in_common(of_connections.next().unwrap_or_default(), rollup)
            }
            Unpacked::Several(_, rollup, None) => self.context.annotate_roll_up(rollup),
        };
        let annotations: Vec<Annotation> = records.iter().map(annotate).collect();
        self.batch = records.into_iter().zip(annotations).collect::<Vec<_>>().into_iter();
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

/// What is known of the first of several is known of all of them but for what is of its ephemeral port.
fn in_common(of_first: Annotation, rollup: &RollUp) -> Annotation {
    let incoming = rollup.key.common.is_some_and(|common| common.direction == Direction::Incoming);
    let mut annotation = of_first;
    if let Some(nat) = &mut annotation.nat {
        let ephemeral = if incoming { &mut nat.remote } else { &mut nat.local };
        ephemeral.set_port(0);
    }
    // Who calls a service may be another one each time.
    annotation.other_end = annotation.other_end.filter(|_| !incoming);
    annotation
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use connections::{
        ConnectionId, Counters, Facts, KernelTime, Nat, OtherEnd, Owner, Process, Protocol, State, TcpFacts,
        Tuple,
    };

    use super::*;

    /// Knows of each connection its own port, and how many it was asked for at once.
    struct Ports(RefCell<Vec<usize>>);

    fn end(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    impl Annotate for Ports {
        fn annotate(&self, connections: &mut dyn Iterator<Item = &Connection>) -> Vec<Annotation> {
            let known = |connection: &Connection| Annotation {
                nat: Some(Nat { local: end(connection.tuple.local.port()), remote: end(443) }),
                other_end: Some(OtherEnd { netns: 1, owner: None, direction: Direction::Unknown }),
                ..Annotation::default()
            };
            let known: Vec<_> = connections.map(known).collect();
            self.0.borrow_mut().push(known.len());
            known
        }

        fn annotate_roll_up(&self, _: &RollUp) -> Annotation {
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

    #[test]
    fn several_have_in_common_what_is_not_of_an_ephemeral_port() {
        let context = Ports(RefCell::default());
        let of = |direction| {
            let mut all = annotated(std::iter::once(several(40_000, direction, true)), &context);
            all.next().expect("one record").1
        };
        let outgoing = of(Direction::Outgoing);
        let nat = outgoing.nat.expect("it is known");
        assert_eq!((nat.local.port(), nat.remote.port(), outgoing.other_end.is_some()), (0, 443, true));
        let incoming = of(Direction::Incoming);
        let nat = incoming.nat.expect("it is known");
        assert_eq!((nat.local.port(), nat.remote.port(), incoming.other_end), (40_000, 0, None));
    }
}
