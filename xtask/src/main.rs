//! The project's own commands: `cargo xtask <command>`.

mod bench;
mod features;
mod packages;
mod process;
mod sdk;
mod steps;
mod test;
mod workspace;

use crate::workspace::Workspace;
use std::error::Error;
use std::process::ExitCode;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result,
}

const TASKS: [Task; 4] = [
    Task {
        name: "test",
        about: "everything that must pass: format, lints, tests, docs, SDK checks; with --long, every case of the streams' tests",
        run: test::run,
    },
    Task {
        name: "sdk",
        about: "the vendors' SDKs against the simulator and the gateway",
        run: sdk::run,
    },
    Task {
        name: "features",
        about: "lints the facade crate with each of its features alone",
        run: features::run,
    },
    Task {
        name: "bench",
        about: "what layers, ledgers and the gateway cost: bench [layers|ledgers|gateway] [--write-readme]",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = arguments
        .first()
        .and_then(|name| TASKS.iter().find(|task| task.name == name));
    let Some(task) = task else {
        eprintln!("usage: cargo xtask <command>\n");
        for task in &TASKS {
            eprintln!("  {:<10}{}", task.name, task.about);
        }
        return ExitCode::from(2);
    };
    let result = Workspace::load().and_then(|workspace| {
        std::env::set_current_dir(&workspace.root)?;
        (task.run)(&workspace, &arguments[1..])
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses arguments to a task that takes none.
fn no_arguments(arguments: &[String]) -> Result {
    match arguments.first() {
        None => Ok(()),
        Some(first) => Err(format!("unexpected argument `{first}`").into()),
    }
}
