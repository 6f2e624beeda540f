use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Condvar;

use backstop_core::{BoxError, Outcome, Trail};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use super::segment::{Directory, Segment};
use super::*;
use crate::{AuditLayer, End, Seen};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

/// A disk in memory that fails on demand.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<Platter>, Condvar)>);

#[derive(Default)]
struct Platter {
    segments: Vec<Vec<u8>>,
    /// Appending fails, half-way.
    full: bool,
    /// So many syncs fail.
    bad_syncs: usize,
    /// Appending waits.
    stuck: bool,
    /// Appends that came.
    appends: usize,
}

impl Disk {
    fn change(&self, change: impl FnOnce(&mut Platter)) {
        change(&mut self.0.0.lock().expect("no panic"));
        self.0.1.notify_all();
    }

    fn wait_for_appends(&self, count: usize) {
        let platter = self.0.0.lock().expect("no panic");
        let few = |platter: &mut Platter| platter.appends < count;
        drop(self.0.1.wait_while(platter, few).expect("no panic"));
    }

    fn segments(&self) -> Vec<String> {
        let platter = self.0.0.lock().expect("no panic");
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("UTF-8");
        platter.segments.iter().map(text).collect()
    }

    /// All lines, each of which has to be whole.
    fn lines(&self) -> Vec<Value> {
        self.segments()
            .iter()
            .flat_map(|text| parse(text))
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.lines().iter().map(id).collect()
    }
}

impl Directory for Disk {
    type Segment = DiskSegment;

    fn create(&mut self) -> io::Result<DiskSegment> {
        let mut number = 0;
        self.change(|platter| {
            number = platter.segments.len();
            platter.segments.push(Vec::new());
        });
        Ok(DiskSegment {
            disk: self.clone(),
            number,
            poisoned: false,
        })
    }
}

struct DiskSegment {
    disk: Disk,
    number: usize,
    poisoned: bool,
}

impl Segment for DiskSegment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(!self.poisoned, "a segment is not used after a failed sync");
        self.disk.change(|platter| platter.appends += 1);
        let (platter, wake) = &*self.disk.0;
        let platter = platter.lock().expect("no panic");
        let stuck = |platter: &mut Platter| platter.stuck;
        let mut platter = wake.wait_while(platter, stuck).expect("no panic");
        let full = platter.full;
        let taken = if full { bytes.len() / 2 } else { bytes.len() };
        platter.segments[self.number].extend_from_slice(&bytes[..taken]);
        if full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        assert!(!self.poisoned, "a failed sync is not repeated");
        let mut bad = false;
        self.disk.change(|platter| {
            bad = platter.bad_syncs > 0;
            platter.bad_syncs -= usize::from(bad);
        });
        self.poisoned = bad;
        if bad {
            return Err(io::Error::other("EIO"));
        }
        Ok(())
    }

    fn abandon(self, durable: u64) {
        self.disk.change(|platter| {
            let durable = usize::try_from(durable).expect("small");
            platter.segments[self.number].truncate(durable);
        });
    }
}

fn start(disk: &Disk, settings: JsonLinesBuilder) -> JsonLines {
    let settings = JsonLinesBuilder {
        probe: Duration::from_millis(1),
        ..settings.patience(FOREVER)
    };
    settings
        .start(disk.clone())
        .expect("a disk in memory opens")
}

fn reject() -> JsonLinesBuilder {
    JsonLines::builder().on_failure(OnFailure::Reject)
}

fn record(id: &str) -> Record {
    let seen = Seen {
        status: Some(http::StatusCode::OK),
        first_data: None,
        failure: None,
        end: End::Complete,
    };
    Record::from_trail(Trail::with_id(id).snapshot(), &seen)
}

async fn slot(sink: &JsonLines) -> JsonLinesSlot {
    sink.reserve().await.expect("a slot")
}

async fn write(sink: &JsonLines, id: &str) {
    slot(sink).await.write(record(id)).await;
}

async fn until_healthy(sink: &JsonLines, wanted: bool) {
    let mut healthy = sink.0.healthy.clone();
    let changed = healthy.wait_for(|healthy| *healthy == wanted).await;
    drop(changed.expect("the writer runs"));
}

