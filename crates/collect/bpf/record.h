/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Every struct that crosses from the kernel to user space.
 *
 * Fixed widths, units in names, no hidden padding. Rust sees these types through the generated skeleton and
 * asserts the same sizes. Nothing here is read by the kernel side alone: that is in maps.h.
 */
#ifndef SOCKEYE_RECORD_H
#define SOCKEYE_RECORD_H

#define COMMAND_BYTES 16

/* How an owner was learnt, from least to most trusted. */
enum owner_source {
	OWNER_NONE = 0,
	OWNER_CLOSE = 1,
	OWNER_DESCRIPTOR = 2,
	OWNER_CONNECT = 3,
};

enum record_kind {
	RECORD_LIVE = 1,
	RECORD_ADOPTED = 2,
	RECORD_CLOSED = 3,
};

enum record_direction {
	DIRECTION_UNKNOWN = 0,
	DIRECTION_INCOMING = 1,
	DIRECTION_OUTGOING = 2,
	DIRECTION_LISTENING = 3,
};

/* The kernel has no such field: differs from 0. */
#define FACT_ABSENT 0xffffffffu

struct owner_record {
	__u64 cgroup_id;
	__u64 started_at_boot_ns;
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u8 source;
	__u8 kernel_thread;
	__u8 pad[2];
	__u8 command[COMMAND_BYTES];
};

struct connection_record {
	struct owner_record owner;
	__u64 cookie;
	__u64 claimed_at_ns;
	__u64 established_at_ns;
	__u64 closed_at_ns;
	/* Payload, each byte once. */
	__u64 sent_bytes;
	__u64 retransmitted_bytes;
	/* Payload in order, without the FIN that the kernel counts as a byte. */
	__u64 received_bytes;
	__u64 delivery_bytes_per_s;
	__u32 sent_packets;
	__u32 received_packets;
	__u32 retransmits;
	__u32 lost_packets;
	__u32 reordering_events;
	__u32 out_of_order_packets;
	__u32 delivered_ce_packets;
	__u32 rtos;
	__u32 rto_recoveries;
	__u32 srtt_us;
	__u32 rttvar_us;
	__u32 min_rtt_us;
	__u32 cwnd_packets;
	__u32 unsent_bytes;
	__u32 unacknowledged_bytes;
	__u32 unread_bytes;
	/* The chronograph, in jiffies. */
	__u32 busy_jiffies;
	__u32 rwnd_limited_jiffies;
	__u32 sndbuf_limited_jiffies;
	/* Initial sequence numbers; only with has_isns. */
	__u32 local_isn;
	__u32 remote_isn;
	__u32 netns;
	__u32 scope_id;
	__u8 local_address[16];
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 error;
	__u8 kind;
	__u8 direction;
	__u8 pre_existing;
	__u8 state;
	__u8 state_before;
	__u8 has_isns;
	__u8 ecn_negotiated;
	__u8 zero_window_probes_waiting;
	__u8 delivery_app_limited;
	__u8 pad[3];
};

_Static_assert(sizeof(struct owner_record) == 48, "owner_record has no hidden padding");
_Static_assert(sizeof(struct connection_record) == 256, "connection_record has no hidden padding");
_Static_assert(__builtin_offsetof(struct connection_record, local_address) == 204, "offsets are fixed");
_Static_assert(__builtin_offsetof(struct connection_record, kind) == 244, "offsets are fixed");

/* What the kernel side counts, per CPU; user space adds the CPUs up. */
struct kernel_counts {
	/* Slots claimed: connections and listeners followed. */
	__u64 claimed;
	/* Final records put into the ring buffer. */
	__u64 closed;
	/* Final records for which the ring buffer had no room, and which were kept beside it. */
	__u64 overflowed;
	/* Final records for which there was no room anywhere, and the payload bytes of those connections. */
	__u64 ring_full_connections;
	__u64 ring_full_bytes;
	/* Sockets for which the table had no slot. */
	__u64 table_full;
	/* Closes of sockets that were never claimed. */
	__u64 closed_unclaimed;
	/* Final records that had to wait for the owner to close. */
	__u64 deferred;
};

#endif
