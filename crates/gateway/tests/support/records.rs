//! The records that a gateway leaves.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::interval;

use super::process::{Finished, Gateway};
use super::within;

impl Gateway {
    /// Waits for `n` records, and returns all that are there then, in the order in which requests ended.
    pub(crate) async fn records(&self, n: usize) -> Vec<Value> {
        let mut looks = interval(Duration::from_millis(5));
        let enough = async {
            loop {
                looks.tick().await;
                let records = read(&self.path("backstop-audit"));
                if records.len() >= n {
                    return records;
                }
            }
        };
        within(&format!("{n} records"), enough).await
    }

    /// Waits for the record of the request with that id.
    pub(crate) async fn record(&self, request_id: &str) -> Value {
        let mut n = 1;
        loop {
            let records = self.records(n).await;
            if let Some(record) = records
                .iter()
                .find(|record| record["request_id"] == request_id)
            {
                return record.clone();
            }
            n = records.len() + 1;
        }
    }
}

impl Finished {
    /// All records.
    pub(crate) fn records(&self) -> Vec<Value> {
        read(&self.dir.path().join("backstop-audit"))
    }
}

/// Whole lines only: another may be in the making.
fn read(dir: &Path) -> Vec<Value> {
    let Ok(files) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("readable"));
    let lines = |text: String| {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]).lines();
        whole
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect::<Vec<_>>()
    };
    texts.flat_map(lines).collect()
}
