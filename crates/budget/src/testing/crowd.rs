use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use backstop_core::NanoUsd;
use tokio::task::JoinSet;

use crate::{Amounts, Balance, Budget, Lease, Ledger, Leg, Limit, Reservation, Scope, Window};

const CALLERS: u64 = 1000;
const FIT: u64 = 137;
const PRICE: u64 = 7_300_001;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// A ceiling for exactly so many calls, on one scope of four.
fn budgets(prefix: &str) -> Vec<Arc<Budget>> {
    let usd = |nano| Limit::Usd(NanoUsd::from_nano(nano));
    [
        Budget::new(Scope::Key, usd(FIT * PRICE), Window::total()),
        Budget::new(Scope::Org, usd(CALLERS * PRICE), Window::total()),
        Budget::new(
            Scope::User,
            Limit::Tokens(1 << 40),
            Window::rolling(Duration::from_secs(60)),
        ),
        Budget::new(
            Scope::Global,
            Limit::Requests(CALLERS * 10),
            Window::day("UTC").expect("a zone"),
        ),
    ]
    .into_iter()
    .map(|budget| {
        let name = format!("{prefix}/{}", budget.name());
        Arc::new(budget.with_name(name))
    })
    .collect()
}

fn call(budgets: &[Arc<Budget>], caller: u64) -> Reservation {
    let user: Arc<str> = format!("user {}", caller % 10).into();
    let ids = [Arc::from("web"), Arc::from("acme"), user, Arc::from("")];
    let legs = budgets.iter().cloned().zip(ids);
    Reservation::new(
        legs.map(|(budget, id)| Leg::new(budget, id, now()))
            .collect(),
        Amounts::new(PRICE, 1000, 1),
    )
}

async fn balances(ledger: &dyn Ledger, budgets: &[Arc<Budget>]) -> Vec<Balance> {
    let balances = ledger.balances(budgets, now()).await.expect("it is there");
    for balance in &balances {
        assert!(
            balance.spent + balance.reserved <= balance.budget.limit() + balance.overrun,
            "{balance:?}"
        );
    }
    balances
}

/// Looks at the accounts again and again until it is told to stop, and that no ceiling is ever broken.
fn watch(
    ledger: &Arc<dyn Ledger>,
    budgets: &[Arc<Budget>],
    mut check: impl FnMut(&[Balance]) + Send + 'static,
) -> impl Future<Output = ()> {
    let over = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn({
        let (ledger, budgets, over) = (Arc::clone(ledger), budgets.to_vec(), Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                check(&balances(&*ledger, &budgets).await);
                tokio::task::yield_now().await;
            }
        }
    });
    async move {
        over.store(true, Ordering::Relaxed);
        task.await.expect("no ceiling is broken");
    }
}

/// A thousand callers at once under a ceiling for 137 of them: 137 are let through, whatever they find out later.
///
/// # Panics
///
/// If it is any other number, if a ceiling is broken in between, or if the books do not add up in the end.
pub async fn exactly_what_fits(ledger: Arc<dyn Ledger>, prefix: &str) {
    let budgets = budgets(prefix);
    let watching = watch(&ledger, &budgets, |_| {});
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (ledger, reservation) = (Arc::clone(&ledger), call(&budgets, caller));
        callers.spawn(async move { ledger.reserve(reservation, None).await.ok() });
    }
    let leases: Vec<Lease> = callers.join_all().await.into_iter().flatten().collect();
    watching.await;
    assert_eq!(leases.len() as u64, FIT);
    for (index, lease) in leases.into_iter().enumerate() {
        let spent = PRICE - index as u64;
        lease.commit(Amounts::new(spent, 900, 1));
    }
    let spent = FIT * PRICE - (0..FIT).sum::<u64>();
    for balance in balances(&*ledger, &budgets).await {
        assert_eq!((balance.reserved, balance.overrun), (0, 0), "{balance:?}");
        let expected = match balance.budget.scope() {
            Scope::Key | Scope::Org => spent,
            Scope::Global => FIT,
            _ => continue,
        };
        assert_eq!(balance.spent, expected, "{balance:?}");
    }
}

