use std::sync::Mutex;

use backstop_budget::{Amounts, Balance, IfLost, Leg, Limit, Reason, Scope, Window};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn budget(limit: u64) -> Arc<Budget> {
    Arc::new(Budget::new(Scope::Key, Limit::Tokens(limit), Window::total()).of("web"))
}

fn reservation(budget: &Arc<Budget>, tokens: u64) -> Reservation {
    let leg = Leg::new(Arc::clone(budget), "web".into(), SystemTime::UNIX_EPOCH);
    Reservation::new(vec![leg], Amounts::new(0, tokens, 0))
}

async fn balance(ledger: &SqliteLedger, budget: &Arc<Budget>) -> Balance {
    let balances = ledger.balances(&[Arc::clone(budget)], SystemTime::UNIX_EPOCH);
    balances.await.expect("it is there").remove(0)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn what_a_dead_process_held_is_settled_when_the_file_is_opened() {
    let (folder, budget) = (folder(), budget(1000));
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).expect("new");
    let charged = ledger
        .reserve(reservation(&budget, 300), None)
        .await
        .expect("room");
    let void = reservation(&budget, 200).if_lost(IfLost::Void);
    let void = ledger.reserve(void, None).await.expect("room");
    let committed = ledger
        .reserve(reservation(&budget, 100), None)
        .await
        .expect("room");
    committed.commit(Amounts::new(0, 70, 0));
    ledger.close().await;
    // As for a process that was killed: their ledger is gone, and nothing of them is written any more.
    drop((charged, void));

    let events = Arc::new(Mutex::new(Vec::new()));
    let ledger = SqliteLedger::open_observed(&path, {
        let events = Arc::clone(&events);
        move |event: &Event<'_>| events.lock().expect("no panic").push(format!("{event:?}"))
    })
    .expect("it is there");
    let balance = balance(&ledger, &budget).await;
    assert_eq!(
        (balance.spent, balance.reserved, balance.overrun),
        (370, 0, 0)
    );
    assert_eq!(
        *events.lock().expect("no panic"),
        ["Recovered { reservations: 2 }"]
    );
}

#[tokio::test]
async fn while_it_cannot_write_nothing_is_admitted_and_nothing_is_lost() {
    let (folder, budget) = (folder(), budget(1000));
    let path = folder.path().join("ledger.db");
    let file = file::File::open(&path).expect("new");
    file.db
        .busy_timeout(std::time::Duration::ZERO)
        .expect("it can be set");
    let (tell, events) = mpsc::channel();
    let tell = Mutex::new(tell);
    let ledger = SqliteLedger::over(file, &path, move |event: &Event<'_>| {
        let event = match event {
            Event::Failing { waiting, .. } => format!("failing, {waiting} waiting"),
            other => format!("{other:?}"),
        };
        let _ = tell.lock().expect("no panic").send(event);
    })
    .expect("its thread");
    let lease = ledger
        .reserve(reservation(&budget, 300), None)
        .await
        .expect("room");

    let other = Connection::open(&path).expect("it can be read and written by tools");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    lease.commit(Amounts::new(0, 250, 0));
    let denied = ledger
        .reserve(reservation(&budget, 1), None)
        .await
        .expect_err("it cannot be written");
    assert!(
        matches!(denied.reason, Reason::Unavailable(_)),
        "{denied:?}"
    );
    assert_eq!(events.recv().expect("it is told"), "failing, 1 waiting");
    other.execute_batch("ROLLBACK").expect("it was begun");

    ledger.flush().await;
    assert_eq!(events.recv().expect("it is told"), "Writing");
    let balance = balance(&ledger, &budget).await;
    assert_eq!((balance.spent, balance.reserved), (250, 0));
}

#[tokio::test]
async fn a_full_disk_refuses_and_says_so() {
    let (folder, budget) = (folder(), budget(u64::MAX));
    let path = folder.path().join("ledger.db");
    let file = file::File::open(&path).expect("new");
    file.db
        .pragma_update(None, "max_page_count", 8)
        .expect("it can be set");
    let ledger = SqliteLedger::over(file, &path, |_: &Event<'_>| {}).expect("its thread");
    let mut leases = Vec::new();
    let denied = loop {
        match ledger.reserve(reservation(&budget, 1), None).await {
            Ok(lease) => leases.push(lease),
            Err(denied) => break denied,
        }
    };
    let Reason::Unavailable(unavailable) = denied.reason else {
        panic!("{denied:?}");
    };
    assert_eq!(
        unavailable.detail(),
        "its file cannot be written: database or disk is full"
    );
    let held = leases.len() as u64;
    assert_eq!(balance(&ledger, &budget).await.reserved, held);
    // What gives room is written all the same.
    drop(leases);
    assert_eq!(balance(&ledger, &budget).await.reserved, 0);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).expect("new");
    let error = SqliteLedger::open(&path)
        .expect_err("it is in use")
        .to_string();
    assert!(
        error.contains(&format!("process {} has it open", std::process::id())),
        "{error}"
    );
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let error = SqliteLedger::open(&link).expect_err("it is the same");
    assert!(error.to_string().contains("has it open"), "{error}");
    ledger.close().await;
    SqliteLedger::open(&link).expect("it was let go of");
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_left_as_it_was() {
    let folder = folder();
    let refused = |name: &str| {
        let error = SqliteLedger::open(folder.path().join(name)).expect_err("it is no ledger");
        let error = error.to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but longer than the header of one is: a hundred bytes and some more of them").expect("written");
    assert!(
        refused("notes.txt").contains("no SQLite database"),
        "{}",
        refused("notes.txt")
    );
    assert!(
        std::fs::read_to_string(&text)
            .expect("still there")
            .starts_with("not a database")
    );

    let other = Connection::open(folder.path().join("other.db")).expect("new");
    other
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .expect("new");
    assert!(
        refused("other.db").contains("something else"),
        "{}",
        refused("other.db")
    );

    drop(SqliteLedger::open(folder.path().join("newer.db")).expect("new"));
    let newer = Connection::open(folder.path().join("newer.db")).expect("it is there");
    newer
        .pragma_update(None, "user_version", 7)
        .expect("it can be set");
    drop(newer);
    // The ledger's thread lets go of the lock when it has ended.
    let error = loop {
        let error = refused("newer.db");
        if !error.contains("has it open") {
            break error;
        }
    };
    assert!(error.contains("format 7, this one knows 1"), "{error}");

    assert!(
        refused("no/such/folder.db").contains("folder must exist"),
        "{}",
        refused("no/such/folder.db")
    );
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (folder, budget) = (folder(), budget(u64::MAX));
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).expect("new");
    for _ in 0..50 {
        let lease = ledger
            .reserve(reservation(&budget, 1), None)
            .await
            .expect("room");
        drop(lease);
    }
    ledger.close().await;
    let mut bytes = std::fs::read(&path).expect("it is there");
    for byte in bytes.iter_mut().skip(4096).step_by(3) {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, bytes).expect("written");
    let error = SqliteLedger::open(&path)
        .expect_err("it is damaged")
        .to_string();
    assert!(
        error.contains("it is damaged; restore it from a backup"),
        "{error}"
    );
}
