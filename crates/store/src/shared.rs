//! What ledgers have in common that are asked through a queue.

use std::time::SystemTime;

use backstop_budget::{
    Balance, Balances, Denied, Lease, LedgerFuture, Reason, Reserving, Unavailable,
};
use tokio::sync::oneshot;

/// What becomes of a reservation, from whoever has the ledger. `foreign` is the lease of another ledger that it
/// replaces: it ends with a new one, and goes back to the caller without.
pub(crate) fn reserving(
    answer: oneshot::Receiver<Result<Lease, Denied>>,
    foreign: Option<Lease>,
) -> Reserving {
    LedgerFuture::boxed(async move {
        match answer.await.unwrap_or_else(|_| Err(closed())) {
            Ok(lease) => {
                if let Some(foreign) = foreign {
                    foreign.void();
                }
                Ok(lease)
            }
            Err(mut denied) => {
                denied.lease = denied.lease.or(foreign);
                Err(denied)
            }
        }
    })
}

/// The accounts, from whoever has the ledger.
pub(crate) fn balances(answer: oneshot::Receiver<Result<Vec<Balance>, Unavailable>>) -> Balances {
    LedgerFuture::boxed(async move {
        answer
            .await
            .unwrap_or_else(|_| Err(Unavailable::new("it is closed")))
    })
}

fn closed() -> Denied {
    Denied {
        reason: Reason::Unavailable(Unavailable::new("it is closed")),
        lease: None,
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(moment: SystemTime) -> i64 {
    let since = moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
