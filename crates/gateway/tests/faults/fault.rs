//! The faults, and what each is to the gateway.

use crate::member::PROVIDERS;

/// A fault that one deployment may have without the caller's noticing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// In the simulator's words: for an answer that is not streamed, and for a stream.
    words: [&'static str; 2],
    /// The failure that it is.
    kind: &'static str,
    /// The status that each provider shows it with; none if it shows none.
    statuses: Option<[u16; 3]>,
    /// For how many seconds at the most a single one rests the deployment.
    pub(crate) rests: Option<u64>,
}

const fn fault(name: &'static str, kind: &'static str, statuses: [u16; 3]) -> Fault {
    Fault {
        name,
        words: [name; 2],
        kind,
        statuses: Some(statuses),
        rests: None,
    }
}

impl Fault {
    const fn said(self, words: &'static str) -> Self {
        Self {
            words: [words; 2],
            ..self
        }
    }

    const fn said_in_a_stream(self, words: &'static str) -> Self {
        Self {
            words: [self.words[0], words],
            ..self
        }
    }

    const fn without_status(self) -> Self {
        Self {
            statuses: None,
            ..self
        }
    }

    const fn rests(self, seconds: u64) -> Self {
        Self {
            rests: Some(seconds),
            ..self
        }
    }

    pub(crate) fn words(&self, stream: bool) -> &'static str {
        self.words[usize::from(stream)]
    }

    pub(crate) fn kind(&self, provider: &str, stream: bool) -> &'static str {
        match (self.name, provider, stream) {
            // Garbage begins with the length of a frame that does not come.
            ("garbage", "bedrock", true) => "network",
            _ => self.kind,
        }
    }

    pub(crate) fn status(&self, provider: &str) -> Option<u16> {
        let index = PROVIDERS.iter().position(|known| *known == provider);
        self.statuses
            .map(|statuses| statuses[index.expect("one of the three")])
    }

    /// Whether it is waited for.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.name, "timeout" | "hang")
    }

    /// Whether it is the provider's verdict on the prompt, and no outage.
    pub(crate) fn is_verdict(&self) -> bool {
        self.kind == "content_filter"
    }
}

/// A fifth more than a quarter of an hour: what somebody has to mend rests that long at first, jitter included.
const LONG: u64 = 18 * 60;

pub(crate) const FAULTS: &[Fault] = &[
    fault("500", "server_error", [500, 500, 500]),
    fault("503", "overloaded", [503, 503, 503]),
    // Anthropic's own; the others have 503 for it.
    fault("529", "overloaded", [503, 529, 503]),
    fault("429", "rate_limit", [429, 429, 429])
        .said("429=20")
        .rests(20),
    fault("quota", "quota_exhausted", [429, 400, 429]).rests(LONG),
    fault("timeout", "timeout", [0; 3])
        .said("ttft=60000")
        .without_status(),
    fault("hang", "timeout", [0; 3]).without_status(),
    fault("reset", "network", [0; 3]).without_status(),
    fault("garbage", "server_error", [200; 3]),
    fault("html", "server_error", [200; 3]),
    // A stream that breaks off later than this has been promised to the caller.
    fault("truncated", "network", [200; 3]).said_in_a_stream("eof=0"),
    fault("cut", "network", [200; 3]).said("cut=0"),
    fault("401", "auth", [401, 401, 403]).rests(LONG),
    fault("404", "model_not_found", [404; 3]).rests(LONG / 3),
    // Bedrock has no error for it.
    fault("filter", "content_filter", [400, 400, 200]),
    fault("filter200", "content_filter", [200; 3]),
];
