/// Is told what a layer does, as it does it.
///
/// `()` ignores everything, any `Fn(&Event)` is an observer. It is called inline, on the request's path: count,
/// log, hand over; never block.
pub trait Observe<Event: ?Sized> {
    /// One thing that happened.
    fn observe(&self, event: &Event);
}

impl<Event: ?Sized> Observe<Event> for () {
    fn observe(&self, _: &Event) {}
}

impl<Event: ?Sized, F: Fn(&Event)> Observe<Event> for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}
