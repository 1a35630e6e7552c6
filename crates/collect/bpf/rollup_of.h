/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The roll-up that something is to be added to: the one of its key, or, where there is no room for another
 * key, that of the rest of its protocol.
 */
#ifndef SOCKEYE_ROLLUP_OF_H
#define SOCKEYE_ROLLUP_OF_H

/* The roll-up of this key, made if there is room, else NULL. */
static __always_inline struct rollup *rollup_of_key(void *open, struct rollup_key *key,
						    struct owner_record *owner)
{
	struct rollup *rollup = bpf_map_lookup_elem(open, key);
	if (rollup)
		return rollup;
	/* Fails also where another CPU made it meanwhile. */
	bpf_map_update_elem(open, key, &empty_rollup, BPF_NOEXIST);
	rollup = bpf_map_lookup_elem(open, key);
	if (rollup)
		__builtin_memcpy(&rollup->owner, owner, sizeof(rollup->owner));
	return rollup;
}

/* The key becomes that of the rest when there is no room for it. */
static __always_inline struct rollup *rollup_of(void *open, struct rollup_key *key,
						struct owner_record *owner, bool *in_rest)
{
	__u8 protocol = key->protocol;
	struct rollup *rollup = rollup_of_key(open, key, owner);
	*in_rest = !rollup;
	if (rollup)
		return rollup;
	__builtin_memset(key, 0, sizeof(*key));
	key->protocol = protocol;
	COUNT(rolled_up_in_rest);
	rollup = bpf_map_lookup_elem(open, key);
	if (!rollup)
		/* User space makes that entry, so it is there; if not, it is not lost silently. */
		COUNT(closed_unclaimed);
	return rollup;
}

#endif
