use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;

use super::Model;
use super::model::Verdict;
use crate::{
    Amounts, Budget, Denied, IfLost, Lease, Ledger, Leg, Limit, Mode, Reason, Reservation, Scope,
    Settlement, Window,
};

/// Something that can happen to a ledger.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody asks for so much under these budgets, perhaps in place of a lease that is open.
    Reserve {
        /// Which budgets, and whose account in each.
        legs: Vec<(Index, Index)>,
        /// In nano-dollars, tokens and requests.
        wanted: (u64, u64, u64),
        /// In nano-dollars and tokens.
        least: (u64, u64),
        /// Which lease it is to replace.
        instead_of: Option<Index>,
        /// What becomes of it when it is lost.
        if_lost: bool,
    },
    /// A lease is committed with so much of each currency.
    Commit(Index, (u64, u64, u64)),
    /// A lease is voided.
    Void(Index),
    /// A lease is dropped, after its call was sent or before.
    Drop(Index, bool),
    /// So many seconds pass.
    Wait(u64),
}

const IDS: [&str; 3] = ["ada", "grace", "joan of 'arc' é"];

/// Lists of steps, for [`agrees`].
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let small = || prop_oneof![Just(0_u64), 1..40_u64, 1..200_u64];
    let amounts = move || (small(), small(), 0..3_u64);
    let reserve = (
        vec(any::<(Index, Index)>(), 0..6),
        amounts(),
        (small(), small()),
        proptest::option::of(any::<Index>()),
        any::<bool>(),
    )
        .prop_map(|(legs, wanted, least, instead_of, if_lost)| Step::Reserve {
            legs,
            wanted,
            least,
            instead_of,
            if_lost,
        });
    let step = prop_oneof![
        6 => reserve,
        3 => (any::<Index>(), amounts()).prop_map(|(lease, spent)| Step::Commit(lease, spent)),
        1 => any::<Index>().prop_map(Step::Void),
        1 => any::<(Index, bool)>().prop_map(|(lease, sent)| Step::Drop(lease, sent)),
        1 => prop_oneof![1..600_u64, 1..100_000_u64].prop_map(Step::Wait),
    ];
    vec(step, 1..60)
}

fn budgets(prefix: &str) -> Vec<Arc<Budget>> {
    let day = || Window::day("Europe/Berlin").expect("a zone");
    let hour = || Window::rolling(Duration::from_secs(3600));
    let usd = |nano| Limit::Usd(backstop_core::NanoUsd::from_nano(nano));
    [
        Budget::new(Scope::Key, usd(300), day()),
        Budget::new(Scope::User, usd(100), hour()),
        Budget::new(Scope::Global, usd(500), Window::total()),
        Budget::new(Scope::User, Limit::Tokens(250), hour()),
        Budget::new(Scope::Key, Limit::Requests(4), day()),
        Budget::new(Scope::Team, usd(50), day()).with_mode(Mode::Soft),
        Budget::new(Scope::Tag, Limit::Tokens(50), Window::total()).with_mode(Mode::Shadow),
    ]
    .into_iter()
    .map(|budget| {
        let name = format!("{prefix}/{}", budget.name());
        Arc::new(budget.with_name(name))
    })
    .collect()
}

