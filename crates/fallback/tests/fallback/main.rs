//! What a fallback asks, holds and returns, through its public surface alone.

mod admitting;
mod attempts;
mod last_resort;
mod load;
mod only_after;
mod oracle;
mod outcomes;
mod support;
