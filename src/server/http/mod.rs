//! The HTTP face: one table of routes, each to a function that reads the request, calls one use case and writes the answer.
//!
//! ```text
//! connection --> front, or axum's router --> serve: body, size, time --> Ask --> handler --> service
//!                                                       (long ones aside)           |
//!                                                              Reply <-- Problem <--+
//! ```
//!
//! | file | what |
//! |---|---|
//! | `reply`, `problem` | answers, and the errors that are sent in place of an answer |
//! | `front` | finds the routes that are answered at once |
//! | `ask`, `names` | a request, read and checked |
//! | `later` | answers that wait for the disk |
//! | `write` | how sure a write has to be, and its key |
//! | `hits`, `resources`, `counters`, `visits`, `queries`, `health` | the handlers |
//! | `schema`, `openapi` | what the handlers say of themselves |
//!
//! Checks go in this order: limits, route, method, one Host, names in UTF-8, media type, size, schema, what is known, what is
//! counted. A body that is refused for its type, or for the size that its head says, is not read.
//!
//! Tests: `tests/python/integration/test_serve.py`.

pub mod reply;
pub mod problem;
pub mod ask;
mod names;
mod later;
mod write;
mod schema;
mod hits;
mod resources;
mod counters;
mod visits;
mod queries;
mod health;
mod openapi;
pub mod front;

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{BoxError, RequestPartsExt, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use utoipa::OpenApi as _;
use utoipa::openapi::HttpMethod;

use self::ask::{Ask, is_json, not_json};
use self::later::Answered;
use self::names::Names;
use self::problem::{Kind, Problem};
use self::reply::Reply;
use super::aside::{Aside, Busy, WAITING};
use super::context::Context;
use super::durability::Durability;
use super::sending::{self, NoRoom, Sent};
use super::tally::Tally;
use crate::service::Service;
use crate::time::clock::SteadyClock;

/// The most bytes of a body.
const MOST_OF_BODY: usize = 64 * 1_024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The slots of a ring that are read in a few microseconds.
const FEW_SLOTS: u128 = 4_096;
/// The route number of requests without a route, or with another method.
const NO_ROUTE: usize = usize::MAX;

type Handler = fn(Ask<'_>) -> Result<Answered, Problem>;

/// Where a handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    /// On the thread that read the request: it takes microseconds.
    Here,
    /// The same, unless the window is long: it reads a slot for each tick.
    ByWindow,
    /// Aside: it reads all endpoints.
    Aside,
    /// Aside, in a place for scrapes alone.
    Scrape,
}

impl Runs {
    /// The place aside; `None` is the thread that read the request.
    fn place(self, context: &Context) -> Option<&Aside> {
        match self {
            Self::Here => None,
            Self::ByWindow => has_many_slots(&context.service).then_some(&context.aside),
            Self::Aside => Some(&context.aside),
            Self::Scrape => Some(&context.scrapes),
        }
    }
}

/// A route.
struct Route {
    method: Method,
    path: String,
    handler: Handler,
    runs: Runs,
}

/// Makes the one list of routes: the OpenAPI document, and the table for the router, which takes methods and paths from the
/// handlers' own descriptions.
macro_rules! routes {
    ($($module:ident :: $handler:ident, $path:ident, $runs:ident;)+) => {
        #[derive(utoipa::OpenApi)]
        #[openapi(
            paths($($module::$handler),+),
            // What is in no body.
            components(schemas(
                problem::Document, schema::CounterId, schema::CounterType, schema::Endpoint, schema::Last, schema::Limit, schema::N,
                schema::Page,
            )),
        )]
        struct Routes;

        /// Every route.
        fn table() -> Vec<Route> {
            vec![$(Route::of::<$module::$path>(|ask| $module::$handler(ask).map(Answered::from), Runs::$runs)),+]
        }
    };
}

routes! {
    hits::record, __path_record, Here;
    hits::count, __path_count, ByWindow;
    resources::create, __path_create, Here;
    resources::list, __path_list, Aside;
    resources::find, __path_find, Here;
    resources::delete, __path_delete, Here;
    counters::increment, __path_increment, Here;
    counters::value, __path_value, Here;
    counters::set, __path_set, Here;
    counters::remove, __path_remove, Here;
    counters::unique, __path_unique, Here;
    visits::visit, __path_visit, Here;
    visits::visits, __path_visits, Here;
    queries::last, __path_last, ByWindow;
    queries::top, __path_top, Aside;
    health::health, __path_health, Here;
    health::ready, __path_ready, Here;
    health::metrics, __path_metrics, Scrape;
    health::openapi, __path_openapi, Here;
}

