/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Makes up final records and puts them into the ring buffer of a running tracer, faster than this machine
 * could open and close connections.
 *
 * The ring is the tracer's own: user space gives it before loading. A record that does not fit is counted
 * and gone; the tracer's own programs would keep it beside the ring.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

#include "record.h"

/* Records of one run at most. */
#define BATCH_MAX 128
#define LOOPBACK 0x0100007f
#define SERVER_PORT 8080
#define FIRST_CLIENT_PORT 1024

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} closed_records SEC(".maps");

/* What a run is asked for. */
struct batch {
	__u64 first_cookie;
	/* As ring_wake_bytes of the tracer. */
	__u64 ring_wake_bytes;
	__u32 records;
	__u32 netns;
	__u32 tgid;
	__u32 pad;
};

/* As a connection looks that was opened here, exchanged a request and an answer, and was closed by us. */
static __always_inline void make_up(struct connection_record *record, struct batch *batch, __u64 cookie)
{
	__u64 now = bpf_ktime_get_ns();

	__builtin_memset(record, 0, sizeof(*record));
	record->owner.tgid = batch->tgid;
	record->owner.tid = batch->tgid;
	record->owner.source = OWNER_CONNECT;
	__builtin_memcpy(record->owner.command, "made up", sizeof("made up"));
	record->cookie = cookie;
	record->claimed_at_ns = now - 1000000;
	record->established_at_ns = now - 900000;
	record->closed_at_ns = now;
	record->sent_bytes = 64;
	record->received_bytes = 512;
	record->sent_packets = 5;
	record->received_packets = 4;
	record->srtt_us = 100;
	record->rttvar_us = 50;
	record->min_rtt_us = 80;
	record->cwnd_packets = 10;
	record->has_isns = 1;
	record->local_isn = cookie;
	record->remote_isn = cookie >> 16;
	record->netns = batch->netns;
	*(__u32 *)record->local_address = LOOPBACK;
	*(__u32 *)record->remote_address = LOOPBACK;
	record->local_port = FIRST_CLIENT_PORT + cookie % (65536 - FIRST_CLIENT_PORT);
	record->remote_port = SERVER_PORT;
	record->family = AF_INET;
	record->kind = RECORD_CLOSED;
	record->direction = DIRECTION_OUTGOING;
	record->state = TCP_CLOSE;
	record->state_before = TCP_FIN_WAIT2;
}

/* Wakes the consumer as `tell` in closing.h does: not per record, and when half of the ring is full. */
static __always_inline bool put(struct connection_record *record, __u64 ring_wake_bytes)
{
	__u64 waiting = bpf_ringbuf_query(&closed_records, BPF_RB_AVAIL_DATA);
	__u64 wake = waiting > ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	return !bpf_ringbuf_output(&closed_records, record, sizeof(*record), wake);
}

/* Answers how many records the ring had no room for. */
SEC("syscall")
int produce(struct batch *batch)
{
	struct connection_record record;
	int refused = 0;

	for (__u32 index = 0; index < BATCH_MAX; index++) {
		if (index >= batch->records)
			break;
		make_up(&record, batch, batch->first_cookie + index);
		refused += !put(&record, batch->ring_wake_bytes);
	}
	return refused;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
