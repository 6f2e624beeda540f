//! The gateway, a bare hyper proxy and the simulator itself under the same load, in turns.
//!
//! Each server has one half of the cores while it is measured, and the load the other; once more, all share all of them.
//!
//! `bench-gateway BACKSTOP PROXY ROUNDS` with the paths of both programs; `cargo xtask bench gateway` builds them
//! and runs it. Tables go to stdout, progress to stderr; the exit code is 1 if a gate fails.

mod cores;
mod load;
mod process;
mod records;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use backstop_benches::report::Report;
use bytes::Bytes;

use crate::cores::{Cores, Place};
use crate::load::Load;
use crate::process::Server;
use crate::records::Decisions;
use crate::table::Numbers;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CONNECTIONS: usize = 16;
const CHUNKS: usize = 200;

const GATEWAY_PATH: &str = "/v1/chat/completions";
const DIRECT_PATH: &str = "/openai/v1/chat/completions";

/// The servers that have cores of their own.
const APART: &str = "apart";

/// The models of the gateway's configuration that the load asks for.
const SMART: &str = "smart";
const STREAM: &str = "stream";
const FAILING: &str = "failing";
const TRANSLATED: &str = "failing-translated";
const BREAKING: &str = "breaking";

// One thread: what the load costs is the same for each target, and leaves the rest of the machine to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [backstop, proxy, rounds] = &arguments[..] else {
        eprintln!("usage: bench-gateway BACKSTOP PROXY ROUNDS");
        return ExitCode::from(2);
    };
    let result = match rounds.parse() {
        Ok(rounds) => bench(Path::new(backstop), Path::new(proxy), rounds).await,
        Err(error) => Err(format!("`{rounds}` rounds: {error}").into()),
    };
    match result {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(report.has_failed()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The servers of one benchmark.
struct Servers {
    apart: Trio,
    /// A gateway that keeps no records, as the proxy keeps none.
    unrecorded: Server,
    /// The same again, which share the cores with the load.
    together: Trio,
    cores: Cores,
    directory: tempfile::TempDir,
}

/// A provider, and what stands before it.
struct Trio {
    sim: Server,
    proxy: Server,
    gateway: Server,
}

impl Servers {
    async fn start(backstop: &Path, proxy: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let cores = Cores::split()?;
        let server = async |place, program: &Path, arguments: &[&str]| {
            cores.enter(place)?;
            Server::start(program, arguments).await
        };
        let gateway = async |place, name: &str, sim: &Server, audit: &str| {
            let config = directory.path().join(name).with_extension("yaml");
            std::fs::write(&config, configuration(sim.address(), audit))?;
            let config = config
                .to_str()
                .ok_or("a temporary directory without a name")?;
            let serve = ["serve", "--config", config, "--listen", "127.0.0.1:0"];
            server(place, backstop, &serve).await
        };
        let trio = async |name: &str, measured, load| {
            let sim = server(load, backstop, &["sim"]).await?;
            let upstream = format!("http://{}/openai", sim.address());
            let records = Self::audit_in(directory.path()).join(name);
            let audit = format!("{{dir: {}}}", records.display());
            Result::Ok(Trio {
                proxy: server(measured, proxy, &[&upstream]).await?,
                gateway: gateway(measured, name, &sim, &audit).await?,
                sim,
            })
        };
        let apart = trio(APART, Place::Measured, Place::Load).await?;
        let unrecorded = gateway(Place::Measured, "unrecorded", &apart.sim, "off").await?;
        let together = trio("together", Place::Anywhere, Place::Anywhere).await?;
        Ok(Self {
            apart,
            unrecorded,
            together,
            cores,
            directory,
        })
    }

    fn audit_in(directory: &Path) -> PathBuf {
        directory.join("audit")
    }
}

fn configuration(sim: &str, audit: &str) -> String {
    let openai = format!("api_key: sk-bench, api_base: http://{sim}/openai/v1");
    let anthropic = format!("api_key: sk-bench, api_base: http://{sim}/anthropic");
    let bedrock = format!(
        "aws_region_name: us-east-1, aws_access_key_id: bench, aws_secret_access_key: bench, api_base: http://{sim}/bedrock"
    );
    // The failing deployments never rest, so that every request fails over.
    format!(
        r#"
model_list:
  - model_name: {SMART}
    litellm_params: {{model: openai/gpt-4o, {openai}, order: 1}}
  - model_name: {SMART}
    litellm_params: {{model: anthropic/claude-sonnet-4-6, {anthropic}, order: 2}}
  - model_name: {SMART}
    litellm_params: {{model: bedrock/anthropic.claude-sonnet-4-6, {bedrock}, order: 3}}
  - model_name: {STREAM}
    litellm_params: {{model: openai/gpt-4o+tokens={CHUNKS}, {openai}}}
  - model_name: {FAILING}
    litellm_params: {{model: openai/gpt-4o+500, {openai}, order: 1}}
    model_info: {{id: failing-1, cooldown_time: 0}}
  - model_name: {FAILING}
    litellm_params: {{model: openai/gpt-4o, {openai}, order: 2}}
    model_info: {{id: failing-2}}
  - model_name: {TRANSLATED}
    litellm_params: {{model: openai/gpt-4o+500, {openai}, order: 1}}
    model_info: {{id: translated-1, cooldown_time: 0}}
  - model_name: {TRANSLATED}
    litellm_params: {{model: anthropic/claude-sonnet-4-6, {anthropic}, order: 2}}
    model_info: {{id: translated-2}}
  - model_name: {BREAKING}
    litellm_params: {{model: openai/gpt-4o+error=32, {openai}, order: 1}}
    model_info: {{id: breaking-1, cooldown_time: 0}}
  - model_name: {BREAKING}
    litellm_params: {{model: anthropic/claude-sonnet-4-5, {anthropic}, order: 2}}
    model_info: {{id: breaking-2}}
audit: {audit}
"#
    )
}

/// One target's numbers in one kind of load, a value per round.
#[derive(Default)]
struct Samples {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Microseconds of processor time for a request.
    cpu: Vec<f64>,
}

/// One target under one kind of load, again and again.
struct Trial<'a> {
    load: Load,
    /// Where the load runs.
    place: Place,
    /// Whose processor time counts.
    server: Option<&'a Server>,
    samples: Samples,
}

impl<'a> Trial<'a> {
    fn new(server: &'a Server, model: &str, connections: usize, requests: usize) -> Self {
        Self {
            load: Load {
                address: server.address().to_owned(),
                path: GATEWAY_PATH,
                body: body(model),
                connections,
                requests,
            },
            place: Place::Load,
            server: Some(server),
            samples: Samples::default(),
        }
    }

    /// What there is before anything stands in between. The simulator's processor time is nobody's.
    fn of_the_simulator(mut self) -> Self {
        self.load.path = DIRECT_PATH;
        self.server = None;
        self
    }

    /// On all cores, as the server.
    fn anywhere(mut self) -> Self {
        self.place = Place::Anywhere;
        self
    }

    async fn round(&mut self, cores: &Cores) -> Result<()> {
        cores.enter(self.place)?;
        let before = self.server.and_then(Server::cpu);
        let run = self.load.run().await?;
        let after = self.server.and_then(Server::cpu);
        let samples = &mut self.samples;
        samples.rate.push(run.rate());
        samples.p50.push(run.quantile(0.5));
        samples.p99.push(run.quantile(0.99));
        if let Some((before, after)) = before.zip(after) {
            // The connections' first requests are counted too.
            let requests = self.load.requests + self.load.connections;
            samples
                .cpu
                .push((after - before).as_secs_f64() * 1e6 / requests as f64);
        }
        Ok(())
    }
}

async fn bench(backstop: &Path, proxy: &Path, rounds: usize) -> Result<Report> {
    let servers = Servers::start(backstop, proxy).await?;
    let Trio {
        sim,
        proxy,
        gateway,
    } = &servers.apart;
    let three = |upstream: &str, model: &str, connections, requests| {
        let direct = Trial::new(sim, upstream, connections, requests);
        [
            direct.of_the_simulator(),
            Trial::new(proxy, upstream, connections, requests),
            Trial::new(gateway, model, connections, requests),
        ]
    };
    let upstream = format!("gpt-4o+tokens={CHUNKS}");
    let mut busy = three("gpt-4o", SMART, CONNECTIONS, 2500);
    let mut unrecorded = Trial::new(&servers.unrecorded, SMART, CONNECTIONS, 2500);
    let mut together = [
        Trial::new(&servers.together.proxy, "gpt-4o", CONNECTIONS, 2500),
        Trial::new(&servers.together.gateway, SMART, CONNECTIONS, 2500),
    ]
    .map(Trial::anywhere);
    let mut failing =
        [FAILING, TRANSLATED].map(|model| Trial::new(gateway, model, CONNECTIONS, 1500));
    let mut idle = three("gpt-4o", SMART, 1, 400);
    let mut streams = three(&upstream, STREAM, CONNECTIONS, 160);
    let mut breaking = Trial::new(gateway, BREAKING, CONNECTIONS, 160);

    // Many short rounds: what disturbs a machine for longer disturbs all targets of a round. The first one fills pools
    // and caches, and does not count.
    for round in 0..=rounds {
        if round % 10 == 0 {
            eprintln!("round {round} of {rounds}");
        }
        let trials = busy
            .iter_mut()
            .chain([&mut unrecorded])
            .chain(&mut together)
            .chain(&mut failing)
            .chain(&mut idle)
            .chain(&mut streams)
            .chain([&mut breaking]);
        for trial in trials {
            trial.round(&servers.cores).await?;
            if round == 0 {
                trial.samples = Samples::default();
            }
        }
    }

    let [busy, idle, streams] = [busy, idle, streams].map(|three| three.map(|trial| trial.samples));
    let failing = failing.map(|trial| trial.samples);
    let unrecorded = unrecorded.samples;
    let together = together.map(|trial| trial.samples);
    let Servers {
        apart, directory, ..
    } = servers;
    apart.gateway.stop().await?;
    let records = Servers::audit_in(directory.path()).join(APART);
    let decisions = Decisions::read(&records, FAILING)?;
    let resumes = Decisions::read(&records, BREAKING)?;
    let numbers = Numbers {
        busy,
        unrecorded,
        together,
        idle,
        streams,
        failing,
        decisions,
        resumes,
    };
    Ok(numbers.report())
}

/// About 1 KiB, as a client sends it.
fn body(model: &str) -> Bytes {
    let stream = [STREAM, BREAKING].contains(&model) || model.contains("tokens");
    let payload = backstop_benches::ready::payload(1024);
    let chat = backstop::Chat::parse(payload).expect("a valid request");
    let body = chat.edit().set_model(model);
    if stream {
        body.set("stream", "true")
    } else {
        body
    }
    .finish()
}
