//! Everything that is counted outside of the API: the one list from which the counters of `/v1/status` and the
//! metrics both come.

mod behind;

use collect::{KernelCounts, UdpCounts};
use connections::{KernelTime, Loss, TableCounts};
use deltas::{ClientState, Clients};
use encode::Count;
use endpoints::TurnCounts;

pub(crate) use behind::of_context;

/// Counts of the state itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StateCounts {
    pub(crate) passes: u64,
}

/// One line per field: its name in the status, then the family and the help text of its metric. A field without
/// a line does not compile, unless it is excepted. `of_loss` stands for what a loss by cause tells already.
macro_rules! count_each {
    ($counts:expr, $of:ident { $($field:ident: $count:ident($($text:expr),+);)+ } $(except $left_out:ident)?) => {{
        let $of { $($field,)+ $($left_out: _)? } = $counts;
        [$(Count::$count($($text),+, $field)),+]
    }};
}

/// What the kernel side counted, as of the last pass.
pub(crate) fn of_kernel(counts: KernelCounts) -> impl Iterator<Item = Count> {
    of_all_protocols(counts).chain(of_udp(counts.udp))
}

#[expect(clippy::too_many_lines, reason = "a table with one row for each count")]
fn of_all_protocols(counts: KernelCounts) -> impl Iterator<Item = Count> {
    let counts = count_each!(counts, KernelCounts {
        claimed: total(
            "kernel_claimed", "sockeye_kernel_claimed_slots",
            "Slots of the kernel's table that were claimed: connections and listeners followed."
        );
        closed: total(
            "kernel_closed", "sockeye_kernel_closed_records",
            "Final records of connections that the kernel side handed over."
        );
        overflowed: total(
            "kernel_overflowed", "sockeye_kernel_overflowed_records",
            "Final records for which the ring buffer had no room, and which were kept beside it."
        );
        rolled_up: total(
            "kernel_rolled_up", "sockeye_kernel_rolled_up_records",
            "Final records for which there was no room there either, and which were added up."
        );
        rolled_up_in_rest: total(
            "kernel_rolled_up_in_rest", "sockeye_kernel_rolled_up_in_rest_records",
            "Records that were added up without distinction, because there was no room for another kind."
        );
        table_full: total(
            "kernel_table_full", "sockeye_kernel_table_full_sockets",
            "Sockets for which the kernel's table had no slot."
        );
        spilled: total(
            "kernel_spilled", "sockeye_kernel_spilled_sockets",
            "Sockets that got a slot beside the full table: they are told when they close, and not before."
        );
        spilled_now: now(
            "kernel_spilled_now", "sockeye_kernel_spilled_slots",
            "Slots beside the table that are in use."
        );
        closed_unclaimed: total(
            "kernel_closed_unclaimed", "sockeye_kernel_closed_unclaimed_sockets",
            "Closes of sockets that were not followed."
        );
        ends_overflowed: total(
            "kernel_ends_overflowed", "sockeye_kernel_ends_overflowed_buffers",
            "Times that the kernel had no room to tell of ends of sockets, where these are polled: some were not told."
        );
        deferred: total(
            "kernel_deferred", "sockeye_kernel_deferred_records",
            "Final records that waited for the owner to close."
        );
        deferred_full: total(
            "kernel_deferred_full", "sockeye_kernel_deferred_full_records",
            "Final records told without an owner, because too many waited for theirs."
        );
        attempts_full: total(
            "kernel_attempts_full", "sockeye_kernel_attempts_full_calls",
            "Calls of connect that could not be followed, because too many had failed on sockets still open."
        );
        claimed_late: total(
            "kernel_claimed_late", "sockeye_kernel_claimed_late_connections",
            "Connections of which the beginning was not seen, and which were followed since they were closed."
        );
        nested_runs: total(
            "kernel_nested_runs", "sockeye_kernel_nested_runs",
            "Changes of state of TCP that came while the BPF program for them ran on that CPU, and that a second program followed."
        );
        ends_lost: total(
            "kernel_ends_lost", "sockeye_kernel_ends_lost",
            "Ends of sockets that the kernel had no room to tell, where these are polled."
        );
        ends_emptied: total(
            "kernel_ends_emptied", "sockeye_kernel_ends_emptied",
            "Ends of polled connections whose last counters are not known, because they were reset by their own end."
        );
        stale: total(
            "kernel_stale", "sockeye_kernel_stale_slots",
            "Slots of sockets that were gone without a word, freed by a pass."
        );
        stale_untold: total(
            "kernel_stale_untold", "sockeye_kernel_stale_untold_slots",
            "Slots of sockets that were gone without a word and that no pass had read: nothing is known of their connections."
        );
        process_records_lost: total(
            "kernel_process_records_lost", "sockeye_kernel_process_records_lost",
            "Forks, executions and exits of processes for which the ring buffer had no room."
        );
        payloads: total(
            "kernel_payloads", "sockeye_kernel_payloads",
            "Messages of name servers that were copied."
        );
        payloads_lost: total(
            "kernel_payloads_lost", "sockeye_kernel_payloads_lost",
            "Messages of name servers that were not copied: their ring buffer had no room, or the kernel keeps them where no program can read them."
        );
        missed_runs: total(
            "kernel_missed_runs", "sockeye_kernel_missed_runs",
            "Runs of the BPF programs that the kernel left out, because the program was running on that CPU already, and that no second program did."
        );
        malformed: total(
            "records_malformed", "sockeye_records_malformed",
            "Records of the kernel side that could not be decoded."
        );
        ring_most_bytes: now(
            "ring_most_bytes", "sockeye_ring_most_bytes",
            "The most bytes that were found in the ring buffer at once when it was drained; limits.ring_bytes is its size."
        );
        pass_ns: total_ns(
            "pass_ns", "sockeye_pass_seconds",
            "Time of the passes over the kernel's table that somebody waited for, looks for owners included."
        );
        last_pass_ns: now_ns(
            "last_pass_ns", "sockeye_last_pass_seconds",
            "The same of the last of them."
        );
    } except udp);
    counts.into_iter()
}

