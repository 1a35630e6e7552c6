//! What is remembered takes no more memory than the limits say, counted by the allocator.

#[path = "fixtures/connections.rs"]
mod fixtures;
#[path = "fixtures/rtnetlink.rs"]
mod rtnetlink;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connections::{Connection, Direction, End, GlobalId, KernelTime};
use context::{EndLimits, Ends, Namespace, Namespaces, RouteLimits, Routes};
use fixtures::{connection, owner};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: f64 = 1024.0 * 1024.0;

/// In one test: others at the same time would be counted too.
#[test]
fn what_is_remembered_takes_no_more_than_the_limits_say() {
    let (ends_mib, routes_mib) = (ends(), routes());
    println!("ends: {ends_mib:.1} MiB, routes: {routes_mib:.1} MiB");
    assert!(ends_mib < 12.9, "{ends_mib:.1} MiB");
    assert!(routes_mib < 1.8, "{routes_mib:.1} MiB");
}

/// MiB of as many ends as there may be.
fn ends() -> f64 {
    let limits = EndLimits::default();
    let before = ALLOCATOR.current_usage();
    let ends = Ends::new(limits);
    let total = u32::try_from(limits.live + limits.ended).expect("it is small");
    let ended_max = u32::try_from(limits.ended).expect("it is small");
    let mut one = connection(1, "10.0.0.1:1", "10.0.0.2:443", Direction::Outgoing, None);
    for number in 0..total {
        one.id.cookie = number.into();
        one.tuple.local.set_ip(Ipv4Addr::from_bits(0x0a00_0000 + number).into());
        let ended = number < ended_max;
        let connection = Connection {
            global_id: Some(GlobalId(number.into())),
            owner: Some(owner(number % 1000)),
            closed_at: ended.then_some(KernelTime(1)),
            ..one
        };
        ends.note(&[End { connection, ended }]);
    }
    let counts = ends.counts();
    assert_eq!((counts.live, counts.ended, counts.refused), (limits.live, limits.ended, 0));
    (ALLOCATOR.current_usage() - before) as f64 / MIB
}

/// MiB of as many destinations as there may be.
fn routes() -> f64 {
    let limits = RouteLimits::default();
    let before = ALLOCATOR.current_usage();
    let routes = Routes::new(limits, Arc::new(Fake));
    let looking = routes.look(Instant::now() + Duration::from_secs(60));
    let end = |number: u32| SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 1));
    for number in 1..=u32::try_from(limits.routes).expect("it is small") {
        assert!(looking.of(1, end(0), end(number)).is_some());
    }
    assert_eq!((routes.counts().routes, routes.counts().forgotten), (limits.routes, 0));
    (ALLOCATOR.current_usage() - before) as f64 / MIB
}

/// One namespace whose kernel has an interface with a long name, and a route over it to everywhere.
struct Fake;

impl Namespaces for Fake {
    fn all(&self) -> Vec<Namespace> {
        vec![Namespace { inode: 1, path: "/nowhere".into() }]
    }

    fn netlink(&self, _: &Namespace, _: i32) -> io::Result<OwnedFd> {
        rtnetlink::kernel()
    }
}
