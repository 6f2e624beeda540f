//! The `backstop` command: a gateway before LLM providers, driven by a configuration file.
//!
//! | command | does |
//! |---|---|
//! | `backstop serve` | answers chat completions in OpenAI's format by the chains of its configuration |
//! | `backstop check` | says what a configuration amounts to, or what is wrong with it |
//! | `backstop demo` | shows every outage survived, with simulated providers |
//! | `backstop sim` | serves simulated providers, with faults on demand |
//!
//! It is one assembly of Backstop's layers; everything that decides about a request is in them. What is here is
//! what a server needs around them: listening, client keys, reloading, and an end that loses nothing.

mod accounts;
mod auth;
mod check;
mod cli;
mod client;
mod connection;
mod demo;
mod gateway;
mod listener;
mod logging;
mod models;
mod routes;
mod serve;
mod shutdown;
mod sim;
mod source;
mod stack;
mod troubles;
mod upload;
mod watch;

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use backstop_core::BoxError;
use clap::Parser;

use crate::cli::{Cli, Command};

/// Runs the command that the process was started with, to its end.
///
/// What goes wrong is one line on stderr and exit code 1, or 2 if the command line itself is wrong.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(options) => block_on(serve::run(options)),
        Command::Check(options) => block_on(check::run(options)),
        Command::Demo(options) => block_on(demo::run(options)),
        Command::Sim(options) => block_on(sim::run(options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explained(&*error));
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

/// An error with its causes, on one line.
fn explained(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Says something to whoever started the process; a closed stdout is no reason to stop.
fn announce(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}
