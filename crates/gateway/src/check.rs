//! `backstop check`.

use backstop_config::Live;
use backstop_core::BoxError;

use crate::announce;
use crate::cli::Check;
use crate::source::Source;

pub(crate) async fn run(options: Check) -> Result<(), BoxError> {
    let (_, config) = Source::open(options.config)?;
    // What `serve` would build; nothing is sent to anybody.
    Live::rehearse(&config).await?;
    let chains = config.chains();
    for chain in &chains {
        announce(format_args!("{chain}\n"));
    }
    for auto in config.capabilities() {
        announce(format_args!("{auto}\n"));
    }
    if let Some(store) = config.store() {
        announce(format_args!("budgets, accounts in {store}"));
        for budget in config.budgets() {
            announce(format_args!("{budget}"));
        }
        announce(format_args!(""));
    }
    for policy in config.policies() {
        announce(format_args!("{policy}\n"));
    }
    for remark in config.remarks() {
        announce(format_args!("note: {remark}"));
    }
    for warning in config.warnings() {
        announce(format_args!("warning: {warning}"));
    }
    let models = chains.len();
    announce(format_args!(
        "ok: {models} model{}",
        if models == 1 { "" } else { "s" }
    ));
    Ok(())
}
