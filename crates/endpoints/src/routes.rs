//! The routes: one table, from which the router follows, and against which the documentation is tested.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};

use crate::api::{Api, Call, Caller};
use crate::coding::Coding;
use crate::dialect::Dialect;
use crate::problem::{Kind, Problem};
use crate::query::{Backend, Page};
use crate::response::compressed;
use crate::{debug, listings, openapi, polls, probes, registrations};

/// Every route.
static ROUTES: [Route; 31] = [
    Route { method: Method::PUT, path: "/v1/clients/{id}", endpoint: Endpoint::PutClient },
    Route { method: Method::GET, path: "/v1/clients/{id}", endpoint: Endpoint::GetClient },
    Route { method: Method::DELETE, path: "/v1/clients/{id}", endpoint: Endpoint::DeleteClient },
    Route { method: Method::GET, path: "/v1/clients", endpoint: Endpoint::ListClients },
    Route { method: Method::GET, path: "/v1/clients/{id}/connections", endpoint: Endpoint::Poll },
    Route { method: Method::GET, path: "/v1/connections", endpoint: Endpoint::Connections },
    Route { method: Method::GET, path: "/v1/listeners", endpoint: Endpoint::Listeners },
    Route { method: Method::GET, path: "/v1/status", endpoint: Endpoint::Status },
    Route { method: Method::GET, path: "/metrics", endpoint: Endpoint::Metrics },
    Route { method: Method::GET, path: "/openapi.json", endpoint: Endpoint::OpenApi },
    Route { method: Method::GET, path: "/livez", endpoint: Endpoint::Live },
    Route { method: Method::GET, path: "/readyz", endpoint: Endpoint::Ready },
    Route { method: Method::GET, path: "/network_tracer/register", endpoint: Endpoint::ReferenceRegister },
    Route { method: Method::GET, path: "/network_tracer/connections", endpoint: Endpoint::ReferencePoll },
    Route { method: Method::GET, path: "/network_tracer/debug/net_maps", endpoint: Endpoint::NetMaps },
    Route { method: Method::GET, path: "/network_tracer/debug/net_state", endpoint: Endpoint::NetState },
    Route { method: Method::GET, path: "/network_tracer/debug/ebpf_maps", endpoint: Endpoint::EbpfMaps },
    page("/network_tracer/debug/conntrack/cached", Page::ConntrackCached),
    page("/network_tracer/debug/conntrack/host", Page::ConntrackHost),
    page("/network_tracer/debug/process_cache", Page::ProcessCache),
    disabled("/network_tracer/debug/http_monitoring", "http monitoring"),
    disabled("/network_tracer/debug/http2_monitoring", "http2 monitoring"),
    disabled("/network_tracer/debug/kafka_monitoring", "kafka monitoring"),
    disabled("/network_tracer/debug/postgres_monitoring", "postgres monitoring"),
    disabled("/network_tracer/debug/redis_monitoring", "redis monitoring"),
    disabled("/network_tracer/debug/usm_telemetry", "universal service monitoring"),
    disabled("/network_tracer/debug/usm/traced_programs", "universal service monitoring"),
    disabled("/network_tracer/debug/usm/blocked_processes", "universal service monitoring"),
    Route { method: Method::GET, path: "/debug/stats", endpoint: Endpoint::Stats },
    Route { method: Method::GET, path: "/config", endpoint: Endpoint::Config },
    Route { method: Method::GET, path: "/telemetry", endpoint: Endpoint::Metrics },
];

/// What is remembered.
const fn page(path: &'static str, page: Page) -> Route {
    Route { method: Method::GET, path, endpoint: Endpoint::Page(page) }
}

/// What the reference has and Sockeye does not do.
const fn disabled(path: &'static str, feature: &'static str) -> Route {
    Route { method: Method::GET, path, endpoint: Endpoint::Disabled(feature) }
}

struct Route {
    method: Method,
    path: &'static str,
    endpoint: Endpoint,
}

