//! Which members of a request a model or a server does not take, so that none is sent to fail.
//!
//! Sources: OpenAI's API reference and model guides (`max_tokens` is refused by the o-series and by GPT-5 and
//! later; sampling, penalties and log probabilities are refused by reasoning models, from GPT-5.1 on unless the
//! effort is `none`; `stop` is refused by o3, o4-mini and later; `parallel_tool_calls` by the o-series;
//! `reasoning_effort` by models that do not reason), and each server's own reference for the rest.

use std::borrow::Cow;

use backstop_chat::{Chat, Edit};

use crate::server::Profile;

/// What one family of OpenAI's models takes.
#[derive(Clone, Copy)]
struct Model {
    /// The name, or the beginning of it.
    name: &'static str,
    /// The bound is `max_completion_tokens` alone.
    newer_bound: bool,
    sampling: Sampling,
    stop: bool,
    parallel_tool_calls: bool,
    reasoning_effort: bool,
}

/// Whether temperature, penalties and log probabilities can be set.
#[derive(Clone, Copy, PartialEq)]
enum Sampling {
    Yes,
    /// Only with `reasoning_effort: none`.
    Unreasoned,
    No,
}

const PLAIN: Model = Model {
    name: "",
    newer_bound: false,
    sampling: Sampling::Yes,
    stop: true,
    parallel_tool_calls: true,
    reasoning_effort: false,
};

const O_SERIES: Model = Model {
    name: "",
    newer_bound: true,
    sampling: Sampling::No,
    stop: false,
    parallel_tool_calls: false,
    reasoning_effort: true,
};

const GPT_5: Model = Model {
    parallel_tool_calls: true,
    ..O_SERIES
};

/// The first that fits counts. A model that is not here is sent everything as it came.
const MODELS: &[Model] = &[
    Model {
        name: "gpt-3.5",
        ..PLAIN
    },
    Model {
        name: "gpt-4",
        ..PLAIN
    },
    Model {
        name: "chatgpt-4o",
        ..PLAIN
    },
    Model {
        name: "o1-mini",
        reasoning_effort: false,
        ..O_SERIES
    },
    Model {
        name: "o1",
        stop: true,
        ..O_SERIES
    },
    Model {
        name: "o3",
        ..O_SERIES
    },
    Model {
        name: "o4",
        ..O_SERIES
    },
    Model {
        name: "gpt-5-chat",
        newer_bound: true,
        ..PLAIN
    },
    Model {
        name: "gpt-5.",
        sampling: Sampling::Unreasoned,
        ..GPT_5
    },
    Model {
        name: "gpt-5",
        ..GPT_5
    },
    Model {
        name: "gpt-6",
        sampling: Sampling::Unreasoned,
        ..GPT_5
    },
];

/// A parameter that reasoning models do not take, and the values that say nothing.
const SAMPLING: &[(&str, &[f64])] = &[
    ("temperature", &[1.0]),
    ("top_p", &[1.0]),
    ("presence_penalty", &[0.0]),
    ("frequency_penalty", &[0.0]),
    ("top_logprobs", &[0.0]),
    ("logprobs", &[]),
    ("logit_bias", &[]),
];

/// Changes what `model` on this server does not take; `note` is told of every change that has an effect.
pub(crate) fn apply<'a>(
    mut edit: Edit<'a>,
    chat: &'a Chat,
    server: &Profile,
    model: &str,
    mut note: impl FnMut(Cow<'static, str>),
) -> Edit<'a> {
    if server.older_bound {
        return bound(edit, chat, "max_completion_tokens", "max_tokens");
    }
    let family = model.strip_prefix("ft:").unwrap_or(model);
    let Some(rule) = MODELS
        .iter()
        .find(|rule| server.model_rules && family.starts_with(rule.name))
    else {
        return edit;
    };
    if rule.newer_bound {
        edit = bound(edit, chat, "max_tokens", "max_completion_tokens");
    }
    let sampling = match rule.sampling {
        Sampling::Yes => true,
        Sampling::Unreasoned => chat.member("reasoning_effort") == Some(r#""none""#),
        Sampling::No => false,
    };
    if !sampling {
        for (name, neutral) in SAMPLING {
            let Some(value) = chat.member(name) else {
                continue;
            };
            let says_nothing = matches!(value, "false" | "{}")
                || value
                    .parse()
                    .is_ok_and(|value: f64| neutral.contains(&value));
            if says_nothing && neutral == &[1.0] {
                continue;
            }
            edit = edit.remove(name);
            if !says_nothing {
                note(match neutral {
                    [1.0] => format!("{name} dropped: {model} takes only 1").into(),
                    _ => dropped(name, model),
                });
            }
        }
    }
    for (name, taken) in [
        ("stop", rule.stop),
        ("parallel_tool_calls", rule.parallel_tool_calls),
        ("reasoning_effort", rule.reasoning_effort),
    ] {
        if !taken && chat.has(name) {
            edit = edit.remove(name);
            note(dropped(name, model));
        }
    }
    edit
}

/// Leaves one name for the bound on the answer: `to`.
fn bound<'a>(edit: Edit<'a>, chat: &Chat, from: &'static str, to: &'static str) -> Edit<'a> {
    match (chat.has(from), chat.has(to)) {
        (false, _) => edit,
        // The newer name wins where both are given.
        (true, true) if from == "max_tokens" => edit.remove(from),
        // `null` is as good as absent, and must not stand beside the renamed one.
        (true, _) => edit.remove(to).rename(from, to),
    }
}

fn dropped(name: &str, model: &str) -> Cow<'static, str> {
    format!("{name} dropped: {model} does not take it").into()
}
