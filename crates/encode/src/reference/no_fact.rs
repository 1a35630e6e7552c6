//! Fields of the reference's `Connection` for which there is no fact, at the value that means so there.
//!
//! A field leaves this file when the tracer learns to fill it.

use serde::Serialize;

use super::text::Text;

/// A list without elements.
pub(super) type EmptySeq = [u32; 0];

/// A map without entries.
#[derive(Serialize, Default)]
pub(super) struct EmptyMap {}

/// An absent message.
#[derive(Serialize, Default)]
pub(super) struct Null;

/// An index into a list of the message that points nowhere.
const NOWHERE: i32 = -1;

/// Everything about a connection that is not known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NoFact {
    ip_translation: Null,
    dns_successful_responses: u32,
    dns_failed_responses: u32,
    dns_timeouts: u32,
    dns_success_latency_sum: Text<u64>,
    dns_failure_latency_sum: Text<u64>,
    remote_network_id: &'static str,
    dns_count_by_rcode: EmptyMap,
    dns_stats_by_domain: EmptyMap,
    route_idx: i32,
    http_aggregations: &'static str,
    route_target_idx: i32,
    is_local_port_ephemeral: &'static str,
    dns_stats_by_domain_by_query_type: EmptyMap,
    dns_stats_by_domain_offset_by_query_type: EmptyMap,
    tags: EmptySeq,
    tags_idx: i32,
    state_index: u32,
    tags_checksum: u32,
    protocol: ProtocolStack,
    data_streams_aggregations: &'static str,
    http2_aggregations: &'static str,
    database_aggregations: &'static str,
    remote_ecs_task: &'static str,
    local_container_tags_index: i32,
    system_probe_conn: bool,
    resolv_conf_idx: i32,
    // The kernel keeps no total of these probes.
    last_tcp_probe0_count: u32,
    remote_service_tags_idx: i32,
}

#[derive(Serialize)]
struct ProtocolStack {
    stack: EmptySeq,
}

impl Default for NoFact {
    fn default() -> Self {
        Self {
            ip_translation: Null,
            dns_successful_responses: 0,
            dns_failed_responses: 0,
            dns_timeouts: 0,
            dns_success_latency_sum: Text(0),
            dns_failure_latency_sum: Text(0),
            remote_network_id: "",
            dns_count_by_rcode: EmptyMap {},
            dns_stats_by_domain: EmptyMap {},
            route_idx: NOWHERE,
            http_aggregations: "",
            // Filled by the client of the reference, like the other indices that are 0 here.
            route_target_idx: 0,
            is_local_port_ephemeral: "ephemeralUnspecified",
            dns_stats_by_domain_by_query_type: EmptyMap {},
            dns_stats_by_domain_offset_by_query_type: EmptyMap {},
            tags: [],
            tags_idx: 0,
            state_index: 0,
            tags_checksum: 0,
            protocol: ProtocolStack { stack: [] },
            data_streams_aggregations: "",
            http2_aggregations: "",
            database_aggregations: "",
            remote_ecs_task: "",
            local_container_tags_index: 0,
            system_probe_conn: false,
            resolv_conf_idx: NOWHERE,
            last_tcp_probe0_count: 0,
            remote_service_tags_idx: 0,
        }
    }
}
