//! What the gateway's own audit records say of failing over, and of going on with a stream that broke.

use std::path::Path;

use serde::Deserialize;

use crate::Result;

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    requested_model: Option<String>,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    started_ms: f64,
    duration_ms: f64,
    delay_ms: Option<f64>,
}

/// How long it took from each failed answer, or the break of one, to the next attempt, in microseconds; sorted.
pub(crate) struct Decisions {
    pub(crate) times: Vec<f64>,
    /// Attempts that were held back.
    pub(crate) delayed: usize,
}

impl Decisions {
    /// Reads the records of requests for `model`, all of which were answered by the second deployment.
    pub(crate) fn read(directory: &Path, model: &str) -> Result<Self> {
        let (mut times, mut delayed) = (Vec::new(), 0);
        for file in std::fs::read_dir(directory)? {
            for line in std::fs::read_to_string(file?.path())?.lines() {
                let record: Record = serde_json::from_str(line)?;
                if record.requested_model.as_deref() != Some(model) {
                    continue;
                }
                let [failed, next] = &record.attempts[..] else {
                    return Err(format!("not two attempts: {line}").into());
                };
                times.push((next.started_ms - failed.started_ms - failed.duration_ms) * 1e3);
                delayed += usize::from(next.delay_ms.is_some());
            }
        }
        if times.is_empty() {
            return Err(format!("no record of `{model}` in {}", directory.display()).into());
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(Self { times, delayed })
    }

    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.times[((self.times.len() - 1) as f64 * part).round() as usize]
    }
}
