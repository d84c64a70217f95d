//! Many endpoints under many threads: which had the most hits?
//!
//! ```console
//! $ cargo run --example registry
//! ```

use std::error::Error;
use std::time::Duration;

use hitring::{Registry, Strategy};

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::builder().strategy(Strategy::Adaptive).max_endpoints(1_000_000).build()?;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let registry = &registry;
            scope.spawn(move || {
                for request in 0..1_000 {
                    let page = (request * 7 + thread) % 10;
                    registry.record_hit(&format!("/page/{page}"), 1).expect("the name is short");
                }
            });
        }
    });

    // A handle records without looking the name up.
    let home = registry.counter("/home")?;
    home.record(500);

    let minute = Duration::from_secs(60);
    for (endpoint, hits) in registry.top(3, minute)? {
        println!("{:>6}  {endpoint}", hits.count);
    }
    assert_eq!(registry.query_hits("/home", minute)?.count, 500);
    assert_eq!(registry.total(minute)?.count, 4_500);

    // What another registry counted is added by merging its snapshot, as often as it comes.
    let other = Registry::builder().build()?;
    other.record_hit("/home", 100)?;
    let snapshot = other.snapshot();
    registry.merge(&snapshot)?;
    registry.merge(&snapshot)?;
    assert_eq!(registry.query_hits("/home", minute)?.count, 600);
    println!("with the other registry: {}", registry.query_hits("/home", minute)?.count);
    Ok(())
}
