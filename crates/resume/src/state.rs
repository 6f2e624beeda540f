//! What a stream knows of itself: what was delivered, what broke it, and what follows.

use std::collections::VecDeque;
use std::sync::Arc;

use backstop_chat::emit::Writer;
use backstop_chat::{Chat, Chunk, Continue, Continued, Mode};
use backstop_core::{
    BoxError, Continuing, Deadline, Deployment, Failure, FailureKind, Trail, Usage, UsageSource,
    failure_of,
};
use http::Request;

use crate::ResumeOptions;
use crate::delivered::Delivered;
use crate::seam::{Join, place};

/// What a stream keeps so that it can go on.
pub(crate) struct State<S> {
    pub(crate) service: S,
    request: Request<Chat>,
    options: ResumeOptions,
    trail: Option<Trail>,
    /// Writes in the name of the answer that was begun.
    opening: Option<Writer>,
    delivered: Delivered,
    /// Tool calls that are not whole yet.
    held: Vec<Chunk>,
    /// What is to be handed on next.
    pub(crate) out: VecDeque<Chunk>,
    /// Who broke, in order.
    broken: Vec<Arc<str>>,
    pub(crate) resumes: u32,
    /// Why the stream broke: what the caller is told if it does not go on.
    error: Option<BoxError>,
    /// The part that is under way goes on with an answer, and where the texts meet is not known yet.
    seam: Option<Seam>,
    further: bool,
    /// Tokens that earlier parts have delivered.
    tokens_before: u64,
    usage: Option<Usage>,
    usage_before: Option<Usage>,
}

struct Seam {
    mode: Mode,
    text: String,
}

/// What follows a chunk or an error.
pub(crate) enum Next {
    Continue,
    Ask(Box<Request<Chat>>),
    Fail(BoxError),
}

impl<S: Clone> State<S> {
    /// `None` for a request whose answer cannot be continued.
    pub(crate) fn new(
        service: &S,
        request: &Request<Chat>,
        options: ResumeOptions,
    ) -> Option<Box<Self>> {
        let chat = request.body();
        let needs = chat.needs();
        let plain = !(needs.several
            || needs.json_schema
            || needs.json_object
            || needs.logprobs
            || needs.prefill);
        if !chat.stream() || !plain || options.max_resumes == 0 {
            return None;
        }
        Some(Box::new(Self {
            service: service.clone(),
            request: request.clone(),
            options,
            trail: Trail::of(request.extensions()).cloned(),
            opening: None,
            delivered: Delivered::default(),
            held: Vec::new(),
            out: VecDeque::new(),
            broken: Vec::new(),
            resumes: 0,
            error: None,
            seam: None,
            further: false,
            tokens_before: 0,
            usage: None,
            usage_before: None,
        }))
    }

    /// A chunk has come.
    pub(crate) fn take(&mut self, chunk: Chunk) -> Next {
        if let Some(usage) = chunk.meta().usage {
            self.usage = Some(usage);
        }
        if self.opening.is_none() && !chunk.json().is_empty() {
            self.opening = Writer::like(&chunk, self.request.body().include_usage());
        }
        if self.further {
            self.take_further(chunk)
        } else {
            self.hand_on(chunk)
        }
    }

    /// Hands a chunk on, tool calls only when they are whole.
    fn hand_on(&mut self, chunk: Chunk) -> Next {
        let meta = chunk.meta();
        if meta.tool_call && meta.finish.is_none() && self.options.hold_tool_calls {
            self.held.push(chunk);
            return Next::Continue;
        }
        if meta.finish.is_some() {
            for held in std::mem::take(&mut self.held) {
                self.deliver(held);
            }
        }
        self.deliver(chunk);
        Next::Continue
    }

    fn deliver(&mut self, chunk: Chunk) {
        self.delivered.note(&chunk);
        self.out.push_back(chunk);
    }

    /// A chunk of a further part: it is made to look like the first part's.
    fn take_further(&mut self, chunk: Chunk) -> Next {
        let Some(opening) = &self.opening else {
            return Next::Continue;
        };
        let meta = *chunk.meta();
        if let Some(usage) = meta.usage {
            let sum = sum(self.usage_before, usage);
            let shown = opening.usage(sum);
            if meta.finish.is_none() && !meta.text && !meta.tool_call {
                self.out.push_back(shown);
                return Next::Continue;
            }
        }
        if chunk.json().is_empty() {
            self.out.push_back(chunk);
            return Next::Continue;
        }
        if meta.reasoning && !meta.text && !meta.tool_call && self.delivered.reasoning {
            return Next::Continue;
        }
        if self.seam.is_some() {
            let text = if meta.text {
                chunk.text().unwrap_or_default().into_owned()
            } else {
                String::new()
            };
            let ended = meta.finish.is_some() || meta.tool_call;
            if let Some(next) = self.join(&text, ended) {
                return next;
            }
            if meta.text {
                return Next::Continue;
            }
        }
        match self
            .opening
            .as_ref()
            .and_then(|opening| opening.adopt(&chunk))
        {
            Some(chunk) => self.hand_on(chunk),
            None => Next::Continue,
        }
    }