fn parse(text: &str) -> Vec<Value> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a torn line: {text}"
    );
    let line = |line| serde_json::from_str(line).expect("a line is an object");
    text.lines().map(line).collect()
}

fn id(line: &Value) -> String {
    line["request_id"].as_str().unwrap_or("none").to_owned()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn read(files: &[PathBuf]) -> Vec<Value> {
    let text = |file| fs::read_to_string(file).expect("a file");
    files.iter().flat_map(|file| parse(&text(file))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_are_all_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let sink = JsonLines::builder()
        .capacity(64)
        .patience(FOREVER)
        .open(directory.path())
        .expect("writable");
    let service = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(
            "x",
        )))))
    });
    let service = BoxCloneSyncService::new(AuditLayer::new(sink.clone()).layer(service));
    let clients: Vec<_> = (0..50)
        .map(|client| {
            let service = service.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    let mut request = Request::new(());
                    let trail = Trail::with_id(format!("{client}/{number:02}"));
                    request.extensions_mut().insert(trail);
                    let response = service.clone().oneshot(request).await.expect("a response");
                    response.into_body().collect().await.expect("whole");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    sink.shutdown(FOREVER).await.expect("all written");

    let files = files(directory.path());
    let lines = read(&files);
    assert_eq!(files.len(), 1);
    assert_eq!(lines.len(), 1000);
    assert!(lines.iter().all(|line| line["outcome"] == "ok"));
    let ids: Vec<_> = lines.iter().map(id).collect();
    assert_eq!(
        ids.iter().collect::<HashSet<_>>().len(),
        1000,
        "no record stands twice"
    );
    for client in 0..50 {
        let prefix = format!("{client}/");
        let own: Vec<_> = ids.iter().filter(|id| id.starts_with(&prefix)).collect();
        assert!(
            own.is_sorted(),
            "requests that follow each other stand in order"
        );
    }
}

#[tokio::test]
async fn a_file_is_for_its_owner_and_never_written_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let nested = directory.path().join("a/b");
    for _ in 0..2 {
        let sink = JsonLines::open(&nested).expect("the directory is made");
        let other = JsonLines::open(&nested).expect("beside another");
        write(&sink, "one").await;
        write(&other, "two").await;
        sink.shutdown(FOREVER).await.expect("all written");
        other.shutdown(FOREVER).await.expect("all written");
    }
    let files = files(&nested);
    assert_eq!(files.len(), 4);
    assert_eq!(read(&files).len(), 4);
    for file in &files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        assert!(
            name.starts_with("backstop-2") && name.ends_with(".jsonl"),
            "{name}"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(file).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

#[tokio::test]
async fn a_file_without_records_is_not_left_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let sink = JsonLines::open(directory.path()).expect("writable");
    assert_eq!(files(directory.path()).len(), 1, "it has been tried");
    drop(sink);
    assert!(files(directory.path()).is_empty());
}

#[test]
fn a_directory_that_cannot_be_written_is_said_so_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("writable");
    let error = JsonLines::open(file.join("audit")).expect_err("no directory");
    assert_eq!(error.directory(), file.join("audit"));
    let text = error.to_string();
    assert!(text.contains(&file.display().to_string()) && text.contains("name another"));
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_full_file_is_followed_by_another() {
    let disk = Disk::default();
    // Each record waits for the disk, so each is a group of its own.
    let sink = start(
        &disk,
        JsonLines::builder().mode(Mode::Sync).segment_bytes(1000),
    );
    for number in 0..10 {
        write(&sink, &number.to_string()).await;
    }
    sink.shutdown(FOREVER).await.expect("all written");
    let segments = disk.segments();
    assert!(segments.len() > 2, "{}", segments.len());
    let (_, full) = segments.split_last().expect("some");
    assert!(
        full.iter()
            .all(|segment| segment.len() >= 1000 && segment.len() < 2000)
    );
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(disk.ids(), expected);
}

#[tokio::test]
async fn a_failing_disk_refuses_requests_until_it_is_back_and_loses_nothing() {
    let disk = Disk::default();
    let sink = start(&disk, reject());
    write(&sink, "before").await;
    let (running, later) = (slot(&sink).await, slot(&sink).await);
    disk.wait_for_appends(1);
    disk.change(|platter| platter.full = true);
    running.write(record("running")).await;
    until_healthy(&sink, false).await;
    sink.reserve().await.expect_err("refused");
    later.write(record("later")).await;

    disk.change(|platter| platter.full = false);
    until_healthy(&sink, true).await;
    write(&sink, "after").await;
    sink.shutdown(FOREVER).await.expect("all written");
    assert_eq!(disk.ids(), ["before", "running", "later", "after"]);
    assert_eq!(sink.dropped(), 0);
}

#[tokio::test]
async fn who_waits_for_a_slot_is_refused_when_the_disk_fails() {
    let disk = Disk::default();
    let sink = start(&disk, reject().capacity(1));
    let running = slot(&sink).await;
    let mut waiting = pin!(sink.reserve());
    assert!(waiting.as_mut().now_or_never().is_none());
    disk.change(|platter| platter.full = true);
    running.write(record("running")).await;
    waiting.await.expect_err("refused, not left waiting");
}

#[tokio::test]
async fn a_failing_disk_leaves_a_gap_that_is_told_of() {
    let disk = Disk::default();
    let sink = start(&disk, JsonLines::builder());
    disk.change(|platter| platter.full = true);
    write(&sink, "lost").await;
    until_healthy(&sink, false).await;
    for _ in 0..3 {
        write(&sink, "lost too").await;
    }
    // All slots are back when all records have been given up.
    let all = sink.0.slots.acquire_many(sink.0.capacity).await;
    drop(all.expect("open"));
    assert_eq!(sink.dropped(), 4);

    disk.change(|platter| platter.full = false);
    until_healthy(&sink, true).await;
    write(&sink, "after").await;
    sink.shutdown(FOREVER).await.expect("all written");
    let lines = disk.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["gap"]["dropped"], 4);
    assert!(lines[0]["gap"]["since"].is_string() && lines[0]["gap"]["until"].is_string());
    assert_eq!(id(&lines[1]), "after");
}

