//! The front of the server against axum's router alone: the same requests, in the same order, over a ring and a database of its own
//! each. All that is sent has to be the same, but for ids that are drawn by chance.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::http::{Method, Uri, Version};
use hitring::server::connection;
use hitring::server::context::Context;
use hitring::server::durability::Durability;
use hitring::server::http::{self, front::Front};
use hitring::service::Service;
use hitring::store::sqlite::commit::Committer;
use hitring::store::sqlite::flushed::KEEP;
use hitring::store::sqlite::keys::Limits;
use hitring::store::sqlite::open::Database;
use hitring::store::sqlite::thread::SqliteStore;
use hitring::{ManualClock, SharedRegistry, Timestamp};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server without a socket.
struct Served {
    folder: PathBuf,
    context: Arc<Context>,
}

impl Served {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("hitring-front-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("it can be made");
        let clock = ManualClock::new(Timestamp::try_from(1_700_000_000u64).expect("a time"));
        let ring = SharedRegistry::builder().window(Duration::from_secs(60)).max_endpoints(40).clock(clock);
        let ring = Arc::new(ring.create(folder.join("hits.ring")).expect("it can be made"));
        let database = Database::open(&folder.join("hitring.db")).expect("it can be made");
        let mut committer = Committer::new(database, Arc::clone(&ring), Limits::default(), KEEP).expect("it is whole");
        committer.recover(|_| None, |_| false).expect("it is whole");
        let store = SqliteStore::start(committer, 9, Duration::from_secs(1)).expect("it starts");
        let service = Service::new(ring, Box::new(store), true);
        let context =
            Context::new(service, http::tally().expect("names that fit"), http::document(), Durability::Process);
        Self { folder, context: Arc::new(context) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.context.service.store().close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What is sent.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    target: String,
    version: Version,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl Sent {
    fn bytes(&self) -> String {
        let Self { method, target, version, headers, body } = self;
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        format!("{method} {target} {version:?}\r\n{lines}{length}connection: close\r\n\r\n{body}")
    }
}

/// `text` with `{id}` for each id of a resource, which is drawn by chance: a UUID.
fn without_ids(text: &str) -> String {
    static ID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("it is a pattern"));
    ID.replace_all(text, "{id}").into_owned()
}

/// All that a server sends when it is sent `sent`, but for the date and for ids that are drawn by chance.
async fn answer(sent: &Sent, front: &Arc<Front>) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(|request| front.call(request, Ipv4Addr::LOCALHOST.into(), ()));
    let connection = connection::http().serve_connection(TokioIo::new(server), service);
    let talk = async {
        client.write_all(sent.bytes().as_bytes()).await.expect("there is room");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("the server closes");
        answer
    };
    let (ended, answer) = tokio::join!(connection, talk);
    ended.expect("the client was there");
    let (head, body) = answer.split_once("\r\n\r\n").expect("there is a head");
    let lines = head.lines().filter(|line| !line.starts_with("date: "));
    without_ids(&lines.chain([body]).collect::<Vec<_>>().join("\n"))
}

fn targets() -> impl Strategy<Value = String> {
    let names = [
        "a",
        "b",
        "home",
        "a%2Fb",
        "%FF",
        "%",
        "%4",
        "..",
        ".",
        "",
        "a+b",
        "a%20b",
        "%C3%BC",
        "increment",
        "unique",
        "video",
        "hits",
        "visits%2Fhome",
        "counter%2Fvideo%2Fa",
        "{page}",
        "*",
        "a;b",
        "a:b",
        "a@b",
    ];
    let name = prop_oneof![
        10 => proptest::sample::select(names.to_vec()).prop_map(str::to_owned),
        1 => Just("x".repeat(1_001)),
    ];
    let forms = [
        "/hits",
        "/hits/N",
        "/visits/N",
        "/visits/N/N",
        "/v1/hits/N",
        "/v1/counter/N/N",
        "/v1/counter/N/N/increment",
        "/v1/counter/N/N/unique",
        "/v1/counter/N",
        "/v1/counter/N/N/N",
        "/resources",
        "/resources/N",
        "/health",
        "/ready",
        "/v1/top",
        "/visits",
        "/",
        "/N",
        "//N",
        "/hits/",
        "/visits/N/",
        "/v1/hits/N/",
        "/V1/hits/N",
        "/hits//N",
        "http://x/visits/N",
    ];
    let queries =
        ["", "?", "?last=5m", "?last=10", "?last=x", "?last=5m&last=5m", "?a=b", "?n=3", "?start=1&end=2", "?last=%FF"];
    let form = proptest::sample::select(forms.to_vec());
    (form, proptest::collection::vec(name, 3), proptest::sample::select(queries.to_vec())).prop_map(
        |(form, names, query)| {
            let mut names = names.into_iter();
            let parts: Vec<String> = form
                .split('/')
                .map(|part| if part == "N" { names.next().unwrap_or_default() } else { part.to_owned() })
                .collect();
            parts.join("/") + query
        },
    )
}

fn sent() -> impl Strategy<Value = Sent> {
    let methods = [
        Method::GET,
        Method::POST,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let headers = [
        ("host", "y"),
        ("prefer", "durability=process"),
        ("prefer", "durability=disk"),
        ("prefer", "wait=1"),
        ("idempotency-key", "1"),
        ("idempotency-key", "2"),
        ("idempotency-key", ""),
        ("content-type", "text/plain"),
        ("accept", "text/html"),
    ];
    let bodies = [
        "",
        "",
        "{}",
        "{\"visitor\":\"ann\"}",
        "{\"resource_id\":\"a\",\"count\":2}",
        "{\"resource_id\":\"a\",\"visitor\":\"ann\",\"timestamp\":1699999990}",
        "{\"resource_id\":\"a\",\"timestamp\":1}",
        "{\"resource_id\":\"\"}",
        "{\"amount\":3}",
        "{\"value\":7}",
        "{\"name\":\"n\"}",
        "[]",
        "{",
        "\u{fc}",
    ];
    (
        proptest::sample::select(methods.to_vec()),
        targets(),
        prop_oneof![9 => Just(Version::HTTP_11), 1 => Just(Version::HTTP_10)],
        (0..20u8, 0..20u8),
        proptest::collection::vec(proptest::sample::select(headers.to_vec()), 0..3),
        proptest::sample::select(bodies.to_vec()),
    )
        .prop_filter("it is a target", |(_, target, ..)| target.parse::<Uri>().is_ok())
        .prop_map(|(method, target, version, (host, json), more, body)| {
            // Most requests are as they should be.
            let host = (host > 0).then_some(("host", "x"));
            let json = (json > 0 && !body.is_empty()).then_some(("content-type", "application/json"));
            Sent { method, target, version, headers: host.into_iter().chain(json).chain(more).collect(), body }
        })
}

/// A list of resources has their ids in its body, and is made by chance too rarely to be left to it.
#[test]
fn resources_are_listed_by_both() {
    let json = vec![("host", "x"), ("content-type", "application/json")];
    let asked = [
        (Method::POST, "/resources", json.clone(), "{\"name\":\"n\"}"),
        (Method::POST, "/resources", json.clone(), "{\"name\":\"n\"}"),
        (Method::GET, "/resources", json, ""),
    ];
    let requests = asked.map(|(method, target, headers, body)| Sent {
        method,
        target: target.to_owned(),
        version: Version::HTTP_11,
        headers,
        body,
    });
    the_same_is_sent(requests.into()).unwrap_or_else(|error| panic!("{error}"));
}

/// Whether the front and the router answer the same to each of `requests`, one after the other.
fn the_same_is_sent(requests: Vec<Sent>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads can be started");
    let (one, other) = (Served::new(), Served::new());
    let front = Arc::new(Front::new(Arc::clone(&one.context)));
    let router = Arc::new(Front::router_alone(Arc::clone(&other.context)));
    for sent in requests {
        let (by_front, by_router) =
            runtime.block_on(async { (answer(&sent, &front).await, answer(&sent, &router).await) });
        prop_assert_eq!(by_front, by_router, "{:?}", sent);
    }
    let (one, other) = (one.context.service.outcomes(), other.context.service.outcomes());
    prop_assert_eq!(one.to_array(), other.to_array());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// All of the answers are the same, and what was counted, too: later requests ask for it.
    #[test]
    fn the_front_answers_as_the_router_does(requests in proptest::collection::vec(sent(), 1..150)) {
        the_same_is_sent(requests)?;
    }
}
