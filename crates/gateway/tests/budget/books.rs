//! What `GET /budgets` says, at any moment and at the end.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::support::{Client, Gateway, PATIENCE, get};

/// How one account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) budget: String,
    pub(crate) id: String,
    pub(crate) limit: u64,
    pub(crate) spent: u64,
    pub(crate) reserved: u64,
    pub(crate) overrun: u64,
}

/// Reads the answer to `GET /budgets`.
fn read(json: &Value) -> Vec<Account> {
    let account = |row: &Value| {
        let number = |name: &str| row[name].as_u64().expect("a number");
        let text = |name: &str| row[name].as_str().expect("text").to_owned();
        Account {
            budget: text("budget"),
            id: text("id"),
            limit: number("limit"),
            spent: number("spent"),
            reserved: number("reserved"),
            overrun: number("overrun"),
        }
    };
    let rows = json["data"].as_array().expect("a list");
    rows.iter().map(account).collect()
}

/// How all accounts stand, if the ledger can say.
pub(crate) async fn asked(client: &mut Client) -> Option<Vec<Account>> {
    let response = client.send(get("/budgets")).await;
    match response.status.as_u16() {
        200 => Some(read(&response.json())),
        503 => {
            assert_eq!(response.code(), "ledger_unavailable");
            None
        }
        _ => panic!("{}", response.text()),
    }
}

impl Gateway {
    /// How all accounts stand.
    pub(crate) async fn accounts(&self) -> Vec<Account> {
        let mut client = Client::connect(self.addr()).await;
        asked(&mut client).await.expect("the ledger is there")
    }

    /// How the account of that name stands.
    pub(crate) async fn account(&self, budget: &str) -> Account {
        let accounts = self.accounts().await;
        let find = accounts.iter().find(|account| account.budget == budget);
        find.unwrap_or_else(|| panic!("{budget} in {accounts:?}"))
            .clone()
    }

    /// How all accounts stand once nothing is reserved in any. There is nothing to wait for but what they say.
    pub(crate) async fn settled(&self) -> Vec<Account> {
        let mut client = Client::connect(self.addr()).await;
        let mut last = None;
        let mut looks = interval(Duration::from_millis(5));
        let settled = async {
            loop {
                looks.tick().await;
                last = asked(&mut client).await;
                if let Some(accounts) = &last
                    && accounts.iter().all(|account| account.reserved == 0)
                {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, settled).await.is_err() {
            panic!("not settled within {PATIENCE:?}: {last:?}\n{}", self.log());
        }
        last.expect("the accounts")
    }
}

/// Somebody who looks at the accounts as often as they are told, and sees to it that no limit is ever passed.
pub(crate) struct Auditor {
    stop: oneshot::Sender<()>,
    watching: JoinHandle<usize>,
}

impl Auditor {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let (stop, stopped) = oneshot::channel();
        let watching = tokio::spawn(watch(gateway.addr(), stopped));
        Self { stop, watching }
    }

    /// How often they were looked at.
    pub(crate) async fn stop(self) -> usize {
        // It is gone if it has found something, and says so next.
        let _ = self.stop.send(());
        self.watching.await.expect("nothing is wrong")
    }
}

async fn watch(gateway: SocketAddr, mut stopped: oneshot::Receiver<()>) -> usize {
    let mut client = Client::connect(gateway).await;
    let mut looks = 0;
    while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
        for account in asked(&mut client).await.unwrap_or_default() {
            let booked = account.spent + account.reserved;
            assert!(booked <= account.limit, "{account:?}");
            assert_eq!(account.overrun, 0, "{account:?}");
            looks += 1;
        }
    }
    looks
}
