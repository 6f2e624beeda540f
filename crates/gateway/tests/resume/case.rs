//! One stream: who begins it, what breaks it, who goes on, and what must come of it.

use std::fmt::{self, Write};

use backstop_sim::Provider;

use crate::support::{Deployment, deployment};

pub(crate) const STYLES: [&str; 6] = ["ascii", "multibyte", "emoji", "combining", "crlf", "code"];

/// How a stream breaks off.
pub(crate) fn breaks() -> Vec<&'static str> {
    let mut breaks = vec!["cut", "eof", "error", "stall"];
    if backstop_sim::KNOWN.contains(&"garbage=after") {
        breaks.push("garbage");
    }
    breaks
}

/// A model of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Voice {
    provider: Provider,
    model: &'static str,
    /// Whether it goes on by prefill; else it has to be asked by a prompt.
    pub(crate) prefill: bool,
}

const fn voice(provider: Provider, model: &'static str, prefill: bool) -> Voice {
    Voice {
        provider,
        model,
        prefill,
    }
}

impl Voice {
    /// As configurations write it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.provider.name(), self.model)
    }
}

pub(crate) const VOICES: [Voice; 5] = [
    voice(Provider::OpenAi, "gpt-4o", false),
    voice(Provider::Anthropic, "claude-sonnet-4-6", false),
    voice(Provider::Bedrock, "anthropic.claude-sonnet-4-6", false),
    voice(Provider::Anthropic, "claude-sonnet-4-5", true),
    voice(Provider::Bedrock, "anthropic.claude-sonnet-4-5", true),
];

/// One of the deployments that a stream's model has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Leg {
    /// Breaks off after so many pieces of what it says.
    Breaks(Voice, &'static str, usize),
    /// Fails in this way before it has said anything.
    Fails(Voice, &'static str),
    /// Goes on with an answer, and treats what is there already in this way.
    GoesOn(Voice, Seam),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seam {
    AsAsked,
    Echo,
    Restart,
    Overlap(usize),
    NoAnchor,
    Paraphrase,
}

impl Seam {
    fn fault(self) -> String {
        match self {
            Self::AsAsked => String::new(),
            Self::Echo => "+echo".to_owned(),
            Self::Restart => "+restart".to_owned(),
            Self::Overlap(characters) => format!("+overlap={characters}"),
            Self::NoAnchor => "+noanchor".to_owned(),
            Self::Paraphrase => "+paraphrase".to_owned(),
        }
    }

    /// Whether the model does what it was asked to, more or less.
    pub(crate) fn is_verifiable(self) -> bool {
        !matches!(self, Self::NoAnchor | Self::Paraphrase)
    }
}

/// With less than that to quote, the whole answer is asked for again.
const QUOTABLE: usize = 12;

/// What must come of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The whole text.
    Exact,
    /// A part of it, and an error.
    Error,
}

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What it is called in configurations.
    pub(crate) name: String,
    pub(crate) tokens: usize,
    pub(crate) style: &'static str,
    pub(crate) legs: Vec<Leg>,
    /// All legs are the same deployment's model, which breaks so often, and the answer is determined.
    pub(crate) replays: Option<usize>,
    pub(crate) max_resumes: Option<usize>,
    pub(crate) usage: bool,
    pub(crate) expected: Expected,
}

impl Case {
    pub(crate) fn new(name: String, tokens: usize, style: &'static str, legs: Vec<Leg>) -> Self {
        let mut case = Self {
            name,
            tokens,
            style,
            legs,
            replays: None,
            max_resumes: None,
            usage: false,
            expected: Expected::Exact,
        };
        case.expected = case.outcome();
        case
    }

    /// The same deployment again and again, which breaks `times`.
    pub(crate) fn replayed(
        name: String,
        tokens: usize,
        style: &'static str,
        leg: Leg,
        deployments: usize,
        times: usize,
    ) -> Self {
        let mut case = Self::new(name, tokens, style, vec![leg; deployments]);
        case.replays = Some(times);
        case.expected = Expected::Exact;
        case
    }

    /// As often as there are breaks.
    pub(crate) fn resuming(mut self, times: usize) -> Self {
        self.max_resumes = Some(times);
        self
    }

    pub(crate) fn with_usage(mut self, usage: bool) -> Self {
        self.usage = usage;
        self
    }

