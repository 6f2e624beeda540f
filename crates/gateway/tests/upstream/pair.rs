//! A deployment that answers badly, a healthy one behind it, and what a client may see of them.

use backstop_sim::{Entry, Provider, Sim};
use serde_json::Value;

use crate::support::{Deployment, Response, deployment};

pub(crate) const PROVIDERS: [Provider; 3] =
    [Provider::OpenAi, Provider::Anthropic, Provider::Bedrock];

/// A group of two deployments at different providers.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) group: String,
    pub(crate) provider: Provider,
    /// The model of the first without its faults: nobody else asks for it.
    pub(crate) base: String,
    model: String,
    second: Provider,
    second_model: String,
}

/// What a client may see.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// The whole answer of the first.
    First,
    /// The whole answer of the second.
    Second,
    /// The beginning of the first one's stream, and an error with this code.
    Broken { text: String, code: String },
}

impl Pair {
    /// The first is at `provider`, with these faults in the simulator's words.
    pub(crate) fn new(group: &str, provider: Provider, faults: &str) -> Self {
        let place = PROVIDERS.iter().position(|known| *known == provider);
        let second = PROVIDERS[(place.expect("one of the three") + 1) % PROVIDERS.len()];
        let base = model(provider, group);
        Self {
            group: group.to_owned(),
            provider,
            model: format!("{base}+{faults}"),
            base,
            second,
            // Not one word of it is the first one's.
            second_model: format!("{}+tokens=5+text=multibyte", model(second, group)),
        }
    }

    pub(crate) fn deployments(&self) -> [Deployment; 2] {
        [
            (self.provider, &self.model),
            (self.second, &self.second_model),
        ]
        .map(|(provider, model)| {
            let provider = provider.name();
            let id = format!("{}-{provider}", self.group);
            deployment(&self.group, &format!("{provider}/{model}")).id(&id)
        })
    }

    /// What the first answers with when nothing is wrong.
    pub(crate) fn text(&self) -> String {
        backstop_sim::text(&self.model)
    }

    /// The calls that the first got, after the entry `since` of the journal.
    pub(crate) async fn calls(&self, sim: &Sim, since: u64) -> Vec<Entry> {
        let own = |entry: &Entry| entry.seq > since && entry.model == self.model;
        sim.journal().wait_for(0, own).await
    }

    /// What the response amounts to; it has to be one of the three.
    pub(crate) fn seen(&self, response: &Response, what: &str) -> Seen {
        let answer = response.answer();
        let served = response.header("x-backstop-provider");
        if let Some(error) = answer.error {
            assert_eq!(served, self.provider.name(), "{what}");
            assert!(
                answer.finish.is_empty(),
                "a broken stream does not finish: {what}"
            );
            assert!(!answer.text.is_empty(), "nothing was promised: {what}");
            assert!(
                self.text().starts_with(&answer.text),
                "{} in {what}",
                answer.text
            );
            assert_eq!(
                error["backstop"]["request_id"],
                response.request_id(),
                "{what}"
            );
            let code = error["code"].as_str().expect("a code").to_owned();
            return Seen::Broken {
                text: answer.text,
                code,
            };
        }
        assert_eq!(answer.finish, ["stop"], "{what}");
        if answer.text == self.text() {
            assert_eq!(served, self.provider.name(), "{what}");
            assert_eq!(response.header("x-backstop-attempts"), "1", "{what}");
            return Seen::First;
        }
        assert_eq!(
            answer.text,
            backstop_sim::text(&self.second_model),
            "{what}"
        );
        assert_eq!(served, self.second.name(), "{what}");
        assert_eq!(response.header("x-backstop-attempts"), "2", "{what}");
        assert_eq!(response.header("x-backstop-fallbacks"), "1", "{what}");
        Seen::Second
    }

    /// Asserts that the record tells what was seen, and that the first one's failure was of that kind.
    pub(crate) fn assert_recorded(&self, seen: &Seen, record: &Value, kind: &str, what: &str) {
        let results: Vec<_> = record["attempts"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        let results: Vec<_> = results
            .iter()
            .map(|row| (row["result"].as_str(), row["next_action"].as_str()))
            .collect();
        let (failed, done) = (Some(kind), (Some("ok"), Some("done")));
        let (outcome, served, rows) = match seen {
            Seen::First => ("ok", Some(self.provider), vec![done]),
            Seen::Second => (
                "ok",
                Some(self.second),
                vec![(failed, Some("fallback")), done],
            ),
            Seen::Broken { .. } => ("upstream_error", None, vec![(failed, Some("surface"))]),
        };
        assert_eq!(results, rows, "{what}: {record}");
        assert_eq!(record["outcome"], outcome, "{what}");
        assert_eq!(record["http_status"], 200, "{what}");
        assert_eq!(
            record["provider"].as_str(),
            served.map(Provider::name),
            "{what}"
        );
    }
}

fn model(provider: Provider, suffix: &str) -> String {
    let base = match provider {
        Provider::OpenAi => "gpt-4o",
        Provider::Anthropic => "claude-sonnet-4-6",
        _ => "anthropic.claude-sonnet-4-6",
    };
    format!("{base}-{suffix}")
}

/// `streamed`, or `whole`.
pub(crate) fn form(stream: bool) -> &'static str {
    if stream { "streamed" } else { "whole" }
}
