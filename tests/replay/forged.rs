//! What a client sends may look like anything: dates, quotes, whole entries. It must not move a hit of its own to another
//! time or to another client, nor take a hit from others. Each format is written as its server writes it, with fields that
//! are made of such pieces, by a generator that knows the truth.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{Folder, json};

/// How a server writes what a client sent.
#[derive(Debug, Clone, Copy)]
enum Server {
    Nginx,
    Apache,
    /// Escapes nothing.
    Bare,
    NginxJson,
    Caddy,
    Iis,
    Balancer,
    S3,
    Haproxy,
    Logfmt,
    Csv,
}

use Server::*;

const SERVERS: [Server; 11] = [Nginx, Apache, Bare, NginxJson, Caddy, Iis, Balancer, S3, Haproxy, Logfmt, Csv];

/// Pieces of what a client sends in its referer and its agent.
const PIECES: [&str; 22] = [
    "Mozilla/5.0",
    " ",
    "\"",
    "\\",
    "\\\"",
    "]",
    "[",
    "{",
    "}",
    ",",
    "=",
    "\t",
    "é",
    " [03/Feb/2001:22:40:00 +0000] \"GET /forged HTTP/1.1\" 200 5",
    "] \"GET /forged HTTP/1.1\" 200 5 \"-\" \"",
    "192.0.2.66 - - [03/Feb/2001:22:40:00 +0000] \"",
    "\",\"time\":1,\"request_uri\":\"/forged\",\"remote_addr\":\"192.0.2.66\",\"x\":\"",
    " time=2001-02-03T22:40:00Z path=/forged remote_addr=192.0.2.66",
    "2001-02-03T22:40:00Z,192.0.2.66,/forged,200",
    "#Fields: c-ip date time cs-uri-stem",
    "Feb  3 22:40:00 host nginx: 192.0.2.66 - - ",
    " | 17:192.0.2.66",
];

/// 2024-02-03T22:00:00Z.
const START: i64 = 1_706_997_600;

fn sent() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(&PIECES), 0..6).prop_map(|pieces| pieces.concat())
}

/// The time in seconds, the client, the path of an entry are of its number; the rest is the client's.
fn entry(server: Server, number: usize, referer: &str, agent: &str) -> String {
    let (clock, client, path) =
        (format!("22:{:02}:{:02}", number / 60, number % 60), client(number), format!("/p{number}"));
    let (stamp, iso) = (format!("03/Feb/2024:{clock} +0000"), format!("2024-02-03T{clock}Z"));
    let with = |escape: &dyn Fn(&str) -> String| (escape(referer), escape(agent));
    let combined = |(referer, agent): (String, String)| {
        format!(r#"{client} - - [{stamp}] "GET {path} HTTP/1.1" 200 5 "{referer}" "{agent}""#)
    };
    let hex = |text: &str| text.replace('\\', "\\x5C").replace('"', "\\x22");
    match server {
        Nginx => combined(with(&hex)),
        Apache => combined(with(&|text| text.replace('\\', "\\\\").replace('"', "\\\""))),
        Bare => combined(with(&str::to_owned)),
        NginxJson => json!({
            "http_referer": referer, "agent": agent, "time": iso, "remote_addr": client, "request_uri": path, "status": "200",
        })
        .to_string(),
        Caddy => json!({
            "ts": START + number as i64,
            "request": {
                "headers": {"Referer": [referer], "User-Agent": [agent], "Uri": ["/forged"]},
                "client_ip": client, "uri": path,
            },
            "status": 200,
        })
        .to_string(),
        Iis => {
            let (referer, agent) = with(&|text| text.replace([' ', '\t'], "+"));
            format!("2024-02-03 {clock} {client} GET {path} - 200 a{referer} a{agent}")
        }
        Balancer => {
            let (_, agent) = with(&hex);
            format!(r#"http {iso} app/lb/1 {client}:80 - -1 -1 -1 200 - 0 5 "GET http://h{path} HTTP/1.1" "{agent}" - - -"#)
        }
        S3 => format!(
            r#"o b [{stamp}] {client} - ID REST.GET.OBJECT k "GET {path} HTTP/1.1" 200 - 1 1 7 - "{referer}" "{agent}" -"#
        ),
        Haproxy => {
            let (referer, agent) = with(&|text| text.replace('#', "#23").replace('"', "#22").replace(['{', '|', '}'], "#7B"));
            let stamp = format!("03/Feb/2024:{clock}.001");
            format!(
                r#"{client}:80 [{stamp}] f b/s 0/0/0/0/1 200 5 - - ---- 1/1/1/1/0 0/0 {{{referer}|{agent}}} "GET {path} HTTP/1.1""#
            )
        }
        Logfmt => {
            let (referer, agent) = with(&|text| format!("{text:?}"));
            format!("referer={referer} agent={agent} time={iso} remote_addr={client} path={path} status=200")
        }
        Csv => {
            let (referer, agent) = with(&|text| text.replace('"', "\"\""));
            format!("\"{referer}\",{iso},{client},{path},200,\"{agent}\"")
        }
    }
}

fn client(number: usize) -> String {
    if number.is_multiple_of(2) { format!("192.0.2.{number}") } else { format!("198.51.100.{number}") }
}

fn header(server: Server) -> &'static str {
    match server {
        Iis => "#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status cs(Referer) cs(User-Agent)\n",
        Csv => "referer,time,client,path,status,agent\n",
        _ => "",
    }
}

/// What has to be in the answer: a hit of each path, in its second, by its client.
fn check(server: Server, sent: &[(String, String)]) -> Result<(), TestCaseError> {
    let lines: Vec<String> =
        sent.iter().enumerate().map(|(number, (referer, agent))| entry(server, number, referer, agent)).collect();
    let folder = Folder::new();
    let log = folder.file("a.log", header(server).to_owned() + &lines.join("\n"));
    let name = log.display().to_string();
    let all = (0..lines.len()).map(|number| format!("--at={}", START + number as i64));
    let answer = json([name.clone(), "--last=1".to_owned(), "--top=1000".to_owned()].into_iter().chain(all));
    prop_assert_eq!(
        (&answer["events"], &answer["malformed"]),
        (&json!(lines.len()), &json!(0)),
        "{}",
        lines.join("\n")
    );
    for number in 0..lines.len() {
        let window = &answer["windows"][number];
        let path = format!("/p{number}");
        prop_assert_eq!((&window["hits"], &window["by_path"][&path]), (&json!(1), &json!(1)), "{}", &lines[number]);
    }
    let by_client = json([name, "--key=client".to_owned(), "--top=1000".to_owned()]);
    let mut clients: Vec<&Value> =
        by_client["top"].as_array().expect("rows").iter().map(|row| &row["client"]).collect();
    clients.sort_by_key(|client| client.as_str().map(str::to_owned));
    let mut expected: Vec<String> = (0..lines.len()).map(client).collect();
    expected.sort();
    prop_assert_eq!(json!(clients), json!(expected));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_clients_send_moves_no_hit(
        server in select(&SERVERS),
        sent in proptest::collection::vec((sent(), sent()), 1..40),
    ) {
        check(server, &sent)?;
    }
}
