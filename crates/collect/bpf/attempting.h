/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Calls of connect() that ended before a SYN was made: without a route, an address or a permission the socket
 * never leaves CLOSE, so that no hook of TCP runs. Only with the connect hooks attached.
 *
 * That it failed shows when the socket is used again or closed. The kernel keeps no error then.
 */
#ifndef SOCKEYE_ATTEMPTING_H
#define SOCKEYE_ATTEMPTING_H

static __noinline void tell_attempt(struct connection_record *record, struct attempt *attempt, __u64 cookie)
{
	__builtin_memset(record, 0, sizeof(*record));
	__builtin_memcpy(&record->owner, &attempt->owner, sizeof(record->owner));
	__builtin_memcpy(record->remote_address, attempt->remote_address, sizeof(record->remote_address));
	record->cookie = cookie;
	record->claimed_at_ns = attempt->at_ns;
	/* It fails within the call. */
	record->closed_at_ns = attempt->at_ns;
	record->netns = attempt->netns;
	record->family = attempt->family;
	record->remote_port = attempt->remote_port;
	record->kind = RECORD_CLOSED;
	record->direction = DIRECTION_OUTGOING;
	record->state = TCP_CLOSE;
	record->state_before = TCP_SYN_SENT;
	if (!tell(record))
		roll_up(record, NULL);
}

/* The connection began: the state hook follows it from here. */
static __always_inline void attempt_began(__u64 cookie)
{
	if (follow_attempts)
		bpf_map_delete_elem(&connect_attempts, &cookie);
}

/* The socket is used again or gone, and what it tried last never began. */
static __always_inline void attempt_failed(struct connection_record *scratch, __u64 cookie)
{
	if (!follow_attempts || !cookie)
		return;
	struct attempt *attempt = bpf_map_lookup_elem(&connect_attempts, &cookie);
	if (!attempt)
		return;
	tell_attempt(scratch, attempt, cookie);
	bpf_map_delete_elem(&connect_attempts, &cookie);
}

#endif
