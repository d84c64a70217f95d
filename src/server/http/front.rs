//! [`Front`]: the routes, found by a short look before axum's router is asked.
//!
//! The router boxes what it is given several times a request, and a request of a hit takes little else. So a request of a route that
//! is answered at once is taken here, if its path is one of those in the table. All others go on to the router: another method
//! or path, `HEAD`, a name that is not UTF-8, and routes that are answered aside. Both ways call the same function, so that
//! the answers are the same to the byte.
//!
//! ```text
//! connection --> front --> serve --> handler
//!                  |         ^
//!                  +-> router+
//! ```
//!
//! Tests: `tests/front`, `tests/python/integration/test_serve.py`.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use axum::{BoxError, Router};
use http_body_util::Either;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;

use super::names::Names;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::{Handler, NO_ROUTE, Route, Runs, answered, router, serve, table};
use crate::server::context::Context;
use crate::server::limits::Refused;
use crate::server::sending::Sent;
use crate::time::clock::SteadyClock;

/// The paths whose requests are not limited: those that watch the server.
const UNLIMITED: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Answers requests.
pub struct Front {
    context: Arc<Context>,
    routes: Vec<Near>,
    router: Router,
}

/// A route that is answered at once.
struct Near {
    /// Its place in the table.
    number: usize,
    method: Method,
    /// The parts of its path; `None` stands for a name.
    parts: Vec<Option<String>>,
    handler: Handler,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}

impl Near {
    fn of(number: usize, Route { method, path, handler, .. }: Route) -> Self {
        let part = |part: &str| (!part.starts_with('{')).then(|| part.to_owned());
        Self { number, method, parts: path.split('/').skip(1).map(part).collect(), handler }
    }

    /// The names in `path`, if it is one of this route's.
    fn names<'p>(&self, path: &'p str) -> Option<Names<'p>> {
        let mut found = path.strip_prefix('/')?.split('/');
        let mut names = Names::default();
        for part in &self.parts {
            let found = found.next()?;
            match part {
                Some(part) if part == found => {}
                None if !found.is_empty() => names.push(percent_decode_str(found).decode_utf8().ok()?),
                _ => return None,
            }
        }
        found.next().is_none().then_some(names)
    }
}

impl Front {
    /// All routes over `context`.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let is_near = |runs: Runs| runs.place(&context).is_none();
        let near = table().into_iter().enumerate().filter(|(_, route)| is_near(route.runs));
        let routes = near.map(|(number, route)| Near::of(number, route)).collect();
        Self { routes, router: router(Arc::clone(&context)), context }
    }

    /// The answer to `request`.
    pub fn call<B>(
        self: &Arc<Self>,
        request: Request<B>,
        client: IpAddr,
    ) -> impl Future<Output = Result<Response<Sent>, Infallible>> + use<B>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let front = Arc::clone(self);
        let (parts, body) = request.into_parts();
        async move {
            let limits = front.context.limits.as_ref().filter(|_| !UNLIMITED.contains(&parts.uri.path()));
            let verdict = limits.map(|limits| limits.take(client));
            let near = front.find(&parts);
            let begun = SteadyClock.nanos(false);
            let mut response = if let Some(refused) = verdict.as_ref().and_then(|verdict| verdict.refused) {
                let number = near.map_or(NO_ROUTE, |(near, _)| near.number);
                answered(&front.context, number, begun, Ok(limited(&front.context, refused)))
            } else if let Some((near, names)) = near {
                let reply = serve(&front.context, &parts, Some(names), body, near.handler, Runs::Here).await;
                answered(&front.context, near.number, begun, reply)
            } else {
                Box::pin(front.far(Request::from_parts(parts.clone(), Body::new(body)))).await?
            };
            if let Some(verdict) = verdict {
                verdict.tell(response.headers_mut());
            }
            let status = response.status().as_u16();
            front.context.journal.answered(&parts, client, begun, status, response.headers_mut());
            Ok(response)
        }
    }

    /// The router's answer to `request`.
    async fn far(&self, request: Request<Body>) -> Result<Response<Sent>, Infallible> {
        let is_head = request.method() == Method::HEAD;
        let mut response = self.router.clone().oneshot(request).await?;
        if !is_head {
            // The connection says it, in the place where it says it of the routes above.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        Ok(response.map(Either::Right))
    }

    /// The same, but the router is asked for all routes.
    #[cfg(test)]
    pub fn router_alone(context: Arc<Context>) -> Self {
        Self { routes: Vec::new(), router: router(Arc::clone(&context)), context }
    }

    fn find<'p>(&self, parts: &'p Parts) -> Option<(&Near, Names<'p>)> {
        let path = parts.uri.path();
        let mut routes = self.routes.iter().filter(|route| route.method == parts.method);
        routes.find_map(|route| Some((route, route.names(path)?)))
    }
}

/// The answer to a request that `refused` refuses.
fn limited(context: &Context, refused: Refused) -> Reply {
    context.tally.limited(refused.is_client);
    let Refused { is_client, rate, retry_after } = refused;
    let of = if is_client { "a client" } else { "all clients" };
    let (limit, window) = (rate.limit(), rate.window().as_secs_f64());
    let detail = format!("the requests of {of} are limited to {limit} in {window} s; try again in {retry_after} s");
    Reply { retry_after: Some(retry_after), ..Problem::new(Kind::LIMITED, detail).reply() }
}
