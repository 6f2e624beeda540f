//! How many tokens a prompt has, before a provider has counted them.
//!
//! [`bound`] needs no tokenizer: no byte-level vocabulary makes more tokens of a text than it has bytes in UTF-8, and
//! images and audio have ceilings. It is true, and for English about four times too high. [`count`] (with the feature
//! `tokenizer`) counts with OpenAI's `o200k_base` and says between which numbers the truth lies for other families,
//! whose vocabularies are not public.
//!
//! ```
//! use backstop_catalog::{Family, estimate};
//! use backstop_core::PromptSize;
//!
//! let mut size = PromptSize::default();
//! size.messages = 1;
//! size.text = 4_000;
//! assert_eq!(estimate::bound(&size, Family::OpenAi), Some(4_000 + 8 + 16));
//!
//! size.opaque = 1;
//! assert_eq!(estimate::bound(&size, Family::OpenAi), None, "nobody knows what is in a file");
//! ```

use backstop_core::PromptSize;

/// Whose vocabulary a model has, as far as it matters for counting.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI's: `o200k_base`.
    OpenAi,
    /// Anthropic's: makes up to a third more tokens than OpenAI's.
    Anthropic,
    /// Google's: makes up to a fifth more.
    Gemini,
    /// Amazon's Nova: makes up to a third more.
    Nova,
    /// Another one: makes up to a third more.
    #[default]
    Other,
}

impl Family {
    /// The family of a provider's model, by its name.
    #[must_use]
    pub fn of(provider: &str, model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        if model.contains("claude") {
            Self::Anthropic
        } else if model.contains("gemini") || model.contains("gemma") {
            Self::Gemini
        } else if model.contains("nova") && provider.starts_with("bedrock") {
            Self::Nova
        } else if matches!(provider, "openai" | "azure") || model.contains("gpt-") {
            Self::OpenAi
        } else {
            Self::Other
        }
    }

    /// The most tokens of one image: OpenAI's tiles and patches, Anthropic's and Google's tables, rounded up.
    const fn image(self) -> u64 {
        match self {
            // A mini model of 2024 multiplies: 2833 + 8 tiles of 5667.
            Self::OpenAi => 48_200,
            Self::Anthropic | Self::Nova | Self::Other => 5_000,
            Self::Gemini => 4_200,
        }
    }
}

/// The role and the marks around a message: four at OpenAI, rounded up for others.
const MESSAGE: u64 = 8;
/// What every prompt begins and ends with.
const PROMPT: u64 = 16;
/// What a provider tells the model about tools in general: up to 804 at Anthropic.
const TOOLS: u64 = 1_024;
/// The marks around one tool.
const TOOL: u64 = 32;
/// Audio of 8 kbit/s, the least that speech takes, has 1000 bytes in a second, which are 32 tokens at Google.
const AUDIO_BYTES_PER_TOKEN: u64 = 31;

/// No provider counts more tokens in such a prompt; `None` if parts of it cannot be judged.
///
/// Where a window is known, a prompt that is answered has no more tokens than that either.
#[must_use]
pub fn bound(size: &PromptSize, family: Family) -> Option<u64> {
    (size.opaque == 0).then(|| {
        size.text
            .saturating_add(size.schemas)
            .saturating_add(beside_texts(size, family))
    })
}

