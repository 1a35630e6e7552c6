/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ring buffer of the messages of name servers, and whose messages these are. Two objects write it: the
 * one that is loaded first makes it, and the other takes it over.
 */
#ifndef SOCKEYE_PAYLOAD_MAPS_H
#define SOCKEYE_PAYLOAD_MAPS_H

/* Each a payload_record with its bytes. Written by the packet hooks; drained by user space. Sized at load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} payload_records SEC(".maps");

#define NAME_PORTS 8

/*
 * Ports of name servers in network order, from the front, 0 for none. Set at load: the verifier knows them
 * then, and what is there for those that are 0 is not in the program.
 */
const volatile __be16 name_ports[NAME_PORTS] = {};
/* The consumer is woken when this much waits in the ring buffer: half of it. Set at load. */
const volatile __u64 payload_wake_bytes = 0;

/* So that user space has the type. */
const struct payload_record empty_payload_record = {};

/* One of the ends is a name server. */
static __always_inline bool is_of_name_server(__be16 local_port, __be16 remote_port)
{
#pragma unroll
	for (int i = 0; i < NAME_PORTS; i++) {
		__be16 port = name_ports[i];
		if (!port)
			return false;
		if (remote_port == port || local_port == port)
			return true;
	}
	return false;
}

#endif
