//! Listings beside a removal: a name that a hit makes again is found at once, and a page is as long as was asked for.
//!
//! The checks run in the callbacks of a removal, which the commit thread calls. So each check meets its moment at any load.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use hitring::SharedRegistry;
use hitring::service::name::Name;
use hitring::service::resources::Listed;
use hitring::service::{Hit, Refusal, Service};
use hitring::store::Answer;
use hitring::store::sqlite::commit::Committer;
use hitring::store::sqlite::flushed::KEEP;
use hitring::store::sqlite::keys::Limits;
use hitring::store::sqlite::open::Database;
use hitring::store::sqlite::thread::{QUEUE, SqliteStore};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("hitring-resources-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("it can be made");
        Self(folder)
    }

    fn service(&self) -> Arc<Service> {
        let ring = SharedRegistry::builder().window(Duration::from_secs(20)).max_endpoints(20);
        let ring = Arc::new(ring.create(self.0.join("hits.ring")).expect("it can be made"));
        let database = Database::open(&self.0.join("hitring.db")).expect("it is whole");
        let committer = Committer::new(database, Arc::clone(&ring), Limits::default(), KEEP).expect("it is whole");
        let store = SqliteStore::start(committer, QUEUE, Duration::from_secs(1)).expect("it starts");
        Arc::new(Service::new(ring, Box::new(store), true))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn name(id: &str) -> Name {
    Name::resource(id).expect("a name")
}

fn hit(service: &Service, id: &str) {
    assert_eq!(service.record(&name(id), &Hit { count: 1, at: None, visitor: None }), Ok(()));
}

fn listed(service: &Service, after: &str, most: usize) -> Vec<String> {
    let listed = service.resources(after, most).expect("it can be read");
    listed.into_iter().map(|listed| listed.id).collect()
}

fn answer() -> Answer {
    Answer { status: 204, headers: Vec::new(), body: Vec::new() }
}

#[test]
fn a_name_that_is_made_again_after_its_removal_is_found_at_once() {
    let folder = Folder::new("again");
    let service = folder.service();
    for id in ["a", "b", "unknown"] {
        if id != "unknown" {
            hit(&service, id);
        }
        let (sender, told) = bounded(1);
        let beside = Arc::clone(&service);
        let done = move |answered: Result<_, Refusal>| {
            hit(&beside, id);
            let found = beside.resource(id, &name(id));
            let all = listed(&beside, "", 9);
            // Gives the service back, because the thread that drops it last waits for the commit thread.
            sender.send((answered.is_ok(), found, all, beside)).expect("it is waited for");
        };
        service.delete_resource(id, &name(id), None, answer, done).expect("it is taken");
        let (was_there, found, all, _beside) = told.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!(was_there, id != "unknown");
        assert_eq!(found, Ok(Listed { id: id.to_owned(), name: id.to_owned(), created: None }));
        assert!(all.contains(&id.to_owned()), "{id} is not in {all:?}");
    }
    assert_eq!(listed(&service, "", 9), ["a", "b", "unknown"]);
}

#[test]
fn a_page_beside_a_removal_is_as_long_as_any_other() {
    let folder = Folder::new("page");
    let service = folder.service();
    for id in ["a", "b", "c", "d"] {
        hit(&service, id);
    }
    let (sender, told) = bounded(1);
    let beside = Arc::clone(&service);
    // Runs within the transaction: `b` is under way.
    let answer = move || {
        let pages = [("", 1), ("", 2), ("", 3), ("", 9), ("a", 1), ("a", 2), ("b", 2)];
        let pages = pages.map(|(after, most)| listed(&beside, after, most).concat());
        sender.send((pages, beside)).expect("it is waited for");
        answer()
    };
    let (end, ended) = bounded(1);
    let done = move |answered: Result<_, Refusal>| end.send(answered.is_ok()).expect("it is waited for");
    service.delete_resource("b", &name("b"), None, answer, done).expect("it is taken");
    let (pages, _beside) = told.recv_timeout(PATIENCE).expect("it is answered");
    assert_eq!(pages, ["a", "ac", "acd", "acd", "c", "cd", "cd"]);
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(true));
    assert_eq!(listed(&service, "", 9), ["a", "c", "d"]);
}
