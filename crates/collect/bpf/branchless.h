/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Conditions as numbers, 0 or 1, that are calculated with and not branched on.
 *
 * The verifier follows both ways of a branch, and goes on with both as long as a later branch depends on what
 * it knows of either: with some twenty conditions it would follow the reading of a socket five hundred times,
 * which takes most of the time in which the programs are loaded. What is calculated is one way. In assembler,
 * because the compiler makes branches of comparisons.
 */
#ifndef SOCKEYE_BRANCHLESS_H
#define SOCKEYE_BRANCHLESS_H

/* 1 for 0, and 0 for everything else below 2^63. */
static __always_inline __u64 is_zero(__u64 number)
{
	asm volatile("%0 += -1\n\t"
		     "%0 >>= 63"
		     : "+r"(number));
	return number;
}

static __always_inline __u64 is_same(__u32 one, __u32 other)
{
	return is_zero(one ^ other);
}

static __always_inline __u64 is_other(__u32 one, __u32 other)
{
	return 1 ^ is_zero(one ^ other);
}

/* A set of states of TCP, for is_in. */
#define IN(state) (1u << (state))

static __always_inline __u64 is_in(__u32 states, int state)
{
	return ((__u64)states >> (state & 31)) & 1;
}

#endif
