//! Times every case: `cargo bench -p backstop-benches --bench layers`.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn layers(criterion: &mut Criterion) {
    for mut case in backstop_benches::all() {
        criterion.bench_function(case.name, |bencher| bencher.iter(|| case.run()));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = layers
}
criterion_main!(benches);
