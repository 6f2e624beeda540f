//! A caller who lets go at any moment leaves nothing behind: no task but those of the connection pool, no probe, no
//! open row in the trail, no call at the provider.
//!
//! The simulator has a runtime of its own, so that the tasks of this one are those of the stacks.

use std::time::Duration;

use backstop::{Body, Chat};
use backstop_config::{Config, Environment, Live};
use backstop_core::{BoxError, FailureKind, Trail};
use backstop_sim::{Entry, Outage, Progress, Provider, Sim};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{sleep_until, timeout};
use tower::Service;

const PROVIDERS: [(&str, Provider); 3] = [
    ("openai", Provider::OpenAi),
    ("anthropic", Provider::Anthropic),
    ("bedrock", Provider::Bedrock),
];

/// One deployment at each simulated provider, which rests at its first failure.
const CONFIG: &str = "
model_list:
  - model_name: openai
    litellm_params: {model: openai/gpt-4o, api_key: sk-one, api_base: os.environ/OPENAI}
  - model_name: anthropic
    litellm_params: {model: anthropic/claude-sonnet-4-6, api_key: sk-two, api_base: os.environ/ANTHROPIC}
  - model_name: bedrock
    litellm_params:
      model: bedrock/anthropic.claude-sonnet-4-6
      aws_region_name: us-east-1
      aws_access_key_id: AKIASIMULATED
      aws_secret_access_key: simulated
      api_base: os.environ/BEDROCK
router_settings: {allowed_fails: 0, cooldown_time: 0.1, patience: 100, deadline: 500, timeout: 400}
";

/// Running stacks before a simulator that lives elsewhere.
struct World {
    live: Live,
    sim: Sim,
    _elsewhere: Elsewhere,
}

/// A runtime that may be dropped in another one.
struct Elsewhere(Option<Runtime>);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

type Answer = Result<Response<Body>, BoxError>;

impl World {
    async fn start() -> Self {
        let elsewhere = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let bound = elsewhere
            .spawn(Sim::bind("127.0.0.1:0"))
            .await
            .expect("no panic");
        let sim = bound.expect("a free port");
        let bases = [
            ("OPENAI", sim.openai()),
            ("ANTHROPIC", sim.anthropic()),
            ("BEDROCK", sim.bedrock()),
        ];
        let config = Config::parse("test", CONFIG, &Environment::given(bases)).expect("sound");
        let live = Live::start(&config).await.expect("it runs anywhere");
        Self {
            live,
            sim,
            _elsewhere: Elsewhere(Some(elsewhere)),
        }
    }

    /// A call that has not been polled yet, and the trail that it writes.
    fn ask(&mut self, model: &str, stream: bool) -> (impl Future<Output = Answer> + use<>, Trail) {
        let chat = format!(
            r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
        );
        let mut request = Request::new(Chat::parse(chat).expect("a chat"));
        let trail = Trail::of_or_start(request.extensions_mut());
        (self.live.call(request), trail)
    }

    async fn answers(&mut self, model: &str) {
        for stream in [false, true] {
            let (call, _) = self.ask(model, stream);
            let answer = call.await.expect("an answer");
            answer.into_body().collect().await.expect("the whole of it");
        }
    }

    fn fails(&self, provider: Provider, fault: &str) {
        self.sim
            .faults()
            .begin(Outage::new(provider, fault).expect("a fault").times(1));
    }

    async fn progress(&self, n: usize, progress: Progress) {
        let ended = |entry: &Entry| entry.progress == progress;
        within(self.sim.journal().wait_for(n, ended)).await;
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future)
        .await
        .expect("within half a minute")
}

/// Polls `call`, which does not end by itself, until `moment`.
async fn until(call: impl Future<Output = Answer>, moment: impl Future) {
    tokio::select! {
        biased;
        answer = call => panic!("it was to be left: {answer:?}"),
        _ = within(moment) => {}
    }
}

/// Nothing happens outside of this runtime that would tell when a task of it has ended.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let found = timeout(Duration::from_secs(30), looking).await;
    assert!(found.is_ok(), "never: {what}; {} tasks", tasks());
}

