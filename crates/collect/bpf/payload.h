/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Copies of messages into their ring buffer. Room is reserved in one of three sizes, because the verifier
 * wants the size to be a constant: most questions fit the first, most answers the second.
 *
 * Decides neither which messages are copied, nor reads what is in them.
 */
#ifndef SOCKEYE_PAYLOAD_H
#define SOCKEYE_PAYLOAD_H

#define PAYLOAD_SMALL_BYTES 128
#define PAYLOAD_MIDDLE_BYTES 512

/* Where the bytes are: behind `offset` of the packet of a cgroup's program, or, without one, in memory. */
struct payload_place {
	struct __sk_buff *packet;
	__u32 offset;
	const void *memory;
};

static __always_inline long payload_take(void *to, __u32 bytes, struct payload_place *place)
{
	if (place->packet)
		return bpf_skb_load_bytes(place->packet, place->offset, to, bytes);
	return bpf_probe_read_kernel(to, bytes, place->memory);
}

static __always_inline void copy_into(__u32 room, struct payload_record *about, struct payload_place *place)
{
	struct payload_record *record =
	    bpf_ringbuf_reserve(&payload_records, sizeof(struct payload_record) + room, 0);
	__u64 last = about->copied_bytes - 1;
	if (!record) {
		COUNT(payloads_lost);
		return;
	}
	__builtin_memcpy(record, about, sizeof(*about));
	/* Or the compiler checks one value, and gives another to the helper. */
	asm volatile("" : "+r"(last));
	if (last >= room || payload_take(record + 1, last + 1, place)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		COUNT(payloads_lost);
		return;
	}
	__u64 waiting = bpf_ringbuf_query(&payload_records, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(record, waiting > payload_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	COUNT(payloads);
}

/* `about` says how many bytes: at least one, and at most PAYLOAD_BYTES. */
static __always_inline void copy_payload(struct payload_record *about, struct payload_place *place)
{
	if (about->copied_bytes <= PAYLOAD_SMALL_BYTES)
		copy_into(PAYLOAD_SMALL_BYTES, about, place);
	else if (about->copied_bytes <= PAYLOAD_MIDDLE_BYTES)
		copy_into(PAYLOAD_MIDDLE_BYTES, about, place);
	else
		copy_into(PAYLOAD_BYTES, about, place);
}

#endif
