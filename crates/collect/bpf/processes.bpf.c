/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel side of processes, in reading order: who began, executed and ended. It tells of processes
 * whether they have connections or not, because that shows only later.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "process_record.h"
#include "process_maps.h"
#include "process_telling.h"

#include "hook_sched_process.h"
#include "hook_sched_process_exec.h"

/* So that user space has the type of the records from this object. */
const struct process_record empty_process_record = {};

/* The kernel lets only programs under the GPL use the helpers for tracing. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
