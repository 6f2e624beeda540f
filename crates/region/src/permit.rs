use std::fmt;
use std::sync::Arc;

use backstop_core::Trail;

use crate::Residency;
use crate::guard::Guard;

/// The right to send one request to one deployment under the rules that were decided for it.
///
/// [`RegionLayer`](crate::RegionLayer) puts it into the request's extensions and [`Sealed`](crate::Sealed) takes it
/// out. Nobody else can make one:
///
/// ```compile_fail,E0624
/// let forge = backstop_region::Permit::new;
/// ```
///
/// ```compile_fail,E0451
/// fn forge(from: backstop_region::Permit) -> backstop_region::Permit {
///     backstop_region::Permit { ..from }
/// }
/// ```
#[derive(Clone)]
pub struct Permit {
    guard: Arc<Guard>,
    residency: Residency,
    request: Arc<str>,
}

impl Permit {
    pub(crate) fn new(guard: Arc<Guard>, residency: Residency, request: &Trail) -> Self {
        Self {
            guard,
            residency,
            request: Arc::clone(request.id()),
        }
    }

    pub(crate) fn allows(
        &self,
        guard: &Arc<Guard>,
        residency: &Residency,
        request: Option<&Trail>,
    ) -> bool {
        Arc::ptr_eq(&self.guard, guard)
            && self.residency.is(residency)
            && request.is_some_and(|request| *request.id() == self.request)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("deployment", self.guard.deployment.id())
            .field("residency", &self.residency)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
