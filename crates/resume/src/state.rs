//! What a stream knows of itself: what was delivered, what broke it, and what follows.

use std::collections::VecDeque;
use std::sync::Arc;

use backstop_chat::emit::Writer;
use backstop_chat::{Chat, Chunk, Collected, Finish, Mode};
use backstop_core::{BoxError, Deadline, Frame, Trail};
use http::Request;

use crate::calls::Held;
use crate::delivered::Delivered;
use crate::seam::{Join, Seam};
use crate::stops::{Across, Crossing};
use crate::timers::Timers;
use crate::usage::Bill;
use crate::{ResumeOptions, Room};

mod asking;
mod ending;

/// What a stream keeps so that it can go on.
pub(crate) struct State<S> {
    pub(crate) service: S,
    request: Request<Chat>,
    options: ResumeOptions,
    trail: Option<Trail>,
    pub(crate) timers: Timers,
    /// Why the text of such an answer cannot be gone on with.
    unfit: Option<&'static str>,
    /// Nothing of the answer is with the caller before all of it is.
    collected: bool,
    /// Writes in the name of the answer that was begun, and whether it has said something since.
    opening: Option<Writer>,
    opened: bool,
    delivered: Delivered,
    /// Whether tool calls are held back until they are whole, and those that are.
    hold: bool,
    held: Held,
    /// What is to be handed on next. Empty whenever a part is polled.
    pub(crate) out: VecDeque<Chunk>,
    /// The part that is under way has been joined, and has not said anything new yet.
    joined: Option<Joined>,
    /// Who broke, in order.
    broken: Vec<Arc<str>>,
    pub(crate) resumes: u32,
    /// Why the stream broke: what the caller is told if it does not go on.
    error: Option<BoxError>,
    /// Calls of the part that broke, which are whole: what the caller gets if nobody goes on.
    rescue: Vec<Chunk>,
    /// Where the part that is under way joins, as long as that is not known.
    seam: Option<Seam>,
    /// Where that part was told that the answer ended, if earlier than it did.
    rewound: Option<usize>,
    may_rewind: bool,
    across: Option<Across>,
    /// The part that is under way is not the first that says something.
    further: bool,
    /// What was said has been taken back.
    again: bool,
    /// A further part has been asked for, and has not said anything new yet.
    waiting: bool,
    bill: Bill,
}

/// How a further part was joined.
#[derive(Clone, Copy)]
struct Joined {
    mode: &'static str,
    cut: usize,
    verified: bool,
}

/// What follows a chunk or an error.
pub(crate) enum Next {
    /// The next chunk.
    Continue,
    /// A further part is asked for.
    Ask(Box<Request<Chat>>),
    /// The stream is complete, whatever else the part that is under way would say.
    Done,
    /// The stream ends with this.
    Fail(BoxError),
}

impl<S: Clone> State<S> {
    /// `None` if there is nothing to do for the answer to this request.
    pub(crate) fn new(
        service: &S,
        request: &mut Request<Chat>,
        options: ResumeOptions,
        room: &Room,
    ) -> Option<Box<Self>> {
        let goes_on = options.max_resumes > 0;
        if !request.body().stream() || !(goes_on || options.stream_deadline.is_some()) {
            return None;
        }
        let until = options.stream_deadline.map(Deadline::after);
        if let Some(until) = until {
            // One that is there already and earlier stays.
            let earlier = request.extensions().get::<Deadline>();
            if earlier.is_none_or(|earlier| *earlier > until) {
                request.extensions_mut().insert(until);
            }
        }
        let needs = request.body().needs();
        let unfit = if needs.several {
            Some("it has several choices")
        } else if needs.json_schema || needs.json_object {
            Some("it is a JSON document, of which no other model continues a part")
        } else if needs.logprobs {
            Some("it has log probabilities")
        } else if needs.prefill {
            Some("it goes on with an answer of the caller's own")
        } else {
            None
        };
        Some(Box::new(Self {
            service: service.clone(),
            request: request.clone(),
            options,
            trail: Trail::of(request.extensions()).cloned(),
            timers: Timers::new(until.map(Deadline::instant), options.keep_alive),
            unfit,
            collected: request.extensions().get::<Collected>().is_some(),
            opening: None,
            opened: false,
            delivered: Delivered::new(goes_on && unfit.is_none(), room.clone()),
            hold: goes_on && options.hold_tool_calls && !needs.several,
            held: Held::default(),
            out: VecDeque::new(),
            joined: None,
            broken: Vec::new(),
            resumes: 0,
            error: None,
            rescue: Vec::new(),
            seam: None,
            rewound: None,
            may_rewind: false,
            across: None,
            further: false,
            again: false,
            waiting: false,
            bill: Bill::default(),
        }))
    }
}

impl<S> State<S> {
    /// A chunk has come.
    pub(crate) fn take(&mut self, chunk: Chunk) -> Next {
        self.bill.note(&chunk);
        if self.further {
            return self.take_further(chunk);
        }
        // What stands before the answer may bear no name: Azure begins with the filter's results on the prompt.
        if !self.opened && !chunk.json().is_empty() {
            let named = Writer::like(&chunk, self.request.body().include_usage());
            self.opening = named.or(self.opening.take());
            self.opened = chunk.is_content();
        }
        self.hand_on(chunk);
        Next::Continue
    }

