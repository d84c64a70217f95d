//! One file in which several processes count. A process that is killed loses none of the hits that it recorded.
//!
//! ```console
//! $ cargo run --example shared_file
//! ```

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::process::Command;
    use std::time::Duration;

    use hitring::SharedRegistry;

    let mut arguments = std::env::args().skip(1);
    if let Some(path) = arguments.next() {
        // A worker: it opens the file, records, and ends.
        let registry = SharedRegistry::open(path)?;
        let home = registry.counter("/home")?;
        (0..1_000).for_each(|_| _ = home.record(1));
        return Ok(());
    }
    let path = std::env::temp_dir().join(format!("example-{}.ring", std::process::id()));
    let registry = SharedRegistry::create(&path)?;
    let program = std::env::current_exe()?;
    let workers: Vec<_> = (0..3).map(|_| Command::new(&program).arg(&path).spawn()).collect::<Result<_, _>>()?;
    for mut worker in workers {
        assert!(worker.wait()?.success());
    }
    let hits = registry.query_hits("/home", Duration::from_secs(60))?;
    println!("three processes recorded {}", hits.count);
    assert_eq!(hits.count, 3_000);
    std::fs::remove_file(path)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("shared files need Linux");
}
