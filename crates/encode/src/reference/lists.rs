//! What connections of one message refer to: domains and routes by their place in a list, and names by an address.
//!
//! Grows while the connections are written, and is written after them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use connections::{Annotation, Route, Shared};
use foldhash::quality::RandomState;

use super::proto::{self, DnsEntry};
use crate::address_text::{address_text, hardware_text};

/// The lists. Of 100 000 connections to as many addresses with a name they take 5 MiB; domains and routes are few.
#[derive(Default)]
pub(super) struct Lists {
    domains: Indexed<Arc<str>>,
    routes: Indexed<[u8; 6]>,
    names: BTreeMap<IpAddr, Arc<[Arc<str>]>>,
}

/// Values, each once, in the order in which they came.
struct Indexed<T> {
    places: HashMap<T, i32, RandomState>,
    values: Vec<T>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self { places: HashMap::default(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Indexed<T> {
    fn place(&mut self, value: &T) -> i32 {
        if let Some(place) = self.places.get(value) {
            return *place;
        }
        // Beyond, no message could be read anyway.
        let place = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
        self.places.insert(value.clone(), place);
        self.values.push(value.clone());
        place
    }
}

/// What the dialect tells of a route: the interface towards a router.
pub(super) fn of_route(route: &Route) -> Option<[u8; 6]> {
    route.gateway.and(route.interface.hardware_address)
}

impl Lists {
    /// The place of a domain.
    pub(super) fn domain(&mut self, domain: &Arc<str>) -> i32 {
        self.domains.place(domain)
    }

    /// The place of a route.
    pub(super) fn route(&mut self, hardware_address: [u8; 6]) -> i32 {
        self.routes.place(&hardware_address)
    }

    /// Takes note of the names of an address. Of those of several processes the first are told.
    pub(super) fn name(&mut self, address: IpAddr, annotation: &Annotation<'_>) {
        if let Some(names) = &annotation.names {
            self.names.entry(address).or_insert_with(|| match names {
                Shared::Lent(names) => (*names).into(),
                Shared::Counted(names) => Arc::clone(names),
            });
        }
    }

    /// All domains, each at its place.
    pub(super) fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.values.iter().map(|domain| &**domain)
    }

    /// All routes, each at its place.
    pub(super) fn routes(&self) -> Vec<proto::Route> {
        let route = |address: &[u8; 6]| proto::Route {
            // Of a subnet only a cloud knows the name.
            subnet: Some(proto::Subnet { alias: String::new() }),
            interface: Some(proto::Interface { hardware_addr: hardware_text(*address) }),
        };
        self.routes.values.iter().map(route).collect()
    }

    /// All addresses with names, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, DnsEntry)> {
        self.names.iter().map(|(address, names)| {
            let names = names.iter().map(|name| name.to_string()).collect();
            (address_text(*address), DnsEntry { names })
        })
    }
}
