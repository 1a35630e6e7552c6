//! What is remembered and counted of who is behind connections.

use context::{ContextCounts, DnsCounts, EndCounts, NamesCounts, NatCounts, ProcessCounts, RouteCounts};
use encode::Count;

use super::count;

/// All parts; of those that are off nothing.
pub(crate) fn of_context(counts: ContextCounts, dns: DnsCounts) -> impl Iterator<Item = Count> {
    let ContextCounts { processes, nat, names, routes, ends } = counts;
    let processes = processes.map(of_processes).into_iter().flatten();
    let nat = nat.map(of_nat).into_iter().flatten();
    let names_on = names.is_some();
    let names = names.map(of_names).into_iter().flatten();
    let dns = names_on.then(|| of_dns(dns)).into_iter().flatten();
    let routes = routes.map(of_routes).into_iter().flatten();
    processes.chain(nat).chain(names).chain(dns).chain(routes).chain(of_ends(ends))
}

/// One line for each count: its name in the status, which is that of its metric too, and the help text of that.
macro_rules! counts {
    ($($kind:ident $name:literal $help:literal = $value:expr;)+) => {
        [$(Count::$kind($name, concat!("sockeye_", $name), $help, $value)),+]
    };
}

fn of_processes(counts: ProcessCounts) -> [Count; 11] {
    let ProcessCounts {
        kept,
        ended,
        bytes,
        queued,
        read,
        gone,
        mismatched,
        refused,
        evicted,
        postponed,
        hung,
    } = counts;
    counts! {
        now "processes_kept" "Processes that are remembered." = count(kept);
        now "processes_ended_kept" "Processes that are remembered and have ended." = count(ended);
        now "processes_bytes" "Memory of the processes that are remembered." = count(bytes);
        now "processes_queued" "Processes and cgroups that wait for being read." = count(queued);
        total "processes_read" "Processes that were read from /proc." = read;
        total "processes_gone" "Processes that had ended before they were read, or that are hidden." = gone;
        total "processes_mismatched" "Processes whose id another one had when they were read." = mismatched;
        total "processes_refused" "Processes that the tracer may not look at." = refused;
        total "processes_evicted" "Processes that were forgotten for others." = evicted;
        total "processes_postponed" "Processes and cgroups for which the queue of the reader had no room." = postponed;
        total "processes_hung" "Readers that waited for a file of /proc for too long." = hung;
    }
}

fn of_nat(counts: NatCounts) -> [Count; 10] {
    let NatCounts {
        entries,
        namespaces,
        unread_namespaces,
        datagrams,
        events,
        overflows,
        dumps,
        failed_dumps,
        evicted,
        malformed,
    } = counts;
    counts! {
        now "nat_entries" "Translations of addresses that are remembered." = entries;
        now "nat_namespaces" "Network namespaces whose connection tracking is listened to." = namespaces;
        now "nat_unread_namespaces" "Network namespaces whose connection tracking cannot be listened to." = unread_namespaces;
        total "nat_datagrams" "Messages of connection tracking that were read." = datagrams;
        total "nat_events" "Beginnings and ends of translated connections that the kernel told." = events;
        total "nat_overflows" "Times that the kernel had no room to tell one; a listing of the table repairs each." = overflows;
        total "nat_dumps" "Listings of a table of connection tracking that were complete." = dumps;
        total "nat_dumps_failed" "Listings that were not." = failed_dumps;
        total "nat_evicted" "Translations that were forgotten for others before their time." = evicted;
        total "nat_malformed" "Messages of connection tracking that could not be understood." = malformed;
    }
}

fn of_names(counts: NamesCounts) -> [Count; 4] {
    let NamesCounts { addresses, names, addresses_dropped, names_dropped } = counts;
    counts! {
        now "names_addresses" "Addresses whose names are remembered." = count(addresses);
        now "names_kept" "Their names, each as often as there are addresses with it." = count(names);
        total "names_addresses_dropped" "Addresses that were forgotten for others." = addresses_dropped;
        total "names_dropped" "Names that were forgotten for others of their address." = names_dropped;
    }
}

fn of_dns(counts: DnsCounts) -> [Count; 15] {
    let DnsCounts {
        messages,
        malformed,
        cut,
        other,
        served,
        queries,
        repeated,
        answers,
        unmatched,
        timed_out,
        pending_full,
        unknown,
        tcp_lost,
        tcp_dropped,
        pending,
    } = counts;
    counts! {
        total "dns_messages" "Messages of DNS that were read where they were asked, all that follow included." = messages;
        total "dns_malformed" "Those that cannot be read, or whose records cannot." = malformed;
        total "dns_cut" "Those of which a part was missing." = cut;
        total "dns_other" "Those that are no standard query with one question of the class IN, nor the answer to one." = other;
        total "dns_served" "Messages and packets seen from a name server on this host, which are left out." = served;
        total "dns_queries" "Queries, each once." = queries;
        total "dns_repeated" "Queries that were asked again before they had an answer." = repeated;
        total "dns_answers" "Answers to queries that were seen." = answers;
        total "dns_unmatched" "Answers to queries that were not seen, or that waited no longer." = unmatched;
        total "dns_timed_out" "Queries that got no answer within 15 s." = timed_out;
        total "dns_pending_full" "Queries that made room for others: nothing is told of them." = pending_full;
        total "dns_unknown" "Queries over TCP of which nobody knows whether they had an answer." = unknown;
        total "dns_tcp_lost" "Times that one direction of a TCP connection was given up until its next segment." = tcp_lost;
        total "dns_tcp_dropped" "TCP connections that made room for others." = tcp_dropped;
        now "dns_pending" "Queries that wait for their answer." = count(pending);
    }
}

fn of_routes(counts: RouteCounts) -> [Count; 8] {
    let RouteCounts {
        routes,
        interfaces: _,
        sockets,
        asked,
        unreachable,
        silent,
        out_of_time,
        without_namespace,
        forgotten,
    } = counts;
    counts! {
        now "routes_kept" "Routes that are remembered." = count(routes);
        now "routes_sockets" "Network namespaces with a socket for asking." = count(sockets);
        total "routes_asked" "Routes and interfaces that the kernel was asked for." = asked;
        total "routes_unreachable" "Pairs of addresses between which there is no way." = unreachable;
        total "routes_silent" "Questions that the kernel did not answer in time, or not so that it can be read." = silent;
        total "routes_out_of_time" "Connections whose route was not looked for, because the answer had waited long enough." = out_of_time;
        total "routes_without_namespace" "Connections whose route was not looked for, because their namespace was not found." = without_namespace;
        total "routes_forgotten" "Routes that were forgotten for others before they were too old." = forgotten;
    }
}

fn of_ends(counts: EndCounts) -> [Count; 5] {
    let EndCounts { live, ended, refused, forgotten, crowded } = counts;
    counts! {
        now "ends_live" "Ends of live connections by which other ends are found." = count(live);
        now "ends_ended" "The same of connections that have ended." = count(ended);
        total "ends_refused" "Ends for which there was no room: other ends do not find them." = refused;
        total "ends_forgotten" "Ends of ended connections that were forgotten for others." = forgotten;
        total "ends_crowded" "Ends that share addresses and ports with too many others." = crowded;
    }
}
