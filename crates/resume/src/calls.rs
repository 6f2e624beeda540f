//! Tool calls that are held back until they are whole, so that one that is cut was never delivered.

use std::collections::VecDeque;

use backstop_chat::{CallDelta, Chunk};
use serde_json::{Map, Value};

/// How many bytes of tool calls are held back. What is larger is handed on as it comes, and cannot be gone on with.
const MOST: usize = 1024 * 1024;

/// Chunks of tool calls, and whatever came behind them, in order.
#[derive(Debug, Default)]
pub(crate) struct Held {
    chunks: VecDeque<Chunk>,
    /// How many have been handed on.
    gone: usize,
    /// The bytes of the chunks.
    size: usize,
    calls: Vec<Call>,
    /// Some chunk could not be read: nobody can say what is whole.
    unread: bool,
}

#[derive(Debug)]
struct Call {
    index: Option<u32>,
    id: Option<String>,
    arguments: String,
    /// The first and the last chunk with something of it, counted from the beginning.
    first: usize,
    last: usize,
    /// Something else has begun behind it.
    passed: bool,
    /// Whether its arguments parse, once somebody has asked.
    whole: Option<bool>,
}

impl Call {
    /// Some servers leave out the index, some repeat the id, some count all calls as the first.
    fn is_meant(&self, delta: &CallDelta<'_>) -> bool {
        let same_id = match (&self.id, &delta.id) {
            (Some(id), Some(other)) => Some(id == other),
            _ => None,
        };
        match delta.index {
            Some(index) => self.index == Some(index) && same_id != Some(false),
            None => same_id != Some(false),
        }
    }

    /// An object delimits itself: where the arguments parse as one, nothing can follow.
    fn is_whole(&mut self) -> bool {
        let arguments = &self.arguments;
        *self
            .whole
            .get_or_insert_with(|| serde_json::from_str::<Map<String, Value>>(arguments).is_ok())
    }
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether it is more than should be held.
    pub(crate) const fn is_too_much(&self) -> bool {
        self.size > MOST
    }

    /// Holds a chunk with calls in it.
    pub(crate) fn push(&mut self, chunk: Chunk) {
        match chunk.calls() {
            Some(deltas) => deltas.iter().for_each(|delta| self.note(delta)),
            None => self.unread = true,
        }
        self.hold(chunk);
    }

    /// Holds a chunk with something else in it, which comes behind the calls.
    pub(crate) fn push_behind(&mut self, chunk: Chunk) {
        for call in &mut self.calls {
            call.passed = true;
        }
        self.hold(chunk);
    }

    fn hold(&mut self, chunk: Chunk) {
        self.size += chunk.json().len();
        self.chunks.push_back(chunk);
    }

    /// Notes what a delta says, in the chunk that is about to be held.
    fn note(&mut self, delta: &CallDelta<'_>) {
        let chunk = self.gone + self.chunks.len();
        let known = self.calls.iter().rposition(|call| call.is_meant(delta));
        let place = known.unwrap_or_else(|| {
            for call in &mut self.calls {
                call.passed = true;
            }
            self.calls.push(Call {
                index: delta.index,
                id: None,
                arguments: String::new(),
                first: chunk,
                last: chunk,
                passed: false,
                whole: None,
            });
            self.calls.len() - 1
        });
        let call = &mut self.calls[place];
        if let (None, Some(id)) = (&call.id, &delta.id) {
            call.id = Some(id.clone().into_owned());
        }
        call.arguments.push_str(&delta.arguments);
        call.last = chunk;
        call.whole = None;
    }

    /// The next chunk, if it and what belongs to it are of calls that are whole, with something else begun behind them.
    pub(crate) fn pop_whole(&mut self) -> Option<Chunk> {
        let mut open = self.calls.iter_mut().filter_map(|call| {
            let done = call.passed && call.is_whole();
            (!done).then_some(call.first)
        });
        let until = open.next().unwrap_or(usize::MAX);
        // Calls may take turns: one that is whole may have its end behind the beginning of one that is not.
        let apart = |call: &Call| call.first >= until || call.last < until;
        if self.unread || self.gone >= until || !self.calls.iter().all(apart) {
            return None;
        }
        self.pop()
    }

