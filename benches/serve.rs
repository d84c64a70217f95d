//! Requests a second that `hitring serve` answers, beside the least that could answer them: an axum route that adds to an
//! `AtomicU64`, the probe.
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
use axum::routing::post;

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;

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
            let routes = Router::new().route("/visits/{page}", post(visit)).with_state(Arc::new(AtomicU64::new(0)));
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
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"POST /visits/home HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.contains("\"visits\":1,"), "{answer}");
}

/// Requests a second of 64 connections.
fn rate(address: &str) -> f64 {
    let mut wrk = Command::new("wrk");
    let script = std::env::temp_dir().join(format!("hitring-wrk-{}.lua", std::process::id()));
    std::fs::write(&script, "wrk.method = \"POST\"\n").expect("it can be written");
    wrk.args(["-t1", "-c64", &format!("-d{SECONDS}s"), "-s"]).arg(&script).arg(format!("http://{address}/visits/home"));
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
        let (mut probes, mut servers) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let both = (rate(&probe), rate(&address));
            // The first round only warms up.
            if round > 0 {
                probes.push(both.0);
                servers.push(both.1);
            }
        }
        let (probe, server) = (median(probes), median(servers));
        println!("POST /visits/{{page}}, requests/s (median of {ROUNDS} rounds, wrk -t1 -c64, one worker)");
        println!("axum and an AtomicU64       {probe:>12.0}");
        println!("hitring serve               {server:>12.0}   {:.2} of it", server / probe);
    } else {
        println!("Success: both servers answer");
    }
    drop(server);
    let _ = std::fs::remove_dir_all(data);
}
