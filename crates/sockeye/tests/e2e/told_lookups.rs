//! What an answer tells of lookups from one namespace, in either dialect, and a client that adds up what it was told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::curl::get;
use crate::ledger::{Ledger, Way, number};
use crate::resolvers::Answers;
use crate::world::NetNs;

/// Sums over all answers of one client.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub answers: Answers,
    pub timed_out: BTreeMap<(String, String), u64>,
    pub success_us: u64,
    pub failure_us: u64,
    /// Lookups by the process that asked, where it is told.
    pub by_pid: BTreeMap<u64, u64>,
    /// Lookups over TCP, and those that were told apart from their connection.
    pub over_tcp: u64,
    pub alone: Vec<Value>,
}

/// A client of the native dialect.
pub struct Client {
    pub ledger: Ledger,
    pub tally: Tally,
}

impl Client {
    pub fn register(socket: PathBuf, id: &str, way: Way) -> Self {
        Self { ledger: Ledger::register_as(0, socket, id, way), tally: Tally::default() }
    }

    /// Polls and adds up what is told of this namespace.
    pub fn poll(&mut self, space: &NetNs) -> Value {
        let answer = self.ledger.poll();
        self.tally.add(&answer, space);
        answer
    }
}

impl Tally {
    /// How many answers there were in all.
    pub fn answered(&self) -> u64 {
        self.answers.values().flat_map(BTreeMap::values).sum()
    }

    /// How many queries had none in time.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.values().sum()
    }

    /// Adds what a native answer tells.
    pub fn add(&mut self, answer: &Value, space: &NetNs) {
        let netns = Value::from(space.inode());
        for connection in list(&answer["connections"]).iter().filter(|told| told["netns"] == netns) {
            for lookups in list(&connection["lookups"]) {
                self.add_one(lookups, &connection["protocol"], &connection["owner"]["pid"]);
            }
        }
        for lookups in list(&answer["lookups"]).iter().filter(|told| told["netns"] == netns) {
            self.add_one(lookups, &lookups["protocol"], &lookups["pid"]);
            self.alone.push(lookups.clone());
        }
    }

    fn add_one(&mut self, lookups: &Value, protocol: &Value, pid: &Value) {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let key = (text(&lookups["domain"]), text(&lookups["query_type"]));
        let mut count = number(&lookups["timed_out"]);
        if count > 0 {
            *self.timed_out.entry(key.clone()).or_default() += count;
        }
        for (rcode, answers) in lookups["responses"].as_object().expect("counts by code") {
            let of_key = self.answers.entry(key.clone()).or_default();
            *of_key.entry(rcode.clone()).or_default() += number(answers);
            count += number(answers);
        }
        self.success_us += number(&lookups["success_latency_us"]);
        self.failure_us += number(&lookups["failure_latency_us"]);
        if let Some(pid) = pid.as_u64() {
            *self.by_pid.entry(pid).or_default() += count;
        }
        self.over_tcp += if protocol == "tcp" { count } else { 0 };
    }

    /// Adds what an answer of the reference's dialect tells.
    pub fn add_reference(&mut self, answer: &Value, space: &NetNs) {
        let netns = Value::from(space.inode());
        let domains = list(&answer["domains"]);
        for connection in list(&answer["conns"]).iter().filter(|told| told["netNS"] == netns) {
            for (place, by_type) in fields(&connection["dnsStatsByDomainByQueryType"]) {
                let place: usize = place.parse().expect("a place");
                let domain = domains[place].as_str().expect("a name");
                for (number, stats) in fields(&by_type["dnsStatsByQueryType"]) {
                    self.add_stats(domain, &number, &stats, connection);
                }
            }
        }
    }

    fn add_stats(&mut self, domain: &str, query_type: &str, stats: &Value, connection: &Value) {
        let key = (domain.to_owned(), type_name(query_type).to_owned());
        let mut count = number_or_text(&stats["dnsTimeouts"]);
        if count > 0 {
            *self.timed_out.entry(key.clone()).or_default() += count;
        }
        for (rcode, answers) in fields(&stats["dnsCountByRcode"]) {
            let of_key = self.answers.entry(key.clone()).or_default();
            *of_key.entry(rcode_name(&rcode).to_owned()).or_default() += number_or_text(&answers);
            count += number_or_text(&answers);
        }
        self.success_us += number_or_text(&stats["dnsSuccessLatencySum"]);
        self.failure_us += number_or_text(&stats["dnsFailureLatencySum"]);
        if let Some(pid) = connection["pid"].as_u64() {
            *self.by_pid.entry(pid).or_default() += count;
        }
        self.over_tcp += if connection["type"] == "tcp" { count } else { 0 };
    }
}

/// The next answer of the reference's dialect to this client.
pub fn reference(socket: &std::path::Path, client: &str) -> Value {
    get(socket, &format!("/network_tracer/connections?client_id={client}")).json()
}

fn type_name(number: &str) -> &str {
    match number {
        "1" => "A",
        "16" => "TXT",
        "28" => "AAAA",
        other => other,
    }
}

fn rcode_name(number: &str) -> &str {
    match number {
        "0" => "NOERROR",
        "2" => "SERVFAIL",
        "3" => "NXDOMAIN",
        "5" => "REFUSED",
        other => other,
    }
}

/// What is absent is empty.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fields(value: &Value) -> Vec<(String, Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// 64-bit integers of the reference's dialect are text.
fn number_or_text(value: &Value) -> u64 {
    value.as_str().map_or_else(|| value.as_u64().unwrap_or(0), |text| text.parse().expect("digits"))
}
