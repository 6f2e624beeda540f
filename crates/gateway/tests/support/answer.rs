//! What a client makes of an answer, whole or streamed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::Response;

/// An answer, as far as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// What was said.
    pub(crate) text: String,
    /// Why it ended, each time that it says so.
    pub(crate) finish: Vec<String>,
    /// The models that it names.
    pub(crate) models: BTreeSet<String>,
    /// The error that a stream ended with.
    pub(crate) error: Option<Value>,
}

impl Response {
    /// The answer in a 200. A stream has to end with `[DONE]`, and nothing but that may follow an error.
    pub(crate) fn answer(&self) -> Answer {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(!self.broken, "the response broke off: {}", self.text());
        let mut answer = Answer::default();
        if self.header("content-type") == "application/json" {
            answer.read(&self.json());
            return answer;
        }
        assert_eq!(self.header("content-type"), "text/event-stream");
        let lines = self.text().lines();
        let mut events = lines.filter(|line| !line.is_empty() && !line.starts_with(':'));
        loop {
            let event = events.next().expect("a stream ends with a terminal");
            let data = event.strip_prefix("data: ").expect("data and comments");
            if data == "[DONE]" {
                break;
            }
            assert_eq!(answer.error, None, "nothing follows an error");
            answer.read(&serde_json::from_str(data).expect("JSON on one line"));
        }
        assert_eq!(events.next(), None, "nothing follows the terminal");
        answer
    }
}

impl Answer {
    fn read(&mut self, json: &Value) {
        if !json["error"].is_null() {
            self.error = Some(json["error"].clone());
            return;
        }
        self.models
            .extend(json["model"].as_str().map(str::to_owned));
        let choice = &json["choices"][0];
        for part in ["message", "delta"] {
            self.text += choice[part]["content"].as_str().unwrap_or_default();
        }
        self.finish
            .extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
}
