//! Asking for a further part.

use std::sync::Arc;

use backstop_chat::{Chunk, Continue, Continued, Meta, Mode};
use backstop_core::{Continuing, Deadline, Deployment, Failure, Trail};

use super::{Next, State};
use crate::calls::Held;
use crate::seam::{self, Seam};

impl<S> State<S> {
    /// Asks for the rest, everybody else before those who broke.
    pub(super) fn ask(&mut self) -> Next {
        if self.resumes >= self.options.max_resumes {
            return self.give_up("it has gone on as often as it may");
        }
        self.resumes += 1;
        self.rewound = None;
        self.broken
            .extend(self.last_asked().map(|last| Arc::clone(last.id())));
        self.ask_as_of(self.delivered.len())
    }

    /// What was said cannot be gone on with: asks for all of it again, if the caller has nothing yet.
    pub(super) fn take_back(&mut self, why: &'static str) -> Next {
        if !self.collected {
            return self.give_up(why);
        }
        let mut meta = Meta::default();
        meta.again = true;
        self.out.push_back(Chunk::silent(meta));
        self.again = true;
        self.opening = None;
        self.opened = false;
        self.delivered = self.delivered.anew();
        self.held = Held::default();
        self.ask()
    }

    /// Asks once more, as if the answer had ended earlier: the part must then repeat what the caller has.
    ///
    /// This is no fault of the deployment, which is asked again.
    pub(super) fn rewind(&mut self) -> Next {
        self.may_rewind = false;
        self.close_bill();
        if let Some(trail) = &self.trail {
            trail.not_resumed("too little stood again to be sure: asked from further back");
            trail.resume(self.delivered.chars);
        }
        let at = seam::rewound(self.delivered.text());
        self.rewound = Some(at);
        self.ask_as_of(at)
    }

    fn ask_as_of(&mut self, end: usize) -> Next {
        let model = self
            .last_asked()
            .map_or_else(|| Arc::from(""), |last| Arc::clone(last.model()));
        let deadline = self.deadline();
        let mut request = self.request.clone();
        let extensions = request.extensions_mut();
        extensions.insert(deadline);
        let mut continuing = Continuing::new(Arc::clone(&model), self.broken.iter().cloned());
        let tokens = self.delivered.tokens;
        let text = self.delivered.text();
        if !text[..end].trim().is_empty() {
            let tokens = tokens * end as u64 / text.len() as u64;
            let rest = Continue::new(&text[..end], tokens, model, self.options.modes);
            continuing = continuing.with_resent(rest.resent());
            extensions.insert(rest);
        }
        extensions.insert(continuing);
        self.seam = None;
        self.joined = None;
        // A sign of life while the next part begins.
        self.out.push_back(Chunk::comment());
        self.waiting = true;
        self.timers.begin_signs();
        Next::Ask(Box::new(request))
    }

    /// A further part has begun.
    pub(crate) fn begun(
        &mut self,
        continued: Option<Continued>,
        failure: Option<&Failure>,
    ) -> Next {
        // Where nothing has been said yet, not even who speaks, this part does.
        self.further = self.opening.is_some();
        if failure.is_some() {
            return self.leg_failed("a content filter stopped its beginning");
        }
        let mode = match continued {
            Some(Continued(mode)) => mode,
            // Nothing was delivered but reasoning and white space: it simply answers.
            None if !self.delivered.said => {
                if self.delivered.len() == 0 {
                    self.join(Mode::Replay, 0, true);
                    return Next::Continue;
                }
                Mode::Prefill { echoes: false }
            }
            None if self.rewound == Some(0) => Mode::Prompted,
            None => return self.leg_failed("it does not say how it goes on"),
        };
        self.seam = Some(Seam::new(mode, self.rewound, self.options.lenient));
        Next::Continue
    }

    fn last_asked(&self) -> Option<Arc<Deployment>> {
        self.trail.as_ref().and_then(Trail::last_asked)
    }

    pub(super) fn deadline(&self) -> Deadline {
        let own = Deadline::after(self.options.deadline);
        let whole = self.timers.until().map(Deadline::at);
        whole.map_or(own, |whole: Deadline| whole.min(own))
    }
}
