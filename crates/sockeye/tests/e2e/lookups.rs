//! What came of lookups that the real `dig` made of real name servers: each is told once, to every client, in both
//! dialects.

use std::time::Duration;

use serde_json::Value;

use crate::curl::get;
use crate::daemon::Daemon;
use crate::ledger::{Way, number, status_counter};
use crate::needs::runs_here;
use crate::resolvers::{self, Answers, Dug, NameServer, PROGRAMS, dig};
use crate::told_lookups::{Client, Tally, list, reference};
use crate::wait::{DEADLINE, until, within};
use crate::world::{RIGHT_V4, RIGHT_V6, VethPair, run};

/// Where nothing may be lost, servers have a port of their own: the limits are those of the host, which others may exhaust.
const PORT: &str = "5310";
const PORTS: (&str, &str) = ("SOCKEYE_COLLECT__DNS_PORTS", "[5310]");

/// What the server of these tests knows: among other things a record that does not fit into 512 bytes.
fn zone() -> String {
    let long: String =
        ["a", "b", "c"].map(|word| format!("txt-record=big.test,{}\n", word.repeat(250))).concat();
    format!(
        "host-record=alpha.test,10.9.0.41,fd09::41\ncname=www.test,alpha.test\nhost-record=beta.test,10.9.0.42\n{long}"
    )
}

/// Everything that a server can answer, over both families, from dig and from a resolver on loopback.
fn ask_all(world: &VethPair) -> Vec<Dug> {
    let over_v4 = [
        ("alpha.test", "A"),
        ("alpha.test", "AAAA"),
        ("alpha.test", "A"),
        ("WWW.test", "A"),
        ("beta.test", "A"),
        ("nowhere.test", "A"),
        ("nowhere.test", "AAAA"),
        ("other.example", "A"),
    ];
    let over_v6 = [("alpha.test", "A"), ("nowhere.test", "A")];
    let of_loopback = [("broken.test", "A"), ("broken.test", "A"), ("beta.test", "AAAA")];
    vec![
        dig(&world.left, &["-p", PORT, &format!("@{RIGHT_V4}")], &over_v4),
        dig(&world.left, &["-p", PORT, &format!("@{RIGHT_V6}")], &over_v6),
        dig(&world.left, &["-p", PORT, "@127.0.0.1"], &of_loopback),
    ]
}

/// What all of these found, with names as they are told: in lower case.
fn expected(dug: Vec<Dug>) -> (Answers, Duration) {
    let (mut all, mut took) = (Answers::new(), Duration::ZERO);
    for Dug { answers, took: of_one } in dug {
        let lower = |((name, kind), counts): ((String, String), _)| ((name.to_lowercase(), kind), counts);
        resolvers::add(&mut all, answers.into_iter().map(lower).collect());
        took += of_one;
    }
    (all, took)
}

/// No message was lost on the way, and no lookup.
fn lost_nothing(answer: &Value) {
    let lost = &answer["coverage"]["lookups_lost"];
    assert_eq!((number(&lost["lookups"]), number(&lost["messages"])), (0, 0), "{lost}");
}

/// Takes out what the resolver asked for itself.
fn without_resolver(tally: &Tally, resolver: Answers) -> Answers {
    let mut answers = tally.answers.clone();
    for (key, by_rcode) in resolver {
        let of_key = answers.get_mut(&key).expect("it was told");
        for (rcode, count) in by_rcode {
            let told = of_key.get_mut(&rcode).expect("it was told");
            *told -= count;
        }
        of_key.retain(|_, count| *count > 0);
    }
    answers
}

