use backstop_chat::Chunk;

use crate::room::{Kept, Room};

/// How many bytes of text one stream keeps: more than any model says at once.
const MOST: usize = 1024 * 1024;

/// What the caller has of an answer.
#[derive(Debug)]
pub(crate) struct Delivered {
    text: Kept,
    keep: bool,
    /// The length of its text in characters.
    pub(crate) chars: usize,
    /// Chunks of text: as good as any estimate of its tokens.
    pub(crate) tokens: u64,
    /// Some of its text is not white space.
    pub(crate) said: bool,
    pub(crate) reasoning: bool,
    /// Tool calls, each of them whole.
    pub(crate) calls: bool,
    pub(crate) finished: bool,
    /// Something that cannot be gone on with.
    pub(crate) odd: Option<&'static str>,
}

impl Delivered {
    /// Nothing yet. `keep` says whether its text may be gone on with.
    pub(crate) const fn new(keep: bool, room: Room) -> Self {
        Self {
            text: Kept::new(room),
            keep,
            chars: 0,
            tokens: 0,
            said: false,
            reasoning: false,
            calls: false,
            finished: false,
            odd: None,
        }
    }

    /// Nothing again.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.keep, self.text.room())
    }

    /// Its text, if that may be gone on with.
    pub(crate) fn text(&mut self) -> &str {
        self.text.as_str()
    }

    /// How many bytes its text has.
    pub(crate) const fn len(&self) -> usize {
        self.text.len()
    }

    fn keep(&mut self, said: &str) {
        let why = if self.len() + said.len() > MOST {
            "its text is too long to be kept"
        } else if self.text.push(said) {
            return;
        } else {
            "its text could not be kept: other streams' texts take all the room"
        };
        self.keep = false;
        self.text.clear();
        self.odd = Some(why);
    }

    /// Notes what is about to be handed on. `whole` says that the calls in it are.
    pub(crate) fn note(&mut self, chunk: &Chunk, whole: bool) {
        let meta = chunk.meta();
        if meta.text {
            self.tokens += 1;
            match chunk.text() {
                Some(said) => {
                    self.chars += said.chars().count();
                    self.said = self.said || !said.trim().is_empty();
                    if self.keep {
                        self.keep(&said);
                    }
                }
                None => self.odd = Some("its text could not be read"),
            }
        }
        self.reasoning |= meta.reasoning;
        self.finished |= meta.finish.is_some();
        self.calls |= meta.tool_call && whole;
        if meta.tool_call && !whole {
            self.odd = Some("a tool call has been delivered in part");
        } else if meta.refusal {
            self.odd = Some("a refusal has been delivered");
        } else if chunk.has_annotations() {
            self.odd = Some("annotations have been delivered");
        }
    }
}