/// What serves a route.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    PutClient,
    GetClient,
    DeleteClient,
    ListClients,
    Poll,
    Connections,
    Listeners,
    Status,
    Metrics,
    OpenApi,
    Live,
    Ready,
    ReferenceRegister,
    ReferencePoll,
    NetMaps,
    NetState,
    EbpfMaps,
    Page(Page),
    Disabled(&'static str),
    Stats,
    Config,
}

/// The router of all routes. Requests need a [`Caller`] among their extensions.
pub(crate) fn router<B: Backend>(api: Arc<Api<B>>) -> Router {
    let mut router = Router::new();
    for (index, route) in ROUTES.iter().enumerate() {
        let first_of_path = ROUTES.iter().position(|other| other.path == route.path) == Some(index);
        if first_of_path {
            router = router.route(route.path, methods(route.path));
        }
    }
    router.fallback(unknown_path).with_state(api)
}

/// What a path answers by method.
fn methods<B: Backend>(path: &'static str) -> MethodRouter<Arc<Api<B>>> {
    let mut methods = MethodRouter::new();
    let mut allowed = Vec::new();
    for Route { method, endpoint, .. } in ROUTES.iter().filter(|route| route.path == path) {
        let filter = MethodFilter::try_from(method.clone()).expect("the table has standard methods");
        let endpoint = *endpoint;
        methods = methods.on(filter, move |State(api), Extension(caller), request| {
            respond(endpoint, api, caller, request)
        });
        allowed.push(method.as_str());
    }
    let allowed = allowed.join(", ");
    methods.fallback(move |Extension(caller): Extension<Caller>| {
        let problem = Problem::method_not_allowed(allowed);
        std::future::ready(problem.response(Dialect::of(path), &caller.request_id))
    })
}

async fn respond<B: Backend>(
    endpoint: Endpoint,
    api: Arc<Api<B>>,
    caller: Caller,
    request: Request,
) -> Response {
    let dialect = Dialect::of(request.uri().path());
    let request_id = Arc::clone(&caller.request_id);
    let (parts, body) = request.into_parts();
    let coding = match dialect {
        Dialect::Native => Coding::accepted(&parts.headers),
        Dialect::Reference => Coding::Identity,
    };
    let call = Call { api, caller, parts, body };
    let response = match endpoint {
        Endpoint::PutClient => registrations::put(call).await,
        Endpoint::GetClient => registrations::get(call).await,
        Endpoint::ListClients => registrations::list(call).await,
        Endpoint::DeleteClient => registrations::delete(call).await,
        Endpoint::Poll => polls::native(call).await,
        Endpoint::Connections => listings::connections(call).await,
        Endpoint::Listeners => listings::listeners(call).await,
        Endpoint::Status => probes::status(call).await,
        Endpoint::Metrics => probes::metrics(call).await,
        Endpoint::OpenApi => openapi::document(&call.parts.headers),
        Endpoint::Live => Ok(probes::live()),
        Endpoint::Ready => probes::ready(&call),
        Endpoint::ReferenceRegister => registrations::reference(call).await,
        Endpoint::ReferencePoll => polls::reference(call).await,
        Endpoint::NetMaps => debug::net_maps(call).await,
        Endpoint::NetState => debug::net_state(call).await,
        Endpoint::EbpfMaps => debug::ebpf_maps(call).await,
        Endpoint::Page(page) => debug::page(call, page).await,
        Endpoint::Disabled(feature) => Err(debug::disabled(feature)),
        Endpoint::Stats => debug::stats(call).await,
        Endpoint::Config => Ok(debug::config(&call)),
    };
    match response {
        Ok(response) => compressed(response, coding).await,
        Err(problem) => problem.response(dialect, &request_id),
    }
}