#[test]
fn every_lookup_is_told_once_to_every_client_in_both_dialects() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let world = VethPair::new();
    let _server = NameServer::dnsmasq(&world.right, &[RIGHT_V4, RIGHT_V6], &format!("{}port={PORT}", zone()));
    let resolver = NameServer::unbound(&world.left, PORT, &format!("{RIGHT_V4}@{PORT}"));
    let daemon = Daemon::with(&[PORTS]);
    let mut polls = Client::register(daemon.socket(), "polls", Way::Itself);
    let mut keeps = Client::register(daemon.socket(), "keeps", Way::After);
    assert_eq!(get(&daemon.socket(), "/network_tracer/register?client_id=old").status, 200);
    let mut old = Tally::default();

    let mut dug = ask_all(&world);
    // One client is told in between, and one loses an answer.
    polls.poll(&world.left);
    let lost = keeps.ledger.try_poll().json();
    let mut of_lost = Tally::default();
    of_lost.add(&lost, &world.left);
    assert!(of_lost.answered() > 0, "there was something to lose");
    dug.extend(ask_all(&world));
    let (expected, took) = expected(dug);
    // The resolver keeps what it was told; that nobody serves a name it finds out alone.
    let of_resolver: Answers =
        [(("beta.test".into(), "AAAA".into()), [("NOERROR".to_owned(), 1)].into())].into();
    let asked: u64 = expected.values().flat_map(|counts| counts.values()).sum::<u64>() + 1;

    let told = within(DEADLINE, || {
        lost_nothing(&polls.poll(&world.left));
        lost_nothing(&keeps.poll(&world.left));
        old.add_reference(&reference(&daemon.socket(), "old"), &world.left);
        let all = [&polls.tally, &keeps.tally, &old];
        all.iter().all(|tally| tally.answered() >= asked).then_some(())
    });
    assert!(told.is_some(), "asked {expected:#?}\ntold {:#?}\n{:#?}", polls.tally, old);
    for tally in [&polls.tally, &keeps.tally, &old] {
        assert_eq!(without_resolver(tally, of_resolver.clone()), expected, "{tally:#?}");
        assert_eq!((tally.timed_out(), tally.over_tcp), (0, 0), "{tally:#?}");
        assert_eq!(tally.by_pid.get(&resolver.pid().into()), Some(&1), "{tally:#?}");
        let wall_us = u64::try_from(took.as_micros()).expect("a short time");
        assert!(tally.success_us > 0 && tally.failure_us > 0, "{tally:#?}");
        // The resolver's own took part of the time of dig's.
        assert!(tally.success_us + tally.failure_us <= 2 * wall_us, "{wall_us}: {tally:#?}");
    }
    let mut served = Tally::default();
    served.add(&lost, &world.right);
    assert_eq!(served.answered(), 0, "the server asked nothing");
    assert_eq!(status_counter(&daemon.socket(), "lookups_lost"), 0);
}

#[test]
fn an_answer_that_does_not_fit_is_told_again_over_tcp_where_that_is_read() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let world = VethPair::new();
    let _server = NameServer::dnsmasq(&world.right, &[RIGHT_V4], &format!("{}port={PORT}", zone()));
    let (tcp, udp) = (("SOCKEYE_COLLECT__DNS_TCP", "true"), ("SOCKEYE_COLLECT__UDP", "false"));
    let daemons = [Daemon::with(&[PORTS, tcp]), Daemon::with(&[PORTS, tcp, udp]), Daemon::with(&[PORTS])];
    let mut clients =
        [0, 1, 2].map(|place: usize| Client::register(daemons[place].socket(), "a", Way::Itself));
    // dig asks again over TCP by itself; the last one asks twice over one TCP connection.
    let dug =
        dig(&world.left, &["-p", PORT, "+bufsize=512", &format!("@{RIGHT_V4}")], &[("big.test", "TXT")]);
    let keep = ["-p", PORT, "+tcp", "+keepopen", &format!("@{RIGHT_V4}")];
    dig(&world.left, &keep, &[("alpha.test", "A"), ("nowhere.test", "A")]);
    let key = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(dug.answers[&key("big.test", "TXT")]["NOERROR"], 1);
    let all = |big: u64, others: u64| -> Answers {
        let told = [
            ("big.test", "TXT", "NOERROR", big),
            ("alpha.test", "A", "NOERROR", others),
            ("nowhere.test", "A", "NXDOMAIN", others),
        ];
        let told = told.into_iter().filter(|(.., count)| *count > 0);
        told.map(|(name, kind, rcode, count)| (key(name, kind), [(rcode.to_owned(), count)].into())).collect()
    };
    for (client, (big, others, over_tcp)) in clients.iter_mut().zip([(2, 1, 3), (1, 1, 3), (1, 0, 0)]) {
        until("the lookups", || {
            client.poll(&world.left);
            (client.tally.answered() >= big + 2 * others).then_some(())
        });
        lost_nothing(&client.poll(&world.left));
        assert_eq!((&client.tally.answers, client.tally.over_tcp), (&all(big, others), over_tcp));
    }
}

