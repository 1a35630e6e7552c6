//! Connections that are reset, by the peer in each state, and by this end: unread data, `SO_LINGER` 0, `ss -K`.

use connections::{FailureKind, State};

use crate::harness::{Client, Outcome, tcp_facts};
use crate::scene::{
    Scene, back_off_from_the_start, filter_arriving, kernel_count, lived_ms, owner_pid, set, told_to, until,
    wait_failed,
};
use crate::world::{NetNs, RIGHT_V4, run};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("a_reset_after_the_peers_close_is_told", in_close_wait),
    ("a_reset_of_a_half_closed_connection_is_told", in_fin_wait2),
    ("a_reset_that_comes_after_an_acknowledged_close_changes_nothing", after_the_close),
    ("a_close_with_unread_data_is_aborted_here_and_reset_there", unread_data),
    ("an_abort_of_a_half_closed_connection_is_no_orderly_end", || aborted_half_closed(Abort::Linger)),
    ("unread_data_at_the_close_of_a_half_closed_connection_is_no_orderly_end", || {
        aborted_half_closed(Abort::Unread);
    }),
];

pub const NEEDING: &[Needing] = &[
    ("a_reset_in_answer_to_the_close_is_told", needs::packet_filter, in_fin_wait1),
    ("a_reset_in_answer_to_the_last_close_is_told", needs::packet_filter, in_last_ack),
    ("a_reset_while_both_ends_close_is_told", needs::packet_filter, in_closing),
    ("a_handshake_that_the_client_resets_is_no_connection_of_the_server", needs::packet_filter, in_syn_recv),
    ("a_connection_killed_by_an_administrator_is_aborted", needs::socket_destruction, killed),
    ("a_connect_killed_by_an_administrator_is_aborted", killable_connect, killed_connect),
];

const EPIPE: u16 = 32;
const ECONNABORTED: u16 = 103;
const ECONNRESET: u16 = 104;

/// Every FIN that arrives is answered with a reset.
const RESETS_FINS: &str = "tcp flags & fin == fin reject with tcp reset";

fn wait_state(told: &mut Client<'_>, end: (&NetNs, u16), state: State) {
    told.wait(&format!("{state:?}"), |told| {
        told.find(end.0, end.1).filter(|(_, change)| change.connection.state == state)
    });
}

fn in_close_wait() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.server.transfer("s", &mut scene.client, "c", 20);
    scene.server.ask("finish s");
    assert_eq!(scene.client.ask("end c"), "Ok(0)");
    wait_state(&mut told, (&scene.world.left, scene.local), State::CloseWait);
    scene.server.ask("reset s");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(EPIPE));
    assert_eq!((sum.sent_bytes, sum.received_bytes), (0, 20), "the FIN is no byte");
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
    assert!(lived_ms(&connection) < 10_000);
}

fn in_fin_wait1() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 500);
    filter_arriving(&scene.world.right, RESETS_FINS);
    scene.client.ask("finish c");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!(sum.sent_bytes, 500);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn in_fin_wait2() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 500);
    scene.client.ask("finish c");
    assert_eq!(scene.server.ask("end s"), "Ok(0)");
    wait_state(&mut told, (&scene.world.left, scene.local), State::FinWait2);
    scene.server.ask("reset s");
    let end = (&scene.world.left, scene.local);
    let (sum, _) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!(sum.sent_bytes, 500);
    // Left from CLOSE_WAIT by its own doing.
    let end = (&scene.world.right, scene.port);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!(sum.received_bytes, 500);
    assert_eq!(owner_pid(&connection), Some(scene.server.pid()));
}

fn after_the_close() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 500);
    // The socket is gone once its FIN is acknowledged; a rest of it waits for the other end.
    scene.client.ask("close c");
    let (sum, change) = told.wait_closed(&scene.world.left, scene.local);
    assert_eq!((sum.sent_bytes, change.connection.failure), (500, None));
    scene.server.ask("reset s");
    told.wait_closed(&scene.world.right, scene.port);
    let (_, change) = told.find(&scene.world.left, scene.local).expect("told before");
    assert_eq!(change.connection.failure, None);
    assert_eq!(told.closes.get(&change.connection.id.to_string()), Some(&1));
}

