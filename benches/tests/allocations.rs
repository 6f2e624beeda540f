//! Gates on what the layers allocate. Counts, not times: they are the same on every machine and in every build.

use allocation_counter::AllocationInfo;
use backstop_benches::find;

/// So many that what is allocated once, such as room in a channel, is nothing per run.
const RUNS: u64 = 200;

/// What one run of a case allocates.
fn of(name: &str) -> AllocationInfo {
    let mut case = find(name);
    case.run();
    let mut counted = allocation_counter::measure(|| (0..RUNS).for_each(|_| case.run()));
    counted.count_total /= RUNS;
    counted.bytes_total /= RUNS;
    counted
}

/// What it allocates more often than the case that it stands on.
fn own(name: &str) -> u64 {
    let over = find(name).over.expect("a case that stands on another");
    of(name).count_total - of(over).count_total
}

#[test]
fn services_without_layers_allocate_nothing() {
    for name in [
        "bare service",
        "bare stream of 100 chunks",
        "bare HTTP service",
    ] {
        assert_eq!(of(name).count_total, 0, "{name}");
    }
}

#[test]
fn each_layer_allocates_what_its_documentation_says() {
    let bounds = [
        // One box, for the body that has been read from.
        ("prime", 1),
        // The timer is part of the future.
        ("timeout", 0),
        ("cooldown", 0),
        // A request without extensions gets some: their box, their table, the deadline.
        ("deadline", 3),
        // The trail and its id; extensions (3) and their clone for the attempt (3), the attempt's position; the
        // target's box for its clone and for the call.
        ("fallback over three boxed targets", 11),
        // The trail and its id, and extensions to put it in.
        ("audit to a channel", 5),
        // The list of rows.
        ("attempt", 1),
        // A clone of the extensions with the trail and the deadline in them.
        ("retry", 4),
        ("fit", 0),
        ("residency, no rule holds", 0),
        // The rules that hold, and their names for the record; the permit; more room among the extensions.
        ("residency, a rule holds", 10),
        // The legs of the reservation, and itself.
        ("budget of four accounts", 2),
    ];
    for (name, bound) in bounds {
        assert_eq!(own(name), bound, "{name}");
    }
}

#[test]
fn a_reservation_in_memory_allocates_its_legs_and_itself() {
    let name = "reserve and settle, four accounts in memory";
    assert_eq!(of(name).count_total, 2);
}

#[test]
fn a_stack_of_every_layer_allocates_at_most_twenty_times() {
    let own = own("every layer");
    assert!(own <= 20, "{own} allocations");
}

#[test]
fn failing_over_costs_at_most_1_8_times_an_answer() {
    let normal = own("every layer");
    let fails = of("bare service that fails").count_total;
    let failover = of("every layer, the first deployment fails").count_total - fails;
    assert!(
        failover * 10 <= normal * 18,
        "{failover} allocations, {normal} without a failure"
    );
}

#[test]
fn layers_allocate_nothing_for_a_chunk() {
    let hundred = of("every layer, a stream of 100 chunks");
    let two_hundred = of("every layer, a stream of 200 chunks");
    assert_eq!(hundred, two_hundred);
}

#[test]
fn parsing_allocates_nothing_for_a_message() {
    let few = of("parse, 1 KiB");
    let many = of("parse, 100 KiB");
    assert_eq!(few, many);
}

#[test]
fn forwarding_copies_a_body_once_and_allocates_nothing_for_a_message() {
    let small = of("forward, 1 KiB");
    let large = of("forward, 100 KiB");
    assert_eq!(small.count_total, large.count_total);
    let grown = large.bytes_total - small.bytes_total;
    assert!(
        grown.abs_diff(99 * 1024) <= 512,
        "{grown} bytes more for 99 KiB"
    );
}
