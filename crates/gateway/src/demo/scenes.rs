//! The outages, and what a client should see of each.

use backstop_core::BoxError;
use backstop_sim::Provider::{self, Anthropic, Bedrock, OpenAi};

use super::visit::Visit;

pub(super) struct Scene {
    pub(super) title: &'static str,
    /// Who suffers from what, in the simulator's words.
    pub(super) outages: &'static [(Provider, &'static str)],
    /// How many requests it spoils; 0 means all.
    pub(super) times: u64,
    pub(super) stream: bool,
    /// The requests that the client makes, one after another.
    pub(super) visits: &'static [Expected],
}

/// What the client should see.
pub(super) enum Expected {
    /// A whole answer by this provider, after so many attempts.
    Answer { by: &'static str, attempts: u32 },
    /// A whole stream of two parts, with the known text byte for byte.
    Resumed,
    /// A stream that says that it broke, and does not look complete.
    BrokenStream,
    /// 503, and when to come back.
    Exhausted,
}

use Expected::{Answer, BrokenStream, Exhausted, Resumed};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        title: "all is well",
        outages: &[],
        times: 0,
        stream: false,
        visits: &[Answer {
            by: "openai",
            attempts: 1,
        }],
    },
    Scene {
        title: "OpenAI answers 500",
        outages: &[(OpenAi, "500")],
        times: 0,
        stream: false,
        visits: &[Answer {
            by: "anthropic",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI is overloaded in the middle of a stream's first words",
        outages: &[(OpenAi, "error=0")],
        times: 0,
        stream: true,
        visits: &[Answer {
            by: "anthropic",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI's rate limit: back in 100 ms, so it is asked again",
        outages: &[(OpenAi, "429=0.1")],
        times: 1,
        stream: false,
        visits: &[Answer {
            by: "openai",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI's rate limit: back in 20 s, so it is left alone until then",
        outages: &[(OpenAi, "429=20")],
        times: 0,
        stream: false,
        visits: &[
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 1,
            },
        ],
    },
    Scene {
        title: "OpenAI hangs; its time to a first token is 300 ms here",
        outages: &[(OpenAi, "hang")],
        times: 0,
        stream: true,
        visits: &[Answer {
            by: "anthropic",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI rejects the gateway's key",
        outages: &[(OpenAi, "401")],
        times: 0,
        stream: false,
        visits: &[
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 1,
            },
        ],
    },
    Scene {
        title: "OpenAI resets the connection before the first token",
        outages: &[(OpenAi, "cut=0")],
        times: 0,
        stream: true,
        visits: &[Answer {
            by: "anthropic",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI sends a web page with status 200",
        outages: &[(OpenAi, "html")],
        times: 0,
        stream: false,
        visits: &[Answer {
            by: "anthropic",
            attempts: 2,
        }],
    },
    Scene {
        title: "OpenAI and Anthropic are down",
        outages: &[(OpenAi, "503"), (Anthropic, "529")],
        times: 0,
        stream: true,
        visits: &[Answer {
            by: "bedrock",
            attempts: 3,
        }],
    },
    Scene {
        title: "OpenAI stays down: after four failures it is not even asked",
        outages: &[(OpenAi, "500")],
        times: 0,
        stream: false,
        visits: &[
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 2,
            },
            Answer {
                by: "anthropic",
                attempts: 1,
            },
        ],
    },
    Scene {
        title: "OpenAI's stream is cut after five tokens: Anthropic goes on, as one answer",
        outages: &[(OpenAi, "cut=5")],
        times: 0,
        stream: true,
        visits: &[Resumed],
    },
    Scene {
        title: "OpenAI's stream is cut, and nobody can go on: an error, never a silent end",
        outages: &[(OpenAi, "cut=5"), (Anthropic, "529"), (Bedrock, "503")],
        times: 0,
        stream: true,
        visits: &[BrokenStream],
    },
    Scene {
        title: "everything is down",
        outages: &[(OpenAi, "500"), (Anthropic, "429=7"), (Bedrock, "503")],
        times: 0,
        stream: false,
        visits: &[Exhausted],
    },
    Scene {
        title: "all is well again",
        outages: &[],
        times: 0,
        stream: true,
        visits: &[Answer {
            by: "openai",
            attempts: 1,
        }],
    },
];

impl Expected {
    pub(super) fn check(&self, visit: &Visit) -> Result<(), BoxError> {
        let holds = match self {
            Answer { by, attempts } => {
                visit.status == 200
                    && visit.is_complete
                    && visit.error.is_none()
                    && visit.served_by.as_deref() == Some(by)
                    && visit.attempts == *attempts
            }
            Resumed => {
                visit.is_complete
                    && visit.error.is_none()
                    && visit.text == backstop_sim::text("gpt-4o")
                    && visit.record["resumes"][0]["mode"].is_string()
            }
            BrokenStream => visit.status == 200 && !visit.is_complete && visit.error.is_some(),
            Exhausted => {
                visit.status == 503 && visit.error.as_deref() == Some("all_deployments_failed")
            }
        };
        if holds {
            return Ok(());
        }
        Err(match self {
            Answer { by, attempts } => {
                format!("expected a whole answer by {by} after {attempts} attempts")
            }
            Resumed => "expected the whole answer, in two parts".to_owned(),
            BrokenStream => "expected a stream that says that it broke".to_owned(),
            Exhausted => "expected 503 all_deployments_failed".to_owned(),
        }
        .into())
    }
}
