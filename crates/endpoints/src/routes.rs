//! The routes: one table, from which the router follows, and against which the documentation is tested.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};

use crate::api::{Api, Call, Caller};
use crate::dialect::Dialect;
use crate::problem::{Kind, Problem};
use crate::query::Backend;
use crate::{listings, polls, probes, registrations};

/// Every route.
static ROUTES: [Route; 12] = [
    Route { method: Method::PUT, path: "/v1/clients/{id}", endpoint: Endpoint::PutClient },
    Route { method: Method::GET, path: "/v1/clients/{id}", endpoint: Endpoint::GetClient },
    Route { method: Method::DELETE, path: "/v1/clients/{id}", endpoint: Endpoint::DeleteClient },
    Route { method: Method::GET, path: "/v1/clients", endpoint: Endpoint::ListClients },
    Route { method: Method::GET, path: "/v1/clients/{id}/connections", endpoint: Endpoint::Poll },
    Route { method: Method::GET, path: "/v1/listeners", endpoint: Endpoint::Listeners },
    Route { method: Method::GET, path: "/v1/status", endpoint: Endpoint::Status },
    Route { method: Method::GET, path: "/metrics", endpoint: Endpoint::Metrics },
    Route { method: Method::GET, path: "/livez", endpoint: Endpoint::Live },
    Route { method: Method::GET, path: "/readyz", endpoint: Endpoint::Ready },
    Route { method: Method::GET, path: "/network_tracer/register", endpoint: Endpoint::ReferenceRegister },
    Route { method: Method::GET, path: "/network_tracer/connections", endpoint: Endpoint::ReferencePoll },
];

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
    Listeners,
    Status,
    Metrics,
    Live,
    Ready,
    ReferenceRegister,
    ReferencePoll,
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
    let call = Call { api, caller, parts, body };
    let response = match endpoint {
        Endpoint::PutClient => registrations::put(call).await,
        Endpoint::GetClient => registrations::get(call).await,
        Endpoint::ListClients => registrations::list(call).await,
        Endpoint::DeleteClient => registrations::delete(call).await,
        Endpoint::Poll => polls::native(call).await,
        Endpoint::Listeners => listings::listeners(call).await,
        Endpoint::Status => probes::status(call).await,
        Endpoint::Metrics => probes::metrics(call).await,
        Endpoint::Live => Ok(probes::live()),
        Endpoint::Ready => probes::ready(&call),
        Endpoint::ReferenceRegister => registrations::reference(call).await,
        Endpoint::ReferencePoll => polls::reference(call).await,
    };
    response.unwrap_or_else(|problem| problem.response(dialect, &request_id))
}

async fn unknown_path(Extension(caller): Extension<Caller>, request: Request) -> Response {
    Problem::new(Kind::UnknownPath, "there is nothing at this path")
        .response(Dialect::of(request.uri().path()), &caller.request_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
}
