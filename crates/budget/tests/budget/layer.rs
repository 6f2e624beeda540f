//! The layer, around a service of one's own: what is reserved, what is refused, what is charged.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use backstop_budget::{
    Balances, Budget, BudgetLayer, Budgets, Event, Lease, Ledger, LedgerFuture, Limit,
    MemoryLedger, Mode, OverBudget, Price, Reservation, Reserving, Scope, SpendLayer, Spender,
    Unknown, Unpriced, Window,
};
use backstop_core::{
    BoxError, Continuing, Deployment, Failure, FailureKind, Ineligible, NanoUsd, Reach, Usage,
    UsageSource, failure_of,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

const FULL: u64 = 500;

fn total(limit: u64) -> Budget {
    Budget::new(Scope::Global, usd(limit), Window::total())
}

fn layer(budgets: &Budgets) -> BudgetLayer<fn(&Usage) -> Option<NanoUsd>> {
    BudgetLayer::new(
        budgets,
        Deployment::new("east").with_provider("acme"),
        price,
    )
}

async fn drain<B: http_body::Body<Error = BoxError>>(body: B) -> Result<(), BoxError> {
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

fn kind(error: &BoxError) -> FailureKind {
    failure_of(&**error).expect("a failure").kind()
}

#[tokio::test]
async fn what_the_provider_reports_is_charged_and_noted() {
    let budgets = budgets([total(10_000)]);
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let (request, trail) = traced();
    let response = service.oneshot(request).await.expect("room");
    assert_eq!(
        booked(&budgets).await,
        (0, FULL),
        "held while it is under way"
    );
    drain(response.into_body()).await.expect("whole");
    assert_eq!(booked(&budgets).await, (190, 0));
    assert_eq!(trail.cost(), Some(NanoUsd::from_nano(190)));
    assert_eq!(calls.last().most, Some(200), "nothing was changed");
}

#[tokio::test]
async fn an_answer_that_is_turned_down_unread_is_charged_as_it_says() {
    let budgets = budgets([total(10_000)]);
    let calls = Calls::default();
    let refused = || {
        let mut response = whole();
        response.extensions_mut().insert(Usage::reported(90, 7));
        Ok(response)
    };
    let service = layer(&budgets).layer(service(&calls, refused));
    let (request, trail) = traced();
    let response = service.oneshot(request).await.expect("room");
    drop(response);
    assert_eq!(booked(&budgets).await, (104, 0));
    assert_eq!(trail.cost(), Some(NanoUsd::from_nano(104)));
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_not_made() {
    let day = Window::day("Europe/Berlin").expect("a zone");
    let budgets = budgets([Budget::new(Scope::Key, usd(100), day)]);
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let (mut request, trail) = traced();
    request.extensions_mut().insert(Spender::new().key("web"));
    let error = service.oneshot(request).await.expect_err("no room");
    let failure = failure_of(&*error).expect("a failure");
    assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Budget));
    assert_eq!(failure.reach(), Reach::Refused);
    let wait = failure.retry_after().expect("a day ends");
    assert!(wait <= Duration::from_secs(25 * 3600));
    assert_eq!(failure.detail(), Some("key/usd/day@Europe/Berlin of web"));
    let over: &OverBudget = error.downcast_ref().expect("it says which");
    assert_eq!(over.refused().headroom(), 100);
    assert_eq!(calls.count(), 0);
    let ceilings = trail.snapshot().ceilings;
    assert_eq!((&*ceilings[0].id, ceilings[0].effect), ("web", "refused"));
}

#[tokio::test]
async fn an_answer_is_bounded_to_what_fits() {
    // 100 in and 120 out fit.
    let budgets = budgets([total(341)]);
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let (request, trail) = traced();
    let first = service.clone().oneshot(request).await.expect("enough room");
    assert_eq!(calls.last().most, Some(120));
    assert_eq!(booked(&budgets).await, (0, 341));
    assert!(trail.snapshot().notes[0].contains("120 tokens"));
    drain(first.into_body()).await.expect("whole");
    // 151 are left: 25 tokens out, less than are of use.
    let error = service
        .oneshot(prompt())
        .await
        .expect_err("too little room");
    assert_eq!(kind(&error), FailureKind::Ineligible(Ineligible::Budget));
}

#[tokio::test]
async fn an_answer_that_was_bounded_is_charged_for_no_more_than_that() {
    // Where dollars are short there are tokens enough.
    let tokens = Budget::new(Scope::Global, Limit::Tokens(10_000), Window::total());
    let budgets = budgets([total(341), tokens]);
    let calls = Calls::default();
    let timeout = || Err(Failure::new(FailureKind::Timeout).into());
    let service = layer(&budgets).layer(service(&calls, timeout));
    let (request, trail) = traced();
    service.oneshot(request).await.expect_err("it fails");
    let balances = budgets.balances().await.expect("it is there");
    let spent: Vec<_> = balances.iter().map(|balance| balance.spent).collect();
    assert_eq!(spent, [100 + 2 * 120, 100 + 120]);
    assert!(balances.iter().all(|balance| balance.reserved == 0));
    assert_eq!(trail.cost(), Some(NanoUsd::from_nano(340)));
}

#[tokio::test]
async fn every_choice_is_paid_for() {
    let budgets = budgets([total(10_000)]);
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let mut request = prompt();
    request.body_mut().choices = 3;
    let _under_way = service.oneshot(request).await.expect("room");
    assert_eq!(booked(&budgets).await, (0, 100 + 3 * 400));
}

#[tokio::test]
async fn an_answer_without_a_bound_gets_one_where_it_must() {
    for (mode, most) in [(Mode::Hard, Some(1000)), (Mode::Soft, None)] {
        let budgets = budgets([total(10_000).with_mode(mode)]);
        let calls = Calls::default();
        let service = layer(&budgets)
            .output_cap(1000)
            .layer(service(&calls, || Ok(whole())));
        let mut request = prompt();
        request.body_mut().most = None;
        let _under_way = service.oneshot(request).await.expect("room");
        assert_eq!(calls.last().most, most);
        assert_eq!(booked(&budgets).await, (0, 2100));
    }
}

#[derive(Clone)]
struct Careful;

impl Price<Request<Prompt>> for Careful {
    fn cost(&self, usage: &Usage) -> Option<NanoUsd> {
        price(usage)
    }

    fn most_input(&self, request: &Request<Prompt>) -> Option<u64> {
        Some(request.body().bytes)
    }

    fn closer_input(&self, request: &Request<Prompt>) -> Option<u64> {
        Some(request.body().bytes / 4)
    }
}

#[tokio::test]
async fn a_closer_look_is_taken_where_the_quick_one_does_not_fit() {
    let budgets = budgets([total(925)]);
    let calls = Calls::default();
    let service = BudgetLayer::new(&budgets, Deployment::new("east"), Careful)
        .layer(service(&calls, || Ok(whole())));
    let first = service.clone().oneshot(prompt()).await.expect("room");
    assert_eq!(
        booked(&budgets).await,
        (0, 500),
        "there was room for the quick bound"
    );
    let second = service.clone().oneshot(prompt()).await.expect("room");
    assert_eq!(booked(&budgets).await, (0, 925));
    assert_eq!(calls.last().most, Some(200), "it was not bounded");
    drop((first, second));
}

#[tokio::test]
async fn what_breaks_off_costs_no_more_than_was_held_after_a_closer_look() {
    let budgets = budgets([total(425)]);
    let calls = Calls::default();
    let service =
        BudgetLayer::new(&budgets, Deployment::new("east"), Careful).layer(service(&calls, || {
            Ok(answer([
                Ok(text()),
                Err(Failure::new(FailureKind::Network).into()),
            ]))
        }));
    let response = service.oneshot(prompt()).await.expect("room");
    assert_eq!(booked(&budgets).await, (0, 425), "it was looked at closely");
    drain(response.into_body()).await.expect_err("it breaks");
    assert_eq!(booked(&budgets).await, (25 + 2, 0));
}

#[tokio::test]
async fn failures_before_an_answer_cost_nothing_unless_nobody_knows() {
    let status = |kind, status| Failure::new(kind).with_status(status);
    for (failure, unknown, charge) in [
        (
            status(FailureKind::RateLimit, StatusCode::TOO_MANY_REQUESTS),
            Unknown::HoldFull,
            0,
        ),
        (
            status(FailureKind::BadRequest, StatusCode::BAD_REQUEST),
            Unknown::HoldFull,
            0,
        ),
        (
            status(FailureKind::ServerError, StatusCode::BAD_GATEWAY),
            Unknown::HoldFull,
            0,
        ),
        (
            status(FailureKind::Timeout, StatusCode::GATEWAY_TIMEOUT),
            Unknown::HoldFull,
            0,
        ),
        (Failure::new(FailureKind::Overloaded), Unknown::HoldFull, 0),
        (
            Failure::new(FailureKind::Network).with_reach(Reach::Unsent),
            Unknown::HoldFull,
            0,
        ),
        (
            Failure::ineligible(Ineligible::Saturated),
            Unknown::HoldFull,
            0,
        ),
        (Failure::new(FailureKind::Timeout), Unknown::HoldFull, FULL),
        (Failure::new(FailureKind::Network), Unknown::HoldFull, FULL),
        (
            Failure::new(FailureKind::ServerError),
            Unknown::HoldFull,
            FULL,
        ),
        (Failure::new(FailureKind::Timeout), Unknown::Estimate, 100),
        (Failure::new(FailureKind::Timeout), Unknown::Zero, 0),
    ] {
        let budgets = budgets([total(10_000)]);
        let calls = Calls::default();
        let said = format!("{failure} {unknown:?}");
        let service = layer(&budgets)
            .unknown(unknown)
            .layer(service(&calls, move || Err(failure.clone().into())));
        let (request, trail) = traced();
        service.oneshot(request).await.expect_err("it fails");
        assert_eq!(booked(&budgets).await, (charge, 0), "{said}");
        let noted = trail.cost().map_or(0, NanoUsd::as_nano);
        assert_eq!(noted, charge, "{said}");
    }
}

#[tokio::test]
async fn a_call_that_is_let_go_is_charged_as_unknown() {
    let budgets = budgets([total(10_000)]);
    let mut service = layer(&budgets).layer(tower::service_fn(|_: Request<Prompt>| {
        std::future::pending::<Result<Response<Answer>, BoxError>>()
    }));
    let (request, trail) = traced();
    let call = service.ready().await.expect("ready").call(request);
    assert_eq!(booked(&budgets).await, (0, FULL));
    drop(call);
    assert_eq!(booked(&budgets).await, (FULL, 0));
    assert_eq!(trail.cost(), Some(NanoUsd::from_nano(FULL)));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_charged_for_what_was_seen() {
    let broken = || Err::<Piece, BoxError>(Failure::new(FailureKind::Network).into());
    let mut partial = Usage::reported(80, 1);
    partial.source = UsageSource::Partial;
    for (pieces, cut, charge, source) in [
        // Nothing was reported: the prompt's bound, and two tokens.
        (
            vec![Ok(text()), Ok(text()), broken()],
            false,
            104,
            UsageSource::Estimate,
        ),
        (
            vec![Ok(Piece::Usage(partial)), Ok(text()), Ok(text()), broken()],
            false,
            84,
            UsageSource::Partial,
        ),
        (
            vec![Ok(used(80, 30)), broken()],
            false,
            140,
            UsageSource::Partial,
        ),
        (
            vec![Ok(text()), Ok(text()), broken()],
            true,
            FULL,
            UsageSource::Estimate,
        ),
    ] {
        let budgets = budgets([total(10_000)]);
        let pieces = Arc::new(Mutex::new(Some(pieces)));
        let calls = Calls::default();
        let mut layer = layer(&budgets);
        if cut {
            layer = layer.bills_when_cut();
        }
        let service = layer.layer(service(&calls, move || {
            Ok(answer(
                pieces.lock().expect("no panic").take().expect("one call"),
            ))
        }));
        let (request, trail) = traced();
        let row = trail.attempt(&Arc::new(Deployment::new("east")));
        let response = service.oneshot(request).await.expect("room");
        drain(response.into_body()).await.expect_err("it breaks");
        row.settle(Ok(()));
        assert_eq!(booked(&budgets).await, (charge, 0));
        let attempt = &trail.snapshot().attempts[0];
        assert_eq!(attempt.cost, Some(NanoUsd::from_nano(charge)));
        assert_eq!(attempt.usage.map(|usage| usage.source), Some(source));
    }
}

#[tokio::test]
async fn an_answer_that_is_let_go_is_charged_for_what_was_seen() {
    for (pieces, charge) in [
        (vec![Ok(text()), Ok(text()), Ok(text())], 106),
        // It is complete, and has been counted.
        (vec![Ok(text()), Ok(used(90, 50)), Ok(Piece::End)], 190),
        // It is complete, but was not waited for.
        (vec![Ok(text()), Ok(text()), Ok(Piece::End)], 104),
    ] {
        let budgets = budgets([total(10_000)]);
        let calls = Calls::default();
        let pieces = Arc::new(Mutex::new(Some(pieces)));
        let service = layer(&budgets).layer(service(&calls, move || {
            Ok(answer(
                pieces.lock().expect("no panic").take().expect("one call"),
            ))
        }));
        let mut body = service.oneshot(prompt()).await.expect("room").into_body();
        for _ in 0..3 {
            body.frame().await.expect("a frame").expect("no error");
        }
        drop(body);
        assert_eq!(booked(&budgets).await, (charge, 0));
    }
}

#[tokio::test]
async fn what_a_provider_takes_beyond_its_bound_is_booked_and_told() {
    let overruns = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let overruns = Arc::clone(&overruns);
        move |event: &Event<'_>| {
            if let Event::Overrun { held, spent, .. } = event {
                overruns.lock().expect("no panic").push((*held, *spent));
            }
        }
    };
    let ledger = Arc::new(MemoryLedger::new());
    let budgets = Budgets::observed(ledger, [total(550)], observer).expect("one");
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || {
        Ok(answer([Ok(used(100, 300)), Ok(Piece::End)]))
    }));
    let response = service.oneshot(prompt()).await.expect("room");
    drain(response.into_body()).await.expect("whole");
    let balance = balance(&budgets).await;
    assert_eq!((balance.spent, balance.overrun), (700, 200));
    assert_eq!(balance.headroom(), 0);
    assert_eq!(overruns.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn what_has_no_price_is_refused_unless_it_is_said_what_it_costs() {
    let free = |_: &Usage| None;
    for (unpriced, mode, result) in [
        (Unpriced::Deny, Mode::Hard, None),
        (Unpriced::Deny, Mode::Soft, Some(0)),
        (Unpriced::Flat(NanoUsd::from_nano(7)), Mode::Hard, Some(7)),
        (Unpriced::Allow, Mode::Hard, Some(0)),
    ] {
        let budgets = budgets([total(10_000).with_mode(mode)]);
        let calls = Calls::default();
        let service = BudgetLayer::new(&budgets, Deployment::new("east"), free)
            .unpriced(unpriced)
            .layer(service(&calls, || Ok(whole())));
        let answered = service.oneshot(prompt()).await;
        match result {
            None => {
                let error = answered.expect_err("refused");
                assert_eq!(kind(&error), FailureKind::Ineligible(Ineligible::Budget));
                assert_eq!(calls.count(), 0);
            }
            Some(cost) => {
                let body = answered.expect("it may").into_body();
                drain(body).await.expect("whole");
                assert_eq!(booked(&budgets).await, (cost, 0), "{unpriced:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_soft_limit_tells_and_lets_pass() {
    for mode in [Mode::Soft, Mode::Shadow] {
        let told = Arc::new(Mutex::new(0));
        let observer = {
            let told = Arc::clone(&told);
            move |event: &Event<'_>| {
                if let Event::Exceeded { leg, .. } = event {
                    assert_eq!(leg.budget().mode(), mode);
                    *told.lock().expect("no panic") += 1;
                }
            }
        };
        let ledger = Arc::new(MemoryLedger::new());
        let rules = [
            total(100).with_mode(mode),
            Budget::new(Scope::Provider, usd(9000), Window::total()),
        ];
        let budgets = Budgets::observed(ledger, rules, observer).expect("two");
        let calls = Calls::default();
        let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
        let (request, trail) = traced();
        let response = service.oneshot(request).await.expect("it may");
        drain(response.into_body()).await.expect("whole");
        assert_eq!(*told.lock().expect("no panic"), 1);
        assert_eq!(calls.last().most, Some(200));
        assert_eq!(trail.snapshot().ceilings[0].effect, mode.as_str());
        assert_eq!(booked(&budgets).await, (190, 0));
    }
}

#[tokio::test]
async fn budgets_hold_for_whom_they_name() {
    let one = |scope, id: &str| Budget::new(scope, Limit::Requests(9), Window::total()).of(id);
    let each = |scope| Budget::new(scope, Limit::Requests(9), Window::total());
    let budgets = budgets([
        one(Scope::Key, "web"),
        one(Scope::Key, "app"),
        each(Scope::Key),
        each(Scope::Org),
        each(Scope::User),
        each(Scope::Tag),
        one(Scope::Model, "smart"),
        one(Scope::Model, "fast"),
        one(Scope::Deployment, "east"),
        one(Scope::Deployment, "west"),
        each(Scope::Provider),
        each(Scope::Global),
    ]);
    let calls = Calls::default();
    let service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let mut request = prompt();
    let spender = Spender::new()
        .key("web")
        .org("acme")
        .tag("eu")
        .tag("us")
        .tag("eu");
    request.extensions_mut().insert(spender);
    let response = service.oneshot(request).await.expect("room");
    drain(response.into_body()).await.expect("whole");
    let balances = budgets.balances().await.expect("it is there");
    let spent: Vec<_> = balances
        .iter()
        .filter(|balance| balance.spent > 0)
        .map(|balance| {
            assert_eq!(balance.spent, 1, "{balance:?}");
            format!("{} {}", balance.budget.scope(), balance.id)
        })
        .collect();
    assert_eq!(
        spent,
        [
            "key web",
            "key web",
            "org acme",
            "tag eu",
            "tag us",
            "model smart",
            "deployment east",
            "provider acme",
            "global "
        ]
    );
}

#[test]
fn two_budgets_need_two_names() {
    let ledger = Arc::new(MemoryLedger::new());
    let error = Budgets::new(ledger.clone(), [total(1), total(2).with_mode(Mode::Soft)])
        .expect_err("they would share their accounts");
    assert_eq!(error.name(), "global/usd/total");
    Budgets::new(ledger, [total(1), total(2).with_name("alert")]).expect("now they do not");
}

/// Asks one after the other, as a fallback does.
async fn chain<S>(services: Vec<S>, request: Request<Prompt>) -> Result<S::Response, BoxError>
where
    S: Service<Request<Prompt>, Error = BoxError>,
{
    let mut last = None;
    for service in services {
        match service.oneshot(request.clone()).await {
            Ok(response) => return Ok(response),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("one at least"))
}

#[tokio::test]
async fn a_chain_needs_its_headroom_once_and_shows_it_to_nobody() {
    let budgets = budgets([total(FULL)]);
    let calls = Calls::default();
    let at_the_second = Arc::new(Mutex::new(None));
    let refuse = || Err(Failure::new(FailureKind::RateLimit).into());
    let first = layer(&budgets).layer(service(&calls, refuse));
    let third = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let spying = tower::service_fn({
        let (budgets, first, third, seen) =
            (budgets.clone(), first, third, Arc::clone(&at_the_second));
        move |request: Request<Prompt>| {
            let (budgets, first, third, seen) = (
                budgets.clone(),
                first.clone(),
                third.clone(),
                Arc::clone(&seen),
            );
            async move {
                chain(vec![first.clone()], request.clone()).await.err();
                // Between two attempts.
                let booked = booked(&budgets).await;
                let stranger = third.clone().oneshot(prompt()).await.is_err();
                *seen.lock().expect("no panic") = Some((booked, stranger));
                third.oneshot(request).await
            }
        }
    });
    let spending = SpendLayer::new().layer(spying);
    let response = spending.clone().oneshot(prompt()).await.expect("it swaps");
    assert_eq!(
        *at_the_second.lock().expect("no panic"),
        Some(((0, FULL), true))
    );
    drain(response.into_body()).await.expect("whole");
    assert_eq!(booked(&budgets).await, (190, 0));
}

#[tokio::test]
async fn what_a_chain_leaves_is_void() {
    let budgets = budgets([total(FULL)]);
    let calls = Calls::default();
    let refuse = || Err(Failure::new(FailureKind::RateLimit).into());
    let failing = layer(&budgets).layer(service(&calls, refuse));
    let spending = SpendLayer::new().layer(tower::service_fn(move |request| {
        chain(
            vec![failing.clone(), failing.clone(), failing.clone()],
            request,
        )
    }));
    // A request that is kept, as for the rest of a stream, does not keep the lease.
    let request = prompt();
    let kept = request.clone();
    spending.oneshot(request).await.expect_err("all fail");
    assert_eq!(calls.count(), 3);
    assert_eq!(booked(&budgets).await, (0, 0));
    drop(kept);
}

#[tokio::test]
async fn a_request_counts_once_whoever_answers_it() {
    let requests = Budget::new(Scope::Global, Limit::Requests(1), Window::total());
    let budgets = budgets([requests]);
    let calls = Calls::default();
    let lost = layer(&budgets).layer(service(&calls, || {
        Err(Failure::new(FailureKind::Timeout).into())
    }));
    let spending = SpendLayer::new().layer(tower::service_fn(move |request| {
        chain(vec![lost.clone(), lost.clone()], request)
    }));
    spending.oneshot(prompt()).await.expect_err("all fail");
    assert_eq!(calls.count(), 2, "the second is the same request");
    assert_eq!(booked(&budgets).await, (1, 0));

    let whole = layer(&budgets).layer(service(&calls, || Ok(whole())));
    whole
        .clone()
        .oneshot(prompt())
        .await
        .expect_err("this one is another");
    let mut rest = prompt();
    rest.extensions_mut().insert(Continuing::new("smart", []));
    whole
        .oneshot(rest)
        .await
        .expect("the rest of an answer is no request of its own");
}

/// Takes its time.
#[derive(Clone, Debug)]
struct Slow(MemoryLedger);

impl Ledger for Slow {
    fn reserve(&self, reservation: Reservation, instead_of: Option<Lease>) -> Reserving {
        let ledger = self.0.clone();
        LedgerFuture::boxed(async move {
            tokio::task::yield_now().await;
            let answer = ledger.reserve(reservation, instead_of).await;
            tokio::task::yield_now().await;
            answer
        })
    }

    fn balances(&self, budgets: &[Arc<Budget>], now: std::time::SystemTime) -> Balances {
        self.0.balances(budgets, now)
    }
}

#[tokio::test]
async fn a_ledger_that_takes_its_time_is_waited_for() {
    let budgets = Budgets::new(Arc::new(Slow(MemoryLedger::new())), [total(FULL)]).expect("one");
    let calls = Calls::default();
    let mut service = layer(&budgets).layer(service(&calls, || Ok(whole())));
    let mut call = tokio_test(service.ready().await.expect("ready").call(prompt()));
    assert!(call.poll().is_none());
    assert_eq!(calls.count(), 0);
    assert!(call.poll().is_none(), "it has been granted by now");
    assert_eq!(booked(&budgets).await, (0, FULL));
    drop(call);
    assert_eq!(booked(&budgets).await, (0, 0), "nothing had been sent");

    let response = service.ready().await.expect("ready").call(prompt()).await;
    drain(response.expect("room").into_body())
        .await
        .expect("whole");
    assert_eq!(booked(&budgets).await, (190, 0));
    service
        .oneshot(prompt())
        .await
        .map(drop)
        .expect("310 are left");
}

#[tokio::test]
async fn a_swap_that_is_let_go_half_way_leaves_nothing() {
    let budgets = Budgets::new(Arc::new(Slow(MemoryLedger::new())), [total(FULL)]).expect("one");
    let calls = Calls::default();
    let refuse = || Err(Failure::new(FailureKind::RateLimit).into());
    let failing = layer(&budgets).layer(service(&calls, refuse));
    let plan = SpendLayer::new().layer(tower::service_fn(move |request: Request<Prompt>| {
        chain(vec![failing.clone(), failing.clone()], request)
    }));
    for polls in 0..8 {
        let mut call = tokio_test(plan.clone().oneshot(prompt()));
        for _ in 0..polls {
            if call.poll().is_some() {
                break;
            }
        }
        drop(call);
        assert_eq!(booked(&budgets).await, (0, 0), "after {polls} polls");
    }
    assert_eq!(
        calls.count(),
        8,
        "two of them got to the first, three to both"
    );
}

struct Polled<F>(std::pin::Pin<Box<F>>);

fn tokio_test<F: Future>(future: F) -> Polled<F> {
    Polled(Box::pin(future))
}

impl<F: Future> Polled<F> {
    fn poll(&mut self) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match self.0.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

#[tokio::test]
async fn the_service_that_is_ready_is_the_one_that_is_called() {
    for ledger in [
        Arc::new(MemoryLedger::new()) as Arc<dyn Ledger>,
        Arc::new(Slow(MemoryLedger::new())),
    ] {
        let budgets = Budgets::new(ledger, [total(10_000)]).expect("one");
        let (mock, mut handle) = tower_test::mock::pair::<Request<Prompt>, Response<Answer>>();
        let mut service = layer(&budgets).layer(mock);
        handle.allow(0);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            service.poll_ready(&mut cx).is_pending(),
            "it is not ready by itself"
        );
        handle.allow(1);
        // The mock panics if a service that is not ready is called.
        let call = service.ready().await.expect("ready").call(prompt());
        let serve = async {
            let (_, respond) = handle.next_request().await.expect("a call");
            respond.send_response(whole());
        };
        let (response, ()) = tokio::join!(call, serve);
        drain(response.expect("room").into_body())
            .await
            .expect("whole");
        assert_eq!(booked(&budgets).await, (190, 0));
    }
}
