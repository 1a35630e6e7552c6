//! What the kernel side counted, added up over the CPUs.

/// Totals since the programs were loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelCounts {
    /// Slots claimed: connections and listeners followed.
    pub claimed: u64,
    /// Final records handed over.
    pub closed: u64,
    /// Final records for which the ring buffer had no room, and which were kept beside it.
    pub overflowed: u64,
    /// Final records for which there was no room there either, and which were added up.
    pub rolled_up: u64,
    /// Of these, those without room under a key of their own.
    pub rolled_up_in_rest: u64,
    /// Sockets for which the table had no slot.
    pub table_full: u64,
    /// Of these, those that got a slot beside the table.
    pub spilled: u64,
    /// Slots beside the table that are in use now.
    pub spilled_now: u64,
    /// Closes of sockets that were not followed.
    pub closed_unclaimed: u64,
    /// Final records that waited for the owner to close.
    pub deferred: u64,
    /// Final records told without an owner, because too many waited for theirs.
    pub deferred_full: u64,
    /// Calls of `connect` that could not be followed, because too many had failed on sockets still open.
    pub attempts_full: u64,
    /// Connections of which the beginning was not seen, followed since they were closed.
    pub claimed_late: u64,
    /// Changes of state that came while the program for them ran on that CPU, done by a second program.
    pub nested_runs: u64,
    /// Times that the kernel had no room to tell of ends of sockets, where these are polled: some were not told.
    pub ends_overflowed: u64,
    /// Ends of sockets that were not told so.
    pub ends_lost: u64,
    /// Ends of polled connections whose last counters are not known, because they were reset by their own end.
    pub ends_emptied: u64,
    /// Slots of sockets that were gone without a word, freed by a pass.
    pub stale: u64,
    /// Of these, those that no pass had read: nothing is known of their connections.
    pub stale_untold: u64,
    /// What processes did and the ring buffer for it had no room for.
    pub process_records_lost: u64,
    /// Messages of name servers that were copied.
    pub payloads: u64,
    /// Messages of name servers that were not copied: their ring buffer had no room, or the kernel keeps them where no program can read them.
    pub payloads_lost: u64,
    /// Of UDP.
    pub udp: UdpCounts,
    /// Runs of the programs that the kernel left out, because the program was running on that CPU already, and that no second
    /// program did.
    pub missed_runs: u64,
    /// Records that could not be decoded.
    pub malformed: u64,
    /// The most bytes that were found in the ring buffer at once when it was drained.
    pub ring_most_bytes: u64,
    /// How long passes took that somebody waits for, looks for owners included, in nanoseconds.
    pub pass_ns: u64,
    /// The same of the last one.
    pub last_pass_ns: u64,
}

/// Totals of UDP since the programs were loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UdpCounts {
    /// UDP connections begun: sockets with a peer.
    pub begun: u64,
    /// Looks for a slot of a UDP socket in a full bucket: the peers of such a socket are all beside the table.
    pub slots_full: u64,
    /// Peers beside the table now.
    pub peers_now: u64,
    /// Datagrams whose peer found no room, and which were added up with others.
    pub rolled_up: u64,
    /// Datagrams sent that were not counted, because another protocol carries them (IPsec).
    pub foreign: u64,
    /// Datagrams that came in the moment in which their connection was told as ended, and may not be in it.
    pub late: u64,
    /// UDP sockets of processes that were gone without a word, ended by a pass.
    pub stale: u64,
    /// UDP sockets of tunnels that were closed.
    pub tunnels_ended: u64,
    /// UDP sockets that were closed, and of which something was left that only a pass could tell.
    pub left: u64,
}

impl KernelCounts {
    /// How often something was added to a roll-up.
    pub(crate) fn roll_ups(&self) -> u64 {
        self.rolled_up + self.udp.rolled_up
    }
}
