//! A real server and real clients, told to two readers of the API who poll at different times.

use crate::daemon::Daemon;
use crate::ledger::{Ledger, Told};
use crate::needs::runs_here;
use crate::nginx::{Fetched, Nginx};
use crate::wait::until;

/// The large file takes seconds at the rate of `/slow`, so that it is told in several parts.
const FILE_BYTES: usize = 1_000_000;

#[test]
fn two_clients_that_poll_at_different_times_add_up_to_the_bytes_on_both_ends() {
    if !runs_here(&["curl", "nginx", "ip"]) {
        return;
    }
    let nginx = Nginx::start(FILE_BYTES);
    let daemon = Daemon::start();
    let mut often = Ledger::register(daemon.socket(), "often");
    let mut rarely = Ledger::register(daemon.socket(), "rarely");

    let slow = fetch_slowly(&nginx, &mut often, &mut rarely);
    let mut fetched = vec![(slow, 1)];
    for _ in 0..5 {
        fetched.push((nginx.fetch(&["/file"]).end(), 1));
        often.poll();
    }
    let paths = ["/file", "/file", "/slow", "/file", "/file", "/file"];
    fetched.push((nginx.fetch(&paths).end(), paths.len() as u64));
    for ledger in [&mut often, &mut rarely] {
        ledger.wait_closed(&nginx.space, 2 * fetched.len());
        for (fetched, requests) in &fetched {
            check_both_ends(&nginx, ledger, *fetched, *requests);
        }
        assert!(ledger.poll()["coverage"]["complete"].as_bool().is_some_and(|complete| complete));
    }
    for (id, one) in often.of(&nginx.space) {
        let other = &rarely.told[id];
        assert_eq!((&one.sum, one.closes), (&other.sum, other.closes), "{id}");
    }
    let in_parts = often.find(&nginx.space, "local", slow.port).expect("it was told");
    assert!(in_parts.answers >= 3, "it was told in {} parts", in_parts.answers);
    let at_once = rarely.find(&nginx.space, "local", fetched[1].0.port).expect("it was told");
    assert_eq!(at_once.answers, 1);
}

/// Fetches the file so slowly that both clients are told of it while it is on its way.
fn fetch_slowly(nginx: &Nginx, often: &mut Ledger, rarely: &mut Ledger) -> Fetched {
    let mut slow = nginx.fetch(&["/slow"]);
    let (mut before, mut polls_of_rarely) = (0, 0);
    until("the end of the slow transfer", || {
        often.poll();
        let payload: u64 = often.of(&nginx.space).map(|(_, told)| told.payload()).sum();
        assert!(payload >= before);
        before = payload;
        if payload > FILE_BYTES as u64 && polls_of_rarely == 0 {
            rarely.poll();
            polls_of_rarely += 1;
        }
        (!slow.running()).then_some(())
    });
    assert_eq!(polls_of_rarely, 1, "half of both ends was told while it was on its way");
    slow.end()
}

/// Compares what was told of a connection with what curl and nginx say of it themselves.
fn check_both_ends(nginx: &Nginx, ledger: &Ledger, fetched: Fetched, requests: u64) {
    let Fetched { pid, port, sent_bytes, received_bytes } = fetched;
    let served = nginx.served(port, requests);
    assert_eq!((served.sent_bytes, served.received_bytes), (received_bytes, sent_bytes), "they agree");
    assert!(received_bytes > requests * FILE_BYTES as u64);
    assert_ne!(served.worker, nginx.master_pid());

    let near = ledger.find(&nginx.space, "local", port).expect("the end of curl was told");
    assert_eq!(near.port("remote"), nginx.port());
    assert_eq!(near.bytes(), (sent_bytes, received_bytes), "{near:?}");
    check_end(near, "outgoing", "curl", pid);

    let far = ledger.find(&nginx.space, "remote", port).expect("the end of nginx was told");
    assert_eq!(far.port("local"), nginx.port());
    assert_eq!(far.bytes(), (received_bytes, sent_bytes), "{far:?}");
    check_end(far, "incoming", "nginx", served.worker);
}

fn check_end(told: &Told, direction: &str, command: &str, pid: u32) {
    let last = &told.last;
    assert_eq!((&last["direction"], &last["state"]), (&direction.into(), &"closed".into()), "{last}");
    assert_eq!((&last["owner"]["command"], &last["owner"]["pid"]), (&command.into(), &pid.into()), "{last}");
    assert_eq!(
        (&last["local"]["address"], &last["remote"]["address"]),
        (&"127.0.0.1".into(), &"127.0.0.1".into())
    );
    assert_eq!(
        (&last["pre_existing"], &last["failure"]),
        (&false.into(), &serde_json::Value::Null),
        "{last}"
    );
    assert_eq!(told.closes, 1, "told as closed once: {last}");
}