/// The most that is not text.
fn beside_texts(size: &PromptSize, family: Family) -> u64 {
    let tools = if size.tools > 0 { TOOLS } else { 0 };
    [
        PROMPT,
        size.messages.saturating_mul(MESSAGE),
        tools,
        size.tools.saturating_mul(TOOL),
        size.images.saturating_mul(family.image()),
        size.audio.div_ceil(AUDIO_BYTES_PER_TOKEN),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Between which numbers of tokens the truth lies.
#[cfg(feature = "tokenizer")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Certainly not fewer, for texts in common languages.
    pub least: u64,
    /// Not more; `None` if parts of the prompt cannot be judged.
    pub most: Option<u64>,
}

/// Counts a prompt's tokens; `None` if the request does not tell its texts.
///
/// The first call loads the vocabulary, which takes a good part of a second: [`load`] does it ahead of time. Counting
/// takes time in proportion to the text, some milliseconds for 100 KB, on the caller's thread; a request remembers
/// the result.
#[cfg(feature = "tokenizer")]
#[must_use]
pub fn count<R: backstop_core::Ask + ?Sized>(request: &R, family: Family) -> Option<Count> {
    let size = request.prompt_size()?;
    let tokenizer = bpe_openai::o200k_base();
    let texts = request.count_tokens(&mut |text| tokenizer.count(text) as u64)?;
    let (least, most) = family.percent();
    let texts_at = |percent: u64| {
        let scaled = (u128::from(texts) * u128::from(percent)).div_ceil(100);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    // Names within tool calls, and members nobody looks at, are in the bound and not in the count.
    let most = texts_at(most).saturating_add(beside_texts(&size, family));
    let most = bound(&size, family).map(|bound| bound.min(most));
    let least = texts_at(least).saturating_add(size.messages.saturating_mul(3));
    Some(Count {
        least: most.map_or(least, |most| least.min(most)),
        most,
    })
}

/// Loads the vocabulary now instead of within the first request that needs it.
#[cfg(feature = "tokenizer")]
pub fn load() {
    let _ = bpe_openai::o200k_base();
}

#[cfg(feature = "tokenizer")]
impl Family {
    /// How many tokens it makes of a hundred of `o200k_base`: the least and the most.
    ///
    /// OpenAI's own are exact. The upper factors are those of the providers' documentation and of measurements, with
    /// room for code and for languages other than English; the lower ones leave room for larger vocabularies.
    const fn percent(self) -> (u64, u64) {
        match self {
            Self::OpenAi => (100, 110),
            Self::Anthropic => (100, 135),
            Self::Gemini => (80, 120),
            Self::Nova | Self::Other => (90, 130),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: u64) -> PromptSize {
        let mut size = PromptSize::default();
        size.messages = 2;
        size.text = text;
        size
    }

    #[test]
    fn families_by_name() {
        for (provider, model, family) in [
            ("openai", "o3", Family::OpenAi),
            ("groq", "openai/gpt-oss-120b", Family::OpenAi),
            (
                "bedrock",
                "eu.anthropic.claude-sonnet-4-6",
                Family::Anthropic,
            ),
            ("vertex_ai", "gemini-2.5-pro", Family::Gemini),
            ("bedrock", "amazon.nova-lite-v1:0", Family::Nova),
            ("mistral", "mistral-large-latest", Family::Other),
        ] {
            assert_eq!(Family::of(provider, model), family, "{model}");
        }
    }

    #[test]
    fn everything_that_a_model_sees_is_in_the_bound() {
        let mut size = size(100);
        assert_eq!(bound(&size, Family::Anthropic), Some(100 + 16 + 16));
        size.images = 2;
        assert_eq!(bound(&size, Family::Anthropic), Some(132 + 10_000));
        size.tools = 1;
        size.schemas = 50;
        assert_eq!(
            bound(&size, Family::Anthropic),
            Some(10_132 + 1_024 + 32 + 50)
        );
        size.audio = 3_100;
        assert_eq!(bound(&size, Family::Anthropic), Some(11_238 + 100));
        size.opaque = 1;
        assert_eq!(bound(&size, Family::Anthropic), None);
    }

    #[test]
    fn absurd_sizes_stop_at_the_end() {
        let mut size = size(u64::MAX);
        size.images = u64::MAX;
        size.tools = u64::MAX;
        size.audio = u64::MAX;
        assert_eq!(bound(&size, Family::Gemini), Some(u64::MAX));
    }

    #[cfg(feature = "tokenizer")]
    mod counted {
        use std::sync::Arc;

        use backstop_core::Ask;
        use proptest::prelude::*;

        use super::*;

        struct Text(String);

        impl Ask for Text {
            fn model(&self) -> &str {
                "m"
            }

            fn shared_model(&self) -> Arc<str> {
                "m".into()
            }

            fn streams(&self) -> bool {
                false
            }

            fn prompt_size(&self) -> Option<PromptSize> {
                let mut size = PromptSize::default();
                size.messages = 1;
                size.text = self.0.len() as u64;
                Some(size)
            }

            fn count_tokens(&self, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
                Some(count(&self.0))
            }
        }

        #[test]
        fn english_is_counted_closely() {
            let text = Text("The quick brown fox jumps over the lazy dog. ".repeat(100));
            let counted = count(&text, Family::OpenAi).expect("counted");
            assert_eq!(counted.least, 1001 + 3);
            assert!(counted.most.is_some_and(|most| most < 1_200));
            let claude = count(&text, Family::Anthropic).expect("counted");
            assert!(
                claude
                    .most
                    .is_some_and(|most| (1_351..1_500).contains(&most))
            );
        }

        proptest! {
            #[test]
            fn a_text_never_has_more_tokens_than_bytes(text in any::<String>()) {
                let bytes = text.len();
                prop_assert!(bpe_openai::o200k_base().count(text.as_str()) <= bytes);
            }
        }
    }
}
