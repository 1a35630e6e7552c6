//! The reference system's `Connections` message, as protobuf and as JSON.
//!
//! Both are written from the same messages, which are generated from `proto/reference.proto`: what JSON has, protobuf has.
//! The JSON form follows the JSON mapping of Protocol Buffers with all defaults present: names as in the schema, 64-bit
//! integers as text, enums by name, bytes as base64 text, empty lists and maps as `[]` and `{}`, an absent message as `null`.

mod change;
mod connection;
mod conns;
mod hashes;
mod json;
mod key;
mod net_state;
mod other_ends;
mod proto;
mod record;
mod rollup;
mod shared_keys;
mod telemetry;

use std::io;

use deltas::Delta;
use prost::Message;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::answer::Answer;
use conns::each;
use proto::{AgentConfiguration, Connections, KernelHeaderFetchResult};
use telemetry::telemetry;

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
    let Answer { delta, wall: _, instance: _, degradations: _ } = *answer;
    match form {
        Form::Json => {
            Ok(serde_json::to_writer(out, &ConnectionsJson { conns: Conns(delta), rest: rest(delta) })?)
        }
        Form::Protobuf => write_protobuf(out, delta),
    }
}

/// A repeated field is what stands one after the other: each connection is one, and the rest of the message follows.
fn write_protobuf(out: &mut impl io::Write, delta: &Delta) -> io::Result<()> {
    let mut bytes = Vec::new();
    each(delta, |connection| {
        bytes.clear();
        prost::encoding::message::encode(1, connection, &mut bytes);
        out.write_all(&bytes)
    })?;
    out.write_all(&rest(delta).encode_to_vec())
}

/// What follows the connections.
fn rest(delta: &Delta) -> Connections {
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
        share: _,
    } = delta;
    Connections {
        conns: Vec::new(),
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
        dns: Default::default(),
        // The reference does not fill it either.
        conn_telemetry: None,
        domains: Vec::new(),
        routes: Vec::new(),
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
    #[serde(flatten)]
    rest: Connections,
}

/// The connections of a delta, each made when its turn comes.
struct Conns<'a>(&'a Delta);

impl Serialize for Conns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        each(self.0, |connection| list.serialize_element(connection))?;
        list.end()
    }
}
