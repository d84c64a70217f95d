//! Ranges of the service against a list of all hits.

mod resources;

use std::sync::Arc;
use std::time::Duration;

use hitring::service::name::Name;
use hitring::service::range::Range;
use hitring::service::{Hit, Refusal, Service};
use hitring::store::sqlite::commit::Committer;
use hitring::store::sqlite::flushed::KEEP;
use hitring::store::sqlite::keys::Limits;
use hitring::store::sqlite::open::Database;
use hitring::store::sqlite::thread::SqliteStore;
use hitring::{ManualClock, SharedRegistry, Timestamp};
use proptest::prelude::*;

const WINDOW: u64 = 20;
const START: u64 = 10_000;

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

#[derive(Clone, Debug)]
enum Step {
    Record { ago: u64, count: u64 },
    Advance { by: u64 },
    Ask { ago: u64, length: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..40u64, 0..100u64).prop_map(|(ago, count)| Step::Record { ago, count }),
        2 => prop_oneof![4 => 1..4u64, 1 => 10..90u64].prop_map(|by| Step::Advance { by }),
        4 => (0..150u64, 0..200u64).prop_map(|(ago, length)| Step::Ask { ago, length }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn an_exact_range_is_the_list_and_another_has_no_more(steps in steps()) {
        let folder = std::env::temp_dir().join(format!("hitring-service-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        let path = folder.join("hits.ring");
        let _ = std::fs::remove_file(&path);
        let (clock, mut now) = (ManualClock::new(at(START)), START);
        let ring = SharedRegistry::builder().window(Duration::from_secs(WINDOW)).slack(4).max_endpoints(2);
        let ring = Arc::new(ring.clock(clock.clone()).create(&path).expect("it can be made"));
        let database = Database::open(&folder.join("hitring.db")).expect("it is whole");
        let committer = Committer::new(database, Arc::clone(&ring), Limits::default(), KEEP).expect("it is whole");
        let store = SqliteStore::start(committer, 9, Duration::from_secs(1)).expect("it starts");
        let service = Service::new(ring, Box::new(store), true);
        let name = Name::resource("home").expect("a name");
        let mut list: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Record { ago, count } => {
                    let hit = Hit { count, at: Some(at(now - ago)), visitor: None };
                    match service.record(&name, &hit) {
                        Ok(()) => list.push((now - ago, count)),
                        Err(refusal) => prop_assert_eq!(refusal, Refusal::Late),
                    }
                }
                Step::Advance { by } => {
                    now += by;
                    clock.set(at(now));
                }
                Step::Ask { ago, length } => {
                    let (start, end) = ((now - ago).saturating_sub(length), now - ago);
                    let counted = match service.count(&name, Range { start: at(start), end: at(end) }) {
                        Ok(counted) => counted,
                        Err(refusal) => {
                            prop_assert_eq!((refusal, list.is_empty()), (Refusal::Unknown, true));
                            continue;
                        }
                    };
                    let hits = list.iter().filter(|(second, _)| (start..=end).contains(second));
                    let all: u64 = hits.map(|(_, count)| count).sum();
                    prop_assert!(counted.count <= all, "{} of {}", counted.count, all);
                    prop_assert!(!counted.exact || counted.count == all, "{} of {}", counted.count, all);
                    let is_in_window = start + WINDOW > now;
                    prop_assert!(counted.exact || !is_in_window);
                }
            }
        }
        let total: u64 = list.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(service.total(&name), if list.is_empty() { Err(Refusal::Unknown) } else { Ok(total) });
        std::fs::remove_file(path).expect("it is ours");
    }
}
