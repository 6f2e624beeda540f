use std::time::Duration;

use backstop_chat::Modes;
use tower_layer::Layer;

use crate::{Resume, Room};

/// Lets a stream that breaks go on from another deployment. See the [crate docs](crate).
#[derive(Clone, Debug, Default)]
pub struct ResumeLayer {
    options: ResumeOptions,
    room: Room,
}

impl ResumeLayer {
    /// Exact ways only: prefill and replay, at most twice in a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With these options; a request may bring others in its extensions.
    #[must_use]
    pub fn with_options(options: ResumeOptions) -> Self {
        Self {
            options,
            room: Room::default(),
        }
    }

    /// Sets how much text all streams may keep, here and wherever else this room is used. By default a layer has one
    /// of its own.
    #[must_use]
    pub fn room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }
}

impl<S> Layer<S> for ResumeLayer {
    type Service = Resume<S>;

    fn layer(&self, inner: S) -> Resume<S> {
        Resume::new(inner, self.options, self.room.clone())
    }
}

/// What a [`ResumeLayer`] may do. In a request's extensions, it replaces the layer's own.
#[derive(Clone, Copy, Debug)]
pub struct ResumeOptions {
    pub(crate) modes: Modes,
    pub(crate) lenient: bool,
    pub(crate) max_resumes: u32,
    pub(crate) deadline: Duration,
    pub(crate) stream_deadline: Option<Duration>,
    pub(crate) keep_alive: Duration,
    pub(crate) hold_tool_calls: bool,
}

impl Default for ResumeOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ResumeOptions {
    /// Exact ways only: prefill and replay, at most twice in a stream, 30 s for the first content of each part; no
    /// bound on the whole stream, a comment every 5 s while a further part begins; tool calls are handed on as they
    /// come.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            modes: Modes {
                prefill: true,
                replay: true,
                prompted: false,
            },
            lenient: false,
            max_resumes: 2,
            deadline: Duration::from_secs(30),
            stream_deadline: None,
            keep_alive: Duration::from_secs(5),
            hold_tool_calls: false,
        }
    }

    /// Sets whether answers go on by prefill.
    #[must_use]
    pub const fn prefill(mut self, allow: bool) -> Self {
        self.modes.prefill = allow;
        self
    }

    /// Sets whether answers go on by replay.
    #[must_use]
    pub const fn replay(mut self, allow: bool) -> Self {
        self.modes.replay = allow;
        self
    }

    /// Sets whether answers go on by a prompt. Another model goes on in its own manner: the seam is exact, the style
    /// may not be.
    #[must_use]
    pub const fn prompted(mut self, allow: bool) -> Self {
        self.modes.prompted = allow;
        self
    }

    /// Sets whether a prompted continuation is accepted that does not begin with the quotation. Text may then be
    /// missing or stand twice at the seam.
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Sets how often one stream may go on; 0 turns it off.
    #[must_use]
    pub const fn max_resumes(mut self, times: u32) -> Self {
        self.max_resumes = times;
        self
    }

    /// Sets the time that each further part has to its first content, all deployments together.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Bounds the whole stream, from the call to its last byte; by default nothing does. When the time is over, the
    /// stream ends with a failure of kind [`Deadline`](backstop_core::FailureKind::Deadline), whatever is under way.
    /// What is below is told, too, so that a first token that would come later is not waited for.
    #[must_use]
    pub const fn stream_deadline(mut self, deadline: Duration) -> Self {
        self.stream_deadline = Some(deadline);
        self
    }

    /// Sets how often the caller gets a comment while a further part begins: a sign of life for clients and proxies
    /// that give up on silent streams. One comes at the break, whatever the interval is; zero means no others.
    #[must_use]
    pub const fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Sets whether tool calls are held back until they are whole, so that one that is cut was never delivered.
    #[must_use]
    pub const fn hold_tool_calls(mut self, hold: bool) -> Self {
        self.hold_tool_calls = hold;
        self
    }
}
