//! The text that every model answers with, and how much of it a continuation has left.

mod style;

use crate::plan::{MAX_TOKENS, Plan, Seam};
use std::{borrow::Cow, collections::VecDeque, ops::Range, sync::LazyLock};

pub(crate) use self::style::Style;

impl Style {
    pub(crate) fn script(self) -> &'static Script {
        static SCRIPTS: [LazyLock<Script>; 7] = [
            LazyLock::new(|| Script::write(Style::Ascii)),
            LazyLock::new(|| Script::write(Style::Multibyte)),
            LazyLock::new(|| Script::write(Style::Emoji)),
            LazyLock::new(|| Script::write(Style::Combining)),
            LazyLock::new(|| Script::write(Style::Crlf)),
            LazyLock::new(|| Script::write(Style::Code)),
            LazyLock::new(|| Script::write(Style::Paraphrase)),
        ];
        &SCRIPTS[self as usize]
    }
}

/// A text with its tokens, and the same once more escaped for JSON, so that an answer only copies.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    ends: Vec<usize>,
    json: String,
    json_ends: Vec<usize>,
}

impl Script {
    fn write(style: Style) -> Self {
        let (opening, words) = style.vocabulary();
        let mut script = Self {
            text: String::new(),
            ends: Vec::with_capacity(MAX_TOKENS),
            json: String::new(),
            json_ends: Vec::with_capacity(MAX_TOKENS),
        };
        let opening: Vec<&str> = tokens(opening).collect();
        for token in &opening {
            script.push(token);
        }
        let many = if words.is_empty() {
            opening.len()
        } else {
            words.len()
        };
        let mut recent = VecDeque::new();
        let mut state = 0x9e37_79b9_u32;
        for round in 1.. {
            if script.ends.len() >= MAX_TOKENS {
                break;
            }
            // Numerical Recipes' generator: its upper bits are random enough for prose.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut word = (state >> 16) as usize % many;
            while recent.contains(&word) {
                word = (word + 1) % many;
            }
            recent.push_back(word);
            if recent.len() > many / 2 {
                recent.pop_front();
            }
            match words.get(word) {
                Some(word) => word.iter().for_each(|token| script.push(token)),
                None => script.push(opening[word]),
            }
            if round % 6 == 0 {
                // So that no long part of the text comes twice.
                script.push(&format!(" {round}"));
            }
        }
        script
    }

    fn push(&mut self, token: &str) {
        self.text.push_str(token);
        self.ends.push(self.text.len());
        self.json.push_str(&escape(token));
        self.json_ends.push(self.json.len());
    }

    /// Where the `tokens`-th token ends.
    fn end(&self, tokens: usize) -> usize {
        self.ends[tokens - 1]
    }

    /// The tokens of a part of the text, escaped; a token that begins before it counts with what is left of it.
    fn tokens(&'static self, part: Range<usize>) -> Vec<Cow<'static, str>> {
        let mut at = part.start;
        let mut index = self.ends.partition_point(|end| *end <= at);
        let mut tokens = Vec::new();
        while at < part.end {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            let end = self.ends[index].min(part.end);
            if at == start && end == self.ends[index] {
                let json_start = if index == 0 {
                    0
                } else {
                    self.json_ends[index - 1]
                };
                tokens.push(Cow::Borrowed(&self.json[json_start..self.json_ends[index]]));
            } else {
                tokens.push(Cow::Owned(escape(&self.text[at..end])));
            }
            at = end;
            index += 1;
        }
        tokens
    }
}

/// Words, each with the space before it.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == ' ')
            .map_or(rest.len(), |(at, _)| at);
        let (token, tail) = rest.split_at(end);
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// A string as it stands between the quotes of JSON.
pub(crate) fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The text with which `model` answers a plain question.
///
/// It is the same for every model: only `tokens=n` and `text=style` change it, so that another model can go on
/// with what one has begun.
///
/// ```
/// let whole = backstop_sim::text("gpt-4o+tokens=8");
/// assert!(backstop_sim::text("claude-sonnet-4-6").starts_with(&whole));
/// ```
///
/// # Panics
///
/// If the model names a fault that does not exist.
#[must_use]
pub fn text(model: &str) -> String {
    let (_, plan) = Plan::of(model).expect("a model with known faults");
    let script = plan.style.script();
    script.text[..script.end(plan.tokens)].to_owned()
}

/// What the conversation already has of an answer.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The assistant's last turn, if it is the last or the one before.
    pub(crate) prefix: Option<String>,
    /// The user's turn behind it.
    pub(crate) user: Option<String>,
}