    /// Hands a chunk on; tool calls, and what comes behind them, only when they are whole.
    fn hand_on(&mut self, chunk: Chunk) {
        let meta = chunk.meta();
        if meta.finish.is_some() {
            self.let_go();
            self.deliver(chunk);
            return;
        }
        if self.hold && meta.tool_call {
            self.held.push(chunk);
        } else if !self.held.is_empty() && chunk.is_content() {
            self.held.push_behind(chunk);
        } else {
            self.deliver(chunk);
            return;
        }
        while let Some(chunk) = self.held.pop_whole() {
            self.deliver(chunk);
        }
        if self.held.is_too_much() {
            self.hold = false;
            self.let_go();
        }
    }

    /// Hands on what is held, whole or not.
    fn let_go(&mut self) {
        while let Some(chunk) = self.held.pop() {
            self.deliver(chunk);
        }
    }

    fn deliver(&mut self, chunk: Chunk) {
        let joined = match chunk.json() {
            [] => None,
            _ => self.joined.take(),
        };
        let comment = joined.map(|joined| self.goes_on(joined));
        self.delivered.note(&chunk, self.hold);
        self.out.push_back(match comment {
            Some(comment) => chunk.with_comment(&comment),
            None => chunk,
        });
    }

    /// The answer goes on: what the caller is told of it.
    fn goes_on(&mut self, joined: Joined) -> String {
        let Joined {
            mode,
            cut,
            verified,
        } = joined;
        self.waiting = false;
        self.error = None;
        self.rescue.clear();
        if let Some(trail) = &self.trail {
            trail.resumed(mode, cut);
        }
        let verified = if verified { "" } else { " unverified" };
        format!(
            "backstop resumed mode={mode} deployment={} delivered={}{verified}",
            self.asked_last(),
            self.delivered.chars
        )
    }

    /// A chunk of a further part: it is made to look like the first part's.
    fn take_further(&mut self, chunk: Chunk) -> Next {
        let Some(opening) = &self.opening else {
            return Next::Continue;
        };
        let meta = *chunk.meta();
        if chunk.json().is_empty() {
            self.out.push_back(chunk);
            return Next::Continue;
        }
        // The sum is shown at the end.
        if meta.usage.is_some() && !chunk.is_content() && meta.finish.is_none() {
            return Next::Continue;
        }
        // It stood before the text, or would have.
        let again = meta.reasoning && (self.delivered.reasoning || self.delivered.said);
        if again && !meta.text && !meta.tool_call && meta.finish.is_none() {
            return Next::Continue;
        }
        let ended = meta.finish.is_some() || meta.tool_call || meta.refusal;
        if self.seam.is_none() && self.across.is_none() && !again {
            if let Some(chunk) = opening.adopt(&chunk) {
                self.hand_on(chunk);
            }
            return Next::Continue;
        }
        let text = match chunk.text() {
            Some(text) if meta.text => text.into_owned(),
            None if meta.text => return self.leg_failed("its text could not be read"),
            _ => String::new(),
        };
        let next = self.say(&text, ended);
        if matches!(next, Next::Continue)
            && let Some(rest) = self.opening.as_ref().and_then(|it| it.adopt_rest(&chunk))
        {
            self.hand_on(rest);
        }
        next
    }

    /// Text of a further part, whose place may not be known yet. `ended` says that it has no more.
    fn say(&mut self, text: &str, ended: bool) -> Next {
        let Some(seam) = &mut self.seam else {
            return self.go_on(text, ended);
        };
        match seam.push(self.delivered.text(), text, ended) {
            Join::Undecided => Next::Continue,
            Join::At { cut, verified } => {
                let seam = self.seam.take().expect("it was pushed to");
                self.join(seam.mode(), cut, verified);
                self.across = Across::new(self.request.body(), self.delivered.text());
                self.go_on(&seam.into_text()[cut..], ended)
            }
            Join::Unsure if self.may_rewind => self.rewind(),
            Join::Unsure | Join::Nowhere => {
                self.leg_failed("where its text joins could not be verified")
            }
        }
    }

    /// Text behind the seam.
    fn go_on(&mut self, text: &str, ended: bool) -> Next {
        let text = match &mut self.across {
            None => text.to_owned(),
            Some(across) => match across.push(text, ended) {
                Crossing::Open => return Next::Continue,
                Crossing::Stop => {
                    self.close_bill();
                    return self.complete(Finish::Stop, "a stop sequence stood across the seam");
                }
                Crossing::Clear(text) => {
                    self.across = None;
                    text
                }
            },
        };
        if !text.is_empty()
            && let Some(opening) = &self.opening
        {
            let chunk = opening.text(&text);
            self.hand_on(chunk);
        }
        Next::Continue
    }

    /// The part that is under way goes on from here.
    fn join(&mut self, mode: Mode, cut: usize, verified: bool) {
        self.timers.end_signs();
        self.rewound = None;
        // White space alone is not gone on with: it is said again.
        let mode = if self.delivered.said {
            mode
        } else {
            Mode::Replay
        };
        self.joined = Some(Joined {
            mode: mode.as_str(),
            cut,
            verified,
        });
    }

    fn asked_last(&self) -> Arc<str> {
        let last = self.trail.as_ref().and_then(Trail::last_asked);
        last.map_or_else(|| Arc::from("-"), |last| Arc::clone(last.id()))
    }
}