    /// Looks for the place where the further part's text joins. `Some` if it has none.
    fn join(&mut self, text: &str, ended: bool) -> Option<Next> {
        let seam = self.seam.as_mut()?;
        seam.text.push_str(text);
        match place(
            seam.mode,
            &self.delivered.text,
            &seam.text,
            ended,
            self.options.lenient,
        ) {
            Join::Undecided => None,
            Join::At { cut, verified } => {
                let Seam { mode, text } = self.seam.take()?;
                let after = self.delivered.text.chars().count();
                if let Some(trail) = &self.trail {
                    trail.resumed(mode.as_str(), cut);
                }
                let comment = self.comment(mode, after, verified);
                let opening = self.opening.as_ref()?;
                let chunk = opening.text(&text[cut..]).with_comment(&comment);
                self.deliver(chunk);
                None
            }
            Join::Nowhere => {
                self.seam = None;
                Some(self.leg_failed("where its text joins could not be verified"))
            }
        }
    }

    fn comment(&self, mode: Mode, after: usize, verified: bool) -> String {
        let by = self.trail.as_ref().and_then(Trail::last_asked);
        let by = by.as_ref().map_or("-", |deployment| deployment.id());
        let verified = if verified { "" } else { " unverified" };
        format!(
            "backstop resumed mode={} deployment={by} delivered={after}{verified}",
            mode.as_str()
        )
    }

    /// The part that is under way broke off.
    pub(crate) fn broke(&mut self, error: BoxError) -> Next {
        self.held.clear();
        let kind = failure_of(&*error).map_or(FailureKind::Network, Failure::kind);
        let refused = match kind {
            FailureKind::ContentFilter => Some("a content filter stopped it"),
            FailureKind::BadRequest | FailureKind::Cancelled | FailureKind::Deadline => {
                Some("nobody could go on")
            }
            _ if self.delivered.finished => Some("it had said why it ends"),
            _ => self.delivered.odd,
        };
        if self.error.is_none() {
            self.error = Some(error);
        }
        if let Some(trail) = &self.trail {
            trail.resume(self.delivered.text.chars().count());
        }
        match refused {
            Some(why) => self.give_up(why),
            None => self.ask(),
        }
    }

    /// A further part has failed before it could be joined.
    fn leg_failed(&mut self, why: &'static str) -> Next {
        if let Some(trail) = &self.trail {
            trail.not_resumed(why);
            trail.resume(self.delivered.text.chars().count());
        }
        self.ask()
    }

    pub(crate) fn give_up(&mut self, why: &'static str) -> Next {
        if let Some(trail) = &self.trail {
            trail.not_resumed(why);
        }
        Next::Fail(
            self.error
                .take()
                .unwrap_or_else(|| Failure::new(FailureKind::Network).into()),
        )
    }

    /// Asks for the rest.
    fn ask(&mut self) -> Next {
        if self.resumes >= self.options.max_resumes {
            return self.give_up("it has gone on as often as it may");
        }
        self.resumes += 1;
        let payload = self.request.body().payload().len();
        let tokens = self.delivered.tokens - self.tokens_before;
        self.tokens_before = self.delivered.tokens;
        let usage = usage_of_broken(self.usage.take(), tokens, payload);
        self.usage_before = Some(
            self.usage_before
                .map_or(usage, |before| sum(Some(before), usage)),
        );
        let last = self.trail.as_ref().and_then(Trail::last_asked);
        self.broken
            .extend(last.as_deref().map(Deployment::id).cloned());
        let model: Arc<str> = last.map_or_else(
            || Arc::from(""),
            |deployment| Arc::clone(deployment.model()),
        );

        let mut request = self.request.clone();
        let extensions = request.extensions_mut();
        extensions.insert(Deadline::after(self.options.deadline));
        extensions.insert(Continuing::new(
            Arc::clone(&model),
            self.broken.iter().cloned(),
        ));
        if !self.delivered.text.trim().is_empty() {
            let (text, tokens) = (&*self.delivered.text, self.delivered.tokens);
            extensions.insert(Continue::new(text, tokens, model, self.options.modes));
        }
        // A sign of life while the next part begins.
        self.out.push_back(Chunk::comment());
        Next::Ask(Box::new(request))
    }

    /// A further part has begun.
    pub(crate) fn begun(
        &mut self,
        continued: Option<Continued>,
        failure: Option<&Failure>,
    ) -> Option<Next> {
        self.further = true;
        if failure.is_some() {
            return Some(self.leg_failed("a content filter stopped its beginning"));
        }
        let mode = match continued {
            Some(Continued(mode)) => mode,
            // Nothing had been delivered but reasoning and white space: it simply answers.
            None if self.delivered.text.trim().is_empty() => Mode::Prefill { echoes: false },
            None => return Some(self.leg_failed("it does not say how it goes on")),
        };
        self.seam = Some(Seam {
            mode,
            text: String::new(),
        });
        None
    }

    /// The part that is under way has ended as it should.
    pub(crate) fn ended(&mut self) -> Option<Next> {
        if self.seam.is_some() {
            return self.join("", true);
        }
        for held in std::mem::take(&mut self.held) {
            self.deliver(held);
        }
        None
    }
}

/// The usage of a part that broke: what the provider said of it, or what we know.
fn usage_of_broken(reported: Option<Usage>, tokens: u64, payload: usize) -> Usage {
    // About four bytes a token, as English has.
    let mut usage = reported.unwrap_or_else(|| Usage::reported(payload as u64 / 4, tokens));
    usage.output = usage.output.max(tokens);
    usage.source = if reported.is_some() {
        UsageSource::Partial
    } else {
        UsageSource::Estimate
    };
    usage
}

fn sum(before: Option<Usage>, usage: Usage) -> Usage {
    let Some(before) = before else { return usage };
    let mut sum = usage;
    sum.input += before.input;
    sum.output += before.output;
    sum.cached += before.cached;
    sum.cache_write += before.cache_write;
    sum.reasoning += before.reasoning;
    if before.source != UsageSource::Provider {
        sum.source = before.source;
    }
    sum
}