fn in_last_ack() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 9);
    scene.server.ask("finish s");
    assert_eq!(scene.client.ask("end c"), "Ok(0)");
    filter_arriving(&scene.world.right, RESETS_FINS);
    scene.client.ask("close c");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!((sum.sent_bytes, sum.received_bytes), (9, 0));
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn in_closing() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 9);
    filter_arriving(&scene.world.right, "tcp flags & fin == fin drop");
    scene.client.ask("finish c");
    scene.server.ask("finish s");
    wait_state(&mut told, (&scene.world.left, scene.local), State::Closing);
    // The FIN is sent again after the retransmission time-out.
    filter_arriving(&scene.world.right, RESETS_FINS);
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!((sum.sent_bytes, sum.received_bytes), (9, 0));
    assert!(lived_ms(&connection) >= 150, "a time-out of at least 200 ms: {connection:?}");
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn in_syn_recv() -> Outcome {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    set(&scene.world.left, "ipv4/tcp_syn_retries", "1");
    back_off_from_the_start(&scene.world.left);
    filter_arriving(&scene.world.left, "tcp flags & (syn | ack) == (syn | ack) reject with tcp reset");
    scene.client.ask("open c tcp");
    let (errno, local) = scene.client.attempt("c", RIGHT_V4, scene.port);
    assert_eq!(errno, 110);
    assert!(kernel_count(&scene.world.right, "EmbryonicRsts") > 0, "the server was in SYN_RECV");
    let end = (&scene.world.left, local);
    let (_, connection) = wait_failed(&mut told, end, FailureKind::TimedOut, Some(errno));
    assert_eq!(connection.established_at, None);
    assert_eq!(told_to(&told, &scene.world.right, local), [], "the server had no connection");
    assert!(told.poll().coverage.complete());
}

fn unread_data() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.server.ask("send s 50");
    told.wait("the bytes", |told| {
        let (_, change) = told.find(&scene.world.left, scene.local)?;
        (tcp_facts(&change.connection).unread_bytes == 50).then_some(())
    });
    scene.client.ask("close c");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (0, 50), "what arrived, read or not");
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
    let answer = scene.server.ask("end s");
    assert!(answer.contains("ConnectionReset"), "{answer}");
    scene.server.ask("close s");
    let end = (&scene.world.right, scene.port);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!(sum.sent_bytes, 50);
    assert_eq!(owner_pid(&connection), Some(scene.server.pid()));
}

/// Why a close answers with a reset.
#[derive(Clone, Copy, PartialEq)]
enum Abort {
    Linger,
    Unread,
}

/// The request was sent and half-closed; then the client does not want the answer.
fn aborted_half_closed(abort: Abort) -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 70);
    scene.client.ask("finish c");
    assert_eq!(scene.server.ask("end s"), "Ok(0)");
    if abort == Abort::Unread {
        scene.server.ask("send s 40");
        let unread = |told: &Client<'_>| {
            told.find(&scene.world.left, scene.local).filter(|(sum, _)| sum.received_bytes == 40)
        };
        told.wait("the answer", unread);
        scene.client.ask("close c");
    } else {
        wait_state(&mut told, (&scene.world.left, scene.local), State::FinWait2);
        scene.client.ask("reset c");
    }
    let end = (&scene.world.right, scene.port);
    wait_failed(&mut told, end, FailureKind::Reset, Some(EPIPE));
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!(sum.sent_bytes, 70);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn killed() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 1234);
    kill(&scene.world.left, scene.port);
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, Some(ECONNABORTED));
    assert_eq!(sum.sent_bytes, 1234);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
    let answer = scene.server.ask("end s");
    assert!(answer.contains("ConnectionReset"), "{answer}");
    scene.server.ask("close s");
    let end = (&scene.world.right, scene.port);
    let (sum, _) = wait_failed(&mut told, end, FailureKind::Reset, Some(ECONNRESET));
    assert_eq!(sum.received_bytes, 1234);
}

fn killable_connect() -> Option<&'static str> {
    needs::packet_filter().or_else(needs::socket_destruction)
}

fn killed_connect() -> Outcome {
    let scene = Scene::unanswered();
    let (mut told, local) = (scene.tracer.client("a"), scene.local);
    kill(&scene.world.left, scene.port);
    let end = (&scene.world.left, local);
    let (_, connection) = wait_failed(&mut told, end, FailureKind::Aborted, Some(ECONNABORTED));
    assert_eq!((connection.established_at, owner_pid(&connection)), (None, Some(scene.client.pid())));
}

/// Kills the connections of this namespace to this port, as an administrator does.
fn kill(namespace: &NetNs, remote_port: u16) {
    let filter = format!("dport = :{remote_port}");
    let shown = || run("ss", &["-tanHO", &filter]);
    until("the socket", || !namespace.inside(shown).is_empty());
    namespace.inside(|| run("ss", &["-KtanHO", &filter]));
}