impl Route {
    fn of<P: utoipa::Path>(handler: Handler, runs: Runs) -> Self {
        let method = match P::methods()[..] {
            [HttpMethod::Get] => Method::GET,
            [HttpMethod::Post] => Method::POST,
            [HttpMethod::Put] => Method::PUT,
            [HttpMethod::Delete] => Method::DELETE,
            _ => unreachable!("a handler has one of these methods"),
        };
        Self { method, path: P::path(), handler, runs }
    }

    fn filter(&self) -> MethodFilter {
        MethodFilter::try_from(self.method.clone()).expect("a route has a usual method")
    }
}

/// The tally of a server with these routes.
///
/// # Errors
/// As [`Tally::new`].
pub fn tally() -> prometheus::Result<Tally> {
    Tally::new(table().iter().map(|route| (route.method.as_str(), &*route.path)))
}

/// The OpenAPI document, as JSON.
pub fn document() -> Vec<u8> {
    Reply::json(200, &openapi::completed(Routes::openapi())).body
}

/// All routes over `context`.
pub fn router(context: Arc<Context>) -> Router {
    let routes = table().into_iter().enumerate().fold(Router::new(), |router, (number, route)| {
        let (filter, path, Route { handler, runs, .. }) = (route.filter(), route.path.clone(), route);
        let serve = move |State(context): State<Arc<Context>>, request: Request| async move {
            let begun = SteadyClock.since_boot(false);
            let (mut parts, body) = request.into_parts();
            let path = parts.extract::<RawPathParams>().await.ok();
            let names = path.map(|path| {
                let mut names = Names::default();
                path.iter().for_each(|(_, name)| names.push(Cow::Owned(name.to_owned())));
                names
            });
            let reply = serve(&context, &parts, names, body, handler, runs).await;
            answered(&context, number, begun, reply).map(Body::new)
        };
        let route: MethodRouter<Arc<Context>, Infallible> = on(filter, serve);
        router.route(&path, route)
    });
    routes.fallback(no_route).method_not_allowed_fallback(no_method).with_state(context)
}

/// The answer of `handler`. `names` are those in the path, if they are UTF-8.
async fn serve<B>(
    context: &Arc<Context>,
    parts: &Parts,
    names: Option<Names<'_>>,
    body: B,
    handler: Handler,
    runs: Runs,
) -> Result<Reply, Problem>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    // As RFC 9112 (3.2) wants it: another server on the way may read such a request otherwise.
    if parts.version == Version::HTTP_11 && parts.headers.get_all(HOST).iter().count() != 1 {
        return Err(Problem::schema("a request has one header Host; send one"));
    }
    let names = names.ok_or_else(|| {
        Problem::schema("a name in the path is not UTF-8 when decoded; percent-encode the bytes of its UTF-8")
    })?;
    let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if matches!(parts.method, Method::POST | Method::PUT) && body.size_hint().lower() > 0 && !is_json(media_type) {
        return Err(not_json(media_type).closing());
    }
    // Boxed, here and below: each connection has the room that an answer may take outside of boxes, also while it is idle.
    let body = if body.is_end_stream() { Bytes::new() } else { Box::pin(whole(body)).await? };
    let Some(aside) = runs.place(context) else {
        return answer(context, parts, &names, &body, handler)?.given().await;
    };
    let (own, parts, names) = (Arc::clone(context), parts.clone(), names.into_owned());
    match Box::pin(aside.answer(move || answer(&own, &parts, &names, &body, handler))).await {
        Ok(answered) => answered.unwrap_or_else(|| Err(failed()))?.given().await,
        Err(Busy) => {
            let detail = format!("{WAITING} others wait for an answer that takes long; try again later");
            Err(Problem::new(Kind::BUSY, detail))
        }
    }
}

fn answer(
    context: &Context,
    parts: &Parts,
    names: &Names<'_>,
    body: &[u8],
    handler: Handler,
) -> Result<Answered, Problem> {
    let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let query = parts.uri.query().unwrap_or_default();
    let (method, target, headers) = (&parts.method, parts.uri.path(), &parts.headers);
    names.with(|path| {
        let ask = Ask { context, path, query, method, target, headers, media_type, body };
        // A fault of the server ends a request, not the connection.
        catch_unwind(AssertUnwindSafe(|| handler(ask))).unwrap_or_else(|_| Err(failed()))
    })
}

