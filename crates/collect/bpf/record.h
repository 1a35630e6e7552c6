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
	OWNER_DESCRIPTOR = 1,
	OWNER_CLOSE = 2,
	OWNER_CONNECT = 3,
	OWNER_SEND = 4,
};

enum record_kind {
	RECORD_LIVE = 1,
	RECORD_ADOPTED = 2,
	RECORD_CLOSED = 3,
	/* Names a connection that was told live and whose final counters are in a roll-up. */
	RECORD_ROLLED_UP = 4,
	/* An unchanged_record. */
	RECORD_UNCHANGED = 5,
	/* Each a datagram_record. */
	RECORD_DATAGRAMS_LIVE = 6,
	RECORD_DATAGRAMS_CLOSED = 7,
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
	/* Of a rolled-up connection: its counters are in the roll-up of the rest. */
	__u8 in_rest;
	/* The socket was found without a slot while it lived. */
	__u8 found;
	__u8 pad[1];
};

_Static_assert(sizeof(struct owner_record) == 48, "owner_record has no hidden padding");
_Static_assert(sizeof(struct connection_record) == 256, "connection_record has no hidden padding");
_Static_assert(__builtin_offsetof(struct connection_record, local_address) == 204, "offsets are fixed");
_Static_assert(__builtin_offsetof(struct connection_record, kind) == 244, "offsets are fixed");

#define WAYS 8

/*
 * Connections that were read before and have not changed since. As long as a connection_record, with its kind
 * at the same place, so that both come in one sequence.
 */
struct unchanged_record {
	__u64 cookie[WAYS];
	__u64 claimed_at_ns[WAYS];
	__u8 pad[116];
	__u8 kind;
	__u8 connections;
	__u8 pad_end[10];
};

_Static_assert(sizeof(struct unchanged_record) == sizeof(struct connection_record), "one length for all");
_Static_assert(__builtin_offsetof(struct unchanged_record, kind) == 244, "one place for the kind");

/*
 * The datagrams that one UDP socket exchanged with one peer. As long as a connection_record, with its kind at
 * the same place. IPv4 addresses are mapped into IPv6.
 */
struct datagram_record {
	struct owner_record owner;
	__u64 cookie;
	__u64 claimed_at_ns;
	__u64 closed_at_ns;
	__u64 failed_at_ns;
	/* Payload. */
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_datagrams;
	__u64 received_datagrams;
	/* Of the socket, all its peers together; 0 when it is gone. */
	__u64 drops;
	__u32 netns;
	__u32 scope_id;
	__u8 local_address[16];
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	/* That an ICMP message told last, at failed_at_ns. */
	__u16 error;
	__u8 assured;
	__u8 pad[77];
	__u8 kind;
	__u8 direction;
	__u8 pre_existing;
	__u8 pad_end[9];
};

_Static_assert(sizeof(struct datagram_record) == sizeof(struct connection_record), "one length for all");
_Static_assert(__builtin_offsetof(struct datagram_record, kind) == 244, "one place for the kind");

/* errno(3) ends at 133, EHWPOISON. */
#define ERRNOS 134
/* include/net/tcp_states.h ends below 16; a connect that sent nothing counts as state 0. */
#define STATES 16

/*
 * What connections have in common that are rolled up into one. With nothing but the protocol it is the rest:
 * those for which there was no room under a key of their own.
 */
struct rollup_key {
	__u64 owner_started_at_boot_ns;
	__u32 owner_tgid;
	__u32 netns;
	/* The port that the end that opened the connection named; 0 where it is not known which end did. */
	__u16 service_port;
	__u8 direction;
	__u8 protocol;
	__u8 pad[4];
};

/* The sums over the connections of one key. */
struct rollup {
	/* Of one of them. */
	struct owner_record owner;
	__u64 last_closed_at_ns;
	__u64 connections;
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
	__u64 retransmits;
	__u64 rtos;
	__u64 rto_recoveries;
	__u64 reordering_events;
	__u64 out_of_order_packets;
	__u64 delivered_ce_packets;
	/* Of them, those of which the kernel counts no retransmission time-outs. */
	__u64 without_rtos;
	/* How many ended with which error, and how many without one by the state that they left. */
	__u32 with_errno[ERRNOS];
	__u32 without_errno[STATES];
};

