//! Every row under Criterion: `cargo bench --bench counter`. `benches/figures.rs` prints the same rows as ratios.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

#[allow(dead_code, reason = "other benches use the rest")]
mod row;
mod rows;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    for row in rows::all() {
        let mut group = criterion.benchmark_group(format!("{}/{} threads", row.name, row.threads));
        group.throughput(Throughput::Elements(row.threads as u64));
        group.bench_function("call", |bencher| bencher.iter_custom(|n| row.time(n)));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