/// Leaves some calls as `visit` does: each task that one of them left would be one more than the pool has.
async fn leaves_no_task(world: &mut World, model: &str, visit: impl AsyncFn(&mut World)) {
    world.answers(model).await;
    let pool = tasks();
    for _ in 0..5 {
        visit(world).await;
    }
    // Fewer, as the connections of calls that were left are closed.
    eventually("no task but the pool's", || tasks() <= pool).await;
    world.answers(model).await;
}

#[tokio::test]
async fn a_call_that_is_never_polled() {
    let mut world = World::start().await;
    for (model, _) in PROVIDERS {
        leaves_no_task(&mut world, model, async |world| {
            let asked = world.sim.journal().entries().len();
            let (call, trail) = world.ask(model, true);
            drop(call);
            assert_eq!(trail.attempts(), 0, "it has not begun");
            assert_eq!(world.sim.journal().entries().len(), asked);
        })
        .await;
    }
}

#[tokio::test]
async fn before_the_answer() {
    let mut world = World::start().await;
    for (model, provider) in PROVIDERS {
        for (fault, stream) in [
            ("hang", false),
            ("hang", true),
            ("stall=0", false),
            ("stall=0", true),
        ] {
            leaves_no_task(&mut world, model, async |world| {
                world.sim.journal().clear();
                world.fails(provider, fault);
                let (call, trail) = world.ask(model, stream);
                until(call, world.sim.journal().wait_for(1, |_| true)).await;
                world.progress(1, Progress::ClientGone).await;
                assert_eq!(
                    trail.snapshot().attempts[0].result,
                    Some(Err(FailureKind::Cancelled))
                );
            })
            .await;
        }
    }
}

#[tokio::test]
async fn in_a_pause_between_attempts() {
    let mut world = World::start().await;
    for (model, provider) in PROVIDERS {
        leaves_no_task(&mut world, model, async |world| {
            world.sim.journal().clear();
            world.fails(provider, "429=20");
            let (call, trail) = world.ask(model, true);
            until(call, eventually("a pause", || trail.retries() == 1)).await;
            assert_eq!(world.sim.journal().entries().len(), 1);
            let record = trail.snapshot();
            assert_eq!(record.attempts[0].result, Some(Err(FailureKind::RateLimit)));
            assert_eq!(record.attempts.len(), 1);
        })
        .await;
    }
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let mut world = World::start().await;
    for (model, provider) in PROVIDERS {
        for (fault, frames) in [("stall=3", 0), ("stall=3", 1), ("slow=5+tokens=10000", 4)] {
            leaves_no_task(&mut world, model, async |world| {
                world.sim.journal().clear();
                world.fails(provider, fault);
                let (call, trail) = world.ask(model, true);
                let mut answer = call.await.expect("a stream");
                for _ in 0..frames {
                    within(answer.frame())
                        .await
                        .expect("a frame")
                        .expect("unbroken");
                }
                drop(answer);
                world.progress(1, Progress::ClientGone).await;
                assert_eq!(
                    trail.snapshot().attempts[0].result,
                    Some(Err(FailureKind::Cancelled))
                );
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_probe_gives_its_place_back() {
    use backstop::cooldown::State;
    let mut world = World::start().await;
    for ((model, provider), id) in PROVIDERS.into_iter().zip([
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-6",
        "bedrock/anthropic.claude-sonnet-4-6",
    ]) {
        world.sim.journal().clear();
        let circuit = world
            .live
            .circuits()
            .get(id)
            .expect("one for each deployment");
        world.fails(provider, "504");
        let (call, _) = world.ask(model, false);
        call.await.expect_err("it times out");
        assert_eq!(circuit.state(), State::Open);

        for gone in 1..=2 {
            sleep_until(circuit.until().expect("open")).await;
            world.fails(provider, "hang");
            let (call, _) = world.ask(model, false);
            until(call, world.sim.journal().wait_for(1 + gone, |_| true)).await;
            assert_eq!(
                circuit.state(),
                State::Open,
                "the place of probe {gone} is free"
            );
            world.progress(gone, Progress::ClientGone).await;
        }
        let (call, _) = world.ask(model, false);
        call.await
            .expect("the next probe is answered")
            .into_body()
            .collect()
            .await
            .expect("whole");
        assert_eq!(circuit.state(), State::Closed);
    }
}
