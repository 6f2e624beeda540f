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

    /// Asserts that this was its answer, and the whole of it.
    fn assert_whole(&self, reader: &Reader) {
        assert_eq!(reader.tokens, self.events);
        let [finish, done] = &reader.others[..] else {
            panic!("unexpected events: {:?}", reader.others);
        };
        assert!(finish.contains(r#""finish_reason":"stop""#), "{finish}");
        assert_eq!(done, "data: [DONE]");
        assert!(reader.over);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_provider() {
    const SIZE: usize = 16 * MIB;
    let upstream = Endless::start(SIZE, "token ").await;
    let gateway = gateway(&upstream).await;
    let mut reader = Reader::start(gateway.addr()).await.expect("an answer");
    let written = upstream.stalled().await;
    assert!(
        written < SIZE / 2,
        "{written} bytes were written, and nobody read them"
    );
    // When it is read, all of it comes.
    reader.some(usize::MAX, &upstream.event).await;
    upstream.assert_whole(&reader);
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

/// All of them read on in turn, as far as `STEP` each, and each time wait until the gateway makes the provider wait; some
/// then read to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_readers_take_less_than_150_mib() {
    const STREAMS: usize = 1000;
    const SIZE: usize = 9 * MIB / 4;
    const STEP: usize = 128 * 1024;
    const STEPS: usize = 3;
    const WHOLE: usize = 100;
    open_files(2 * STREAMS as u64 + 500);
    let upstream = Endless::start(SIZE, &"token ".repeat(64)).await;
    let gateway = gateway(&upstream).await;
    let idle = peak(&gateway);
    let opened = (0..STREAMS).map(|_| Reader::start(gateway.addr()));
    let mut readers = try_join_all(opened).await.expect("answers");
    for step in 0..STEPS {
        let written = upstream.stalled().await;
        assert!(
            written < STREAMS * (step + 2) * STEP,
            "{written} bytes were written at step {step}"
        );
        let all = readers.iter_mut();
        join_all(all.map(|reader| reader.some(STEP, &upstream.event))).await;
    }
    assert_eq!(
        upstream.finished.load(Ordering::Relaxed),
        0,
        "all are under way"
    );
    let some = readers.iter_mut().take(WHOLE);
    join_all(some.map(|reader| reader.some(usize::MAX, &upstream.event))).await;
    for reader in &readers[..WHOLE] {
        upstream.assert_whole(reader);
    }
    let peak = peak(&gateway);
    assert!(
        peak < 150 * MIB,
        "{} MiB for {STREAMS} streams, {} MiB without any",
        peak / MIB,
        idle / MIB
    );
}