async fn unknown_path(Extension(caller): Extension<Caller>, request: Request) -> Response {
    Problem::new(Kind::UnknownPath, "there is nothing at this path")
        .response(Dialect::of(request.uri().path()), &caller.request_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md"));

    /// The first cells of the document's tables that begin like `start`, without their quotes.
    fn documented(start: &str) -> BTreeSet<String> {
        let first_cells = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        first_cells.filter(|cell| cell.starts_with(start)).map(str::to_owned).collect()
    }

    #[test]
    fn the_document_lists_exactly_the_routes_there_are() {
        let routes: BTreeSet<_> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        let methods = ["GET ", "PUT ", "POST ", "DELETE "];
        let listed: BTreeSet<_> = methods.iter().flat_map(|method| documented(method)).collect();
        assert_eq!(listed, routes);
    }

    #[test]
    fn the_document_lists_exactly_the_problems_there_are() {
        let problems: BTreeSet<_> =
            Kind::ALL.iter().map(|kind| format!("/problems/{}", kind.facts().name)).collect();
        assert_eq!(documented("/problems/"), problems);
        for kind in Kind::ALL {
            let facts = kind.facts();
            let row = format!("| `/problems/{}` | {} |", facts.name, facts.status.as_u16());
            assert!(DOCUMENT.contains(&row), "{row}");
        }
    }

    fn contract() -> Value {
        serde_json::from_str(openapi::OPENAPI).expect("the contract is JSON")
    }

    #[test]
    fn the_contract_has_exactly_the_routes_there_are() {
        let contract = contract();
        let mut operations = BTreeSet::new();
        for (path, item) in contract["paths"].as_object().expect("there are paths") {
            let methods = item.as_object().expect("a path has methods").keys();
            operations.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let routes: BTreeSet<_> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        assert_eq!(operations, routes);
        for Route { path, endpoint, .. } in &ROUTES {
            if matches!(endpoint, Endpoint::Disabled(_)) {
                let statuses = contract["paths"][*path]["get"]["responses"].as_object().expect("an object");
                assert_eq!(statuses.keys().collect::<Vec<_>>(), ["401", "403", "404"], "{path}");
            }
        }
    }

    /// The problems with their status that a response says it may be.
    fn promised(response: &Value) -> Vec<(String, u64)> {
        let said = &response["content"]["application/problem+json"]["schema"]["properties"];
        let one = said["type"].get("const").into_iter();
        let names = one.chain(said["type"]["enum"].as_array().into_iter().flatten());
        let names = names.map(|name| name.as_str().expect("a type is text").to_owned());
        names.map(|name| (name, said["status"]["const"].as_u64().expect("a status"))).collect()
    }

    #[test]
    fn the_contract_has_exactly_the_problems_there_are() {
        let contract = contract();
        let known = Kind::ALL.iter().map(|kind| (kind.facts().name, kind.facts().status.as_u16().into()));
        let known: BTreeSet<(String, u64)> =
            known.map(|(name, status)| (format!("/problems/{name}"), status)).collect();
        let names: BTreeSet<_> = known.iter().map(|(name, _)| name.clone()).collect();
        let listed = contract["components"]["schemas"]["ProblemType"]["enum"].as_array();
        let listed =
            listed.expect("there are types").iter().map(|name| name.as_str().expect("text").to_owned());
        assert_eq!(listed.collect::<BTreeSet<_>>(), names);
        let responses = contract["components"]["responses"].as_object().expect("there are responses");
        let promised: BTreeSet<_> = responses.values().flat_map(promised).collect();
        assert_eq!(promised, known);
    }

    #[test]
    fn the_contract_promises_each_problem_with_its_status() {
        let contract = contract();
        for (path, item) in contract["paths"].as_object().expect("there are paths") {
            for operation in item.as_object().expect("a path has methods").values() {
                for (status, response) in operation["responses"].as_object().expect("an object") {
                    let name = response["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
                    let followed = name.and_then(|name| contract.pointer(name)).unwrap_or(response);
                    for (problem, of) in promised(followed) {
                        assert_eq!(of.to_string(), *status, "{path}: {problem}");
                    }
                }
            }
        }
    }
}
