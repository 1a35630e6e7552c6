//! Messages of name servers over TCP: every segment with its place in the stream, when that is asked for.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use collect::{Capability, CollectLimits};
use connections::{Payload, Protocol};

use crate::Test;
use crate::dns::message;
use crate::dns_tap::Tap;
use crate::harness::{Outcome, address};
use crate::peer::Peer;
use crate::scene::set;
use crate::world::{NetNs, RIGHT_V4, RIGHT_V6, VethPair};

pub const TESTS: &[Test] = &[
    ("messages_over_tcp_are_put_together_from_their_segments_over_ipv4", || segments("0.0.0.0", RIGHT_V4)),
    ("messages_over_tcp_are_put_together_from_their_segments_over_ipv6", || segments("::", RIGHT_V6)),
    ("a_name_server_for_tcp_bound_to_all_of_ipv6_is_told_with_ipv4", || segments("::", RIGHT_V4)),
    ("of_a_large_segment_four_pieces_are_copied_and_all_bytes_stated", large),
    ("a_message_that_comes_with_the_handshake_is_copied", with_handshake),
    ("a_stream_of_another_port_is_not_copied", other_port),
    ("messages_over_tcp_are_copied_without_udp", without_udp),
    ("messages_over_tcp_are_not_copied_unless_that_is_asked_for", not_asked_for),
];

const DNS: u16 = 53;

fn limits() -> CollectLimits {
    CollectLimits { follow_dns_tcp: true, ..Tap::small() }
}

/// A client on the left that is connected to a server on the right.
fn connected(world: &VethPair, everywhere: &str, target: SocketAddr) -> (TcpStream, TcpStream) {
    let ip: IpAddr = everywhere.parse().expect("an address");
    let listener = world.right.inside(|| TcpListener::bind((ip, target.port()))).expect("the port is free");
    let client = world.left.inside(|| TcpStream::connect(target)).expect("somebody listens");
    let (server, _) = listener.accept().expect("it is there");
    client.set_nodelay(true).expect("a socket of TCP");
    (client, server)
}

fn take(stream: &mut TcpStream, message: &[u8]) {
    let mut buffer = vec![0; message.len()];
    stream.read_exact(&mut buffer).expect("it comes");
    assert_eq!(buffer, message);
}

/// What the pieces of one direction say of the stream, as far as they were copied: `None` where they were not. Checks that
/// they agree where they overlap.
fn stream(pieces: &[Payload]) -> Vec<Option<u8>> {
    let sequence = |piece: &Payload| piece.tcp_sequence.expect("it is of TCP");
    let Some(first) = pieces.first().map(sequence) else { return Vec::new() };
    let mut whole: Vec<Option<u8>> = Vec::new();
    for piece in pieces {
        let begin = sequence(piece).wrapping_sub(first) as usize;
        let end = begin + piece.whole_bytes as usize;
        whole.resize(whole.len().max(end), None);
        for (place, byte) in whole[begin..].iter_mut().zip(&piece.bytes) {
            assert!(place.is_none_or(|known| known == *byte), "what is sent again is the same");
            *place = Some(*byte);
        }
    }
    whole
}

fn of_direction(tap: &Tap, namespace: &NetNs, sent: bool) -> Vec<Payload> {
    let mut pieces = tap.of(namespace);
    pieces.retain(|piece| piece.sent == sent);
    pieces
}

fn segments(everywhere: &str, right: &str) -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(limits());
    assert!(tap.state(Capability::DnsTcp).served_by.is_some(), "{:?}", tap.state(Capability::DnsTcp));
    let target = address(right, DNS);
    let (mut client, mut server) = connected(&world, everywhere, target);
    let (question, answer) = (message(1, 90), message(2, 3000));
    // The length in one segment, the message in three more.
    for part in [&question[..2], &question[2..3], &question[3..60], &question[60..]] {
        client.write_all(part).expect("it can be sent");
    }
    take(&mut server, &question);
    server.write_all(&answer).expect("it can be sent");
    take(&mut client, &answer);
    let known = |bytes: &[u8]| bytes.iter().copied().map(Some).collect::<Vec<_>>();
    for (namespace, asks) in [(&world.left, true), (&world.right, false)] {
        assert_eq!(stream(&of_direction(&tap, namespace, asks)), known(&question));
        assert_eq!(stream(&of_direction(&tap, namespace, !asks)), known(&answer));
        for piece in tap.of(namespace) {
            let tuple = piece.tuple;
            let (near, far) = if asks { (tuple.local, tuple.remote) } else { (tuple.remote, tuple.local) };
            assert_eq!(near.port(), client.local_addr().expect("it is connected").port());
            assert_eq!((tuple.protocol, far), (Protocol::Tcp, target));
            let id = piece.connection.expect("it is in the table");
            assert_eq!(tap.heard().connections.get(&id), Some(&tuple), "the id is that of the events");
            // Who accepted is not known before it closes.
            let pid = if piece.sent && asks { std::process::id() } else { 0 };
            assert_eq!(piece.sender_pid, pid);
        }
    }
    assert!(of_direction(&tap, &world.left, true).len() >= 4, "each segment is copied as it leaves");
    assert_eq!(tap.counts().malformed, 0);
}

