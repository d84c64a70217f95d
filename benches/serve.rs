//! Requests a second that `hitring serve` answers, beside the least that could answer them, the probe: axum routes that add to an
//! `AtomicU64` and read it, and one that parses the body of a hit and counts nothing.
//!
//! `cargo bench --features server --bench serve` needs `wrk`, and a machine that does nothing else. Each server has one worker. They
//! take turns, so that a change of the machine's speed meets all, and a ratio is the median of those of the rounds. Without
//! `--bench`, as tests run it, each is asked once.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as InPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
/// The argument that makes this program the probe.
const PROBE: &str = "--probe";

/// A row of the figures: its title, the line of the request, its body, and more of the script of wrk.
struct Row {
    title: &'static str,
    line: &'static str,
    body: &'static str,
    script: &'static str,
}

const ROWS: [Row; 5] = [
    Row { title: "POST /visits/{page}", line: "POST /visits/home", body: "", script: "" },
    Row { title: "POST /hits", line: "POST /hits", body: "{\"resource_id\":\"home\",\"count\":3}", script: "" },
    Row { title: "GET /visits/{page}", line: "GET /visits/home", body: "", script: "" },
    Row { title: "GET /v1/hits/{endpoint}?last=5m", line: "GET /v1/hits/visits%2Fhome?last=5m", body: "", script: "" },
    Row {
        title: "POST /visits/{page}, 16 at a time",
        line: "POST /visits/home",
        body: "",
        script: "local one = wrk.format()\nlocal many = string.rep(one, 16)\nrequest = function() return many end\n",
    },
];

/// The body of a hit.
#[derive(serde::Deserialize)]
struct NewHits<'a> {
    #[serde(borrow)]
    resource_id: Cow<'a, str>,
    count: u64,
}

/// Serves for ever, and says where.
fn probe() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("threads can be started").block_on(async move {
        let json = [("content-type", "application/json")];
        let visit = move |State(visits): State<Arc<AtomicU64>>, InPath(_): InPath<String>| async move {
            let visits = visits.fetch_add(1, Ordering::Relaxed) + 1;
            (json, format!("{{\"visits\":{visits},\"served_via\":\"in_memory\"}}"))
        };
        let visits = move |State(visits): State<Arc<AtomicU64>>, InPath(_): InPath<String>| async move {
            let visits = visits.load(Ordering::Relaxed);
            (json, format!("{{\"visits\":{visits},\"served_via\":\"in_memory\"}}"))
        };
        let last = move |State(visits): State<Arc<AtomicU64>>, InPath(endpoint): InPath<String>| async move {
            let count = visits.load(Ordering::Relaxed);
            (json, format!("{{\"endpoint\":\"{endpoint}\",\"count\":{count},\"last\":300,\"exact\":true}}"))
        };
        let parse = move |body: Bytes| async move {
            let NewHits { resource_id, count } = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
            let body = format!("{{\"resource_id\":\"{resource_id}\",\"accepted\":{count}}}");
            Ok::<_, StatusCode>((StatusCode::ACCEPTED, json, body))
        };
        let routes =
            Router::new().route("/visits/{page}", post(visit).get(visits)).route("/v1/hits/{endpoint}", get(last));
        let routes = routes.route("/hits", post(parse)).with_state(Arc::new(AtomicU64::new(0)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        println!("listening on http://{}", listener.local_addr().expect("it is bound"));
        axum::serve(listener, routes).await.expect("it serves");
    });
}

/// A server, until it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program was built");
        let mut line = String::new();
        let out = process.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.trim_end().rsplit('/').next().expect("a line has an end").to_owned();
        Self { process, address }
    }

    fn probe() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.arg(PROBE);
        Self::start(command)
    }

    fn hitring(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--data"]).arg(data).args(options);
        Self::start(command)
    }

    /// The seconds of a processor that it has used.
    fn used(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        // Linux tells it in hundredths to every program.
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(address: &str) {
    for row in &ROWS[..4] {
        let Row { line, body, .. } = row;
        let mut stream = TcpStream::connect(address).expect("it listens");
        let length = body.len();
        let head =
            format!("host: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close");
        let request = format!("{line} HTTP/1.1\r\n{head}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 20") && answer.ends_with('}'), "{answer}");
    }
}

