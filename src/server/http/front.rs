//! [`Front`]: the routes, found by a short look before axum's router is asked.
//!
//! The router boxes what it is given several times a request, and a request of a hit takes little else. So a request of a route that
//! is answered at once is taken here, if its path is one of those in the table. All others are left to the router: another method
//! or path, `HEAD`, a name that is not UTF-8, and routes that are answered aside. Both ways call the same function, and the
//! connection writes the length of an answer, so that answers are the same to the byte.
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
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use axum::{BoxError, Router};
use http_body_util::Either;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;

use super::names::Names;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::{Handler, NO_ROUTE, Route, Runs, answered, router, serve, table, whole};
use crate::server::context::Context;
use crate::server::limits::{Refused, Verdict, Why};
use crate::server::sending::Sent;
use crate::time::clock::SteadyClock;

/// The paths that are not limited: with them the server is watched.
const UNLIMITED: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Answers requests.
pub struct Front {
    context: Arc<Context>,
    routes: Vec<Near>,
    router: Router,
}

/// A route.
struct Near {
    /// Its place in the table.
    number: usize,
    method: Method,
    /// The parts of its path; `None` stands for a name.
    parts: Vec<Option<String>>,
    handler: Handler,
    /// Whether it is answered at once: `Here`, or else by the router.
    runs: Runs,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}

impl Near {
    fn of(number: usize, Route { method, path, handler, runs }: Route, context: &Context) -> Self {
        let part = |part: &str| (!part.starts_with('{')).then(|| part.to_owned());
        let runs = if runs.place(context).is_none() { Runs::Here } else { runs };
        Self { number, method, parts: path.split('/').skip(1).map(part).collect(), handler, runs }
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
        let of = |(number, route)| Near::of(number, route, &context);
        let routes = table().into_iter().enumerate().map(of).collect();
        Self { routes, router: router(Arc::clone(&context)), context }
    }

    /// The answer to `request` of `client`. `under_way` is dropped once it is made.
    pub fn call<B, U>(
        self: &Arc<Self>,
        request: Request<B>,
        client: IpAddr,
        under_way: U,
    ) -> impl Future<Output = Result<Response<Sent>, Infallible>> + use<B, U>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let front = Arc::clone(self);
        let (parts, body) = request.into_parts();
        async move {
            let _under_way = under_way;
            let begun = SteadyClock.since_boot(false);
            let found = front.find(&parts);
            let verdict = front.verdict(&parts, client);
            let mut response = if let Some(refused) = verdict.as_ref().and_then(|verdict| verdict.refused) {
                // A body that is left unread ends the connection. One that waits to be asked for is not asked for.
                let waits = parts.headers.contains_key(EXPECT);
                let is_read = body.is_end_stream() || !waits && Box::pin(whole(body)).await.is_ok();
                let reply = Reply { close: !is_read, ..limited(&front.context, refused) };
                answered(&front.context, front.number(&parts), begun, Ok(reply))
            } else if let Some((Near { number, handler, runs: Runs::Here, .. }, names)) = found {
                let reply = serve(&front.context, &parts, Some(names), body, *handler, Runs::Here).await;
                answered(&front.context, *number, begun, reply)
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

    /// What the limits say to a request of `client`; `None` if it is not limited.
    fn verdict(&self, parts: &Parts, client: IpAddr) -> Option<Verdict> {
        let limits = self.context.limits.as_ref()?;
        let watches = [Method::GET, Method::HEAD].contains(&parts.method) && UNLIMITED.contains(&parts.uri.path());
        // Of a ring that is lost the limits say nothing, and the route says why.
        (!watches && self.context.service.check().is_ok()).then(|| limits.take(client))
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
        self.find_by(&parts.method, parts.uri.path())
    }

    fn find_by<'p>(&self, method: &Method, path: &'p str) -> Option<(&Near, Names<'p>)> {
        let mut routes = self.routes.iter().filter(|route| route.method == *method);
        routes.find_map(|route| Some((route, route.names(path)?)))
    }

    /// The number of the route that would answer.
    fn number(&self, parts: &Parts) -> usize {
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        self.find_by(method, parts.uri.path()).map_or(NO_ROUTE, |(route, _)| route.number)
    }
}

/// The answer to a request that `refused` refuses.
fn limited(context: &Context, refused: Refused) -> Reply {
    let Refused { why, rate, retry_after } = refused;
    context.tally.limited(why);
    let of = match why {
        Why::Client => "a client",
        Why::Global => "all clients",
        Why::Room => {
            let detail = "hits.ring has no room for the limit of another client; try again later";
            return Problem::new(Kind::BUSY, detail).reply();
        }
    };
    let (limit, window) = (rate.limit(), rate.window().as_secs_f64());
    let detail = format!("the requests of {of} are limited to {limit} in {window} s; try again in {retry_after} s");
    Reply { retry_after: Some(retry_after), ..Problem::new(Kind::LIMITED, detail).reply() }
}
