use std::time::Duration;

use backstop_budget::{Amounts, Budget, Limit, Scope, Window};
use backstop_core::NanoUsd;
use backstop_store::RedisLedger;
use backstop_store::redis::{self, Options};

use crate::support::{Server, balance, granted, options, tokens, until};

async fn refused(url: &str, options: Options) -> String {
    let connecting = RedisLedger::connect([url], options).await;
    connecting.expect_err("it cannot be used").to_string()
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_is_refused() {
    let mut server = Server::start();
    let url = server.url();
    let braces = refused(&url, options("{org}", 0)).await;
    assert!(braces.contains("without braces"), "{braces}");
    let scheme = refused("http://127.0.0.1/", options("p", 0)).await;
    assert!(scheme.contains("its URL cannot be used"), "{scheme}");

    server.command(&["HSET", "{newer}:meta", "version", "7"]);
    let newer = refused(&url, options("newer", 0)).await;
    assert!(newer.contains("format 7, which is newer"), "{newer}");

    server.kill();
    let nobody = refused(&url, options("p", 0)).await;
    assert!(nobody.contains("cannot be reached"), "{nobody}");
}

#[tokio::test]
async fn a_redis_that_may_evict_is_told_of() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let _first = server.ledger(options("p", 0)).await;
    let (_second, mut told) = server.observed(options("p", 0)).await;
    assert_eq!(told.all(), [r#"Evicting { policy: "allkeys-lru" }"#]);
}

#[tokio::test]
async fn a_redis_that_is_empty_is_told_of_once() {
    let server = Server::start();
    let (_first, mut told) = server.observed(options("p", 0)).await;
    let told = told.all();
    assert!(told.len() == 1 && told[0].starts_with("Empty"), "{told:?}");
    let (_second, mut told) = server.observed(options("p", 0)).await;
    assert_eq!(told.all(), [""; 0]);
}

#[test]
fn a_limit_that_a_script_cannot_count_is_refused() {
    let usd = |nano| Limit::Usd(NanoUsd::from_nano(nano));
    let of = |limit| Budget::new(Scope::Global, limit, Window::total());
    assert_eq!(redis::check(&of(usd(redis::LARGEST))), Ok(()));
    let error = redis::check(&of(usd(redis::LARGEST + 1))).expect_err("too large");
    assert!(error.to_string().contains("9 million dollars"), "{error}");
    redis::check(&of(Limit::Tokens(u64::MAX))).expect_err("too large");
}

#[tokio::test]
async fn amounts_are_exact_as_far_as_it_counts() {
    let server = Server::start();
    let ledger = server.ledger(options("large", 0)).await;
    let budget = tokens(redis::LARGEST);
    let odd = redis::LARGEST / 3;
    granted(&ledger, &budget, odd)
        .await
        .commit(Amounts::new(0, odd, 0));
    granted(&ledger, &budget, odd)
        .await
        .commit(Amounts::new(0, odd - 1, 0));
    let rest = granted(&ledger, &budget, odd + 1).await;
    let balance = balance(&ledger, &budget).await;
    assert_eq!(balance.spent, 2 * odd - 1);
    assert_eq!(balance.reserved, odd + 1);
    assert_eq!(balance.headroom(), 0);
    rest.void();
}

#[tokio::test]
async fn what_is_dropped_unclosed_gives_back_what_it_has_drawn() {
    let server = Server::start();
    let budget = tokens(1000);
    let mut options = options("dropped", 4);
    // It is not the others who notice.
    options.lease = Duration::from_secs(1);
    let witness = server.ledger(options.clone()).await;
    let ledger = server.ledger(options).await;
    let lease = granted(&ledger, &budget, 10).await;
    until(&ledger, &budget, |balance| balance.reserved == 50).await;
    drop(ledger);
    lease.commit(Amounts::new(0, 9, 0));
    let balance = until(&witness, &budget, |balance| balance.reserved == 0).await;
    assert_eq!(balance.spent, 9);
}

#[tokio::test]
async fn a_ledger_that_is_closed_loses_what_is_still_out() {
    let server = Server::start();
    let budget = tokens(1000);
    let ledger = server.ledger(options("closed", 4)).await;
    let lease = granted(&ledger, &budget, 10).await;
    ledger.close().await;
    let next = server.ledger(options("closed", 0)).await;
    let balance = balance(&next, &budget).await;
    assert_eq!((balance.spent, balance.reserved), (10, 0));
    drop(lease);
}
