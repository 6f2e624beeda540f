//! Prints what one run of each case allocates: name, allocations and bytes, with tabs between them.

/// So many that what is allocated once, such as room in a channel, is nothing per run.
const RUNS: u64 = 1000;

fn main() {
    for mut case in backstop_benches::all() {
        case.run();
        let counted = allocation_counter::measure(|| (0..RUNS).for_each(|_| case.run()));
        let (count, bytes) = (counted.count_total / RUNS, counted.bytes_total / RUNS);
        println!("{}\t{count}\t{bytes}", case.name);
    }
}
