//! A record as one JSON object. The names are a contract: add to them freely, never change one.

use std::time::{Duration, SystemTime};

use backstop_core::{Attempt, Ceiling, Deployment, NanoUsd, Resume, Skipped, Usage};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::Record;

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let served = self.served.as_deref();
        let mut json = serializer.serialize_struct("Record", 29)?;
        json.serialize_field("request_id", &*self.request_id)?;
        json.serialize_field("ts", &Moment(self.started_at))?;
        json.serialize_field("requested_model", &self.requested_model.as_deref())?;
        json.serialize_field("model", &served.and_then(model))?;
        json.serialize_field("deployment", &served.map(|served| &**served.id()))?;
        json.serialize_field("provider", &served.and_then(provider))?;
        json.serialize_field("region", &served.and_then(region))?;
        json.serialize_field("stream", &self.stream)?;
        json.serialize_field("outcome", self.outcome.as_str())?;
        json.serialize_field("http_status", &self.http_status.map(|s| s.as_u16()))?;
        json.serialize_field("latency_ms", &Millis(self.latency))?;
        json.serialize_field("overhead_ms", &Millis(self.overhead))?;
        json.serialize_field("ttft_ms", &self.ttft.map(Millis))?;
        json.serialize_field("attempt_count", &self.attempts.len())?;
        json.serialize_field("retry_count", &self.retries)?;
        json.serialize_field("fallback_count", &self.fallbacks)?;
        json.serialize_field("usage", &self.usage.map(Tokens))?;
        json.serialize_field("cost_nano_usd", &self.cost.map(NanoUsd::as_nano))?;
        json.serialize_field("cost_usd", &self.cost.map(Dollars))?;
        json.serialize_field("key_id", &self.key_id.as_deref())?;
        let ceilings = (!self.ceilings.is_empty()).then(|| Rows(&self.ceilings, CeilingRow));
        json.serialize_field("budget", &ceilings)?;
        json.serialize_field("policy", &self.policy.as_deref())?;
        json.serialize_field("resumes", &Rows(&self.resumes, ResumeRow))?;
        json.serialize_field("attempts", &Rows(&self.attempts, AttemptRow))?;
        json.serialize_field(
            "skipped",
            &Rows(&self.skipped, |skipped| {
                SkippedRow(self.started_at, skipped)
            }),
        )?;
        json.serialize_field("notes", &self.notes)?;
        json.serialize_field("detail", &self.detail)?;
        json.end()
    }
}

struct ResumeRow<'a>(&'a Resume);

impl Serialize for ResumeRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let resume = self.0;
        let mut json = serializer.serialize_struct("Resume", 6)?;
        json.serialize_field("at_ms", &Millis(resume.at))?;
        json.serialize_field("delivered_chars", &resume.delivered)?;
        json.serialize_field(
            "deployment",
            &resume.deployment.as_ref().map(|it| &**it.id()),
        )?;
        json.serialize_field("mode", &resume.mode)?;
        json.serialize_field("seam_cut_bytes", &resume.cut)?;
        json.serialize_field("refused", &resume.refused)?;
        json.end()
    }
}

struct AttemptRow<'a>(&'a Attempt);

impl Serialize for AttemptRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attempt = self.0;
        let deployment = &*attempt.deployment;
        let result = attempt
            .result
            .map(|result| result.map_or_else(|kind| kind.as_str(), |()| "ok"));
        let reason = attempt.retry_reason.map(|reason| reason.as_str());
        let decision = attempt.decision.map(|decision| decision.as_str());
        let mut json = serializer.serialize_struct("Attempt", 16)?;
        json.serialize_field("deployment", &**deployment.id())?;
        json.serialize_field("provider", &provider(deployment))?;
        json.serialize_field("model", &model(deployment))?;
        json.serialize_field("region", &region(deployment))?;
        json.serialize_field("result", &result)?;
        json.serialize_field("http_status", &attempt.status.map(|s| s.as_u16()))?;
        json.serialize_field("provider_request_id", &attempt.request_id.as_deref())?;
        json.serialize_field("started_ms", &Millis(attempt.started))?;
        json.serialize_field("duration_ms", &attempt.duration.map(Millis))?;
        json.serialize_field("ttft_ms", &attempt.first_content.map(Millis))?;
        json.serialize_field("retry_reason", &reason)?;
        json.serialize_field("delay_ms", &attempt.delay.map(Millis))?;
        json.serialize_field("next_action", &decision)?;
        json.serialize_field("usage", &attempt.usage.map(Tokens))?;
        json.serialize_field("cost_nano_usd", &attempt.cost.map(NanoUsd::as_nano))?;
        json.serialize_field("notes", &attempt.notes)?;
        json.end()
    }
}

/// A deployment that was passed over, in a request that began at that time.
struct SkippedRow<'a>(SystemTime, &'a Skipped);

impl Serialize for SkippedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(started_at, skipped) = *self;
        let until = skipped
            .back_in
            .and_then(|back_in| started_at.checked_add(skipped.at)?.checked_add(back_in));
        let mut json = serializer.serialize_struct("Skipped", 4)?;
        json.serialize_field("deployment", &**skipped.deployment.id())?;
        json.serialize_field("reason", skipped.reason.as_str())?;
        json.serialize_field("until", &until.map(Moment))?;
        json.serialize_field("detail", &skipped.detail)?;
        json.end()
    }
}

struct CeilingRow<'a>(&'a Ceiling);

impl Serialize for CeilingRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Ceiling {
            budget, id, effect, ..
        } = self.0;
        let mut json = serializer.serialize_struct("Ceiling", 3)?;
        json.serialize_field("budget", &**budget)?;
        json.serialize_field("id", &**id)?;
        json.serialize_field("effect", effect)?;
        json.end()
    }
}

/// Dollars as decimal text: a JSON number would be read into a float.
struct Dollars(NanoUsd);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Tokens(Usage);

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let usage = &self.0;
        let mut json = serializer.serialize_struct("Usage", 7)?;
        json.serialize_field("input", &usage.input)?;
        json.serialize_field("output", &usage.output)?;
        json.serialize_field("cached", &usage.cached)?;
        json.serialize_field("cache_write", &usage.cache_write)?;
        json.serialize_field("cache_write_1h", &usage.cache_write_1h)?;
        json.serialize_field("reasoning", &usage.reasoning)?;
        json.serialize_field("source", usage.source.as_str())?;
        json.end()
    }
}

/// A slice, each item written through a view.
struct Rows<'a, T, V>(&'a [T], V);

impl<'a, T, V, R> Serialize for Rows<'a, T, V>
where
    V: Fn(&'a T) -> R,
    R: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Milliseconds, with microseconds behind the point.
struct Millis(Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // By way of 64 bits, which the processor converts by itself.
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        serializer.serialize_f64(micros as f64 / 1000.0)
    }
}

/// RFC 3339 in UTC, with microseconds; null for a time outside the years that RFC 3339 can write.
pub(crate) struct Moment(pub(crate) SystemTime);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        match Timestamp::try_from(self.0) {
            Ok(time) => serializer.serialize_str(&PRINTER.timestamp_to_string(&time)),
            Err(_) => serializer.serialize_none(),
        }
    }
}

fn provider(deployment: &Deployment) -> Option<&str> {
    known(deployment.provider())
}

fn model(deployment: &Deployment) -> Option<&str> {
    known(deployment.model())
}

fn region(deployment: &Deployment) -> Option<&str> {
    deployment.region().map(|region| &**region)
}

fn known(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}