fn large() -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(limits());
    let (mut client, mut server) = connected(&world, "0.0.0.0", address(RIGHT_V4, DNS));
    let answer = message(3, 40_000);
    let sending = answer.clone();
    let writing = std::thread::spawn(move || {
        server.write_all(&sending).expect("it can be sent");
        server
    });
    take(&mut client, &answer);
    let _server = writing.join().expect("it was sent");
    for (namespace, sent) in [(&world.right, true), (&world.left, false)] {
        let pieces = of_direction(&tap, namespace, sent);
        let whole = stream(&pieces);
        assert_eq!(whole.len(), answer.len(), "every byte is stated");
        for (place, byte) in whole.iter().enumerate() {
            assert!(byte.is_none_or(|byte| byte == answer[place]), "byte {place}");
        }
        assert!(pieces.iter().all(|piece| (1..=1232).contains(&piece.bytes.len())));
        let cut = pieces.iter().filter(|piece| piece.whole_bytes > 1232).count();
        assert!(cut > 0, "segments were larger than four pieces");
        // Of each segment of more than four pieces as many bytes as these hold are known.
        let known = whole.iter().filter(|byte| byte.is_some()).count();
        assert!(known >= cut * 4 * 1232, "{known} of {cut} segments");
    }
}

/// The server's socket is there only when the first segment has come: the kernel has it for the listener.
fn with_handshake() -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(limits());
    // Without cookies, and for every listener.
    set(&world.left, "ipv4/tcp_fastopen", "0x5");
    set(&world.right, "ipv4/tcp_fastopen", "0x602");
    let listener = world.right.inside(|| TcpListener::bind(("0.0.0.0", DNS))).expect("the port is free");
    let mut client = Peer::start(&world.left);
    client.ask("open c tcp");
    client.ask(&format!("fastopen c {RIGHT_V4}:{DNS} 60"));
    let (mut server, _) = listener.accept().expect("it is there");
    let mut buffer = [0; 60];
    server.read_exact(&mut buffer).expect("it comes");
    let known: Vec<_> = buffer.iter().copied().map(Some).collect();
    assert_eq!(stream(&of_direction(&tap, &world.left, true)), known);
    let came = of_direction(&tap, &world.right, false);
    assert_eq!(stream(&came), known);
    assert_eq!(came[0].tuple.local, address(RIGHT_V4, DNS));
    assert_eq!(came[0].tcp_sequence, of_direction(&tap, &world.left, true)[0].tcp_sequence);
    let heard = tap.after_pass();
    for piece in came {
        assert!(piece.connection.is_none_or(|id| heard.connections.get(&id) == Some(&piece.tuple)));
    }
}

/// One exchange; answers how many pieces were copied.
fn pieces_of_an_exchange(tap: &Tap, port: u16) -> usize {
    let world = VethPair::new();
    let (mut client, mut server) = connected(&world, "0.0.0.0", address(RIGHT_V4, port));
    client.write_all(b"a message").expect("it can be sent");
    take(&mut server, b"a message");
    tap.of(&world.left).len() + tap.of(&world.right).len()
}

fn other_port() -> Outcome {
    let tap = Tap::with(limits());
    assert_eq!(pieces_of_an_exchange(&tap, 54), 0);
    assert_eq!(pieces_of_an_exchange(&tap, 53), 2);
}

fn without_udp() -> Outcome {
    let tap = Tap::with(CollectLimits { follow_udp: false, ..limits() });
    assert_eq!(pieces_of_an_exchange(&tap, 53), 2);
}

fn not_asked_for() -> Outcome {
    let tap = Tap::with(Tap::small());
    assert_eq!(pieces_of_an_exchange(&tap, 53), 0);
    assert_eq!(tap.state(Capability::DnsTcp).served_by, None);
    let programs = &tap.collector.support().programs;
    assert!(programs.iter().all(|(name, _)| !name.contains("dns_tcp")), "{programs:?}");
}