fn failed() -> Problem {
    Problem::new(Kind::FAILED, "the server could not answer; its log says why")
}

fn has_many_slots(service: &Service) -> bool {
    let ring = service.ring();
    ring.window().as_nanos() / ring.resolution().as_nanos().max(1) > FEW_SLOTS
}

/// All of a body.
async fn whole<B>(body: B) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    let too_large = || Problem::new(Kind::TOO_LARGE, format!("a body has at most {MOST_OF_BODY} bytes; send less"));
    if body.size_hint().lower() > MOST_OF_BODY as u64 {
        return Err(too_large());
    }
    let read = Limited::new(body, MOST_OF_BODY).collect();
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::schema(format!("the body ended early: {error}"))),
        Err(_) => Err(Problem::new(Kind::SLOW, format!("a body comes within {PATIENCE:?}; send it at once"))),
    }
}

async fn no_route(State(context): State<Arc<Context>>, request: Request) -> Response {
    let begun = SteadyClock.since_boot(false);
    let all: Vec<String> = table().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let detail = format!("the route {} does not exist; the routes are {}", request.uri().path(), all.join(", "));
    answered(&context, NO_ROUTE, begun, Err(Problem::new(Kind::ROUTE, detail))).map(Body::new)
}

async fn no_method(State(context): State<Arc<Context>>, method: Method, request: Request) -> Response {
    let begun = SteadyClock.since_boot(false);
    let detail = format!("{} has no method {method}; the header Allow names those it has", request.uri().path());
    answered(&context, NO_ROUTE, begun, Err(Problem::new(Kind::METHOD, detail))).map(Body::new)
}

/// `reply` to a request of the `route`th route whose head was read at `begun`.
fn answered(context: &Context, route: usize, begun: u64, reply: Result<Reply, Problem>) -> Response<Sent> {
    let mut reply = reply.unwrap_or_else(|problem| problem.reply());
    let (reply, body) = match context.sending.body(std::mem::take(&mut reply.body)) {
        Ok(body) => (reply, body),
        Err(NoRoom) => {
            let detail = "too many large answers wait to be read by their clients; try again later";
            let mut reply = Problem::new(Kind::BUSY, detail).reply();
            let body = sending::small(std::mem::take(&mut reply.body));
            (reply, body)
        }
    };
    context.tally.answered(route, reply.status, SteadyClock.since_boot(false).saturating_sub(begun));
    response(reply, body)
}

fn response(reply: Reply, body: Sent) -> Response<Sent> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(media_type) = reply.media_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if reply.close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = reply.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(durability) = reply.applied {
        let applied = match durability {
            Durability::Process => "durability=process",
            Durability::Disk => "durability=disk",
        };
        response.headers_mut().insert("preference-applied", HeaderValue::from_static(applied));
    }
    if reply.is_replay {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    // Paths are percent-encoded.
    if let Some(Ok(location)) = reply.location.map(HeaderValue::try_from) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;
    use crate::store::sqlite::commit::Committer;
    use crate::store::sqlite::flushed::KEEP;
    use crate::store::sqlite::keys::Limits;
    use crate::store::sqlite::open::Database;
    use crate::store::sqlite::thread::SqliteStore;

    #[tokio::test]
    async fn the_router_and_the_document_have_the_same_routes() {
        let folder = std::env::temp_dir().join(format!("hitring-routes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        let ring = crate::SharedRegistry::builder().max_endpoints(10).create(folder.join("hits.ring"));
        let ring = Arc::new(ring.expect("it can be made"));
        let database = Database::open(&folder.join("hitring.db")).expect("it can be made");
        let committer = Committer::new(database, Arc::clone(&ring), Limits::default(), KEEP).expect("it is whole");
        let store = SqliteStore::start(committer, 9, Duration::from_secs(1)).expect("it starts");
        let service = Service::new(ring, Box::new(store), true);
        let context = Context::new(service, tally().expect("names that fit"), document(), Durability::Process);
        let router = router(Arc::new(context));
        let document: serde_json::Value = serde_json::from_slice(&document()).expect("it is JSON");
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths.values().map(|item| item.as_object().expect("methods").len()).sum::<usize>(), table().len());
        for (path, item) in paths {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                let path = path.replace(['{', '}'], "");
                let request = Request::builder().method(method).uri(path).header(HOST, "x");
                let request = request.body(Body::empty()).expect("it is a request");
                let status = router.clone().oneshot(request).await.expect("it answers").status();
                let is_described = item.get(method.to_lowercase()).is_some();
                assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {item}");
            }
        }
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
