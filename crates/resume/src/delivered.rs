use backstop_chat::Chunk;

/// What the caller has of an answer.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) text: String,
    /// Chunks of text: as good as any estimate of its tokens.
    pub(crate) tokens: u64,
    pub(crate) reasoning: bool,
    pub(crate) finished: bool,
    /// What else was delivered, which cannot be continued.
    pub(crate) odd: Option<&'static str>,
}

impl Delivered {
    /// Notes what is about to be handed on.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        let meta = chunk.meta();
        if meta.text {
            self.tokens += 1;
            match chunk.text() {
                Some(said) => self.text.push_str(&said),
                None => self.odd = Some("its text could not be read"),
            }
        }
        self.reasoning |= meta.reasoning;
        self.finished |= meta.finish.is_some();
        if meta.tool_call {
            self.odd = Some("a tool call has been delivered");
        } else if meta.refusal {
            self.odd = Some("a refusal has been delivered");
        }
    }
}
