//! What a call allocates for the layer's sake.

use std::task::{Context, Poll, Waker};

use backstop_budget::{Budget, BudgetLayer, Budgets, Scope, Spender, Window};
use backstop_core::{BoxError, Deployment};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service};

use crate::support::{Prompt, budgets, price, prompt, usd};

type Answered = Result<Response<Full<Bytes>>, BoxError>;

/// How often a call allocates, to the end of its answer, once everything is warm.
fn allocations(budgets: &Budgets) -> u64 {
    let mut service = BudgetLayer::new(budgets, Deployment::new("east"), price).layer(
        tower::service_fn(|_: Request<Prompt>| {
            let answer: Answered = Ok(Response::new(Full::new(Bytes::from_static(b"word"))));
            std::future::ready(answer)
        }),
    );
    let spender = Spender::new().key("web").team("growth").org("acme");
    let mut count = 0;
    for _ in 0..10 {
        let mut request = prompt();
        request.extensions_mut().insert(spender.clone());
        count = allocation_counter::measure(|| {
            let mut cx = Context::from_waker(Waker::noop());
            let call = std::pin::pin!(service.call(request));
            let Poll::Ready(Ok(response)) = call.poll(&mut cx) else {
                panic!("it answers at once");
            };
            let body = std::pin::pin!(response.into_body());
            let frame = body.poll_frame(&mut cx);
            assert!(matches!(frame, Poll::Ready(Some(Ok(_)))));
        })
        .count_total;
    }
    count
}

#[test]
fn a_reservation_is_two_and_no_budget_is_none() {
    let each = |scope| Budget::new(scope, usd(1 << 50), Window::day("UTC").expect("a zone"));
    let none = budgets([each(Scope::User), each(Scope::Tag)]);
    let four = budgets([
        each(Scope::Key),
        each(Scope::Team),
        each(Scope::Org),
        each(Scope::Global),
    ]);
    // The test's own request and answer allocate nothing in there.
    assert_eq!(allocations(&none), 0);
    assert_eq!(allocations(&four), 2, "its legs, and itself");
}
