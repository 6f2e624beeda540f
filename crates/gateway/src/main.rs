//! The `backstop` command.

use std::process::ExitCode;

/// A request is allocated on one thread and freed on another, in pieces of a kilobyte: the system's allocator takes
/// a tenth of a busy gateway's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    backstop_gateway::run()
}
