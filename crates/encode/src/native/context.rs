//! Who is behind a connection, as messages of ours.

use connections::{Annotation, Interface, Nat, OtherEnd, Process, Route, Tuple};
use deltas::LookupSum;

use super::proto;
use crate::address_text::{address_text, hardware_text};
use crate::lookups::{rcode_name, type_name};

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

impl proto::Connection {
    /// Adds what is known about it.
    pub(super) fn annotate(&mut self, annotation: &Annotation<'_>) {
        let Annotation { process, nat, names, route, other_end, intra_host } = annotation;
        if let Some((owner, process)) = self.owner.as_mut().zip(process.as_ref()) {
            owner.add(process);
        }
        self.nat = nat.map(proto::Nat::from);
        self.names = names.iter().flat_map(|names| &**names).map(|name| name.to_string()).collect();
        self.route = route.as_ref().map(proto::Route::from);
        self.intra_host = intra_host.then_some(true);
        if let Some((remote, other_end)) = self.remote.as_mut().zip(other_end.as_ref()) {
            // Which of the two began is told of this one.
            let OtherEnd { netns, owner, direction: _ } = other_end;
            remote.netns = Some(*netns);
            remote.owner = owner.as_deref().map(proto::Owner::new);
        }
    }
}

impl proto::Owner {
    /// Adds what is known about its process.
    pub(super) fn add(&mut self, process: &Process) {
        // Of the user the owner has the id of the moment.
        let Process {
            key: _,
            namespace_pid,
            parent_pid,
            executable,
            command_line,
            command_line_cut,
            uid: _,
            user,
            unit,
            pod,
        } = process;
        self.executable = executable.as_deref().map(str::to_owned);
        let arguments = command_line.iter().flatten();
        self.command_line = arguments.map(|argument| argument.to_string()).collect();
        self.command_line_cut = command_line_cut.then_some(true);
        self.user = user.as_deref().map(str::to_owned);
        self.parent_pid = *parent_pid;
        self.namespace_pid = *namespace_pid;
        self.unit = unit.as_deref().map(str::to_owned);
        self.pod_uid = pod.as_deref().map(str::to_owned);
    }
}

impl From<Nat> for proto::Nat {
    fn from(nat: Nat) -> Self {
        let Nat { remote, local } = nat;
        Self { local: Some(translated(local)), remote: Some(translated(remote)) }
    }
}

/// Port 0 stands for one that several connections do not have in common.
fn translated(end: std::net::SocketAddr) -> proto::Side {
    let side = proto::Side::from(end);
    proto::Side { port: side.port.filter(|port| *port != 0), ..side }
}

impl From<&Route> for proto::Route {
    fn from(route: &Route) -> Self {
        let Route { gateway, interface } = route;
        let Interface { index, name, hardware_address } = interface;
        let hardware_address = hardware_address.map(hardware_text);
        let interface = proto::Interface { index: *index, name: name.text().into_owned(), hardware_address };
        Self { gateway: gateway.map(address_text), interface: Some(interface) }
    }
}

impl proto::Lookups {
    /// With the connection that they went through.
    pub(super) fn of_connection(sum: &LookupSum) -> Self {
        let LookupSum {
            connection: _,
            tuple: _,
            pid: _,
            domain,
            query_type,
            timed_out,
            success_latency_ns,
            failure_latency_ns,
            by_rcode,
        } = sum;
        let responses = by_rcode.iter().map(|(rcode, count)| (rcode_name(*rcode).into_owned(), *count));
        Self {
            connection: None,
            netns: None,
            pid: None,
            protocol: None,
            local: None,
            remote: None,
            domain: domain.to_string(),
            query_type: type_name(*query_type).into_owned(),
            responses: responses.collect(),
            timed_out: *timed_out,
            success_latency_us: success_latency_ns / NANOSECONDS_PER_MICROSECOND,
            failure_latency_us: failure_latency_ns / NANOSECONDS_PER_MICROSECOND,
        }
    }

    /// Without their connection: they say which it was.
    pub(super) fn alone(sum: &LookupSum) -> Self {
        let Tuple { protocol, netns, local, remote } = sum.tuple;
        Self {
            connection: sum.connection.map(|id| id.to_string()),
            netns: Some(netns),
            pid: (sum.pid != 0).then_some(sum.pid),
            protocol: Some(proto::Protocol::from(protocol).into()),
            local: Some(local.into()),
            remote: Some(remote.into()),
            ..Self::of_connection(sum)
        }
    }
}
