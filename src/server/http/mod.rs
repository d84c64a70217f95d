//! The HTTP face: one table of routes, each to a function that reads the request, calls one use case and writes the answer.
//!
//! ```text
//! connection --> axum's router --> serve: body, size, time --> Ask --> handler --> service
//!                                                                         |
//!                                                    Reply <-- Problem <--+
//! ```
//!
//! | file | what |
//! |---|---|
//! | `reply`, `problem` | answers, and why there is none |
//! | `ask` | a request, read and checked |
//! | `hits`, `counters`, `visits` | the handlers |
//!
//! Checks go in this order: route, method, media type, size, schema, what is known, what is counted.
//!
//! Tests: `tests/python/integration/test_serve.py`.

pub mod reply;
pub mod problem;
pub mod ask;
mod hits;
mod counters;
mod visits;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{RequestPartsExt, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use self::ask::Ask;
use self::problem::{Kind, Problem};
use self::reply::Reply;
use crate::service::Service;

/// The most bytes of a body.
const MOST_OF_BODY: usize = 64 * 1_024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Handler = fn(Ask<'_>) -> Result<Reply, Problem>;

/// Every route.
const ROUTES: [(&str, MethodFilter, Handler); 8] = [
    ("/hits", MethodFilter::POST, hits::record),
    ("/hits/{resource_id}", MethodFilter::GET, hits::count),
    ("/v1/counter/{type}/{id}", MethodFilter::GET, counters::value),
    ("/v1/counter/{type}/{id}/increment", MethodFilter::POST, counters::increment),
    ("/v1/counter/{type}/{id}/unique", MethodFilter::GET, counters::unique),
    ("/visits/{page}", MethodFilter::POST, visits::visit),
    ("/visits/{page}", MethodFilter::GET, visits::visits),
    ("/health", MethodFilter::GET, visits::health),
];

/// All routes over `service`.
pub fn router(service: Arc<Service>) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, &(path, method, handler)| {
        let serve = move |State(service): State<Arc<Service>>, request: Request| serve(service, request, handler);
        let route: MethodRouter<Arc<Service>, Infallible> = on(method, serve);
        router.route(path, route)
    });
    routes.fallback(no_route).method_not_allowed_fallback(no_method).with_state(service)
}

/// The paths of all routes, with their methods.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|&(path, method, _)| (if method == MethodFilter::POST { "POST" } else { "GET" }, path))
}

async fn serve(service: Arc<Service>, request: Request, handler: Handler) -> Response {
    let (mut parts, body) = request.into_parts();
    let answered = async {
        let path = parts.extract::<RawPathParams>().await.map_err(|_| {
            Problem::schema("a name in the path is not UTF-8 when decoded; percent-encode the bytes of its UTF-8")
        })?;
        let path: Vec<&str> = path.iter().map(|(_, value)| value).collect();
        let body = whole(body).await?;
        let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let query = parts.uri.query().unwrap_or_default();
        handler(Ask { service: &service, path: &path, query, media_type, body: &body })
    };
    response(answered.await.unwrap_or_else(|problem: Problem| problem.reply()))
}

/// All of a body.
async fn whole(body: Body) -> Result<Bytes, Problem> {
    let read = Limited::new(body, MOST_OF_BODY).collect();
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Kind::TOO_LARGE, format!("a body has at most {MOST_OF_BODY} bytes; send less")))
        }
        Ok(Err(error)) => Err(Problem::schema(format!("the body ended early: {error}"))),
        Err(_) => Err(Problem::new(Kind::SLOW, format!("a body comes within {PATIENCE:?}; send it at once"))),
    }
}

async fn no_route(request: Request) -> Response {
    let all: Vec<String> = routes().map(|(method, path)| format!("{method} {path}")).collect();
    let detail = format!("there is no route {}; there are {}", request.uri().path(), all.join(", "));
    response(Problem::new(Kind::ROUTE, detail).reply())
}

async fn no_method(method: Method, request: Request) -> Response {
    let detail = format!("{} has no method {method}; the header Allow names those it has", request.uri().path());
    response(Problem::new(Kind::METHOD, detail).reply())
}

fn response(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = (CONTENT_TYPE, HeaderValue::from_static(reply.media_type));
    let mut response = (status, [media_type], reply.body).into_response();
    if reply.close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
