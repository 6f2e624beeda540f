use backstop_core::{Failure, FailureKind, Reach};
use tokio::time::Instant;

use crate::error::Resting;
use crate::ticket::is_answer;
use crate::{Circuit, Ticket};

/// The circuits that a call depends on.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) deployment: Circuit,
    pub(crate) credential: Option<Circuit>,
    pub(crate) endpoint: Option<Circuit>,
}

impl Keys {
    /// Asks all of them. If one refuses, what the others gave goes back to them.
    pub(crate) fn admit(&self, last_resort: bool) -> Result<Tickets, Resting> {
        let admit = |circuit: &Circuit| circuit.admit(last_resort);
        Ok(Tickets {
            endpoint: self.endpoint.as_ref().map(admit).transpose()?,
            credential: self.credential.as_ref().map(admit).transpose()?,
            deployment: admit(&self.deployment)?,
        })
    }

    pub(crate) fn is_resting(&self) -> bool {
        let others = [&self.credential, &self.endpoint];
        self.deployment.is_resting() || others.into_iter().flatten().any(Circuit::is_resting)
    }
}

/// One call's tickets.
#[derive(Debug)]
pub(crate) struct Tickets {
    deployment: Ticket,
    credential: Option<Ticket>,
    endpoint: Option<Ticket>,
}

impl Tickets {
    pub(crate) fn answered(&mut self) {
        self.deployment.answered();
        for ticket in [&mut self.credential, &mut self.endpoint]
            .into_iter()
            .flatten()
        {
            ticket.answered();
        }
    }

    pub(crate) fn succeed(self) {
        let now = Instant::now();
        self.deployment.succeed_at(now);
        for ticket in [self.credential, self.endpoint].into_iter().flatten() {
            ticket.succeed_at(now);
        }
    }

    /// Blames one; the others learn what the failure proves about them, if anything.
    pub(crate) fn fail(mut self, failure: &Failure) {
        if is_answer(failure) {
            // Whatever the table says of it, whoever answered is there and took the key.
            for ticket in [self.credential, self.endpoint].into_iter().flatten() {
                ticket.fail(failure);
            }
            return self.deployment.fail(failure);
        }
        if failure.status().is_some()
            && let Some(endpoint) = &mut self.endpoint
        {
            endpoint.answered();
        }
        let blamed = match failure.kind() {
            FailureKind::Auth | FailureKind::QuotaExhausted => self.credential,
            FailureKind::Network if failure.reach() == Reach::Unsent => self.endpoint,
            _ => None,
        };
        blamed.unwrap_or(self.deployment).fail(failure);
    }
}
