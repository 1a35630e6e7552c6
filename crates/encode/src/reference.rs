//! The JSON form of the reference system's `Connections` message.
//!
//! Follows the JSON mapping of Protocol Buffers with all defaults present: names in lowerCamelCase, 64-bit
//! integers as text, enums by name, bytes as base64 text, empty lists and maps as `[]` and `{}`, an absent
//! message as `null`. The protobuf form is not here yet.

mod change;
mod connection;
mod conns;
mod key;
mod no_fact;
mod other_ends;
mod record;
mod rollup;
mod shared_keys;
mod telemetry;
mod text;

use std::io;

use deltas::Delta;
use serde::Serialize;

use crate::answer::Answer;
use conns::Conns;
use no_fact::{EmptyMap, EmptySeq, Null};
use telemetry::TelemetryMap;

/// Writes the delta as one `Connections` message, one connection at a time.
///
/// What the dialect cannot tell apart is one connection in it, with the sums of all: a tuple that was used again after a
/// close or a failed connect, and the roll-ups of one process, namespace, direction and port.
///
/// A connection of which nothing was counted since, and that was neither established nor closed, is left out, as in
/// the reference: the dialect tells neither states nor owners' sources nor failures of UDP. `out` gets many small writes and should have a buffer.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before is then an incomplete object.
pub fn write_connections(out: &mut impl io::Write, answer: &Answer<'_>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &ConnectionsWire::new(answer))?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionsWire<'a> {
    conns: Conns<'a>,
    dns: EmptyMap,
    conn_telemetry: Null,
    domains: EmptySeq,
    routes: EmptySeq,
    compilation_telemetry_by_asset: EmptyMap,
    agent_configuration: AgentConfiguration,
    tags: EmptySeq,
    conn_telemetry_map: TelemetryMap,
    kernel_header_fetch_result: &'static str,
    #[serde(rename = "CORETelemetryByAsset")]
    core_telemetry_by_asset: EmptyMap,
    #[serde(rename = "PrebuiltEBPFAssets")]
    prebuilt_ebpf_assets: EmptySeq,
    resolv_confs: EmptySeq,
}

impl<'a> ConnectionsWire<'a> {
    fn new(answer: &Answer<'a>) -> Self {
        // The dialect has no place for the instance, and names no degradations.
        let Answer { delta, wall: _, instance: _, degradations: _ } = *answer;
        // Nor for the client, the sequence and the interval. How it is told is in its records.
        let Delta {
            client: _,
            sequence: _,
            acknowledged: _,
            from: _,
            to: _,
            coverage,
            view: _,
            changes: _,
            roll_ups: _,
            share: _,
        } = delta;
        Self {
            conns: Conns(delta),
            dns: EmptyMap {},
            conn_telemetry: Null,
            domains: [],
            routes: [],
            compilation_telemetry_by_asset: EmptyMap {},
            agent_configuration: AgentConfiguration::default(),
            tags: [],
            conn_telemetry_map: TelemetryMap::new(coverage),
            kernel_header_fetch_result: "FetchNotAttempted",
            core_telemetry_by_asset: EmptyMap {},
            prebuilt_ebpf_assets: [],
            resolv_confs: [],
        }
    }
}

/// Which products are on: network tracing is, the others do not exist here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentConfiguration {
    npm_enabled: bool,
    usm_enabled: bool,
    dsm_enabled: bool,
    ccm_enabled: bool,
    csm_enabled: bool,
    eudm_enabled: bool,
    discovery_service_map_enabled: bool,
}

impl Default for AgentConfiguration {
    fn default() -> Self {
        Self {
            npm_enabled: true,
            usm_enabled: false,
            dsm_enabled: false,
            ccm_enabled: false,
            csm_enabled: false,
            eudm_enabled: false,
            discovery_service_map_enabled: false,
        }
    }
}