#[tokio::test]
async fn after_a_failed_sync_everything_is_written_again_in_a_new_file() {
    let disk = Disk::default();
    let sink = start(&disk, reject().mode(Mode::Sync));
    write(&sink, "one").await;
    disk.change(|platter| platter.bad_syncs = 1);
    write(&sink, "two").await;
    assert!(sink.healthy(), "one bad file is no outage");
    assert_eq!(disk.segments().len(), 2);
    assert_eq!(disk.ids(), ["one", "two"]);
}

#[tokio::test]
async fn an_outage_is_one_error_in_the_log_and_so_is_its_end() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let disk = Disk::default();
    let sink = tracing::subscriber::with_default(subscriber, || start(&disk, reject()));
    disk.change(|platter| platter.full = true);
    write(&sink, "one").await;
    until_healthy(&sink, false).await;
    // The first in the file that there was, and in a new one; then again and again.
    disk.wait_for_appends(6);
    disk.change(|platter| platter.full = false);
    until_healthy(&sink, true).await;
    sink.shutdown(FOREVER).await.expect("all written");

    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("UTF-8");
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert_eq!(log.matches("written again").count(), 1, "{log}");
}

#[tokio::test]
async fn shutdown_waits_for_requests_that_are_running() {
    let disk = Disk::default();
    let sink = start(&disk, JsonLines::builder().mode(Mode::Async));
    write(&sink, "queued").await;
    let running = slot(&sink).await;
    let mut shutdown = pin!(sink.shutdown(FOREVER));
    assert!(shutdown.as_mut().now_or_never().is_none());
    running.write(record("running")).await;
    shutdown.await.expect("all written");
    assert_eq!(disk.ids(), ["queued", "running"]);
    assert!(!sink.healthy());
}

