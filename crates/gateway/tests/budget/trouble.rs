//! Ledgers that cannot be used: one clear error at the start, or 503 until they can.

use std::net::TcpListener;
use std::path::Path;

use backstop_sim::Sim;
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::support::{Gateway, Setup, config, sim, within};
use crate::{cost, priced, question};

const BUDGET: &str = "budgets: [{scope: global, limit_requests: 100000, window: total, name: one}]";

fn with_store(store: &str) -> String {
    config(
        &[priced("smart", "openai/gpt-4o")],
        &format!("{BUDGET}\nstore: {store}"),
    )
}

fn on_file(path: &Path) -> String {
    with_store(&format!("{{sqlite: '{}'}}", path.display()))
}

/// What the gateway says when it does not start with this configuration.
async fn refused(sim: &Sim, text: &str) -> String {
    let finished = Setup::serve(text).before(sim).run().await;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert_eq!(finished.stdout, "", "it did not listen");
    let errors: Vec<_> = finished.stderr.lines().collect();
    let [error] = errors[..] else {
        panic!("one line: {}", finished.stderr)
    };
    let error = error.strip_prefix("error: ").expect("an error");
    error.to_owned()
}

#[tokio::test]
async fn a_file_that_is_no_sound_ledger_is_refused_and_left_alone() {
    let sim = sim().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let gateway = Gateway::start(&sim, &on_file(&path)).await;
    assert_eq!(gateway.send(question("smart", false)).await.status, 200);
    gateway.stop().await;
    let sound = std::fs::read(&path).expect("it is there");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        bytes
    };
    // What SQLite's file format has where.
    const WRITE_VERSION: usize = 18;
    const USER_VERSION: usize = 60;
    for (content, expected) in [
        (
            b"Dear diary, today I spent too much money again.".to_vec(),
            "it is no SQLite database",
        ),
        (
            changed(&|bytes| bytes[4096..].fill(0x5a)),
            "it is damaged; restore it from a backup",
        ),
        (
            changed(&|bytes| bytes.truncate(4096)),
            "it is damaged; restore it from a backup",
        ),
        (
            changed(&|bytes| bytes[USER_VERSION + 3] = 9),
            "a newer version wrote it (format 9, this one knows 1)",
        ),
        (
            changed(&|bytes| bytes[WRITE_VERSION] = 3),
            "it is read-only; a ledger must be writable",
        ),
    ] {
        std::fs::write(&path, &content).expect("writable");
        let error = refused(&sim, &on_file(&path)).await;
        let begins = format!(
            "the ledger of the budgets: the ledger {}: {expected}",
            path.display()
        );
        assert!(error.starts_with(&begins), "{error}");
        assert_eq!(error.matches(expected).count(), 1, "said once: {error}");
        assert_eq!(std::fs::read(&path).expect("it is there"), content);
    }
    std::fs::write(&path, sound).expect("writable");
    let gateway = Gateway::start(&sim, &on_file(&path)).await;
    assert_eq!(gateway.account("one").await.spent, 1);

    let error = refused(&sim, &on_file(&path)).await;
    let owner = format!("process {} has it open", gateway.pid().as_raw_nonzero());
    assert!(error.contains(&owner), "{error}");
    let error = refused(&sim, &on_file(&folder.path().join("no/such.db"))).await;
    assert!(
        error.contains("the folder must exist and be writable"),
        "{error}"
    );
    let error = refused(&sim, &on_file(Path::new("/proc/ledger.db"))).await;
    assert!(
        error.contains("the folder must exist and be writable"),
        "{error}"
    );
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_one_error() {
    let sim = sim().await;
    // Bound, and never listened at once it is dropped.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    let store = format!("{{redis: 'redis://:not-to-be-shown@{nobody}/'}}");
    let error = refused(&sim, &with_store(&store)).await;
    assert!(
        error.starts_with("the ledger of the budgets: the ledger in Redis: "),
        "{error}"
    );
    assert!(!error.contains("not-to-be-shown"), "{error}");
}

/// What the gateway may write of any file; what it is told when it is more is an error, not a signal.
fn limit(gateway: &Gateway, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(gateway.pid()), Resource::Fsize, limit).expect("it is our own child");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_admitted_and_nothing_is_lost() {
    let sim = sim().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let text = on_file(&path);
    let gateway = Setup::limited("trap '' XFSZ", &text)
        .before(&sim)
        .start()
        .await;
    let mut answered = 0;
    for _ in 0..3 {
        assert_eq!(gateway.send(question("smart", false)).await.status, 200);
        answered += 1;
    }
    let log = std::fs::metadata(folder.path().join("ledger.db-wal")).expect("it is there");
    limit(&gateway, Some(log.len()));
    let refused = within("the disk is full", async {
        loop {
            let response = gateway.send(question("smart", false)).await;
            if response.status != 200 {
                break response;
            }
            answered += 1;
        }
    })
    .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (503, "ledger_unavailable".to_owned())
    );
    assert_ne!(refused.header("retry-after"), "");
    gateway
        .logged(&["WARN", "the file cannot be written; nothing is admitted"])
        .await;
    let before = sim.journal().entries().len();
    assert_eq!(gateway.send(question("smart", true)).await.status, 503);
    assert_eq!(sim.journal().entries().len(), before, "nobody is asked");

    limit(&gateway, None);
    within("it goes on", async {
        while gateway.send(question("smart", false)).await.status != 200 {}
    })
    .await;
    answered += 1;
    gateway
        .logged(&["it can be written again, nothing is lost"])
        .await;
    assert_eq!(gateway.settled().await[0].spent, answered);
    gateway.signal(Signal::TERM);
    let finished = gateway.end().await;
    assert!(finished.status.success());
    assert!(cost(&finished.records()) > 0);
    let gateway = Gateway::start(&sim, &text).await;
    assert_eq!(gateway.account("one").await.spent, answered);
}
