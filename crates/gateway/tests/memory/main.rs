//! What the gateway holds of streams whose clients read slower than their provider writes.

#[path = "../support/mod.rs"]
mod support;

mod endless;
mod reader;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::interval;

use self::endless::{Endless, MIB};
use self::reader::Reader;
use self::support::{Gateway, Setup, config, deployment, within};

/// A gateway before this provider alone.
async fn gateway(upstream: &Endless) -> Gateway {
    let base = format!("api_base: {}", upstream.url());
    let deployments = [deployment("m", "openai/gpt-4o").param(&base)];
    Setup::serve(&config(&deployments, "audit: off"))
        .start()
        .await
}

impl Endless {
    /// Waits until it can write no more: how much it has written then.
    async fn stalled(&self) -> usize {
        let mut looks = interval(Duration::from_millis(50));
        let stalls = async {
            let (mut before, mut same) = (0, 0);
            while same < 10 {
                looks.tick().await;
                let now = self.written.load(Ordering::Relaxed);
                same = if now == before { same + 1 } else { 0 };
                before = now;
            }
            before
        };
        within("a provider that is made to wait", stalls).await
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_provider() {
    const SIZE: usize = 16 * MIB;
    let upstream = Endless::start(SIZE).await;
    let gateway = gateway(&upstream).await;
    let mut reader = Reader::start(gateway.addr()).await.expect("an answer");
    let written = upstream.stalled().await;
    assert!(
        written < SIZE / 2,
        "{written} bytes were written, and nobody read them"
    );
    // When it is read, all of it comes.
    let read = reader.finish().await;
    assert_eq!(read.tokens, upstream.tokens());
    assert!(read.done);
}

/// The most memory that a process had, in bytes.
fn peak(gateway: &Gateway) -> usize {
    let path = format!("/proc/{}/status", gateway.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    let kib: usize = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kib * 1024
}

/// Lets this process, and the gateway that it starts, have so many files open.
fn open_files(needed: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|most| most >= needed),
        "this test needs {needed} open files: raise the hard limit (ulimit -Hn) of {:?}",
        limit.maximum
    );
    if limit.current.is_some_and(|now| now < needed) {
        limit.current = Some(needed);
        setrlimit(Resource::Nofile, limit).expect("below the hard limit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_readers_take_less_than_150_mib() {
    const STREAMS: usize = 1000;
    const SIZE: usize = 5 * MIB / 2;
    open_files(2 * STREAMS as u64 + 500);
    let upstream = Endless::start(SIZE).await;
    let gateway = gateway(&upstream).await;
    // The program itself: in a debug build several times what is shipped.
    let idle = peak(&gateway);
    let opened = (0..STREAMS).map(|_| Reader::start(gateway.addr()));
    let mut readers = try_join_all(opened).await.expect("answers");
    let written = upstream.stalled().await;
    assert!(
        written < STREAMS * SIZE / 2,
        "{written} bytes were written, and nobody read them"
    );
    assert_eq!(
        upstream.finished.load(Ordering::Relaxed),
        0,
        "all are under way"
    );
    // A little of each, so that everything moves.
    join_all(readers.iter_mut().map(|reader| reader.some(32 * 1024))).await;
    upstream.stalled().await;
    assert_eq!(
        upstream.finished.load(Ordering::Relaxed),
        0,
        "all are under way"
    );
    let added = peak(&gateway) - idle;
    assert!(
        added < 150 * MIB,
        "{} MiB for {STREAMS} streams, {} MiB without any",
        added / MIB,
        idle / MIB
    );
}
