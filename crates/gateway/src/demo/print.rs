//! What a reader sees: what the client saw beside what the record says.

use std::path::Path;

use backstop_config::Config;
use backstop_core::BoxError;
use serde_json::Value;

use super::visit::Visit;
use crate::logging::is_colorful;

/// A line on stdout, whether or not anybody still reads it.
macro_rules! say {
    ($($part:tt)*) => {
        crate::announce(format_args!($($part)*))
    };
}

pub(super) struct Printer {
    color: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

impl Printer {
    pub(super) fn new() -> Self {
        Self {
            color: is_colorful(&std::io::stdout()),
        }
    }

    pub(super) fn opening(&self, sim: &str, gateway: &str, audit: &Path, config: &Config) {
        say!(
            "{}",
            self.paint(
                BOLD,
                "Backstop demo: three simulated providers, one chain, no outage visible."
            )
        );
        say!("  providers  {sim}  (simulated: OpenAI, Anthropic, Bedrock)");
        say!("  gateway    {gateway}/v1/chat/completions");
        say!("  audit      {}  (until it ends)", audit.display());
        for chain in config.chains() {
            let steps: Vec<&str> = chain.steps.iter().map(|step| &*step.id).collect();
            say!(
                "  chain      {}: {}",
                chain.model,
                steps.join("\n             → ")
            );
        }
    }

    pub(super) fn title(&self, number: usize, title: &str) {
        say!("");
        say!("{}", self.paint(BOLD, &format!("{number:>2}. {title}")));
    }

    /// `in_full` shows the record's rows, too.
    pub(super) fn visit(&self, visit: &Visit, calls: usize, in_full: bool) {
        let took = format!("{:>6.1} ms", visit.took.as_secs_f64() * 1000.0);
        let status = match (visit.status, &visit.error) {
            (200, None) => self.paint(GREEN, "200"),
            (200, Some(_)) => self.paint(YELLOW, "200"),
            (status, _) => self.paint(RED, &status.to_string()),
        };
        let said = match (&visit.error, &visit.served_by) {
            (Some(code), _) if visit.text.is_empty() => code.clone(),
            (Some(code), _) => format!("“{}” {code}, no finish reason", shorten(&visit.text)),
            (None, by) => format!(
                "{}: “{}”",
                by.as_deref().unwrap_or("-"),
                shorten(&visit.text)
            ),
        };
        let back = visit
            .retry_after
            .as_ref()
            .map(|seconds| format!(", retry-after {seconds} s"))
            .unwrap_or_default();
        let sent = if visit.stream { "stream" } else { "json" };
        say!("    client  {status} {took}  {sent:6}  {said}{back}");
        if !in_full {
            return;
        }
        let rows = rows(&visit.record);
        let width = rows
            .iter()
            .filter(|(_, what)| !what.is_empty())
            .map(|(who, _)| who.chars().count())
            .max()
            .unwrap_or(0);
        for (index, (who, what)) in rows.iter().enumerate() {
            let label = if index == 0 { "audit" } else { "" };
            say!(
                "    {}",
                self.paint(DIM, format!("{label:6}  {who:width$}  {what}").trim_end())
            );
        }
        let count = |what: &str| visit.record[what].as_u64().unwrap_or_default();
        let counts = format!(
            "{:6}  {}: attempts {}, retries {}, fallbacks {}, calls to providers {calls}",
            "",
            visit.record["outcome"].as_str().unwrap_or("-"),
            count("attempt_count"),
            count("retry_count"),
            count("fallback_count"),
        );
        say!("    {}", self.paint(DIM, &counts));
    }

    pub(super) fn failed(&self, error: &BoxError) {
        say!("    {}  {error}", self.paint(RED, "FAILED"));
    }

    pub(super) fn closing(&self, scenes: usize, failed: &[&str]) {
        say!("");
        if failed.is_empty() {
            say!(
                "{}",
                self.paint(GREEN, &format!("All {scenes} scenes went as they should."))
            );
        } else {
            say!(
                "{}",
                self.paint(RED, &format!("Not as they should: {}", failed.join("; ")))
            );
        }
    }

    pub(super) fn keeping(gateway: &str) {
        say!("");
        say!("Still serving; stop it with Ctrl-C. Try:");
        say!(
            "  curl {gateway}/v1/chat/completions -H 'content-type: application/json' \\\n       \
             -d '{{\"model\": \"smart\", \"messages\": [{{\"role\": \"user\", \"content\": \"hello\"}}]}}'"
        );
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{color}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The record's rows: who was passed over, who was asked, how that ended, what followed.
fn rows(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |name: &str| record[name].as_array().cloned().unwrap_or_default();
    let skipped = list("skipped").into_iter().map(|row| {
        (
            text(&row["deployment"]),
            format!("skipped: {}", text(&row["reason"])),
        )
    });
    let attempts = list("attempts").into_iter().map(|row| {
        let status = row["http_status"]
            .as_u64()
            .map(|status| status.to_string())
            .unwrap_or_default();
        let took = row["duration_ms"].as_f64().unwrap_or_default();
        let what = format!(
            "{:13} {status:3} {took:>6.1} ms  → {}",
            text(&row["result"]),
            text(&row["next_action"])
        );
        (text(&row["deployment"]), what)
    });
    let resumes = list("resumes").into_iter().map(|row| {
        let delivered = row["delivered_chars"].as_u64().unwrap_or_default();
        match row["refused"].as_str() {
            Some(why) => (
                format!("cut after {delivered} characters: {why}"),
                String::new(),
            ),
            None => (
                text(&row["deployment"]),
                format!(
                    "went on after {delivered} characters: {}",
                    text(&row["mode"])
                ),
            ),
        }
    });
    skipped.chain(attempts).chain(resumes).collect()
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(30).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
