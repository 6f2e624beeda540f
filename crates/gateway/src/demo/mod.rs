//! `backstop demo`: the whole thing on one machine, with no key and no network.
//!
//! Simulated providers and a gateway on loopback, one scene for each outage. Each scene checks what the client saw
//! against what it should have seen, so the demo is also a test: it ends with an error if one does not hold.

mod host;
mod print;
mod scenes;
mod visit;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use backstop_config::{Config, Environment};
use backstop_core::BoxError;
use backstop_sim::{Outage, Sim};

use self::host::Host;
use self::print::Printer;
use self::scenes::{SCENES, Scene};
use self::visit::Visitor;
use crate::cli;
use crate::shutdown::Signals;

/// How long a reader has for one scene.
const PAUSE: Duration = Duration::from_millis(1500);

pub(crate) async fn run(options: cli::Demo) -> Result<(), BoxError> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sim = Sim::bind(loopback).await?;
    let audit = tempfile::tempdir()?;
    let environment = Environment::given([("AUDIT", audit.path().display().to_string())]);
    let config = Config::parse("the demo", &document(&sim), &environment)?;
    let mut signals = Signals::listen()?;
    let gateway = Host::start(&config, loopback).await?;

    let printer = Printer::new();
    printer.opening(&sim.url(), gateway.url(), audit.path(), &config);
    let visitor = Visitor::new(gateway.url(), audit.path().to_owned());
    let mut failed = Vec::new();
    let scenes = async {
        for (index, scene) in SCENES.iter().enumerate() {
            printer.title(index + 1, scene.title);
            if let Err(error) = play(scene, &sim, &gateway, &visitor, &printer).await {
                printer.failed(&error);
                failed.push(scene.title);
            }
            if !options.fast {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let to_the_end = tokio::select! {
        () = scenes => true,
        () = signals.next() => false,
    };
    if to_the_end {
        printer.closing(SCENES.len(), &failed);
    }
    if to_the_end && options.keep {
        Printer::keeping(gateway.url());
        signals.next().await;
    }
    gateway.shutdown().await?;
    sim.shutdown().await;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("{} of {} scenes failed", failed.len(), SCENES.len()).into())
    }
}

/// One scene: the outage begins, a client asks, the outage ends.
async fn play(
    scene: &Scene,
    sim: &Sim,
    gateway: &Host,
    visitor: &Visitor,
    printer: &Printer,
) -> Result<(), BoxError> {
    for (provider, fault) in scene.outages {
        let outage = Outage::new(*provider, *fault)?;
        sim.faults().begin(if scene.times > 0 {
            outage.times(scene.times)
        } else {
            outage
        });
    }
    let played = visits(scene, sim, visitor, printer).await;
    sim.faults().clear();
    // The next scene begins with a clean slate, as after a good while.
    for circuit in gateway.live().circuits().list() {
        circuit.reset();
    }
    played
}

async fn visits(
    scene: &Scene,
    sim: &Sim,
    visitor: &Visitor,
    printer: &Printer,
) -> Result<(), BoxError> {
    let last = scene.visits.len() - 1;
    for (index, expected) in scene.visits.iter().enumerate() {
        let calls = sim.journal().entries().len();
        let visit = visitor.ask(scene.stream).await?;
        let calls = sim.journal().entries().len() - calls;
        // Of many that are alike, the first and the last say it.
        printer.visit(&visit, calls, index == 0 || index == last);
        expected.check(&visit)?;
    }
    Ok(())
}

/// The three-provider chain, as a configuration file says it.
fn document(sim: &Sim) -> String {
    format!(
        r#"
model_list:
  - model_name: smart
    litellm_params: {{model: openai/gpt-4o, api_base: "{openai}", api_key: demo-openai}}
  - model_name: smart
    litellm_params: {{model: anthropic/claude-sonnet-4-6, api_base: "{anthropic}", api_key: demo-anthropic}}
  - model_name: smart
    litellm_params:
      model: bedrock/anthropic.claude-sonnet-4-6
      api_base: "{bedrock}"
      aws_region_name: us-east-1
      aws_access_key_id: AKIDEMO
      aws_secret_access_key: demo-bedrock
router_settings:
  fallbacks:
    - "openai/gpt-4o": ["anthropic/claude-sonnet-4-6", "bedrock/anthropic.claude-sonnet-4-6"]
  timeout: 0.3
  stream_timeout: 0.3
  deadline: 5
  cooldown_time: 10
audit: {{dir: os.environ/AUDIT}}
"#,
        openai = sim.openai(),
        anthropic = sim.anthropic(),
        bedrock = sim.bedrock(),
    )
}