/// What 64 connections got of a server.
#[derive(Clone, Copy)]
struct Got {
    /// Requests a second.
    rate: f64,
    /// Of a hundred, 99 were answered within so many milliseconds.
    p99: f64,
    /// Microseconds of a processor that a request took.
    cpu: f64,
}

fn got(server: &Server, row: &Row) -> Got {
    let mut wrk = Command::new("wrk");
    let (method, path) = row.line.split_once(' ').expect("a method and a path");
    let body = if row.body.is_empty() {
        String::new()
    } else {
        format!("wrk.body = {:?}\nwrk.headers[\"Content-Type\"] = \"application/json\"\n", row.body)
    };
    let init =
        format!("wrk.method = {method:?}\nwrk.headers[\"Host\"] = \"x\"\nwrk.path = {path:?}\n{body}{}", row.script);
    let file = std::env::temp_dir().join(format!("hitring-wrk-{}.lua", std::process::id()));
    std::fs::write(&file, init).expect("it can be written");
    wrk.args(["-t1", "-c64", "--latency", &format!("-d{SECONDS}s"), "-s"]).arg(&file);
    let before = server.used();
    let ended = wrk.arg(format!("http://{}{path}", server.address)).output().expect("wrk is installed (Debian: wrk)");
    let used = server.used() - before;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && !text.contains("Non-2xx"), "{text}");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).expect("wrk says it").to_owned()
    };
    let rate: f64 = value("Requests/sec:").parse().expect("a number");
    let p99 = value("99%");
    let (digits, unit) = p99.split_at(p99.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(p99.len()));
    let unit = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        _ => 1_000.0,
    };
    let p99 = digits.parse::<f64>().expect("a number") * unit;
    Got { rate, p99, cpu: used * 1e6 / (rate * f64::from(SECONDS)) }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A row of the table: `one` beside `other`.
fn compared(title: &str, [one, other]: [&Server; 2], row: &Row) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let both = (got(one, row), got(other, row));
        // The first round only warms up.
        if round > 0 {
            ones.push(both.0);
            others.push(both.1);
        }
    }
    let of = |rows: &[Got], what: fn(&Got) -> f64| median(rows.iter().map(what).collect());
    let ratio = median(ones.iter().zip(&others).map(|(one, other)| other.rate / one.rate).collect());
    let cell = |rows: &[Got]| {
        format!("{:>9.0} {:>6.2} {:>6.2}", of(rows, |got| got.rate), of(rows, |got| got.p99), of(rows, |got| got.cpu))
    };
    println!("{title:<36} {}   {}   {ratio:.2}", cell(&ones), cell(&others));
}

fn main() {
    if std::env::args().any(|argument| argument == PROBE) {
        return probe();
    }
    let folder = |name: &str| std::env::temp_dir().join(format!("hitring-serve-{name}-{}", std::process::id()));
    let (data, limited_data) = (folder("plain"), folder("limited"));
    let (probe, server) = (Server::probe(), Server::hitring(&data, &[]));
    ask(&probe.address);
    ask(&server.address);
    if std::env::args().any(|argument| argument == "--bench") {
        println!(
            "median of {ROUNDS} rounds of {SECONDS} s, wrk -t1 -c64, one worker each; p99 in ms, cpu in us a request"
        );
        println!(
            "{:<36} {:>9} {:>6} {:>6}   {:>9} {:>6} {:>6}   ratio",
            "", "probe/s", "p99", "cpu", "hitring/s", "p99", "cpu"
        );
        for row in &ROWS {
            compared(row.title, [&probe, &server], row);
        }
        let limited =
            Server::hitring(&limited_data, &["--limit-client", "4000000000/second", "--limit-burst", "4000000000"]);
        println!(
            "{:<36} {:>9} {:>6} {:>6}   {:>9} {:>6} {:>6}   ratio",
            "", "plain/s", "p99", "cpu", "limited/s", "p99", "cpu"
        );
        compared("POST /visits/{page}, a limit", [&server, &limited], &ROWS[0]);
    } else {
        println!("Success: both servers answer");
    }
    drop((probe, server));
    for data in [data, limited_data] {
        let _ = std::fs::remove_dir_all(data);
    }
}
