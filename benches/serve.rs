//! Requests a second that `hitring serve` answers, beside the least that could answer them, the probe: axum routes that add to an
//! `AtomicU64`, and read it.
//!
//! `cargo bench --features server --bench serve` needs `wrk`, and a machine that does nothing else. Both servers have one worker
//! and take turns, so that a change of the machine's speed meets both. Without `--bench`, as tests run it, each is asked once.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Path as InPath, State};
use axum::routing::{get, post};

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;

/// A row of the figures: its title, and what wrk sends.
const ROWS: [(&str, &str, &str); 3] = [
    ("POST /visits/{page}", "POST /visits/home", ""),
    ("GET /v1/hits/{endpoint}?last=5m", "GET /v1/hits/visits%2Fhome?last=5m", ""),
    (
        "POST /visits/{page}, 16 at a time",
        "POST /visits/home",
        "local one = wrk.format()\nlocal many = string.rep(one, 16)\nrequest = function() return many end\n",
    ),
];

/// Serves for ever, and answers where.
fn probe() -> String {
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("threads can be started").block_on(async move {
            let visit = |State(visits): State<Arc<AtomicU64>>, InPath(_): InPath<String>| async move {
                let visits = visits.fetch_add(1, Ordering::Relaxed) + 1;
                let json = [("content-type", "application/json")];
                (json, format!("{{\"visits\":{visits},\"served_via\":\"in_memory\"}}"))
            };
            let last = |State(visits): State<Arc<AtomicU64>>, InPath(endpoint): InPath<String>| async move {
                let count = visits.load(Ordering::Relaxed);
                let json = [("content-type", "application/json")];
                (json, format!("{{\"endpoint\":\"{endpoint}\",\"count\":{count},\"last\":300,\"exact\":true}}"))
            };
            let routes = Router::new().route("/visits/{page}", post(visit)).route("/v1/hits/{endpoint}", get(last));
            let routes = routes.with_state(Arc::new(AtomicU64::new(0)));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
            told.send(listener.local_addr().expect("it is bound").to_string()).expect("it is waited for");
            axum::serve(listener, routes).await.expect("it serves");
        });
    });
    address.recv().expect("the probe starts")
}

/// The server, until it is dropped.
struct Server(Child);

impl Server {
    fn start(data: &Path) -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--data"]).arg(data);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program was built");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.trim_end().rsplit('/').next().expect("a line has an end").to_owned();
        (Self(child), address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: &str) {
    for (line, part) in [(ROWS[0].1, "\"visits\":1,"), (ROWS[1].1, "\"count\":1,")] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.contains(part), "{answer}");
    }
}

/// Requests a second of 64 connections.
fn rate(address: &str, line: &str, script: &str) -> f64 {
    let mut wrk = Command::new("wrk");
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let init = format!("wrk.method = {method:?}\nwrk.headers[\"Host\"] = \"x\"\nwrk.path = {path:?}\n{script}");
    let file = std::env::temp_dir().join(format!("hitring-wrk-{}.lua", std::process::id()));
    std::fs::write(&file, init).expect("it can be written");
    wrk.args(["-t1", "-c64", &format!("-d{SECONDS}s"), "-s"]).arg(&file).arg(format!("http://{address}{path}"));
    let ended = wrk.output().expect("wrk is installed (Debian: wrk)");
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && !text.contains("Non-2xx"), "{text}");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")).expect("wrk says it");
    line.trim().parse().expect("a number")
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let data = std::env::temp_dir().join(format!("hitring-serve-{}", std::process::id()));
    let (probe, (server, address)) = (probe(), Server::start(&data));
    ask(&probe);
    ask(&address);
    if std::env::args().any(|argument| argument == "--bench") {
        println!(
            "requests/s, median of {ROUNDS} rounds, wrk -t1 -c64, one worker   axum and an AtomicU64   hitring serve"
        );
        for (title, line, script) in ROWS {
            let (mut probes, mut servers) = (Vec::new(), Vec::new());
            for round in 0..=ROUNDS {
                let both = (rate(&probe, line, script), rate(&address, line, script));
                // The first round only warms up.
                if round > 0 {
                    probes.push(both.0);
                    servers.push(both.1);
                }
            }
            let (probe, server) = (median(probes), median(servers));
            println!("{title:<60} {probe:>27.0} {server:>15.0}   {:.2} of it", server / probe);
        }
    } else {
        println!("Success: both servers answer");
    }
    drop(server);
    let _ = std::fs::remove_dir_all(data);
}
