//! A list of steps: each is announced, timed, and names the command that repeats it.

use crate::{Result, process};
use std::process::Command;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs one command as a step.
    pub(crate) fn command(&mut self, name: &str, mut command: Command) -> Result {
        self.step(name, &process::shown(&command), || {
            process::run(&mut command)
        })
    }

    /// Runs `step`; `repeat` is the command line that does the same alone.
    pub(crate) fn step(
        &mut self,
        name: &str,
        repeat: &str,
        step: impl FnOnce() -> Result,
    ) -> Result {
        println!("\n==> {name}: {repeat}");
        let (result, took) = timed(step);
        self.done.push((name.to_owned(), took));
        result.map_err(|error| {
            let took = took.as_secs_f64();
            format!("{name} failed after {took:.1} s: {error}\nrepeat it with: {repeat}").into()
        })
    }

    /// Prints what each step took.
    pub(crate) fn summary(&self) {
        println!("\nall steps passed");
        for (name, took) in &self.done {
            println!("  {name:<16}{:>8.1} s", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| took).sum();
        println!("  {:<16}{:>8.1} s", "total", total.as_secs_f64());
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "no runtime here whose clock could be paused"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = std::time::Instant::now();
    let result = work();
    (result, begun.elapsed())
}
