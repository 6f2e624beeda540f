use backstop_core::{Ask, Trail};

/// Tells the trail what a request asks for.
///
/// `()` tells nothing, for stacks in which another layer does (an HTTP edge, which parses the request).
pub trait Describe<Req> {
    /// Reads `request`, before it is passed on.
    fn describe(&self, request: &Req, trail: &Trail);
}

impl<Req> Describe<Req> for () {
    fn describe(&self, _: &Req, _: &Trail) {}
}

/// Tells the model and whether the answer is to be a stream, for requests that can be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asks;

impl<Req: Ask> Describe<Req> for Asks {
    fn describe(&self, request: &Req, trail: &Trail) {
        trail.asked(request.shared_model(), request.streams());
    }
}
