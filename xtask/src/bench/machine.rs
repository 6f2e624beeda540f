//! The machine that the numbers are from.

use std::fs;
use std::thread;

/// One line that names it.
pub(super) fn line() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    let kernel = kernel.as_deref().map_or("", str::trim);
    format!(
        "Measured by `cargo xtask bench` on {cores} cores of {}, {} {kernel}.\n",
        cpu.as_deref().unwrap_or(std::env::consts::ARCH),
        std::env::consts::OS,
    )
}
