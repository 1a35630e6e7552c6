//! What is asked of connection tracking, as bytes.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};

use super::message::{CTA_STATUS, CTA_STATUS_MASK, GET, GET_STATISTICS, SUBSYSTEM};

/// All entries of the namespace, of both families: with a value and a mask only those whose status has exactly these bits
/// of the mask, where the kernel can choose (since 5.15; earlier ones tell all).
pub(crate) fn dump(sequence: u32, status: Option<(u32, u32)>) -> Vec<u8> {
    let attributes = status.map(|(value, mask)| [(CTA_STATUS, value), (CTA_STATUS_MASK, mask)]);
    message(
        SUBSYSTEM | GET,
        NLM_F_REQUEST | NLM_F_DUMP,
        sequence,
        attributes.as_ref().map_or(&[], |both| both),
    )
}

/// How many connections are tracked in the namespace.
pub(crate) fn number_of_tracked(sequence: u32) -> Vec<u8> {
    message(SUBSYSTEM | GET_STATISTICS, NLM_F_REQUEST, sequence, &[])
}

fn message(kind: u16, flags: u16, sequence: u32, attributes: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The sender's number, which the kernel fills in, and the general part: any family, version 0.
    bytes.extend([0; 8]);
    for (kind, value) in attributes {
        bytes.extend(8_u16.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value.to_be_bytes());
    }
    let length = u32::try_from(bytes.len()).expect("a request is short");
    bytes.splice(..4, length.to_ne_bytes());
    bytes
}