/// What a daemon with these variables tells of two lookups, one of each port, and what its status says of DNS.
fn told_with(variables: &[(&str, &str)], world: &VethPair) -> (Answers, Value, Value) {
    let daemon = Daemon::with(variables);
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    for port in ["53", "5353"] {
        let name = format!("port-{port}.test");
        dig(&world.left, &[&format!("@{RIGHT_V4}"), "-p", port], &[(&name, "A")]);
    }
    // What is on its way comes before the next close.
    let exchange = crate::exchange::Exchange::new();
    exchange.run(1, 1);
    client.poll(&world.left);
    let last = client.poll(&world.left);
    let status = get(&daemon.socket(), "/v1/status").json();
    (client.tally.answers, last, status)
}

fn capability<'a>(status: &'a Value, name: &str) -> &'a Value {
    let found = list(&status["capabilities"]).iter().find(|found| found["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is listed: {status}"))
}

#[test]
fn only_the_ports_of_the_configuration_are_read_and_none_without_dns_or_udp() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let world = VethPair::new();
    let zone = "host-record=port-53.test,10.9.0.51\nhost-record=port-5353.test,10.9.0.52";
    let _server = NameServer::dnsmasq(&world.right, &[RIGHT_V4], zone);
    let _other = NameServer::dnsmasq(&world.right, &[RIGHT_V4], &format!("{zone}\nport=5353"));
    let of = |port: &str| -> Answers {
        [((format!("port-{port}.test"), "A".to_owned()), [("NOERROR".to_owned(), 1)].into())].into()
    };
    for (key, value, expected) in [
        ("DNS_PORTS", "[5353]", of("5353")),
        ("DNS_PORTS", "[5353, 53]", of("53").into_iter().chain(of("5353")).collect()),
        ("DNS", "false", Answers::new()),
        ("UDP", "false", Answers::new()),
    ] {
        let is_on = key == "DNS_PORTS";
        let variable = format!("SOCKEYE_COLLECT__{key}");
        let (answers, last, status) = told_with(&[(&variable, value)], &world);
        assert_eq!(answers, expected, "{variable}={value}");
        let dns = capability(&status, "dns");
        assert_eq!((dns["served_by"].is_string(), dns["degradation"].is_null()), (is_on, true), "{dns}");
        let names = list(&last["connections"]).iter().filter(|told| !told["names"].is_null()).count();
        assert!(is_on || names == 0, "no names: {last}");
    }
}

/// As the name servers of containers and clusters are: what is asked at one address goes to another, on another port.
const TRANSLATED: &str = "table ip names {
    chain output {
        type nat hook output priority -100
        ip daddr 10.96.0.10 udp dport 53 dnat to 10.9.0.2:5399
    }
}";

#[test]
fn a_name_server_behind_a_translated_address_is_told_as_it_was_asked() {
    if !runs_here(PROGRAMS) || !runs_here(&["nft"]) {
        return;
    }
    let world = VethPair::new();
    world.left.ip(&["route", "add", "10.96.0.0/16", "via", RIGHT_V4]);
    world.left.inside(|| run("nft", &[TRANSLATED]));
    let _server = NameServer::dnsmasq(&world.right, &[RIGHT_V4], &format!("{}port=5399", zone()));
    // dig connects its sockets, and the resolver does not.
    let resolver = NameServer::unbound(&world.left, "53", "10.96.0.10");
    let daemon = Daemon::start();
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    dig(&world.left, &["@10.96.0.10"], &[("alpha.test", "A")]);
    dig(&world.left, &["@127.0.0.1"], &[("beta.test", "A")]);
    let mut servers = Vec::new();
    until("the lookups", || {
        let answer = client.poll(&world.left);
        let all = list(&answer["connections"]).iter();
        let asked = all.filter(|told| told["netns"] == world.left.inode() && told["lookups"].is_array());
        servers.extend(asked.map(|told| told["remote"]["address"].as_str().map(str::to_owned)));
        (client.tally.answered() >= 3).then_some(())
    });
    servers.sort_unstable();
    let expected = ["10.96.0.10", "10.96.0.10", "127.0.0.1"].map(|address| Some(address.to_owned()));
    assert_eq!(servers, expected);
    let twice = &client.tally.answers[&("beta.test".to_owned(), "A".to_owned())];
    assert_eq!((twice["NOERROR"], client.tally.by_pid[&resolver.pid().into()]), (2, 1));
}
