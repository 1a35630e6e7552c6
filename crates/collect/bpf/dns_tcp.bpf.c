/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Messages of name servers over TCP. An object of its own, loaded on request only: its programs run for every
 * packet of the host.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "record.h"
#include "shared_maps.h"
#include "maps.h"
#include "memory.h"
#include "payload_maps.h"
#include "table.h"
#include "payload.h"

#include "hook_cgroup_skb_dns.h"

/* The kernel lets only programs under the GPL use the helpers for tracing. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