/// Takes the same steps with `ledger` and with the [`Model`], and compares every answer and, after each step, every
/// balance. The ledger must not know `prefix`.
///
/// # Panics
///
/// If they differ, or if a hard limit is broken.
pub async fn agrees(ledger: &dyn Ledger, prefix: &str, steps: Vec<Step>) {
    let budgets = budgets(prefix);
    let ids = IDS.map(Arc::<str>::from);
    let mut model = Model::default();
    let mut open: Vec<(Lease, IfLost)> = Vec::new();
    // Not long before clocks go back in Berlin.
    let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_880_000);
    for step in steps {
        let said = format!("{step:?}");
        match step {
            Step::Wait(seconds) => now += Duration::from_secs(seconds),
            Step::Commit(which, (usd, tokens, requests)) => {
                if let Some((lease, _)) = take(&mut open, which) {
                    let spent = Amounts::new(usd, tokens, requests);
                    model.settle(lease.id(), Settlement::Commit(spent));
                    lease.commit(spent);
                }
            }
            Step::Void(which) => {
                if let Some((lease, _)) = take(&mut open, which) {
                    model.settle(lease.id(), Settlement::Void);
                    lease.void();
                }
            }
            Step::Drop(which, sent) => {
                if let Some((mut lease, if_lost)) = take(&mut open, which) {
                    let settlement = match if_lost {
                        IfLost::Charge if sent => Settlement::Commit(lease.granted()),
                        _ => Settlement::Void,
                    };
                    model.settle(lease.id(), settlement);
                    if sent {
                        lease.sent();
                    }
                    drop(lease);
                }
            }
            Step::Reserve {
                legs,
                wanted: (usd, tokens, requests),
                least,
                instead_of,
                if_lost,
            } => {
                let legs = legs.into_iter().map(|(budget, id)| {
                    let budget = budget.get(&budgets);
                    let id = budget.id().unwrap_or_else(|| id.get(&ids));
                    Leg::new(Arc::clone(budget), Arc::clone(id), now)
                });
                let if_lost = if if_lost {
                    IfLost::Charge
                } else {
                    IfLost::Void
                };
                let reservation =
                    Reservation::new(legs.collect(), Amounts::new(usd, tokens, requests))
                        .at_least(Amounts::new(least.0, least.1, requests))
                        .if_lost(if_lost);
                let old = instead_of.and_then(|which| take(&mut open, which));
                let expected = model.reserve(&reservation, old.as_ref().map(|old| old.0.id()));
                let (old, old_if_lost) = old.unzip();
                let old_id = old.as_ref().map(Lease::id);
                match ledger.reserve(reservation.clone(), old).await {
                    Ok(lease) => {
                        let granted = Verdict::Granted(lease.granted(), lease.exceeded().to_vec());
                        assert_eq!(granted, expected, "{said}");
                        assert_eq!(lease.id(), reservation.id());
                        open.push((lease, if_lost));
                    }
                    Err(Denied { reason, lease }) => {
                        let Reason::Refused(refused) = reason else {
                            panic!("{reason:?}");
                        };
                        assert_eq!(Verdict::Refused(refused.until()), expected, "{said}");
                        assert!(refused.headroom() < refused.least(), "{said}");
                        assert_eq!(lease.as_ref().map(Lease::id), old_id, "it comes back");
                        open.extend(lease.zip(old_if_lost));
                    }
                }
            }
        }
        compare(ledger, &model, &budgets, &ids, now, &said).await;
    }
    for (lease, _) in open {
        model.settle(lease.id(), Settlement::Void);
        lease.void();
    }
    compare(ledger, &model, &budgets, &ids, now, "everything is void").await;
}

fn take(open: &mut Vec<(Lease, IfLost)>, which: Index) -> Option<(Lease, IfLost)> {
    (!open.is_empty()).then(|| open.swap_remove(which.index(open.len())))
}

async fn compare(
    ledger: &dyn Ledger,
    model: &Model,
    budgets: &[Arc<Budget>],
    ids: &[Arc<str>],
    now: SystemTime,
    after: &str,
) {
    let balances = ledger.balances(budgets, now).await.expect("it is there");
    for budget in budgets {
        for id in budget.id().map_or(ids, std::slice::from_ref) {
            let expected = model.balance(budget, id, now);
            let found = balances
                .iter()
                .find(|balance| balance.budget.name() == budget.name() && balance.id == *id);
            let numbers = |balance: &crate::Balance| {
                (
                    balance.span,
                    balance.spent,
                    balance.reserved,
                    balance.overrun,
                )
            };
            let nothing = (expected.span, 0, 0, 0);
            assert_eq!(
                found.map_or(nothing, numbers),
                numbers(&expected),
                "{} of {id:?} after {after}",
                budget.name()
            );
            if budget.mode() == Mode::Hard {
                assert!(
                    expected.spent + expected.reserved <= budget.limit() + expected.overrun,
                    "{expected:?}"
                );
            }
        }
    }
}