impl Given {
    /// Whether the conversation ends with it.
    pub(crate) const fn is_last(&self) -> bool {
        self.prefix.is_some() && self.user.is_none()
    }
}

/// A text answer, escaped for JSON.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) tokens: Vec<Cow<'static, str>>,
    /// The stop sequence that ended it.
    pub(crate) stopped_by: Option<String>,
    pub(crate) cut_short: bool,
}

/// Answers with the plan's text, or with what the conversation leaves of it.
pub(crate) fn say(plan: &Plan, given: &Given, stops: &[String], max: Option<usize>) -> Said {
    let (script, part) = part(plan, given);
    let text = &script.text[part.clone()];
    let stop = stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop)))
        .min_by_key(|(at, _)| *at);
    let end = stop.map_or(part.end, |(at, _)| part.start + at);
    let mut tokens = script.tokens(part.start..end);
    let cut_short = max.is_some_and(|max| max < tokens.len());
    if cut_short {
        tokens.truncate(max.unwrap_or_default());
    }
    Said {
        tokens,
        stopped_by: stop.filter(|_| !cut_short).map(|(_, stop)| stop.clone()),
        cut_short,
    }
}

fn part(plan: &Plan, given: &Given) -> (&'static Script, Range<usize>) {
    let own = plan.style.script();
    let whole = 0..own.end(plan.tokens);
    let Some(prefix) = given
        .prefix
        .as_deref()
        .filter(|prefix| !prefix.trim().is_empty())
    else {
        return (own, whole);
    };
    let Some(script) = std::iter::once(own)
        .chain(Style::NAMED.into_iter().map(Style::script))
        .find(|script| script.text.starts_with(prefix))
    else {
        return (own, whole);
    };
    let end = script.end(plan.tokens).max(prefix.len());
    let tail = given
        .user
        .as_deref()
        .and_then(|user| quoted_tail(prefix, user));
    if given.user.is_some() && tail.is_none() && prefix.len() == end {
        // A finished answer and then another turn: a new question.
        return (own, whole);
    }
    let start = match plan.seam {
        Seam::AsAsked => tail.map_or(prefix.len(), |tail| tail.start),
        Seam::NoAnchor => prefix.len(),
        Seam::Echo | Seam::Restart => 0,
        Seam::Overlap(chars) => {
            let skipped = prefix.chars().count().saturating_sub(chars);
            prefix
                .char_indices()
                .nth(skipped)
                .map_or(prefix.len(), |(at, _)| at)
        }
        Seam::Paraphrase => {
            let other = Style::Paraphrase.script();
            return (other, 0..other.end(plan.tokens));
        }
    };
    (script, start..end)
}

/// The longest tail of `prefix` that `user` contains: at least twelve characters, or all of it.
///
/// White space at the end of the prefix may be missing from the quotation.
fn quoted_tail(prefix: &str, user: &str) -> Option<Range<usize>> {
    let tail = |prefix: &str| {
        let mut starts = prefix.char_indices().rev().map(|(at, _)| at);
        let shortest = starts.nth(11).unwrap_or(0);
        if !user.contains(&prefix[shortest..]) {
            return None;
        }
        let start = starts
            .take_while(|at| user.contains(&prefix[*at..]))
            .last()
            .unwrap_or(shortest);
        Some(start..prefix.len())
    };
    [prefix, prefix.trim_end()]
        .into_iter()
        .filter_map(tail)
        .min_by_key(|tail| tail.start)
}

#[cfg(test)]
mod tests;
