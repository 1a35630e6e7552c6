//! Where connection tracking cannot be read.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connections::Protocol;
use context::{Namespace, NatLimits, Translations};

use crate::router::{Told, address, cannot_run, connection, eventually, set, started};
use crate::world::NetNs;

#[test]
fn without_connection_tracking_nothing_is_told_and_the_reason_is_said() {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata("/proc/self/ns/net").expect("proc is mounted").ino();
    let home = Namespace { inode: u32::try_from(inode).unwrap(), path: "/proc/self/ns/net".into() };
    let told = Told { all: Mutex::new(vec![home.clone()]), refused: Some(io::ErrorKind::PermissionDenied) };
    let translations =
        Translations::start(NatLimits::default(), Arc::new(told)).expect("it starts all the same");
    eventually("it says why", || translations.degradation().is_some());
    let why = translations.degradation().unwrap();
    assert!(why.contains("the host") && why.contains("permission denied"), "{why}");
    assert_eq!((translations.counts().unread_namespaces, translations.counts().namespaces), (1, 0));
    let listed = translations.host(Duration::from_secs(1), |_| ControlFlow::Continue(()));
    assert_eq!(
        (listed.namespaces, listed.incomplete),
        (0, 1),
        "it is not taken for a host that tracks nothing"
    );
    let asked = connection(home.inode, Protocol::Tcp, address("10.0.0.1", 1), address("10.0.0.2", 2));
    assert_eq!(translations.look().of(&asked), None);
}

#[test]
fn a_namespace_that_has_gone_before_it_was_listened_to_is_no_trouble() {
    if cannot_run() {
        return;
    }
    let (gone, stays) = (NetNs::new(), NetNs::new());
    let told = Told::of(&[&gone, &stays]);
    drop(gone);
    let translations = Translations::start(NatLimits::default(), told).expect("threads are to be had");
    eventually("the other one is listed", || translations.counts().dumps > 0);
    assert_eq!((translations.degradation(), translations.counts().unread_namespaces), (None, 0));
}

#[test]
fn a_kernel_that_tells_nothing_is_said_to() {
    if cannot_run() {
        return;
    }
    let namespace = NetNs::new();
    let translations = namespace.inside(|| {
        set("netfilter/nf_conntrack_events", "0");
        started(NatLimits::default(), Told::of(&[&namespace]))
    });
    eventually("it is said", || translations.degradation().is_some());
    let why = translations.degradation().expect("it was there");
    assert!(why.contains("every 5 minutes") && why.contains("nf_conntrack_events"), "{why}");
}