    pub(crate) fn text(&self) -> String {
        backstop_sim::text(&format!("m+{}", self.script()))
    }

    fn script(&self) -> String {
        format!("tokens={}+text={}", self.tokens, self.style)
    }

    fn outcome(&self) -> Expected {
        let Leg::Breaks(_, _, after) = self.legs[0] else {
            return Expected::Exact;
        };
        // Without a quotation there is no seam to get wrong: the answer begins again.
        let begun = backstop_sim::text(&format!(
            "m+tokens={}+text={}",
            after.clamp(1, self.tokens),
            self.style
        ));
        let whole = after == 0 || begun.trim().chars().count() < QUOTABLE;
        let goes_on = |leg: &Leg| matches!(leg, Leg::GoesOn(voice, seam) if whole || voice.prefill || seam.is_verifiable());
        if self.legs.iter().any(goes_on) {
            Expected::Exact
        } else {
            Expected::Error
        }
    }

    /// The mode in which the second of two goes on.
    pub(crate) fn mode(&self) -> Option<&'static str> {
        match &self.legs[..] {
            _ if self.replays.is_some() => Some("replay"),
            [Leg::Breaks(_, _, 1..), Leg::GoesOn(voice, _)] if voice.prefill => Some("prefill"),
            [Leg::Breaks(_, _, 1..), Leg::GoesOn(..)] => Some("prompted"),
            _ => None,
        }
    }

    /// Its deployments: `name/0`, `name/1` and so on.
    pub(crate) fn deployments(&self) -> Vec<Deployment> {
        let deployments = self.legs.iter().enumerate();
        let one = |(index, leg): (usize, &Leg)| self.deployment(index, leg);
        deployments.map(one).collect()
    }

    fn deployment(&self, index: usize, leg: &Leg) -> Deployment {
        let (Leg::Breaks(voice, ..) | Leg::Fails(voice, _) | Leg::GoesOn(voice, _)) = leg;
        let mut model = voice.name();
        if self.replays.is_some() {
            // The simulator counts requests by the whole name.
            let _ = write!(model, "-{}", self.name);
        }
        let _ = write!(model, "+{}", self.script());
        let _ = match leg {
            Leg::Breaks(_, how, after) => write!(model, "+{how}={after}"),
            Leg::Fails(_, how) => write!(model, "+{how}"),
            Leg::GoesOn(_, seam) => write!(model, "{}", seam.fault()),
        };
        if let Some(times) = self.replays {
            let _ = write!(model, "+first={times}");
        }
        let mut deployment = deployment(&self.name, &model).id(&format!("{}/{index}", self.name));
        if matches!(leg, Leg::Breaks(_, "stall", _)) {
            // A part of which nothing is left to be said stalls before its first token. Who is to be well again
            // needs more patience, or a busy machine breaks it.
            let patience = if self.replays.is_some() { "1" } else { "0.1" };
            deployment = deployment
                .param(&format!("stream_timeout: {patience}"))
                .param("timeout: 2");
        }
        if let Some(times) = self.max_resumes.filter(|_| index == 0) {
            deployment = deployment.param(&format!("mid_stream: {{max_resumes: {times}}}"));
        }
        deployment
    }
}

/// What it is, for whoever reads that it failed.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} tokens, {}", self.name, self.tokens, self.style)?;
        if let Some(times) = self.max_resumes {
            write!(f, ", at most {times} resumes")?;
        }
        if self.usage {
            write!(f, ", with usage")?;
        }
        write!(f, ")")?;
        for (index, leg) in self.legs.iter().enumerate() {
            write!(f, "{}", if index == 0 { ": " } else { ", then " })?;
            let (Leg::Breaks(voice, ..) | Leg::Fails(voice, _) | Leg::GoesOn(voice, _)) = leg;
            write!(f, "{} ", voice.name())?;
            match leg {
                Leg::Breaks(_, how, after) => write!(f, "breaks by {how}={after}")?,
                Leg::Fails(_, how) => write!(f, "fails by {how}")?,
                Leg::GoesOn(_, seam) => write!(f, "goes on, {seam:?}")?,
            }
        }
        if let Some(times) = self.replays {
            write!(f, "; the first {times} requests only, at temperature 0")?;
        }
        Ok(())
    }
}
