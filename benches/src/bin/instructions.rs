//! Runs one case a number of times, for callgrind to count: `bench-instructions CASE TIMES`. Without arguments it lists
//! the cases: a name, and after a tab the case that it stands on.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &arguments[..] else {
        for case in backstop_benches::all() {
            println!("{}\t{}", case.name, case.over.unwrap_or_default());
        }
        return;
    };
    let times: u64 = times.parse().expect("a number of times");
    let mut case = backstop_benches::find(name);
    for _ in 0..times {
        case.run();
    }
}
