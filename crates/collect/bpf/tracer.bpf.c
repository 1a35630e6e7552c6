/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel side of TCP, in reading order: what crosses to user space, what is read of the kernel, the
 * maps, then the table and one file per hook. UDP is in udp.bpf.c.
 *
 * No program here runs per packet or per send or receive: what TCP counts is read from its sockets.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "record.h"
#include "shared_maps.h"
#include "maps.h"
#include "memory.h"
#include "cookie.h"
#include "table.h"
#include "owner.h"
#include "socket_at.h"
#include "branchless.h"
#include "reading.h"
#include "telling.h"
#include "unchanged.h"
#include "rollup_of.h"
#include "rolling_up.h"
#include "closing.h"
#include "attempting.h"
#include "adopting.h"

#include "hook_inet_sock_set_state.h"
#include "hook_tcp_destroy_sock.h"
#include "hook_cgroup_connect.h"
#include "iter_connections.h"
#include "iter_spilled.h"
#include "iter_tcp.h"
#include "iter_tcp_audit.h"
#include "iter_task_file.h"

/* The kernel lets only programs under the GPL use the helpers for tracing. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
