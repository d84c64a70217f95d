//! A real redis-server as the judge: the same registers, the same estimates, bytes that go both ways.
//!
//! It is started on a socket of its own and ended with the test. `HITRING_REDIS_SERVER` names the program; else it is
//! sought on the path. If it is missing, the test says so and proves nothing.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hitring::HyperLogLog;

/// A server that lives as long as this.
struct Server {
    child: Child,
    folder: PathBuf,
    stream: BufReader<UnixStream>,
}

/// An answer: a number, bytes, an array, or the text of a refusal.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Number(i64),
    Bytes(Vec<u8>),
    Array(Vec<Answer>),
    Refused(String),
}

impl Server {
    /// `None` if redis-server is missing.
    fn start() -> Option<Self> {
        let program = std::env::var("HITRING_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let folder = std::env::temp_dir().join(format!("hitring-redis-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let socket = folder.join("socket");
        let child = Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            let _ = std::fs::remove_dir_all(&folder);
            return None;
        };
        for _ in 0..200 {
            if let Ok(stream) = UnixStream::connect(&socket) {
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
                return Some(Self { child, folder, stream: BufReader::new(stream) });
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = child.kill();
        panic!("redis-server does not listen: {:?}", child.wait());
    }

    fn ask(&mut self, words: &[&[u8]]) -> Answer {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend(*word);
            request.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("the server reads");
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let (kind, text) = line.trim_end().split_at(1);
        let number = || text.parse::<i64>().expect("a number");
        match kind {
            "+" => Answer::Bytes(text.as_bytes().to_vec()),
            "-" => Answer::Refused(text.to_owned()),
            ":" => Answer::Number(number()),
            "$" => {
                let mut bytes = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut bytes).expect("the server answers");
                bytes.truncate(bytes.len() - 2);
                Answer::Bytes(bytes)
            }
            "*" => Answer::Array((0..number()).map(|_| self.answer()).collect()),
            other => panic!("an answer of a kind unheard of: {other:?}"),
        }
    }

    fn add(&mut self, key: &str, items: &[Vec<u8>]) {
        for items in items.chunks(5_000) {
            let mut words = vec![&b"PFADD"[..], key.as_bytes()];
            words.extend(items.iter().map(|item| &item[..]));
            assert!(matches!(self.ask(&words), Answer::Number(_)));
        }
    }

    fn set(&mut self, key: &str, bytes: &[u8]) {
        assert_eq!(self.ask(&[b"SET", key.as_bytes(), bytes]), Answer::Bytes(b"OK".to_vec()));
    }

    fn get(&mut self, key: &str) -> Vec<u8> {
        match self.ask(&[b"GET", key.as_bytes()]) {
            Answer::Bytes(bytes) => bytes,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn count(&mut self, key: &str) -> u64 {
        match self.ask(&[b"PFCOUNT", key.as_bytes()]) {
            Answer::Number(count) => count as u64,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn encoding(&mut self, key: &str) -> Answer {
        self.ask(&[b"PFDEBUG", b"ENCODING", key.as_bytes()])
    }

    /// Makes the key dense.
    fn registers(&mut self, key: &str) -> Vec<(u32, u8)> {
        let Answer::Array(values) = self.ask(&[b"PFDEBUG", b"GETREG", key.as_bytes()]) else {
            panic!("no registers of {key}")
        };
        let values = values.into_iter().map(|value| match value {
            Answer::Number(value) => value as u8,
            other => panic!("{other:?}"),
        });
        (0..).zip(values).filter(|&(_, value)| value > 0).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn items(of: &str, from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(|number| format!("{of}:{number}").into_bytes()).collect()
}

fn sketch(items: &[Vec<u8>]) -> HyperLogLog {
    let sketch = HyperLogLog::new();
    for item in items {
        sketch.add(item);
    }
    sketch
}

fn bytes(sketch: &HyperLogLog) -> Vec<u8> {
    sketch.to_redis().expect("precision 14")
}

fn read(bytes: &[u8]) -> HyperLogLog {
    HyperLogLog::from_redis(bytes).expect("Redis's own bytes")
}

#[test]
fn a_redis_server_agrees() {
    let Some(mut redis) = Server::start() else {
        println!("skip: no redis-server here; install it or set HITRING_REDIS_SERVER");
        return;
    };
    for size in [0, 1, 2, 8, 9, 10, 100, 500, 1_000, 1_500, 2_000, 3_000, 10_000, 30_000, 100_000, 300_000] {
        let items = items(&format!("user:{size}"), 0, size);
        let ours = sketch(&items);
        redis.ask(&[b"DEL", b"theirs", b"ours"]);
        redis.add("theirs", &items);
        if size == 0 {
            redis.ask(&[b"PFADD", b"theirs"]);
        }
        let theirs = redis.get("theirs");
        assert_eq!(redis.count("theirs"), ours.count(), "{size}: the estimate of the same items");
        redis.set("ours", &bytes(&ours));
        assert_eq!(redis.encoding("ours"), redis.encoding("theirs"), "{size}: sparse or dense");
        assert_eq!(redis.count("ours"), ours.count(), "{size}: their estimate of our bytes");
        assert_eq!(read(&theirs).count(), ours.count(), "{size}: our estimate of their bytes");
        assert!(read(&theirs).registers().eq(ours.registers()), "{size}: registers");
        assert_eq!(redis.registers("ours"), ours.registers().collect::<Vec<_>>(), "{size}: GETREG");
        assert_eq!(redis.encoding("ours"), Answer::Bytes(b"dense".to_vec()));
        assert!(read(&redis.get("ours")).registers().eq(ours.registers()), "{size}: dense by TODENSE");
    }

    // Redis goes on with ours, and we with what it merged.
    let (first, second) = (items("a", 0, 20_000), items("a", 10_000, 30_000));
    let (ours, both) = (sketch(&first), sketch(&items("a", 0, 30_000)));
    redis.set("first", &bytes(&ours));
    redis.add("second", &second);
    redis.ask(&[b"PFMERGE", b"both", b"first", b"second"]);
    assert_eq!(redis.count("both"), both.count());
    ours.merge(&read(&redis.get("second"))).expect("the same precision");
    assert!(ours.registers().eq(both.registers()));
    let few = sketch(&first[..40]);
    redis.set("few", &bytes(&few));
    redis.add("few", &first[20..60]);
    assert_eq!(redis.count("few"), sketch(&first[..60]).count());
    assert_eq!(redis.encoding("few"), Answer::Bytes(b"sparse".to_vec()));

    // Neither takes what is broken.
    let whole = bytes(&both);
    let junk = [b"HYLL".to_vec(), [&b"HYLL\x02"[..], &[0; 100]].concat(), whole[..whole.len() - 1].to_vec(), {
        [b"XXXX", &whole[4..]].concat()
    }];
    for junk in junk {
        redis.set("junk", &junk);
        assert!(matches!(redis.ask(&[b"PFCOUNT", b"junk"]), Answer::Refused(_)));
        assert!(HyperLogLog::from_redis(&junk).is_err());
    }
}
