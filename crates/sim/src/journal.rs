//! What arrived, in order, and how each exchange ended.

use crate::Provider;
use bytes::Bytes;
use serde_json::{Value, json};
use std::{collections::VecDeque, sync::Mutex};
use tokio::sync::watch;

/// The oldest entries go when there are more than this many, or their bodies hold more than [`MAX_BYTES`].
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: usize = 64 << 20;

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is being answered.
    Open,
    /// All of the answer was handed to the connection.
    Finished,
    /// A fault ended it: a reset, or a connection closed early.
    Cut,
    /// The client closed the connection, or let go of the answer, before its end.
    ClientGone,
}

impl Progress {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finished => "finished",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
        }
    }
}

/// One request as it arrived. Nothing of the caller's key is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Counts up from 1 over the simulator's life.
    pub seq: u64,
    /// Whose format the request came in.
    pub provider: Provider,
    /// The path of the request.
    pub path: String,
    /// The model as it was asked for, faults included; empty if there was none.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The `content-length` that the request declared.
    pub content_length: Option<u64>,
    /// Whether an `authorization` or `x-api-key` header came along.
    pub has_key: bool,
    /// Whether that key is one that the simulator accepts.
    pub key_ok: bool,
    /// The status that was answered; none while nothing was.
    pub status: Option<u16>,
    /// How far the exchange has come.
    pub progress: Progress,
}

impl Entry {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn sample(seq: u64, provider: Provider, body: Bytes) -> Self {
        Self {
            seq,
            provider,
            path: "/".to_owned(),
            model: "m".to_owned(),
            stream: false,
            body,
            content_length: None,
            has_key: true,
            key_ok: true,
            status: None,
            progress: Progress::Open,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "seq": self.seq,
            "provider": self.provider.name(),
            "path": self.path,
            "model": self.model,
            "stream": self.stream,
            "body": String::from_utf8_lossy(&self.body),
            "content_length": self.content_length,
            "has_key": self.has_key,
            "key_ok": self.key_ok,
            "status": self.status,
            "state": self.progress.name(),
        })
    }
}

/// The journal of a running simulator: the last 10 000 requests, or 64 MiB of their bodies.
#[derive(Debug)]
pub struct Journal {
    log: Mutex<Log>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            log: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// Forgets the requests so far. Numbering goes on.
    pub fn clear(&self) {
        let mut log = self.lock();
        log.entries.clear();
        log.bytes = 0;
    }

    /// Waits until at least `n` entries satisfy `matches`, and returns all that do.
    ///
    /// Nothing is polled: each change of an entry wakes it. It waits for ever if they never come.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_for(&self, n: usize, mut matches: impl FnMut(&Entry) -> bool) -> Vec<Entry> {
        let mut changed = self.changed.subscribe();
        loop {
            let found: Vec<_> = {
                let log = self.lock();
                log.entries
                    .iter()
                    .filter(|entry| matches(entry))
                    .cloned()
                    .collect()
            };
            if found.len() >= n {
                return found;
            }
            changed
                .changed()
                .await
                .expect("the journal owns the sender");
        }
    }

    pub(crate) fn open(&self, entry: impl FnOnce(u64) -> Entry) -> u64 {
        let mut log = self.lock();
        log.last += 1;
        let entry = entry(log.last);
        let seq = entry.seq;
        log.bytes += entry.body.len();
        log.entries.push_back(entry);
        while log.entries.len() > MAX_ENTRIES || log.bytes > MAX_BYTES {
            let Some(oldest) = log.entries.pop_front() else {
                break;
            };
            log.bytes -= oldest.body.len();
        }
        drop(log);
        self.changed.send_replace(());
        seq
    }

    pub(crate) fn update(&self, seq: u64, change: impl FnOnce(&mut Entry)) {
        let mut log = self.lock();
        let Ok(index) = log.entries.binary_search_by_key(&seq, |entry| entry.seq) else {
            return;
        };
        change(&mut log.entries[index]);
        drop(log);
        self.changed.send_replace(());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_the_bodies_hold_too_much() {
        let journal = Journal::new();
        let body = Bytes::from(vec![0; MAX_BYTES / 4]);
        for _ in 0..6 {
            journal.open(|seq| Entry::sample(seq, Provider::OpenAi, body.clone()));
        }
        let seqs: Vec<_> = journal.entries().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [3, 4, 5, 6]);
        // An exchange whose entry is gone ends without a trace.
        journal.update(1, |entry| entry.progress = Progress::Finished);
        journal.clear();
        journal.open(|seq| Entry::sample(seq, Provider::OpenAi, body));
        assert_eq!(journal.entries()[0].seq, 7);
    }
}