_Static_assert(sizeof(struct rollup_key) == 24, "rollup_key has no hidden padding");
_Static_assert(sizeof(struct rollup) == 752, "rollup has no hidden padding");

/*
 * A message of name servers that passed a socket, with its bytes behind it. IPv4 addresses are mapped into
 * IPv6.
 */
struct payload_record {
	/* Of the connection; both 0 where there is none. */
	__u64 cookie;
	__u64 claimed_at_ns;
	__u64 at_ns;
	__u8 local_address[16];
	__u8 remote_address[16];
	__u32 scope_id;
	__u32 netns;
	/* Thread group of the sender; 0 of what came, and where it is not known. */
	__u32 sender;
	/* How many bytes there were, and how many of them are behind the record. */
	__u32 whole_bytes;
	__u32 copied_bytes;
	/* Of TCP, that of the first byte. */
	__u32 tcp_sequence;
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 sent;
	__u8 pad[2];
};

_Static_assert(sizeof(struct payload_record) == 88, "payload_record has no hidden padding");

/* At most so many bytes are behind a payload_record: what fits a datagram on every network (RFC 9715). */
#define PAYLOAD_BYTES 1232

/* What the kernel side counts, per CPU; user space adds the CPUs up. */
struct kernel_counts {
	/* Slots claimed, in the table or beside it: connections and listeners followed. */
	__u64 claimed;
	/* Final records put into the ring buffer. */
	__u64 closed;
	/* Final records for which the ring buffer had no room, and which were kept beside it. */
	__u64 overflowed;
	/* Final records for which there was no room there either, and which were added up. */
	__u64 rolled_up;
	/* Of these, those without room under a key of their own. */
	__u64 rolled_up_in_rest;
	/* Sockets for which the table had no slot. */
	__u64 table_full;
	/* Of these, those that got a slot beside the table. */
	__u64 spilled;
	/* Closes of sockets that were never claimed. */
	__u64 closed_unclaimed;
	/* Final records that had to wait for the owner to close. */
	__u64 deferred;
	/* Final records that should have waited, and were told without an owner because too many did. */
	__u64 deferred_full;
	/* Calls of connect() that could not be followed, because too many had failed on sockets still open.
	 */
	__u64 attempts_full;
	/* Connections of which the beginning was not seen, claimed when they ended. */
	__u64 claimed_late;
	/* Changes of state that came while the first program of the state hook ran on that CPU, done by the
	 * second. */
	__u64 nested_runs;
	/* UDP connections begun: sockets with a peer. */
	__u64 udp_begun;
	/* Looks for a slot of a UDP socket in a full bucket: such a socket keeps all its peers beside the
	 * table. */
	__u64 udp_slots_full;
	/* Datagrams whose peer found no room, and which were added up with others. */
	__u64 udp_rolled_up;
	/* Datagrams sent whose headers are not those of their socket: another protocol carries them. */
	__u64 udp_foreign;
	/* Datagrams that came in the moment in which their connection was told as ended. */
	__u64 udp_late;
	/* UDP sockets that were closed, and of which something is left that only a pass can tell. */
	__u64 udp_left;
	/* Slots of TCP sockets that were gone without a word, freed by a pass. */
	__u64 stale;
	/* Of these, those that no pass had read: nothing is known of their connections. */
	__u64 stale_untold;
	/* UDP sockets of processes that were gone without a word, ended by a pass. */
	__u64 udp_stale;
	/* UDP sockets of tunnels that were closed. */
	__u64 udp_tunnels_ended;
	/* Messages of name servers that were copied. */
	__u64 payloads;
	/* Messages of name servers that were not copied: their ring buffer had no room, or all of their bytes
	 * are in pages. */
	__u64 payloads_lost;
};

#endif
