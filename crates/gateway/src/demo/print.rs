//! What a reader sees: what the client saw beside what the record says.

use std::io::IsTerminal;
use std::path::Path;

use backstop_config::Config;
use backstop_core::BoxError;
use serde_json::Value;

use super::visit::Visit;

pub(super) struct Printer {
    color: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

#[expect(clippy::print_stdout, reason = "the demo talks to whoever runs it")]
impl Printer {
    pub(super) fn new() -> Self {
        Self { color: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    pub(super) fn opening(&self, sim: &str, gateway: &str, audit: &Path, config: &Config) {
        println!("{}", self.paint(BOLD, "Backstop demo: three simulated providers, one chain, no outage visible."));
        println!("  providers  {sim}  (OpenAI, Anthropic and Bedrock wire formats, simulated)");
        println!("  gateway    {gateway}/v1/chat/completions");
        println!("  audit      {}", audit.display());
        for chain in config.chains() {
            let steps: Vec<&str> = chain.steps.iter().map(|step| &*step.id).collect();
            println!("  chain      {}: {}", chain.model, steps.join(" → "));
        }
    }

    pub(super) fn title(&self, number: usize, title: &str) {
        println!();
        println!("{}", self.paint(BOLD, &format!("{number:>2}. {title}")));
    }

    pub(super) fn visit(&self, nth: usize, visit: &Visit, calls: usize) {
        let number = if nth == 0 { "client".to_owned() } else { format!("  #{}  ", nth + 1) };
        let took = format!("{:.1} ms", visit.took.as_secs_f64() * 1000.0);
        let status = if visit.status == 200 && visit.error.is_none() {
            self.paint(GREEN, "200")
        } else if visit.status == 200 {
            self.paint(YELLOW, "200, then an error")
        } else {
            self.paint(RED, &visit.status.to_string())
        };
        let mut said = match (&visit.error, &visit.served_by) {
            (None, Some(by)) => format!("answered by {by}: “{}”", shorten(&visit.text)),
            (Some(code), _) if !visit.text.is_empty() => format!("“{}” {code}, no finish reason", shorten(&visit.text)),
            (Some(code), _) => code.clone(),
            (None, None) => String::new(),
        };
        if let Some(seconds) = &visit.retry_after {
            said.push_str(&format!(", retry-after {seconds} s"));
        }
        println!("    {number}  {status} in {took}, {said}");
        println!("    {}   {}", self.paint(DIM, "audit"), self.paint(DIM, &trail(&visit.record)));
        let counts = format!(
            "attempts {}, retries {}, fallbacks {}; calls that reached a provider: {calls}",
            visit.attempts, visit.retries, visit.fallbacks
        );
        println!("            {}", self.paint(DIM, &counts));
    }

    pub(super) fn failed(&self, error: &BoxError) {
        println!("    {}  {error}", self.paint(RED, "FAILED"));
    }

    pub(super) fn closing(&self, scenes: usize, failed: &[&str]) {
        println!();
        if failed.is_empty() {
            println!("{}", self.paint(GREEN, &format!("All {scenes} scenes went as they should.")));
        } else {
            println!("{}", self.paint(RED, &format!("Not as they should: {}", failed.join("; "))));
        }
    }

    pub(super) fn keeping(&self, gateway: &str) {
        println!();
        println!("Still serving; stop it with Ctrl-C. Try:");
        println!(
            "  curl {gateway}/v1/chat/completions -H 'content-type: application/json' \\\n       \
             -d '{{\"model\": \"smart\", \"messages\": [{{\"role\": \"user\", \"content\": \"hello\"}}]}}'"
        );
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The record's rows on one line: who was skipped, who was asked, how each ended, what followed.
fn trail(record: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let skipped = record["skipped"].as_array().into_iter().flatten();
    let skipped = skipped.map(|row| format!("{} skipped ({})", text(&row["deployment"]), text(&row["reason"])));
    let attempts = record["attempts"].as_array().into_iter().flatten().map(|row| {
        let status = row["http_status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
        let took = row["duration_ms"].as_f64().unwrap_or_default();
        format!("{} {}{status} in {took:.1} ms, {}", text(&row["deployment"]), text(&row["result"]), text(&row["next_action"]))
    });
    let rows: Vec<String> = skipped.chain(attempts).collect();
    format!("{} → {}", rows.join(" → "), text(&record["outcome"]))
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(36).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
