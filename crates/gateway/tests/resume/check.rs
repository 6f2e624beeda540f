//! What a client and the record say of a stream, held against what must come of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::case::{Case, Expected};
use crate::support::Response;

/// A stream as a client reads it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) text: String,
    ids: BTreeSet<String>,
    created: BTreeSet<u64>,
    roles: usize,
    pub(crate) finish: Vec<String>,
    usage: Vec<Value>,
    pub(crate) calls: Vec<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) resumed: Vec<Resumed>,
}

/// What a comment says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    pub(crate) mode: String,
    pub(crate) deployment: String,
    delivered: usize,
}

impl Resumed {
    /// Reads `mode=… deployment=… delivered=…`.
    fn of(words: &str) -> Option<Self> {
        let words: Vec<_> = words.split(' ').collect();
        let [mode, deployment, delivered] = words[..] else {
            return None;
        };
        Some(Self {
            mode: mode.strip_prefix("mode=")?.to_owned(),
            deployment: deployment.strip_prefix("deployment=")?.to_owned(),
            delivered: delivered.strip_prefix("delivered=")?.parse().ok()?,
        })
    }
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

impl Read {
    /// Reads a stream and checks what holds for each: its form, its comments, its end.
    pub(crate) fn of(response: &Response) -> Result<Self, String> {
        ensure!(response.status == 200, "status {}", response.status);
        ensure!(!response.broken, "the connection broke");
        let mut read = Self::default();
        let mut lines = response.text().split('\n').peekable();
        let mut done = false;
        while let Some(line) = lines.next() {
            if line.is_empty() {
                continue;
            }
            ensure!(!done, "{line} behind the terminal");
            if let Some(comment) = line.strip_prefix(':') {
                if let Some(words) = comment.strip_prefix(" backstop resumed ") {
                    let resumed = Resumed::of(words).ok_or(line)?;
                    let next = lines.peek().copied().unwrap_or_default();
                    ensure!(next.starts_with("data: {"), "{line}, and then {next:?}");
                    ensure!(
                        resumed.delivered == read.text.chars().count(),
                        "{line} behind {} characters",
                        read.text.chars().count()
                    );
                    read.resumed.push(resumed);
                }
                continue;
            }
            let data = line.strip_prefix("data: ").ok_or(line)?;
            if data == "[DONE]" {
                done = true;
                continue;
            }
            ensure!(read.error.is_none(), "{line} behind an error");
            let json = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
            read.event(&json)?;
        }
        ensure!(done, "no terminal");
        Ok(read)
    }

    fn event(&mut self, json: &Value) -> Result<(), String> {
        if !json["error"].is_null() {
            self.error = Some(json["error"].clone());
            return Ok(());
        }
        self.ids
            .insert(json["id"].as_str().ok_or("no id")?.to_owned());
        self.created
            .insert(json["created"].as_u64().ok_or("no created")?);
        if !json["usage"].is_null() {
            ensure!(
                json["choices"] == Value::Array(Vec::new()),
                "usage beside choices: {json}"
            );
            self.usage.push(json["usage"].clone());
            return Ok(());
        }
        ensure!(
            self.usage.is_empty(),
            "usage before the end, and then {json}"
        );
        let choice = &json["choices"][0];
        ensure!(choice.is_object(), "no choice: {json}");
        self.roles += usize::from(choice["delta"]["role"].is_string());
        let content = choice["delta"]["content"].as_str().unwrap_or_default();
        let calls = choice["delta"]["tool_calls"].as_array();
        ensure!(
            self.finish.is_empty() || (content.is_empty() && calls.is_none()),
            "content behind the finish: {json}"
        );
        self.text += content;
        self.calls.extend(calls.into_iter().flatten().cloned());
        self.finish
            .extend(choice["finish_reason"].as_str().map(str::to_owned));
        Ok(())
    }

    /// One stream, whoever spoke.
    pub(crate) fn is_one(&self) -> Result<(), String> {
        ensure!(self.ids.len() == 1, "ids {:?}", self.ids);
        ensure!(self.created.len() == 1, "created {:?}", self.created);
        ensure!(self.roles == 1, "{} roles", self.roles);
        Ok(())
    }

    /// An end that says it is none.
    pub(crate) fn is_an_error(&self) -> Result<(), String> {
        let error = self.error.as_ref().ok_or("no error")?;
        ensure!(self.finish.is_empty(), "finished: {:?}", self.finish);
        ensure!(self.usage.is_empty(), "usage before an error");
        for field in ["message", "type", "code"] {
            ensure!(error[field].is_string(), "no {field}: {error}");
        }
        ensure!(
            error["backstop"]["request_id"].is_string(),
            "no request id: {error}"
        );
        Ok(())
    }
}

/// Holds a stream and its record against what must come of the case.
pub(crate) fn check(case: &Case, response: &Response, record: &Value) -> Result<(), String> {
    let read = Read::of(response)?;
    let text = case.text();
    read.is_one()?;
    let attempts = record["attempts"].as_array().map_or(0, Vec::len);
    // A rest that begins, by chance, as the text ends is asked for again, from further back: that can be verified.
    let asked_again = read.error.is_none() && attempts > case.legs.len();
    let failed = case.expected == Expected::Error && !asked_again;
    if failed {
        read.is_an_error()?;
        ensure!(
            text.starts_with(&read.text),
            "glued: {:?}, not {text:?}",
            read.text
        );
        ensure!(record["outcome"] != "ok", "the record says it was well");
    } else {
        ensure!(read.error.is_none(), "{:?}", read.error);
        ensure!(read.text == text, "{:?}, not {text:?}", read.text);
        ensure!(read.finish == ["stop"], "finish {:?}", read.finish);
        ensure!(record["outcome"] == "ok", "outcome {}", record["outcome"]);
        let many = read.usage.len();
        ensure!(many == usize::from(case.usage), "{many} times usage");
        for usage in &read.usage {
            ensure!(
                usage["completion_tokens"].as_u64() > Some(0),
                "usage {usage}"
            );
        }
    }
    matches(&read, record)?;
    if let (Some(mode), false) = (case.mode(), failed) {
        ensure!(
            read.resumed.iter().all(|resumed| resumed.mode == mode),
            "not by {mode}: {:?}",
            read.resumed
        );
        ensure!(attempts > 1, "nobody went on: {record}");
    }
    Ok(())
}

/// The record knows of each comment, and of no other part that has said something.
pub(crate) fn matches(read: &Read, record: &Value) -> Result<(), String> {
    let rows = record["resumes"].as_array().map_or(&[][..], Vec::as_slice);
    // From the end: what joined and broke before it said anything has no comment, and is followed by its like.
    let mut comments = read.resumed.iter().rev().peekable();
    for (index, row) in rows.iter().enumerate().rev() {
        let Some(mode) = row["mode"].as_str() else {
            continue;
        };
        let noted = Resumed {
            mode: mode.to_owned(),
            deployment: row["deployment"].as_str().unwrap_or_default().to_owned(),
            delivered: row["delivered_chars"].as_u64().unwrap_or_default() as usize,
        };
        let broke_at_once = rows
            .get(index + 1)
            .is_some_and(|next| next["delivered_chars"] == row["delivered_chars"]);
        ensure!(
            comments.next_if_eq(&&noted).is_some() || broke_at_once,
            "{:?} in the stream, {rows:?} in the record",
            read.resumed
        );
    }
    ensure!(
        comments.peek().is_none(),
        "{:?} in the stream, {rows:?} in the record",
        read.resumed
    );
    Ok(())
}
