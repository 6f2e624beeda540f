use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use crate::{Continuing, Failure, Usage};

/// What layers may want to know of a request.
pub trait Ask {
    /// The model that the caller named.
    fn model(&self) -> &str;
    /// The same, for whoever keeps it. A request that shares its model's name need not copy it.
    fn shared_model(&self) -> Arc<str> {
        self.model().into()
    }
    /// Whether the caller wants the answer as a stream.
    fn streams(&self) -> bool;
    /// What a deployment must be able to do to serve it.
    fn needs(&self) -> Needs {
        Needs::default()
    }
    /// How large the prompt is, without a tokenizer; `None` if the request cannot tell.
    fn prompt_size(&self) -> Option<PromptSize> {
        None
    }
    /// How many tokens the prompt's texts have, where `count` says it of each: all texts that
    /// [`PromptSize::text`] and [`PromptSize::schemas`] count.
    ///
    /// A request may remember the sum and share it with its clones, so it is always counted in the same way.
    fn count_tokens(&self, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
        let _ = count;
        None
    }
    /// The most tokens that one choice of the answer may have, where the request says so.
    fn max_output(&self) -> Option<u64> {
        None
    }
    /// How many choices the answer is to have.
    fn choices(&self) -> u64 {
        1
    }
    /// Lowers the bound on each choice's tokens to `tokens`, if that is less than the request says.
    ///
    /// Returns whether no choice may have more than that now: `false` if the request knows no bound.
    fn clamp_output(&mut self, tokens: u64) -> bool {
        let _ = tokens;
        false
    }
}

impl<T: Ask> Ask for Request<T> {
    fn model(&self) -> &str {
        self.body().model()
    }

    fn shared_model(&self) -> Arc<str> {
        self.body().shared_model()
    }

    fn streams(&self) -> bool {
        self.body().streams()
    }

    fn needs(&self) -> Needs {
        self.body().needs()
    }

    fn prompt_size(&self) -> Option<PromptSize> {
        let mut size = self.body().prompt_size()?;
        if let Some(continuing) = self.extensions().get::<Continuing>() {
            // What the assistant has said, and a user who asks for the rest.
            size.messages += 2;
            size.text = size.text.saturating_add(continuing.resent());
        }
        Some(size)
    }

    fn count_tokens(&self, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
        let tokens = self.body().count_tokens(count)?;
        let continuing = self.extensions().get::<Continuing>();
        // Its text is not here, but no text has more tokens than bytes.
        Some(tokens.saturating_add(continuing.map_or(0, Continuing::resent)))
    }

    fn max_output(&self) -> Option<u64> {
        self.body().max_output()
    }

    fn choices(&self) -> u64 {
        self.body().choices()
    }

    fn clamp_output(&mut self, tokens: u64) -> bool {
        self.body_mut().clamp_output(tokens)
    }
}

/// What a deployment must be able to do to serve a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// It offers tools.
    pub tools: bool,
    /// Its messages hold tool calls or their results.
    pub tool_history: bool,
    /// It insists that a tool be called.
    pub forced_tools: bool,
    /// It asks for several tool calls at once.
    pub parallel_tools: bool,
    /// It shows images.
    pub vision: bool,
    /// Some image is named by an `http` URL, which the provider would have to fetch.
    pub image_urls: bool,
    /// It has audio in it, or wants some back.
    pub audio: bool,
    /// It has audio in it.
    pub audio_in: bool,
    /// It wants audio back.
    pub audio_out: bool,
    /// It has files in it.
    pub files: bool,
    /// It wants the answer to follow a JSON schema.
    pub json_schema: bool,
    /// It wants the answer to be some JSON object.
    pub json_object: bool,
    /// It wants token probabilities.
    pub logprobs: bool,
    /// It wants more than one choice.
    pub several: bool,
    /// It asks for a reasoning effort.
    pub reasoning: bool,
    /// Its last message is the assistant's: the answer is to go on from there.
    pub prefill: bool,
}

/// How large a prompt is, as far as can be told in passing: bytes and counts, no tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptSize {
    /// Messages.
    pub messages: u64,
    /// Bytes of their texts, in UTF-8: tool calls, names and whatever else is not listed below included.
    pub text: u64,
    /// Tools on offer.
    pub tools: u64,
    /// Bytes of the JSON that describes the tools and the answer's format.
    pub schemas: u64,
    /// Images.
    pub images: u64,
    /// Bytes of audio.
    pub audio: u64,
    /// Parts of whose size nothing can be told: files, and kinds that are not known.
    pub opaque: u64,
}

/// What layers may want to know of one frame of an answer.
///
/// Plain [`Bytes`] are content, and end by ending.
pub trait Frame {
    /// Does it hold something of the answer itself: text, a tool call, a refusal, visible reasoning?
    fn is_content(&self) -> bool;
    /// Does it prove that the answer is complete?
    fn is_terminal(&self) -> bool;
    /// What the provider reported so far, if this frame reports.
    fn usage(&self) -> Option<&Usage> {
        None
    }
    /// The verdict in it, such as a content filter's, if the frame says that the answer failed.
    fn failure(&self) -> Option<Failure> {
        None
    }
    /// Where the provider reports that it ran, if this frame reports. See [`RanIn`](crate::RanIn).
    fn place(&self) -> Option<&str> {
        None
    }
}

impl Frame for Bytes {
    fn is_content(&self) -> bool {
        !self.is_empty()
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hello;

    impl Ask for Hello {
        fn model(&self) -> &str {
            "m"
        }

        fn streams(&self) -> bool {
            false
        }

        fn prompt_size(&self) -> Option<PromptSize> {
            Some(PromptSize {
                messages: 1,
                text: 5,
                ..PromptSize::default()
            })
        }

        fn count_tokens(&self, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
            Some(count("hello"))
        }
    }

    #[test]
    fn what_is_sent_again_is_part_of_the_prompt() {
        let mut request = Request::new(Hello);
        request
            .extensions_mut()
            .insert(Continuing::new("m", []).with_resent(40));
        let size = request.prompt_size().expect("it is known");
        assert_eq!((size.messages, size.text), (3, 45));
        assert_eq!(request.count_tokens(&mut |_| 1), Some(41));
    }
}
