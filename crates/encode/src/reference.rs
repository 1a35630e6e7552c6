//! The reference system's `Connections` message, as protobuf and as JSON.
//!
//! Both are written from the same messages, which are generated from `proto/reference.proto`: what JSON has, protobuf has.
//! The JSON form follows the JSON mapping of Protocol Buffers with all defaults present: names as in the schema, 64-bit
//! integers as text, enums by name, bytes as base64 text, empty lists and maps as `[]` and `{}`, an absent message as `null`.

mod cached;
mod change;
mod connection;
mod conns;
mod json;
mod key;
mod lists;
mod net_state;
mod proto;
mod record;
mod rollup;
mod shared_keys;
mod telemetry;

use std::cell::RefCell;
use std::io;

use deltas::Delta;
use prost::Message;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::answer::Answer;
use conns::each;
use lists::Lists;
use proto::{AgentConfiguration, Connections, KernelHeaderFetchResult};
use telemetry::telemetry;

pub use cached::{ConntrackPage, ProcessPage, Tracked};
pub use net_state::write_net_state;

/// How the message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `application/protobuf`.
    Protobuf,
}

impl Form {
    /// Its media type, as the clients of the reference look for it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Protobuf => "application/protobuf",
        }
    }
}

/// Writes the delta as one `Connections` message, the connections first and one at a time.
///
/// What the dialect cannot tell apart is one connection in it, with the sums of all: a tuple that was used again after a
/// close or a failed connect, and the roll-ups of one process, namespace, direction and port.
///
/// A connection of which nothing was counted since, and that was neither established nor closed, is left out, as in
/// the reference: the dialect tells neither states nor owners' sources nor failures of UDP. `out` gets many small writes and should have a buffer.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before is then an incomplete message; of protobuf, one that its end
/// does not show: whoever carries it must tell that.
pub fn write_connections(out: &mut impl io::Write, answer: &Answer<'_>, form: Form) -> io::Result<()> {
    // The dialect has no place for the instance, and names no degradations.
    let Answer { delta: _, wall: _, instance: _, degradations: _, context: _ } = answer;
    let lists = &RefCell::default();
    match form {
        Form::Json => {
            let conns = Conns { answer, lists };
            let rest = Rest { answer, lists };
            let message = ConnectionsJson { conns, dns: Names(lists), domains: Domains(lists), rest };
            Ok(serde_json::to_writer(out, &message)?)
        }
        Form::Protobuf => write_protobuf(out, answer, &mut lists.borrow_mut()),
    }
}

/// A repeated field is what stands one after the other, and a map is one: each connection, address and domain is written by
/// itself, and the rest of the message follows.
fn write_protobuf(out: &mut impl io::Write, answer: &Answer<'_>, lists: &mut Lists) -> io::Result<()> {
    let mut bytes = Vec::new();
    each(answer, lists, |connection| {
        bytes.clear();
        prost::encoding::message::encode(1, connection, &mut bytes);
        out.write_all(&bytes)
    })?;
    for named in lists.names() {
        let one = Connections { dns: [named].into(), ..Connections::default() };
        out.write_all(&one.encode_to_vec())?;
    }
    for domain in lists.domains() {
        let one = Connections { domains: vec![domain.to_owned()], ..Connections::default() };
        out.write_all(&one.encode_to_vec())?;
    }
    out.write_all(&rest(answer.delta, lists).encode_to_vec())
}

/// What follows the connections.
fn rest(delta: &Delta, lists: &Lists) -> Connections {
    // The dialect has no place for the client, the sequence and the interval. How it is told is in its records.
    let Delta {
        client: _,
        sequence: _,
        acknowledged: _,
        from: _,
        to: _,
        coverage: _,
        view: _,
        changes: _,
        roll_ups: _,
        lookups: _,
        share: _,
    } = delta;
    Connections {
        conns: Vec::new(),
        dns: Default::default(),
        // Network tracing is what there is of the reference's products.
        agent_configuration: Some(AgentConfiguration {
            npm_enabled: true,
            usm_enabled: false,
            dsm_enabled: false,
            ccm_enabled: false,
            csm_enabled: false,
            eudm_enabled: false,
            discovery_service_map_enabled: false,
        }),
        conn_telemetry_map: telemetry(delta),
        // The reference does not fill it either.
        conn_telemetry: None,
        domains: Vec::new(),
        routes: lists.routes(),
        compilation_telemetry_by_asset: Default::default(),
        tags: Vec::new(),
        kernel_header_fetch_result: KernelHeaderFetchResult::FetchNotAttempted.into(),
        core_telemetry_by_asset: Default::default(),
        prebuilt_ebpf_assets: Vec::new(),
        resolv_confs: Vec::new(),
    }
}

#[derive(Serialize)]
struct ConnectionsJson<'a> {
    conns: Conns<'a>,
    // What follows is known when the connections are written.
    dns: Names<'a>,
    domains: Domains<'a>,
    #[serde(flatten)]
    rest: Rest<'a>,
}

/// The connections of an answer, each made when its turn comes.
struct Conns<'a> {
    answer: &'a Answer<'a>,
    lists: &'a RefCell<Lists>,
}

impl Serialize for Conns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let lists = &mut self.lists.borrow_mut();
        each(self.answer, lists, |connection| list.serialize_element(connection))?;
        list.end()
    }
}

/// The names of addresses.
struct Names<'a>(&'a RefCell<Lists>);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.borrow().names())
    }
}

/// The domains, each at its place.
struct Domains<'a>(&'a RefCell<Lists>);

impl Serialize for Domains<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.borrow().domains())
    }
}

/// Everything else.
struct Rest<'a> {
    answer: &'a Answer<'a>,
    lists: &'a RefCell<Lists>,
}

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        rest(self.answer.delta, &self.lists.borrow()).serialize(serializer)
    }
}
