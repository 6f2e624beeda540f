//! Logs, on stderr.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::cli::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise: what we do, and what goes wrong elsewhere.
const DEFAULT: &str = "warn,backstop=info";

pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // Or a stderr that nobody reads any more would make each log line a panic.
        .log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(is_colorful(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(
            lines
                .with_filter(filter)
                .with_filter(filter_fn(is_discreet)),
        )
        .init();
}

/// Whether somebody looks at it who does not mind colours.
pub(crate) fn is_colorful(output: &impl IsTerminal) -> bool {
    output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What dependencies log at finer levels can hold credentials: the AWS SDK's traces do. Whatever `RUST_LOG` asks for.
fn is_discreet(about: &Metadata<'_>) -> bool {
    *about.level() <= Level::INFO || about.target().starts_with("backstop")
}
