//! The layer over a mock service, driven by hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backstop_cooldown::{Circuit, CooldownConfig, CooldownLayer, Resting, State};
use backstop_core::{
    BoxError, ByStatus, Failure, FailureKind, Failures, Frame, HasExtensions, Ineligible,
    LastResort, OnBody, OnResponse, Reach, failure_of,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use tower_test::mock::{self, Handle, Mock, Spawn};

type Req = Request<()>;
type Res = Response<Script>;
type Service_ = backstop_cooldown::Cooldown<Mock<Req, Res>>;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A body that plays its frames; `Wait` is pending for ever.
#[derive(Debug, Default)]
struct Script(std::collections::VecDeque<Step>);

#[derive(Debug)]
enum Step {
    Role,
    Text,
    Break,
    Wait,
}

#[derive(Debug)]
struct Data {
    content: bool,
}

impl bytes::Buf for Data {
    fn remaining(&self) -> usize {
        0
    }

    fn chunk(&self) -> &[u8] {
        &[]
    }

    fn advance(&mut self, _: usize) {}
}

impl Frame for Data {
    fn is_content(&self) -> bool {
        self.content
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

impl http_body::Body for Script {
    type Data = Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Data>, BoxError>>> {
        let data = |content| Poll::Ready(Some(Ok(http_body::Frame::data(Data { content }))));
        match self.0.pop_front() {
            Some(Step::Role) => data(false),
            Some(Step::Text) => data(true),
            Some(Step::Break) => {
                let failure = Failure::new(FailureKind::Network).with_detail("cut");
                Poll::Ready(Some(Err(failure.into())))
            }
            Some(Step::Wait) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn script(steps: impl IntoIterator<Item = Step>) -> Res {
    Response::new(Script(steps.into_iter().collect()))
}

fn config() -> CooldownConfig {
    CooldownConfig::new().allowed_fails(0).jitter(|| 0.0)
}

fn circuit(id: &str) -> Circuit {
    Circuit::new(id, config())
}

fn trip(circuit: &Circuit, kind: FailureKind) {
    let ticket = circuit.admit(false).expect("closed");
    ticket.fail(&kind.into());
    assert_eq!(circuit.state(), State::Open);
}

fn spawn(circuit: &Circuit) -> (Spawn<Service_>, Handle<Req, Res>) {
    mock::spawn_layer(CooldownLayer::new(circuit.clone()))
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("pending"),
    }
}

/// The next request that reached the mock.
fn reached(handle: &mut Handle<Req, Res>) -> mock::SendResponse<Res> {
    ready(handle.next_request()).expect("a request").1
}

/// No request has reached the mock.
fn untouched(handle: &mut Handle<Req, Res>) {
    assert!(matches!(handle.poll_request(), Poll::Pending), "a call");
}

fn kind(error: &BoxError) -> FailureKind {
    failure_of(&**error).expect("a failure").kind()
}

/// One call that is answered with `response`.
fn answered(
    service: &mut Spawn<Service_>,
    handle: &mut Handle<Req, Res>,
    response: Res,
) -> <Service_ as Service<Req>>::Response {
    assert!(service.poll_ready().is_ready());
    let future = service.call(Req::default());
    reached(handle).send_response(response);
    ready(future).expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn a_closed_circuit_passes_readiness_through() {
    let (mut service, mut handle) = spawn(&circuit("a"));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.is_woken(), "the inner service wakes it");
    assert!(service.poll_ready().is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_dead_says_so() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    let (mut service, handle) = spawn(&circuit);
    drop(handle);
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn a_resting_circuit_refuses_without_waiting_for_the_inner_service() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::Timeout);
    let (mut service, mut handle) = spawn(&circuit);
    handle.allow(0);
    assert!(service.poll_ready().is_ready());
    let error = ready(service.call(Req::default())).expect_err("refused");
    let resting = error.downcast_ref::<Resting>().expect("resting");
    assert_eq!(resting.cause(), FailureKind::Timeout);
    assert_eq!(kind(&error), FailureKind::Ineligible(Ineligible::Cooling));
    untouched(&mut handle);
}

#[tokio::test(start_paused = true)]
async fn a_busy_inner_service_is_not_called_when_the_rest_ends_in_between() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::Timeout);
    let (mut service, mut handle) = spawn(&circuit);
    handle.allow(0);
    assert!(service.poll_ready().is_ready());
    advance(secs(60)).await;
    let error = ready(service.call(Req::default())).expect_err("refused");
    assert_eq!(kind(&error), FailureKind::Ineligible(Ineligible::Saturated));
    assert_eq!(circuit.state(), State::Open, "no probe is held");
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let _future = service.call(Req::default());
    assert_eq!(circuit.state(), State::Probing);
}

#[tokio::test(start_paused = true)]
async fn becoming_ready_holds_no_probe() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::Timeout);
    advance(secs(60)).await;
    let (mut service, _handle) = spawn(&circuit);
    assert!(service.poll_ready().is_ready());
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "poll_ready must be called first")]
async fn a_clone_of_a_ready_service_is_not_ready() {
    let (mock, _handle) = mock::pair::<Req, Res>();
    let mut service = CooldownLayer::new(circuit("a")).layer(mock);
    service.ready().await.expect("ready");
    drop(service.clone().call(Req::default()));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_judged_at_once_and_handed_on() {
    let circuit = circuit("a");
    let (mut service, mut handle) = spawn(&circuit);
    assert!(service.poll_ready().is_ready());
    let future = service.call(Req::default());
    reached(&mut handle).send_error(Failure::new(FailureKind::ServerError).with_detail("html"));
    let error = ready(future).expect_err("handed on");
    assert_eq!(failure_of(&*error).and_then(Failure::detail), Some("html"));
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_from_below_is_neutral() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mut service, mut handle) = spawn(&circuit);
    assert!(service.poll_ready().is_ready());
    let future = service.call(Req::default());
    reached(&mut handle).send_error(Failure::ineligible(Ineligible::Budget));
    assert!(ready(future).is_err());
    assert_eq!(circuit.state(), State::Open);
    assert!(circuit.admit(false).is_ok(), "the place is free");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_is_told_again_without_a_call() {
    let circuit = circuit("a");
    let (mut service, mut handle) = spawn(&circuit);
    for call in 0..2 {
        assert!(service.poll_ready().is_ready());
        let future = service.call(Req::default());
        if call == 0 {
            reached(&mut handle).send_error(Failure::new(FailureKind::Auth));
        }
        let error = ready(future).expect_err("rejected");
        let failure = failure_of(&*error).expect("a failure");
        assert_eq!(failure.kind(), FailureKind::Auth);
        assert_eq!(failure.reach() == Reach::Refused, call == 1);
    }
    untouched(&mut handle);
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_call_is_judged_at_the_end_of_its_body() {
    let circuit = circuit("a");
    let (mut service, mut handle) = spawn(&circuit);
    let response = answered(&mut service, &mut handle, script([Step::Text, Step::Break]));
    let mut body = response.into_body();
    ready(body.frame()).expect("a frame").expect("content");
    assert_eq!(circuit.state(), State::Closed, "not over yet");
    let error = ready(body.frame()).expect("a frame").expect_err("cut");
    assert_eq!(kind(&error), FailureKind::Network);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_judged_at_its_first_content() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mut service, mut handle) = spawn(&circuit);
    let steps = [Step::Role, Step::Text, Step::Break];
    let response = answered(&mut service, &mut handle, script(steps));
    let mut body = response.into_body();
    ready(body.frame()).expect("a frame").expect("a role");
    assert_eq!(circuit.state(), State::Probing, "a role is no content");
    ready(body.frame()).expect("a frame").expect("content");
    assert_eq!(circuit.state(), State::Closed);
    ready(body.frame()).expect("a frame").expect_err("cut");
    assert_eq!(circuit.state(), State::Open, "it went on as a call");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_breaks_before_content_has_failed() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mut service, mut handle) = spawn(&circuit);
    let response = answered(&mut service, &mut handle, script([Step::Role, Step::Break]));
    assert!(ready(response.into_body().collect()).is_err());
    assert_eq!(circuit.state(), State::Open);
    advance(secs(60)).await;
    assert!(circuit.admit(false).is_err(), "it rests for longer");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_content_is_an_answer() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mut service, mut handle) = spawn(&circuit);
    let response = answered(&mut service, &mut handle, script([Step::Role]));
    ready(response.into_body().collect()).expect("complete");
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_a_probe_leads_to_exactly_one_new_one() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mut service, mut handle) = spawn(&circuit);
    for point in 0..5 {
        assert!(service.poll_ready().is_ready());
        let mut future = Box::pin(service.call(Req::default()));
        assert_eq!(circuit.state(), State::Probing, "point {point}");
        match point {
            0 => {}
            1 => assert!(poll(future.as_mut()).is_pending()),
            2 => reached(&mut handle).send_response(script([])),
            _ => {
                let steps = [Step::Role, Step::Wait];
                reached(&mut handle).send_response(script(steps));
                let mut body = ready(future.as_mut()).expect("an answer").into_body();
                if point == 4 {
                    ready(body.frame()).expect("a frame").expect("a role");
                    assert!(poll(pin!(body.frame())).is_pending());
                }
            }
        }
        drop(future);
        if point < 2 {
            drop(reached(&mut handle));
        }
        assert_eq!(circuit.state(), State::Open, "point {point}");
        let next = circuit.admit(false).expect("the place is free");
        assert!(circuit.admit(false).is_err(), "for exactly one");
        drop(next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_of_an_ordinary_call_counts_for_nothing() {
    let circuit = Circuit::new("a", config().min_samples(1));
    let (mut service, mut handle) = spawn(&circuit);
    for _ in 0..20 {
        drop(answered(&mut service, &mut handle, script([Step::Wait])));
    }
    assert_eq!(circuit.state(), State::Closed);
    trip(&circuit, FailureKind::RateLimit);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_a_failure_is_judged_at_once_and_handed_on() {
    let circuit = circuit("a");
    let (mut service, mut handle) = spawn(&circuit);
    let mut refusal = script([Step::Text]);
    HasExtensions::extensions_mut(&mut refusal).insert(Failure::new(FailureKind::ServerError));
    let response = answered(&mut service, &mut handle, refusal);
    assert_eq!(circuit.state(), State::Open);
    ready(response.into_body().collect()).expect("untouched");
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn by_status_and_without_bodies() {
    let circuit = circuit("a");
    let layer = CooldownLayer::new(circuit.clone())
        .classify(ByStatus)
        .track(OnResponse);
    let (mut service, mut handle) = mock::spawn_layer::<Req, Response<Full<Bytes>>, _>(layer);
    for status in [200, 500] {
        assert_eq!(circuit.state(), State::Closed);
        assert!(service.poll_ready().is_ready());
        let future = service.call(Req::default());
        let response = Response::builder().status(status).body(Full::default());
        let (_, send) = ready(handle.next_request()).expect("a request");
        send.send_response(response.expect("valid"));
        assert_eq!(ready(future).expect("handed on").status(), status);
    }
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_passes_early() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    let (mut service, mut handle) = spawn(&circuit);
    let mut request = Req::default();
    request.extensions_mut().insert(LastResort);
    assert!(service.poll_ready().is_ready());
    let future = service.call(request);
    reached(&mut handle).send_response(script([Step::Text]));
    let body = ready(future).expect("an answer").into_body();
    ready(body.collect()).expect("complete");
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_at_the_probing_moment() {
    let circuit = circuit("a");
    trip(&circuit, FailureKind::ServerError);
    advance(secs(60)).await;
    let (mock, mut handle) = mock::pair::<Req, Res>();
    let service = CooldownLayer::new(circuit.clone()).layer(mock);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        calls.spawn(service.clone().oneshot(Req::default()));
    }
    let (_, probe) = handle.next_request().await.expect("the probe");
    for _ in 0..199 {
        let refused = calls.join_next().await.expect("a call").expect("no panic");
        let error = refused.expect_err("refused");
        assert_eq!(kind(&error), FailureKind::Ineligible(Ineligible::Cooling));
    }
    untouched(&mut handle);
    probe.send_response(script([Step::Text]));
    let answer = calls.join_next().await.expect("a call").expect("no panic");
    let body = answer.expect("an answer").into_body();
    body.collect().await.expect("complete");
    assert_eq!(circuit.state(), State::Closed);
}

mod keys {
    use super::*;

    struct Three {
        deployment: Circuit,
        credential: Circuit,
        endpoint: Circuit,
        service: Spawn<Service_>,
        handle: Handle<Req, Res>,
    }

    fn three() -> Three {
        let [deployment, credential, endpoint] = ["d", "c", "e"].map(circuit);
        let layer = CooldownLayer::new(deployment.clone())
            .credential(credential.clone())
            .endpoint(endpoint.clone());
        let (service, handle) = mock::spawn_layer(layer);
        Three {
            deployment,
            credential,
            endpoint,
            service,
            handle,
        }
    }

    impl Three {
        fn fail(&mut self, failure: Failure) {
            assert!(self.service.poll_ready().is_ready());
            let future = self.service.call(Req::default());
            reached(&mut self.handle).send_error(failure);
            assert!(ready(future).is_err());
        }

        fn states(&self) -> [State; 3] {
            [&self.deployment, &self.credential, &self.endpoint].map(Circuit::state)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_is_blamed_on_one() {
        use State::{Closed, Open};
        for (failure, states) in [
            (Failure::new(FailureKind::Auth), [Closed, Open, Closed]),
            (
                Failure::new(FailureKind::QuotaExhausted),
                [Closed, Open, Closed],
            ),
            (
                Failure::new(FailureKind::Network).with_reach(Reach::Unsent),
                [Closed, Closed, Open],
            ),
            (Failure::new(FailureKind::Network), [Open, Closed, Closed]),
            (
                Failure::new(FailureKind::ServerError),
                [Open, Closed, Closed],
            ),
            (
                Failure::new(FailureKind::Permission),
                [Open, Closed, Closed],
            ),
            (
                Failure::new(FailureKind::BadRequest),
                [Closed, Closed, Closed],
            ),
        ] {
            let mut three = three();
            three.fail(failure.clone());
            assert_eq!(three.states(), states, "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn alone_a_deployment_takes_all_the_blame() {
        let circuit = circuit("a");
        let (mut service, mut handle) = spawn(&circuit);
        assert!(service.poll_ready().is_ready());
        let future = service.call(Req::default());
        reached(&mut handle).send_error(Failure::new(FailureKind::Auth));
        assert!(ready(future).is_err());
        assert_eq!(circuit.state(), State::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_refuses_gives_the_others_their_probes_back() {
        let mut three = three();
        trip(&three.endpoint, FailureKind::Network);
        trip(&three.credential, FailureKind::Network);
        advance(secs(60)).await;
        trip(&three.deployment, FailureKind::Timeout);
        assert!(three.service.poll_ready().is_ready());
        let error = ready(three.service.call(Req::default())).expect_err("refused");
        let resting = error.downcast_ref::<Resting>().expect("resting");
        assert_eq!(resting.cause(), FailureKind::Timeout);
        assert_eq!(three.states(), [State::Open; 3], "no probe is held");
        untouched(&mut three.handle);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_any_kind_proves_that_the_endpoint_is_there() {
        let mut three = three();
        trip(&three.endpoint, FailureKind::Network);
        trip(&three.credential, FailureKind::Timeout);
        advance(secs(60)).await;
        three.fail(
            Failure::new(FailureKind::ServerError)
                .with_status(http::StatusCode::INTERNAL_SERVER_ERROR),
        );
        assert_eq!(
            three.states(),
            [State::Open, State::Open, State::Closed],
            "what it thinks of the key is still unknown"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_the_request_closes_them_all() {
        let mut three = three();
        for circuit in [&three.deployment, &three.credential, &three.endpoint] {
            trip(circuit, FailureKind::Timeout);
        }
        advance(secs(60)).await;
        three.fail(Failure::new(FailureKind::BadRequest));
        assert_eq!(three.states(), [State::Closed; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_of_all_three_closes_them_at_the_first_content() {
        let mut three = three();
        for circuit in [&three.deployment, &three.credential, &three.endpoint] {
            trip(circuit, FailureKind::Timeout);
        }
        advance(secs(60)).await;
        let steps = script([Step::Text, Step::Wait]);
        let response = answered(&mut three.service, &mut three.handle, steps);
        assert_eq!(three.states(), [State::Probing; 3]);
        let mut body = response.into_body();
        ready(body.frame()).expect("a frame").expect("content");
        assert_eq!(three.states(), [State::Closed; 3]);
    }
}

#[test]
fn auto_traits_and_debug() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug + 'static>(_: &T) {}
    let layer = CooldownLayer::new(circuit("a"));
    check(&layer);
    check(
        &layer
            .clone()
            .classify(|_: Result<&Res, &BoxError>| None::<Failure>),
    );
    let service = layer.layer(tower::service_fn(|_: Req| async {
        Ok::<_, BoxError>(script([]))
    }));
    assert!(format!("{service:?}", service = layer.layer(())).contains("Closed"));
    fn sends<S: Service<Req>>(_: &S)
    where
        S::Future: Send + 'static,
    {
    }
    sends(&service);
    let _: &backstop_cooldown::Cooldown<_, Failures, OnBody> = &service;
    assert_eq!(Script::default().size_hint().lower(), 0);
}
