//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps LLM calls answered while providers fail.
#[derive(Debug, Parser)]
#[command(name = "backstop", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answers chat completions by the chains of a configuration.
    Serve(Serve),
    /// Says what a configuration amounts to, or what is wrong with it.
    Check(Check),
    /// Shows every outage survived, with simulated providers: no key and no network needed.
    Demo(Demo),
    /// Serves simulated providers, with faults on demand.
    Sim(Sim),
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The configuration; without it, the providers whose usual environment variables are set.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen: an IP address or a host, and a port; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4000")]
    pub(crate) listen: String,
    /// How logs are written to stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Serves other machines without asking for a key.
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,
    /// How long requests that are under way may take to end, after a signal to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) shutdown_grace: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The configuration; without it, the providers whose usual environment variables are set.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Demo {
    /// Goes on serving afterwards.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Skips the pauses for reading.
    #[arg(long)]
    pub(crate) fast: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Sim {
    /// Where to listen: an IP address or a host, and a port; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
