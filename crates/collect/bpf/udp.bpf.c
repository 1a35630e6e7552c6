/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel side of UDP, in reading order. Of its datagrams the kernel keeps no counters, so programs count
 * them: those of hook_udp_functions.h, or where the kernel refuses those, hook_cgroup_skb.h. User space loads
 * one of the two.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "record.h"
#include "shared_maps.h"
#include "udp_maps.h"
#include "payload_maps.h"
#include "memory.h"
#include "cookie.h"
#include "owner.h"
#include "telling.h"
#include "unchanged.h"
#include "rollup_of.h"
#include "udp_table.h"
#include "udp_datagram.h"
#include "udp_accounting.h"
#include "udp_telling.h"
#include "payload.h"
#include "udp_payload.h"

#include "hook_udp_functions.h"
#include "hook_cgroup_skb.h"
#include "hook_inet_sk_error_report.h"
#include "iter_udp_sockets.h"
#include "iter_udp_peers.h"
#include "iter_udp.h"
#include "iter_udp_audit.h"
#include "iter_udp_task_file.h"

/* The kernel lets only programs under the GPL use the helpers for tracing. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
