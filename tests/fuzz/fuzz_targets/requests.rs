//! Any bytes as a request: answered by a status that the documents know, and counted if and only if the answer says so.
//!
//! | part of the input | what it is |
//! |---|---|
//! | first byte | the route, by its number, and with its highest bit whether names are percent-encoded or sent as they are |
//! | up to the first line feed | the first name of the path; another, after a tab |
//! | up to the second | the query |
//! | the rest | the body |

#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hitring::SharedRegistry;
use hitring::server::context::Context;
use hitring::server::http::front::Front;
use hitring::server::{Durability, http};
use hitring::service::Service;
use hitring::store::sqlite::commit::Committer;
use hitring::store::sqlite::flushed::KEEP;
use hitring::store::sqlite::keys::Limits;
use hitring::store::sqlite::open::Database;
use hitring::store::sqlite::thread::SqliteStore;
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const ROUTES: [(&str, &str); 18] = [
    ("POST", "/hits"),
    ("GET", "/hits/{}"),
    ("POST", "/resources"),
    ("GET", "/resources"),
    ("GET", "/resources/{}"),
    ("DELETE", "/resources/{}"),
    ("POST", "/v1/counter/{}/{}/increment"),
    ("GET", "/v1/counter/{}/{}"),
    ("GET", "/v1/counter/{}/{}/unique"),
    ("POST", "/visits/{}"),
    ("GET", "/visits/{}"),
    ("GET", "/v1/hits/{}"),
    ("GET", "/v1/top"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("PUT", "/visits/{}"),
    ("GET", "/{}"),
];

struct Place {
    runtime: Runtime,
    front: Arc<Front>,
    context: Arc<Context>,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("hitring-requests-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("it can be made");
        let ring = SharedRegistry::builder().window(Duration::from_secs(60)).max_endpoints(200).precision(4);
        let ring = Arc::new(ring.create(folder.join("hits.ring")).expect("it can be made"));
        let database = Database::open(&folder.join("hitring.db")).expect("it can be made");
        let committer = Committer::new(database, Arc::clone(&ring), Limits::default(), KEEP).expect("it is whole");
        let store = SqliteStore::start(committer, 9, Duration::from_secs(1)).expect("it starts");
        let service = Service::new(ring, Box::new(store), true);
        let context = Context::new(service, http::tally().expect("names that fit"), http::document(), Durability::Process);
        let context = Arc::new(context);
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        Place { runtime, front: Arc::new(Front::new(Arc::clone(&context))), context }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else { return };
    let mut parts = rest.splitn(3, |&byte| byte == b'\n');
    let (names, query, body) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    let (method, path) = ROUTES[usize::from(first & 0x7f) % ROUTES.len()];
    let written = |bytes: &[u8]| match (first & 0x80, std::str::from_utf8(bytes)) {
        (0x80, Ok(text)) => text.to_owned(),
        _ => percent_encode(bytes, NON_ALPHANUMERIC).to_string(),
    };
    let path =
        names.split(|&byte| byte == b'\t').fold(path.to_owned(), |path, name| path.replacen("{}", &written(name), 1));
    let query = std::str::from_utf8(query).map_or_else(|_| written(query), str::to_owned);
    let request = Request::builder().method(method).uri(format!("{path}?{query}"));
    // hyper refuses text that is not a request target.
    let Ok(request) = request.header("content-type", "application/json").body(Body::from(body.to_vec())) else {
        return;
    };
    let Place { runtime, front, context } = place();
    let counted = || context.service.ring().metrics().total_hits;
    let before = counted();
    let (status, body) = runtime.block_on(async {
        let response = front.call(request, std::net::Ipv4Addr::LOCALHOST.into(), ()).await.expect("it cannot fail");
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.expect("it is whole").to_bytes())
    });
    assert!([200, 201, 202, 204, 400, 404, 405, 409, 413, 507].contains(&status), "{status}");
    let added = counted() - before;
    if path == "/metrics" && status == 200 || status == 204 && body.is_empty() {
        assert_eq!(added, 0);
        return;
    }
    let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    if status >= 400 {
        assert_eq!(added, 0, "{answer}");
        assert_eq!(answer["status"], status);
        assert!(answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
    } else if method == "GET" || path == "/resources" {
        assert_eq!(added, 0, "{answer}");
    } else if let Some(accepted) = answer["accepted"].as_u64() {
        assert_eq!(added, accepted);
    } else if path.starts_with("/visits/") {
        assert_eq!(added, 1);
    } else {
        assert!(added <= 1_000_000 && answer["value"].as_u64().is_some_and(|value| value >= added), "{answer}");
    }
});
