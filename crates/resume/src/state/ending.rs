//! What ends a part, and what ends the stream.

use backstop_chat::Finish;
use backstop_core::{BoxError, Failure, FailureKind, Outcome, failure_of};

use super::{Next, State};

impl<S> State<S> {
    /// The part that is under way broke off.
    pub(crate) fn broke(&mut self, error: BoxError) -> Next {
        if self.options.max_resumes == 0 {
            return Next::Fail(error);
        }
        let kind = failure_of(&*error).map_or(FailureKind::Network, Failure::kind);
        let delivered = &self.delivered;
        // The others may begin again, as long as nothing has been said.
        let begun = delivered.said || self.request.body().needs().several;
        let refused = match kind {
            FailureKind::ContentFilter => Some("a content filter stopped it"),
            FailureKind::BadRequest | FailureKind::Cancelled | FailureKind::Deadline => {
                Some("nobody could go on")
            }
            _ => None,
        };
        let unfit = if delivered.finished {
            Some("it had said why it ends")
        } else {
            delivered.odd.or(self.unfit.filter(|_| begun))
        };
        self.error.get_or_insert(error);
        self.close_bill();
        self.seam = None;
        self.joined = None;
        self.across = None;
        self.may_rewind = true;
        if let Some(trail) = &self.trail {
            if self.waiting {
                trail.not_resumed("it broke off before it said anything new");
            }
            trail.resume(self.delivered.chars);
        }
        if let Some(why) = refused {
            return self.give_up(why);
        }
        if let Some(why) = unfit {
            return self.take_back(why);
        }
        let whole = self.held.is_whole();
        let mut held = std::mem::take(&mut self.held);
        if whole {
            self.rescue = std::iter::from_fn(|| held.pop()).collect();
        }
        if self.delivered.calls {
            let why = "a tool call has been delivered";
            return if whole {
                self.give_up(why)
            } else {
                self.take_back(why)
            };
        }
        if whole && self.request.body().member("parallel_tool_calls") == Some("false") {
            return self.give_up("only its end was missing");
        }
        self.ask()
    }

    /// What the part that is over took, if its provider has not said.
    pub(super) fn close_bill(&mut self) {
        let asked = self.request.body().payload().len() + self.delivered.len();
        let usage = self.bill.close(asked);
        if let Some(trail) = &self.trail {
            trail.estimated(usage);
        }
    }

    /// A further part has failed before it could be joined.
    pub(super) fn leg_failed(&mut self, why: &'static str) -> Next {
        self.close_bill();
        if let Some(trail) = &self.trail {
            trail.not_resumed(why);
            trail.resume(self.delivered.chars);
        }
        self.ask()
    }

    /// The answer does not go on: it is complete as it is, or fails.
    pub(crate) fn give_up(&mut self, why: &'static str) -> Next {
        self.waiting = false;
        self.timers.end_signs();
        if let Some(trail) = &self.trail {
            trail.not_resumed(why);
        }
        if !self.rescue.is_empty() {
            for chunk in std::mem::take(&mut self.rescue) {
                self.deliver(chunk);
            }
            return self.complete(Finish::ToolCalls, "its tool calls were whole");
        }
        let error = self.error.take();
        Next::Fail(error.unwrap_or_else(|| Failure::new(FailureKind::Network).into()))
    }

    /// Writes the end of an answer that has all but that.
    pub(super) fn complete(&mut self, finish: Finish, why: &'static str) -> Next {
        if let Some(trail) = &self.trail {
            trail.note(why);
            trail.end(Outcome::Ok);
        }
        let comment = format!(
            "backstop completed finish={} deployment={}",
            finish.as_str(),
            self.asked_last()
        );
        if let Some(opening) = &self.opening {
            let last = opening.finish(finish, true).with_comment(&comment);
            let usage = opening.usage(self.bill.total());
            self.deliver(last);
            self.out.push_back(usage);
        }
        Next::Done
    }

    /// The part that is under way has ended as it should.
    pub(crate) fn ended(&mut self) -> Next {
        let next = self.say("", true);
        if !matches!(next, Next::Continue) {
            return next;
        }
        self.let_go();
        match (self.bill.sum(), &self.opening) {
            _ if !(self.further || self.again) => {}
            (Some(sum), Some(opening)) => self.out.push_back(opening.usage(sum)),
            // The caller is shown no sum without its last part; the record has an estimate of it.
            _ => self.close_bill(),
        }
        Next::Done
    }

    /// The time of the whole stream is over.
    pub(crate) fn too_late(&mut self) -> BoxError {
        self.close_bill();
        if let Some(trail) = &self.trail {
            // Whatever is under way was not cancelled by the caller.
            trail.abandon(FailureKind::Deadline);
            if self.waiting {
                trail.not_resumed("the time of the whole stream was over");
            }
        }
        Failure::new(FailureKind::Deadline)
            .with_detail("the time of the whole stream is over")
            .into()
    }
}
