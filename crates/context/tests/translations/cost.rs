//! Many at once: what `examples/nat_cost.rs` measures, held to what must come of it.

use std::net::UdpSocket;
use std::ops::ControlFlow;

use crate::router::{PUBLIC_PORT, ROUTER_V4, Routed, address, cannot_run, eventually, flush};

/// As many as a busy host has, begun and ended at once.
#[test]
fn fifty_thousand_that_begin_and_end_at_once_are_all_known() {
    const NUMBER: u16 = 50_000;
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let translations = routed.translations();
    routed.client.inside(|| {
        for port in 0..NUMBER {
            let socket = UdpSocket::bind(("10.1.0.1", port + 10_000)).expect("it is free");
            // Nobody listens, and the answer may be an error already.
            let _ = socket.send_to(b"x", address(ROUTER_V4, PUBLIC_PORT));
        }
    });
    let count = |living: bool| {
        drop(translations.look());
        let mut number = 0;
        translations.cached(|tracked| {
            number += u16::from(tracked.ended.is_none() == living);
            ControlFlow::Continue(())
        });
        number
    };
    eventually("all are known", || count(true) == NUMBER);
    flush(&routed.router);
    eventually("all have ended", || count(true) == 0);
    assert_eq!(count(false), NUMBER);
    assert_eq!(translations.counts().malformed, 0);
}
