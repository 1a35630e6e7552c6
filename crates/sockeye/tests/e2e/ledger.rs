//! A client of the native API that keeps the sums of what it was told, connection by connection.
//!
//! Every whole answer is added up and none is left out, so the sums hold what a careful reader would have.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::curl::{self, Answer};
use crate::wait::until;
use crate::world::NetNs;

/// Counters by name, all that an answer holds.
pub type Counters = BTreeMap<String, u64>;

/// What was told of one connection.
#[derive(Debug, Clone)]
pub struct Told {
    /// Sum of its deltas.
    pub sum: Counters,
    /// Answers in which its delta was not zero.
    pub answers: u32,
    /// Answers that told it as closed.
    pub closes: u32,
    /// As it was told last.
    pub last: Value,
}

/// How a client tells which answers it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its polls acknowledge themselves.
    Itself,
    /// Its polls say so with `after`.
    After,
}

/// A registered client.
pub struct Ledger {
    socket: PathBuf,
    uid: u32,
    id: String,
    way: Way,
    sequence: u64,
    /// The number above which those of its answers are.
    first: u64,
    /// End of the last whole answer.
    to: Value,
    complete: bool,
    /// By connection id.
    pub told: BTreeMap<String, Told>,
}

impl Told {
    pub fn total(&self) -> Counters {
        counters(&self.last["total"])
    }

    /// Sums of the deltas of sent and received bytes.
    pub fn bytes(&self) -> (u64, u64) {
        bytes(&self.sum)
    }

    pub fn payload(&self) -> u64 {
        let (sent, received) = self.bytes();
        sent + received
    }

    pub fn closed(&self) -> bool {
        self.closes > 0
    }

    /// How many connections it is: not one for a roll-up.
    pub fn connections(&self) -> u64 {
        number(&self.last["rolled_up"])
    }

    /// Counters of several connections, not all of which need be counted by itself.
    pub fn is_roll_up(&self) -> bool {
        self.last["id"].as_str().is_some_and(|id| id.starts_with("rolled-up-"))
    }

    pub fn port(&self, end: &str) -> u64 {
        number(&self.last[end]["port"])
    }
}

impl Ledger {
    pub fn register(socket: PathBuf, id: &str) -> Self {
        Self::register_as(0, socket, id, Way::Itself)
    }

    /// A client of this user.
    pub fn register_as(uid: u32, socket: PathBuf, id: &str, way: Way) -> Self {
        let answer = curl::request(&socket, uid, "PUT", &format!("/v1/clients/{id}"));
        assert_eq!(answer.status, 201, "{answer:?}");
        Self {
            socket,
            uid,
            id: id.to_owned(),
            way,
            sequence: 0,
            first: number(&answer.json()["sequence"]),
            to: Value::Null,
            complete: true,
            told: BTreeMap::new(),
        }
    }

    /// Where its next poll goes.
    pub fn path(&self) -> String {
        let after = match self.way {
            Way::Itself => String::new(),
            Way::After => format!("?after={}", self.sequence),
        };
        format!("/v1/clients/{}/connections{after}", self.id)
    }

    /// What the daemon says of it.
    pub fn state(&self) -> Value {
        curl::request(&self.socket, self.uid, "GET", &format!("/v1/clients/{}", self.id)).json()
    }

    /// Number of the last whole answer.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of the `nth` answer that is made to it.
    pub fn nth(&self, nth: u64) -> u64 {
        self.first + nth
    }

    /// True when every answer was complete.
    pub fn lost_nothing(&self) -> bool {
        self.complete
    }

    /// Polls, adds up, and gives the answer.
    pub fn poll(&mut self) -> Value {
        let answer = self.try_poll();
        assert_eq!(answer.status, 200, "{answer:?}");
        self.add(answer.json())
    }

    /// Polls; an answer other than 200 tells nothing.
    pub fn try_poll(&self) -> Answer {
        curl::request(&self.socket, self.uid, "GET", &self.path())
    }

    /// Adds up a whole answer, however it was read.
    pub fn add(&mut self, answer: Value) -> Value {
        // What was read to its end is acknowledged, or what was said to be kept, and nothing else is.
        assert_eq!(number(&answer["acknowledged"]), self.sequence, "{}", self.id);
        self.sequence = number(&answer["sequence"]);
        assert!(self.to.is_null() || answer["from"] == self.to, "it goes on from {}: {answer}", self.to);
        self.to = answer["to"].clone();
        self.complete &= answer["coverage"]["complete"].as_bool().expect("every answer says it");
        for connection in answer["connections"].as_array().expect("a list") {
            let id = connection["id"].as_str().expect("an id").to_owned();
            let told = self.told.entry(id).or_insert_with(|| Told {
                sum: Counters::default(),
                answers: 0,
                closes: 0,
                last: Value::Null,
            });
            let delta = counters(&connection["delta"]);
            told.answers += u32::from(delta.values().any(|delta| *delta > 0));
            for (name, delta) in delta {
                *told.sum.entry(name).or_default() += delta;
            }
            told.closes += u32::from(!connection["closed_at"].is_null());
            told.last = connection.clone();
            assert_eq!(told.sum, told.total(), "the deltas add up to the total: {connection}");
        }
        answer
    }

    /// The connections of a namespace.
    pub fn of<'a>(&'a self, space: &NetNs) -> impl Iterator<Item = (&'a String, &'a Told)> {
        let inode = u64::from(space.inode());
        // The roll-up of the rest has no namespace.
        self.told.iter().filter(move |(_, told)| told.last["netns"].as_u64() == Some(inode))
    }

    /// The connection of the namespace with this port at this end (`local` or `remote`); ports are taken once.
    pub fn find(&self, space: &NetNs, end: &str, port: u64) -> Option<&Told> {
        self.of(space).map(|(_, told)| told).find(|told| told.port(end) == port)
    }

    /// How many connections of the namespace are told as closed.
    pub fn closed(&self, space: &NetNs) -> usize {
        self.of(space).filter(|(_, told)| told.closed()).count()
    }

    /// Polls until so many connections of the namespace are told as closed.
    pub fn wait_closed(&mut self, space: &NetNs, count: usize) {
        until("the closes", || {
            self.poll();
            assert!(self.closed(space) <= count, "more closes than connections");
            (self.closed(space) == count).then_some(())
        });
    }

    pub fn remove(self) {
        let answer = curl::request(&self.socket, self.uid, "DELETE", &format!("/v1/clients/{}", self.id));
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

/// A counter of `/v1/status`.
pub fn status_counter(socket: &std::path::Path, name: &str) -> u64 {
    let status = curl::get(socket, "/v1/status").json();
    number(&status["counters"][name])
}

/// Connections and bytes that the answer says were lost for this cause.
pub fn lost(answer: &Value, cause: &str) -> (u64, u64) {
    match &answer["coverage"]["lost"][cause] {
        Value::Null => (0, 0),
        loss => (number(&loss["connections"]), number(&loss["bytes"])),
    }
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn counters(value: &Value) -> Counters {
    let fields = value.as_object().expect("counters by name");
    fields.iter().map(|(name, value)| (name.clone(), number(value))).collect()
}

/// Sent and received bytes.
pub fn bytes(counters: &Counters) -> (u64, u64) {
    (counters["sent_bytes"], counters["received_bytes"])
}