/// A thousand callers that fail, fall back, cancel, are cut off and take more than they held, all at once and at
/// random: no ceiling is broken at any moment, and in the end the accounts hold what the callers say they spent.
///
/// # Panics
///
/// If that is not so.
pub async fn turmoil(ledger: Arc<dyn Ledger>, prefix: &str) {
    let budgets = budgets(prefix);
    let watching = watch(&ledger, &budgets, |_| {});
    let mut callers = JoinSet::new();
    let succeeded = Arc::new(AtomicUsize::new(0));
    for caller in 0..CALLERS {
        let (ledger, budgets) = (Arc::clone(&ledger), budgets.clone());
        let succeeded = Arc::clone(&succeeded);
        callers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(caller);
            let mut reserving = ledger.reserve(call(&budgets, caller), None);
            if random.u8(..10) == 0 {
                // The caller is gone before the ledger has answered, or just when it has.
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                if random.bool() {
                    let _ = std::pin::Pin::new(&mut reserving).poll(&mut cx);
                }
                return Amounts::ZERO;
            }
            let Ok(mut lease) = reserving.await else {
                return Amounts::ZERO;
            };
            for _ in 0..random.u8(..3) {
                tokio::task::yield_now().await;
                // The deployment failed: the next one.
                lease = match ledger.reserve(call(&budgets, caller), Some(lease)).await {
                    Ok(lease) => lease,
                    Err(denied) => denied.lease.expect("it comes back"),
                };
            }
            tokio::task::yield_now().await;
            let held = lease.granted();
            lease.sent();
            match random.u8(..5) {
                0 => {
                    lease.void();
                    Amounts::ZERO
                }
                1 => {
                    drop(lease);
                    held
                }
                outcome => {
                    succeeded.fetch_add(1, Ordering::Relaxed);
                    // Once in a while a provider takes more than it could.
                    let most = if outcome == 2 { PRICE + 5 } else { PRICE };
                    let spent = Amounts::new(random.u64(..=most), random.u64(..1000), 1);
                    lease.commit(spent);
                    spent
                }
            }
        });
    }
    let spent: Vec<Amounts> = callers.join_all().await;
    watching.await;
    assert!(
        succeeded.load(Ordering::Relaxed) > 40,
        "it is a test of something"
    );
    let sum = |currency| spent.iter().map(|spent| spent.of(currency)).sum::<u64>();
    let mut by_user = 0;
    for balance in balances(&*ledger, &budgets).await {
        assert_eq!(balance.reserved, 0, "{balance:?}");
        if balance.budget.scope() == Scope::User {
            by_user += balance.spent;
        } else {
            let currency = balance.budget.currency();
            assert_eq!(balance.spent, sum(currency), "{balance:?}");
        }
    }
    assert_eq!(by_user, sum(crate::Currency::Tokens));
}

/// A chain that falls back again and again under a ceiling for one call, while others wait for the headroom: they never
/// see any, and every link gets it.
///
/// # Panics
///
/// If somebody does, or one does not.
pub async fn no_gap_in_a_swap(ledger: Arc<dyn Ledger>, prefix: &str) {
    let usd = Limit::Usd(NanoUsd::from_nano(PRICE));
    let name = format!("{prefix}/one");
    let one = Arc::new(Budget::new(Scope::Global, usd, Window::total()).with_name(name));
    let budgets = [one];
    let reservation = {
        let budgets = budgets.clone();
        move || {
            let leg = Leg::new(Arc::clone(&budgets[0]), Arc::from(""), now());
            Reservation::new(vec![leg], Amounts::new(PRICE, 0, 0))
        }
    };
    let mut lease = ledger
        .reserve(reservation(), None)
        .await
        .expect("room for one");
    let watching = watch(&ledger, &budgets, |balances| {
        assert_eq!(balances[0].reserved, PRICE, "it is held all the time");
    });
    let over = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    for _ in 0..4 {
        let (ledger, reservation, over) =
            (Arc::clone(&ledger), reservation.clone(), Arc::clone(&over));
        others.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let denied = ledger.reserve(reservation(), None).await;
                denied.expect_err("somebody else has it all");
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..200 {
        lease = ledger
            .reserve(reservation(), Some(lease))
            .await
            .expect("it holds what it needs");
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    others.join_all().await;
    watching.await;
    lease.void();
    let left = balances(&*ledger, &budgets).await;
    assert_eq!((left[0].spent, left[0].reserved), (0, 0));
}

/// Budgets of one name that count something else, for somebody else or for another time: what was spent in one is not
/// read as spent in another.
///
/// # Panics
///
/// If it is.
pub async fn one_name_is_not_one_account(ledger: Arc<dyn Ledger>, prefix: &str) {
    let (usd, tokens) = (Limit::Usd(NanoUsd::from_nano(PRICE)), Limit::Tokens(PRICE));
    let minute = Window::rolling(Duration::from_secs(60));
    let budgets = [
        Budget::new(Scope::Global, usd, Window::total()),
        Budget::new(Scope::Global, tokens, Window::total()),
        Budget::new(Scope::Global, usd, minute),
        Budget::new(Scope::User, usd, Window::total()).of("web"),
        Budget::new(Scope::Key, usd, Window::total()).of("web"),
    ];
    for budget in budgets {
        let id = budget.id().cloned().expect("it is for one");
        let budget = Arc::new(budget.with_name(format!("{prefix}/ceiling")));
        let reservation = || {
            let leg = Leg::new(Arc::clone(&budget), Arc::clone(&id), now());
            Reservation::new(vec![leg], Amounts::new(PRICE, PRICE, 0))
        };
        let lease = ledger.reserve(reservation(), None).await;
        let lease = lease.expect("nothing of it is spent");
        lease.commit(Amounts::new(PRICE, PRICE, 0));
        let denied = ledger.reserve(reservation(), None).await;
        denied.expect_err("all of it is spent");
    }
}