#[tokio::test]
async fn shutdown_tells_whom_it_did_not_wait_for() {
    let disk = Disk::default();
    let sink = start(&disk, JsonLines::builder());
    let running = slot(&sink).await;
    let error = sink
        .shutdown(Duration::ZERO)
        .await
        .expect_err("one is running");
    assert_eq!((error.running(), error.lost()), (1, 0));
    running.write(record("too late")).await;
    assert_eq!(sink.dropped(), 1, "it is counted, at least");
    write(&sink, "after the end").await;
    assert_eq!(sink.dropped(), 2);
    assert!(disk.ids().is_empty());
}

#[tokio::test]
async fn a_disk_that_never_comes_back_does_not_keep_the_process() {
    let disk = Disk::default();
    let sink = start(&disk, reject());
    disk.change(|platter| platter.full = true);
    write(&sink, "lost").await;
    until_healthy(&sink, false).await;
    let error = sink
        .shutdown(Duration::ZERO)
        .await
        .expect_err("one is lost");
    assert_eq!((error.running(), error.lost()), (1, 1));
    assert!(disk.ids().is_empty());
}

#[tokio::test]
async fn dropping_the_last_handle_writes_everything() {
    let disk = Disk::default();
    let sink = start(&disk, JsonLines::builder().mode(Mode::Async));
    write(&sink, "one").await;
    let running = slot(&sink).await;
    drop(sink);
    running.write(record("two")).await;
    assert_eq!(disk.ids(), ["one", "two"]);
}

#[tokio::test]
async fn in_sync_mode_an_answer_ends_when_its_record_is_durable() {
    let disk = Disk::default();
    let sink = start(&disk, JsonLines::builder().mode(Mode::Sync));
    let mut service =
        AuditLayer::new(sink).layer(tower::service_fn(async |empty: Request<bool>| {
            let body = if *empty.body() { "" } else { "x" };
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(body))))
        }));

    disk.change(|platter| platter.stuck = true);
    let call = service
        .ready()
        .await
        .expect("ready")
        .call(Request::new(false));
    let mut body = call.await.expect("a response").into_body();
    assert!(
        body.frame().now_or_never().is_none(),
        "the last frame waits"
    );
    assert!(!http_body::Body::is_end_stream(&body));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(1));
    disk.wait_for_appends(1);
    disk.change(|platter| platter.stuck = false);
    let frame = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(frame.into_data().expect("data"), "x");
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(disk.lines()[0]["outcome"], Outcome::Ok.as_str());

    disk.change(|platter| platter.stuck = true);
    let mut call = pin!(service.call(Request::new(true)));
    assert!(
        call.as_mut().now_or_never().is_none(),
        "an empty answer waits as a whole"
    );
    disk.change(|platter| platter.stuck = false);
    call.await.expect("a response");
    assert_eq!(disk.lines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_disk_is_waited_for_and_then_treated_as_a_failing_one() {
    for on_failure in [OnFailure::Reject, OnFailure::Degrade] {
        let disk = Disk::default();
        let sink = JsonLines::builder()
            .on_failure(on_failure)
            .capacity(1)
            .patience(Duration::from_millis(100))
            .start(disk.clone())
            .expect("a disk in memory opens");
        disk.change(|platter| platter.stuck = true);
        write(&sink, "stalled").await;
        disk.wait_for_appends(1);
        let before = tokio::time::Instant::now();
        let slot = sink.reserve().await;
        let waited = tokio::time::Instant::now().saturating_duration_since(before);
        assert!(waited >= Duration::from_millis(100));
        match on_failure {
            OnFailure::Reject => drop(slot.expect_err("refused")),
            OnFailure::Degrade => {
                slot.expect("served").write(record("unrecorded")).await;
                assert_eq!(sink.dropped(), 1);
            }
        }
        disk.change(|platter| platter.stuck = false);
        drop(sink);
        let lines = disk.lines();
        assert_eq!(id(&lines[0]), "stalled");
        match on_failure {
            OnFailure::Reject => assert_eq!(lines.len(), 1),
            OnFailure::Degrade => assert_eq!(lines[1]["gap"]["dropped"], 1),
        }
    }
}
