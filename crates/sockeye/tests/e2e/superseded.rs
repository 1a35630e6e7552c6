//! A poll that hangs, and another one of its client that does not wait for it.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::exchange::Exchange;
use crate::ledger::{Ledger, Way, number, status_counter};
use crate::needs::runs_here;
use crate::raw::Raw;

/// So many connections make an answer that is larger than all buffers between the daemon and its reader.
const MANY: usize = 1500;

/// A poll that waits for another one does so for 2 s.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn a_poll_whose_connection_hangs_is_cut_by_the_next_one_of_its_client_which_is_answered_at_once() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register_as(0, daemon.socket(), "a", Way::After);
    let exchange = Exchange::new();
    let mut closed = 0;
    for pairs in [1, MANY] {
        exchange.run(pairs, 7);
        closed += 2 * pairs;
        let hangs = Raw::ask(&daemon.socket(), &ledger.path());
        hangs.wait_answer();
        let superseded = status_counter(&daemon.socket(), "polls_superseded");
        let asked = Instant::now();
        let second = Raw::ask(&daemon.socket(), &ledger.path());
        second.wait_answer();
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
        assert!(!hangs.ends_whole(), "its connection ends, and of a large answer the end is missing");
        assert_eq!(status_counter(&daemon.socket(), "polls_superseded"), superseded + 1);
        // It puts an end to the second one in turn.
        let answer = ledger.poll();
        drop(second);
        assert!(number(&answer["sequence"]) >= ledger.nth(3), "two answers were lost");
        assert_eq!(ledger.closed(&exchange.space), closed);
    }
}