fn of_udp(counts: UdpCounts) -> impl Iterator<Item = Count> {
    let counts = count_each!(counts, UdpCounts {
        begun: total(
            "kernel_udp_begun", "sockeye_kernel_udp_connections",
            "UDP connections that began: a socket and a peer."
        );
        slots_full: total(
            "kernel_udp_slots_full", "sockeye_kernel_udp_slots_full_lookups",
            "Looks for a slot of a UDP socket in a full bucket of the kernel's table; its peers are kept beside it."
        );
        peers_now: now(
            "kernel_udp_peers_now", "sockeye_kernel_udp_peers",
            "Peers of UDP sockets beside the kernel's table."
        );
        rolled_up: total(
            "kernel_udp_rolled_up", "sockeye_kernel_udp_rolled_up_datagrams",
            "Datagrams that were added up with others, because there was no room for another peer."
        );
        foreign: total(
            "kernel_udp_foreign", "sockeye_kernel_udp_foreign_datagrams",
            "Datagrams sent that were not counted, because another protocol carries them."
        );
        late: total(
            "kernel_udp_late", "sockeye_kernel_udp_late_datagrams",
            "Datagrams that came in the moment in which their connection was told as ended, and may not be in it."
        );
        stale: total(
            "kernel_udp_stale", "sockeye_kernel_udp_stale_sockets",
            "UDP sockets of processes that were gone without a word, ended by a pass."
        );
        tunnels_ended: total(
            "kernel_udp_tunnels_ended", "sockeye_kernel_udp_tunnels_ended_sockets",
            "UDP sockets of tunnels that were closed."
        );
        left: total(
            "kernel_udp_left", "sockeye_kernel_udp_left_sockets",
            "UDP sockets that were closed, and of which a pass told the rest."
        );
    });
    counts.into_iter()
}

/// What the table of live connections counted.
pub(crate) fn of_table(counts: TableCounts) -> impl Iterator<Item = Count> {
    let TableCounts {
        closed,
        untracked,
        without_room,
        rolled_up,
        ring_full,
        anomalies,
        close_not_seen,
        excluded,
    } = counts;
    // The bytes are told by cause.
    let Loss { connections: not_seen, bytes: _ } = close_not_seen;
    let Loss { connections: not_told, bytes: _ } = ring_full;
    let counts = [
        Count::total(
            "connections_closed",
            "sockeye_connections_closed",
            "Connections of which the close was seen.",
            closed,
        ),
        Count::total(
            "connections_rolled_up",
            "sockeye_connections_rolled_up",
            "Closed connections told as part of a roll-up, because the kernel side had no room for more.",
            rolled_up,
        ),
        Count::total(
            "connections_excluded",
            "sockeye_connections_excluded",
            "Connections that ended and were not told, because the filters exclude them.",
            excluded,
        ),
        Count::of_loss("connections_ring_full", not_told),
        Count::of_loss("connections_close_not_seen", not_seen),
        Count::total(
            "connections_untracked",
            "sockeye_connections_untracked",
            "Connections older than the tracer of which it is not known what was before.",
            untracked,
        ),
        Count::now(
            "connections_without_room",
            "sockeye_connections_without_room",
            "Live connections for which the table of the process had no room in the last pass.",
            without_room,
        ),
        Count::total(
            "anomalies",
            "sockeye_anomalies",
            "Counters of the kernel that went backwards, and events that contradict one another.",
            anomalies,
        ),
    ];
    counts.into_iter()
}

