//! `backstop sim`.

use backstop_core::BoxError;
use backstop_sim::Sim;

use crate::announce;
use crate::cli;
use crate::shutdown::Signals;

pub(crate) async fn run(options: cli::Sim) -> Result<(), BoxError> {
    let mut signals = Signals::listen()?;
    let sim = Sim::bind(&*options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    announce(format_args!("listening on {}", sim.url()));
    signals.next().await;
    sim.shutdown().await;
    Ok(())
}
