use std::fmt;
use std::sync::Arc;

use backstop_core::{Deployment, Failure, FailureKind, Ineligible, Observe, Trail};
use http::Extensions;

use crate::error::Refused;
use crate::residency::Unrestricted;
use crate::{Event, Permit, Place, Residency};

pub(crate) type Observer = Arc<dyn for<'a> Observe<Event<'a>> + Send + Sync>;

/// What both ends of one deployment's stack know of it.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) observer: Option<Observer>,
}

impl Guard {
    /// At the top of the stack: gives a permit to a request that may go on.
    pub(crate) fn admit(self: &Arc<Self>, extensions: &mut Extensions) -> Result<(), Box<Refused>> {
        let Some(residency) = self.check(extensions)?.cloned() else {
            return Ok(());
        };
        let request = Trail::of_or_start(extensions);
        extensions.insert(Permit::new(Arc::clone(self), residency, &request));
        Ok(())
    }

    /// Whether a request may go on, and under which rules.
    pub(crate) fn check<'a>(
        &self,
        extensions: &'a Extensions,
    ) -> Result<Option<&'a Residency>, Box<Refused>> {
        let Some(residency) = extensions.get::<Residency>() else {
            return self.without_rules(extensions).map(|()| None);
        };
        match residency.check(&self.deployment, &self.place) {
            Ok(()) => Ok(Some(residency)),
            Err(refusal) => {
                self.tell(&Event::Refused {
                    deployment: &self.deployment,
                    refusal: &refusal,
                });
                Err(Refused::by(refusal))
            }
        }
    }

    /// At the bottom: takes the permit, which has to be for this request, these rules, this deployment.
    pub(crate) fn verify(
        self: &Arc<Self>,
        extensions: &mut Extensions,
    ) -> Result<(), Box<Refused>> {
        let permit = extensions.remove::<Permit>();
        let Some(residency) = extensions.get::<Residency>() else {
            return self.without_rules(extensions);
        };
        let request = Trail::of(extensions);
        if permit.is_some_and(|permit| permit.allows(self, residency, request)) {
            return Ok(());
        }
        self.tell(&Event::Unpermitted {
            deployment: &self.deployment,
        });
        Err(Refused::unpermitted())
    }

    fn without_rules(&self, extensions: &Extensions) -> Result<(), Box<Refused>> {
        if !self.required || extensions.get::<Unrestricted>().is_some() {
            return Ok(());
        }
        self.tell(&Event::Undecided {
            deployment: &self.deployment,
        });
        Err(Refused::undecided())
    }

    /// The failure in what the provider reports about where it ran, if it is not where the deployment is said to be.
    pub(crate) fn judge(&self, reported: &str, trail: Option<&Trail>) -> Option<Failure> {
        if self.place.is_plausible(reported) != Some(false) {
            return None;
        }
        // What the provider said is not repeated if we do not know the name.
        let reported = reported.parse().unwrap_or_default();
        self.tell(&Event::Misplaced {
            deployment: &self.deployment,
            reported: &reported,
        });
        let declared = self.place.processing().copied().unwrap_or_default();
        let note = match reported.is_empty() {
            true => format!("ran in a region that is not known, declared is {declared}"),
            false => format!("ran in {reported}, declared is {declared}"),
        };
        if let Some(trail) = trail {
            trail.note(note.clone());
        }
        Some(Failure::new(FailureKind::Permission).with_detail(note))
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("deployment", self.deployment.id())
            .field("place", &self.place)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

/// The failure of a refusal of ours.
pub(crate) fn refused(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::ineligible(Ineligible::Region).with_detail(detail)
}