    /// The next chunk, whole or not.
    pub(crate) fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.gone += 1;
        self.size -= chunk.json().len();
        Some(chunk)
    }

    /// Whether there are calls here, and each of them is whole.
    pub(crate) fn is_whole(&mut self) -> bool {
        !self.is_empty() && !self.unread && self.calls.iter_mut().all(Call::is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstop_chat::emit::Writer;

    fn writer() -> Writer {
        Writer::new("id", "m", 0, false)
    }

    fn raw(calls: &str) -> Chunk {
        let mut meta = backstop_chat::Meta::default();
        meta.tool_call = true;
        let json = format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{calls}}}}}]}}"#);
        Chunk::event_of(json.as_bytes(), meta)
    }

    #[test]
    fn a_call_goes_on_when_the_next_one_begins() {
        let writer = writer();
        let mut held = Held::default();
        held.push(writer.tool_call(0, "a", "f"));
        held.push(writer.tool_arguments(0, r#"{"x":"#));
        assert!(held.pop_whole().is_none() && !held.is_whole());
        held.push(writer.tool_arguments(0, "1}"));
        assert!(held.is_whole(), "an object delimits itself");
        assert!(held.pop_whole().is_none(), "another may follow, or not");
        held.push(writer.tool_call(1, "b", "f"));
        for _ in 0..3 {
            assert!(held.pop_whole().is_some());
        }
        assert!(held.pop_whole().is_none() && !held.is_whole());
    }

    #[test]
    fn no_beginning_of_arguments_is_taken_for_all_of_them() {
        let whole = r#"{"a":{"b":"}{\"}"},"c":[{}],"d":"ü"}"#;
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let mut held = Held::default();
            held.push(writer().tool_call(0, "a", "f"));
            held.push(writer().tool_arguments(0, &whole[..end]));
            assert!(!held.is_whole(), "{}", &whole[..end]);
        }
        for odd in ["1", "null", "\"{}\"", "[]", "{} {}"] {
            let mut held = Held::default();
            held.push(writer().tool_arguments(0, odd));
            assert!(!held.is_whole(), "{odd}");
        }
    }

    #[test]
    fn calls_that_interleave_are_held_until_both_are_whole() {
        let writer = writer();
        let mut held = Held::default();
        held.push(writer.tool_call(0, "a", "f"));
        held.push(writer.tool_call(1, "b", "f"));
        held.push(writer.tool_arguments(0, "{}"));
        assert!(
            held.pop_whole().is_none(),
            "the end of the first stands behind the beginning of the second"
        );
        held.push(writer.tool_arguments(1, "{}"));
        assert!(held.is_whole());
        assert!(held.pop_whole().is_none(), "another may follow, or not");
        held.push(writer.tool_call(2, "c", "f"));
        for _ in 0..4 {
            assert!(held.pop_whole().is_some());
        }
        assert!(held.pop_whole().is_none());
        held.push(writer.tool_arguments(2, "{}"));
        held.push_behind(writer.text("x"));
        for _ in 0..3 {
            assert!(held.pop_whole().is_some());
        }
        assert!(held.is_empty());
    }

    #[test]
    fn calls_are_told_apart_however_servers_count_them() {
        for (first, second) in [
            (
                r#"[{"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
                r#"[{"id":"b","function":{"name":"f","arguments":"{}"}}]"#,
            ),
            (
                r#"[{"index":0,"id":"a","function":{"arguments":"{}"}}]"#,
                r#"[{"index":0,"id":"b","function":{"arguments":"{}"}}]"#,
            ),
            (
                r#"[{"index":0,"id":"a","function":{"arguments":"{"}},{"index":1,"function":{"arguments":"{"}}]"#,
                r#"[{"index":1,"function":{"arguments":"}"}},{"index":0,"id":"a","function":{"arguments":"}"}}]"#,
            ),
        ] {
            let mut held = Held::default();
            held.push(raw(first));
            held.push(raw(second));
            assert_eq!(held.calls.len(), 2, "{first}");
            assert!(held.is_whole(), "{first}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_never_whole() {
        let mut held = Held::default();
        held.push(raw("7"));
        held.push_behind(writer().text("x"));
        assert!(!held.is_whole() && held.pop_whole().is_none());
        assert!(held.pop().is_some());
    }

    #[test]
    fn there_is_an_end_to_holding() {
        let mut held = Held::default();
        held.push(writer().tool_call(0, "a", "f"));
        held.push(writer().tool_arguments(0, &"x".repeat(MOST)));
        assert!(held.is_too_much());
        while held.pop().is_some() {}
        assert_eq!(held.size, 0);
    }
}
