use backstop_core::{Ask, NanoUsd, Usage};

/// What calls of one deployment cost, and how large a request can turn out to be there.
///
/// Any `Fn(&Usage) -> Option<NanoUsd>` is one, for requests that [`Ask`]: it bounds a prompt by its bytes, because no
/// tokenizer makes more tokens than there are bytes, and does not know the most that the model answers.
pub trait Price<Req> {
    /// What `usage` costs; `None` if no price is known.
    fn cost(&self, usage: &Usage) -> Option<NanoUsd>;

    /// The most that so many tokens can cost. It must not fall when there are more of them.
    ///
    /// The default asks for the cost as it is without a cache, and if all of the prompt is written to one.
    fn most(&self, input: u64, output: u64) -> Option<NanoUsd> {
        let plain = Usage::reported(input, output);
        let mut written = plain;
        written.cache_write = input;
        let mut kept = written;
        kept.cache_write_1h = input;
        let [plain, written, kept] = [plain, written, kept].map(|usage| self.cost(&usage));
        Some(plain?.max(written?).max(kept?))
    }

    /// The most tokens that the prompt can have, found quickly; `None` if that cannot be told.
    fn most_input(&self, request: &Req) -> Option<u64>;

    /// The same, found with more effort. It is asked where the quick bound does not fit.
    fn closer_input(&self, request: &Req) -> Option<u64> {
        let _ = request;
        None
    }

    /// The tokens that the prompt has in all likelihood, found quickly: what an answer is charged for that broke off
    /// before its provider had counted. The default is the most that it can have.
    fn likely_input(&self, request: &Req) -> Option<u64> {
        self.most_input(request)
    }

    /// The most tokens that the model puts into one choice, where that is known.
    fn max_output(&self) -> Option<u64> {
        None
    }
}

impl<Req, F> Price<Req> for F
where
    F: Fn(&Usage) -> Option<NanoUsd>,
    Req: Ask,
{
    fn cost(&self, usage: &Usage) -> Option<NanoUsd> {
        self(usage)
    }

    fn most_input(&self, request: &Req) -> Option<u64> {
        let size = request.prompt_size()?;
        if size.images + size.audio + size.opaque > 0 {
            return None;
        }
        // What chat templates put around a message, and what providers put before tools.
        let around = 64
            + 32 * size.messages
            + if size.tools > 0 {
                1024 + 64 * size.tools
            } else {
                0
            };
        Some(
            size.text
                .saturating_add(size.schemas)
                .saturating_add(around),
        )
    }
}