/// What was counted of the clients and of the closed connections kept for them.
pub(crate) fn of_clients(clients: &Clients, now: KernelTime) -> impl Iterator<Item = Count> {
    let states = clients.list();
    let silence = |state: &ClientState| match state.in_flight {
        true => 0,
        false => now.nanoseconds_since(state.heard_at),
    };
    let counts = [
        Count::now(
            "client_lag_records",
            "sockeye_client_lag_records",
            "Closed connections that wait one by one for the client that has the most of them to fetch.",
            states.iter().map(|state| state.closed_waiting).max().unwrap_or(0),
        ),
        Count::now_ns(
            "client_silence_ns",
            "sockeye_client_silence_seconds",
            "Since something was heard from the client that was silent for the longest.",
            states.iter().map(silence).max().unwrap_or(0),
        ),
        Count::now(
            "closed_records_kept",
            "sockeye_closed_records_kept",
            "Closed connections that are kept until every client has been told.",
            count(clients.closed_kept()),
        ),
        Count::now(
            "rollups_kept",
            "sockeye_rollups_kept",
            "Roll-ups that are kept until every client has been told.",
            count(clients.rollups_kept()),
        ),
        Count::now(
            "lookups_kept",
            "sockeye_lookups_kept",
            "Sums of lookups of names that are kept until every client has been told.",
            count(clients.lookups_kept()),
        ),
        Count::total(
            "lookups_lost",
            "sockeye_lookups_lost",
            "Lookups of names of which some client was not told what came of them, because too many were kept.",
            clients.lookups_lost(),
        ),
        Count::total(
            "closed_records_rolled_up",
            "sockeye_closed_records_rolled_up",
            "Closed connections that were added up with others, because there was no room to keep them one by one.",
            clients.rolled_up_count(),
        ),
        Count::of_loss("closed_records_given_up", clients.given_up().connections),
        Count::now(
            "answer_bytes",
            "sockeye_answer_bytes",
            "Memory of the answers that are being encoded and sent, if nothing of it is shared.",
            count(clients.answer_bytes()),
        ),
        Count::total(
            "clients_refused",
            "sockeye_clients_refused",
            "Registrations refused because a limit was reached.",
            clients.refused_count(),
        ),
        Count::total(
            "clients_expired",
            "sockeye_clients_expired",
            "Clients forgotten because nothing was heard from them for their time to live.",
            clients.expired_count(),
        ),
    ];
    counts.into_iter()
}

/// What the state counted of its own work and of polls; `waiting` questions wait for a pass.
pub(crate) fn of_state(
    counts: StateCounts,
    turns: TurnCounts,
    waiting: usize,
) -> impl Iterator<Item = Count> {
    let waiting = Count::now(
        "polls_waiting",
        "sockeye_polls_waiting",
        "Polls, and questions for listeners, that wait for a pass over the kernel's table.",
        count(waiting),
    );
    let passes = count_each!(counts, StateCounts {
        passes: total("passes", "sockeye_passes", "Passes over the kernel's table.");
    });
    let turns = count_each!(turns, TurnCounts {
        answered: total(
            "polls_answered", "sockeye_polls_answered",
            "Answers to polls that were made."
        );
        delivered: total(
            "answers_delivered", "sockeye_answers_delivered",
            "Answers to polls that the client has read to their end."
        );
        rolled_back: total(
            "answers_rolled_back", "sockeye_answers_rolled_back",
            "Answers to polls that did not arrive; what they told is told again, unless a later poll has them all the same."
        );
    });
    std::iter::once(waiting).chain(passes).chain(turns)
}

pub(crate) fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
