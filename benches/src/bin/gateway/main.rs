//! The gateway, a bare hyper proxy and the simulator itself under the same load, in turns.
//!
//! `bench-gateway BACKSTOP PROXY ROUNDS` with the paths of both programs; `cargo xtask bench gateway` builds them
//! and runs it. Tables go to stdout, progress to stderr; the exit code is 1 if a gate fails.

mod load;
mod process;
mod records;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use backstop_benches::report::{Gate, Report, median, ratio};
use bytes::Bytes;

use crate::load::Load;
use crate::process::Server;
use crate::records::Decisions;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CONNECTIONS: usize = 16;
const CHUNKS: usize = 200;

const GATEWAY_PATH: &str = "/v1/chat/completions";
const DIRECT_PATH: &str = "/openai/v1/chat/completions";

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
    sim: Server,
    proxy: Server,
    gateway: Server,
    directory: tempfile::TempDir,
}

impl Servers {
    async fn start(backstop: &Path, proxy: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let sim = Server::start(backstop, &["sim"]).await?;
        let upstream = format!("http://{}/openai", sim.address());
        let proxy = Server::start(proxy, &[&upstream]).await?;
        let config = directory.path().join("backstop.yaml");
        let audit = Self::audit_in(directory.path());
        std::fs::write(&config, configuration(sim.address(), &audit))?;
        let config = config
            .to_str()
            .ok_or("a temporary directory without a name")?;
        let serve = ["serve", "--config", config, "--listen", "127.0.0.1:0"];
        let gateway = Server::start(backstop, &serve).await?;
        Ok(Self {
            sim,
            proxy,
            gateway,
            directory,
        })
    }

    fn audit_in(directory: &Path) -> PathBuf {
        directory.join("audit")
    }
}

fn configuration(sim: &str, audit: &Path) -> String {
    let openai = format!("api_key: sk-bench, api_base: http://{sim}/openai/v1");
    let anthropic = format!("api_key: sk-bench, api_base: http://{sim}/anthropic");
    let bedrock = format!(
        "aws_region_name: us-east-1, aws_access_key_id: bench, aws_secret_access_key: bench, api_base: http://{sim}/bedrock"
    );
    let audit = audit.display();
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
audit: {{dir: {audit}}}
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
    /// Whose processor time counts.
    server: Option<&'a Server>,
    samples: Samples,
}

impl<'a> Trial<'a> {
    async fn round(&mut self) -> Result<()> {
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
    let trial = |server: Option<&'static str>, model: &str, connections, requests| {
        let (server, path) = match server {
            None => (None, DIRECT_PATH),
            Some("proxy") => (Some(&servers.proxy), GATEWAY_PATH),
            Some(_) => (Some(&servers.gateway), GATEWAY_PATH),
        };
        Trial {
            load: Load {
                address: server.unwrap_or(&servers.sim).address().to_owned(),
                path,
                body: body(model),
                connections,
                requests,
            },
            server,
            samples: Samples::default(),
        }
    };
    let three = |upstream: &str, model: &str, connections, requests| {
        [
            trial(None, upstream, connections, requests),
            trial(Some("proxy"), upstream, connections, requests),
            trial(Some("gateway"), model, connections, requests),
        ]
    };
    let upstream = format!("gpt-4o+tokens={CHUNKS}");
    let mut busy = three("gpt-4o", SMART, CONNECTIONS, 20_000);
    let mut failing =
        [FAILING, TRANSLATED].map(|model| trial(Some("gateway"), model, CONNECTIONS, 12_000));
    let mut idle = three("gpt-4o", SMART, 1, 2000);
    let mut streams = three(&upstream, STREAM, CONNECTIONS, 1200);
    let mut breaking = trial(Some("gateway"), BREAKING, CONNECTIONS, 1200);

    // The first round fills pools and caches, and does not count.
    for round in 0..=rounds {
        eprintln!("round {round} of {rounds}");
        let trials = busy
            .iter_mut()
            .chain(&mut failing)
            .chain(&mut idle)
            .chain(&mut streams)
            .chain([&mut breaking]);
        for trial in trials {
            trial.round().await?;
            if round == 0 {
                trial.samples = Samples::default();
            }
        }
    }

    let [busy, idle, streams] = [busy, idle, streams].map(|three| three.map(|trial| trial.samples));
    let failing = failing.map(|trial| trial.samples);
    let Servers {
        gateway, directory, ..
    } = servers;
    gateway.stop().await?;
    let records = Servers::audit_in(directory.path());
    let decisions = Decisions::read(&records, FAILING)?;
    let resumes = Decisions::read(&records, BREAKING)?;
    Ok(report(
        &busy, &idle, &streams, &failing, &decisions, &resumes,
    ))
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

fn report(
    busy: &[Samples; 3],
    idle: &[Samples; 3],
    streams: &[Samples; 3],
    failing: &[Samples; 2],
    decisions: &Decisions,
    resumes: &Decisions,
) -> Report {
    let mut report = Report::default();
    report.row(["", "direct", "hyper proxy", "gateway", "gateway / proxy"]);
    report.line("|---|--:|--:|--:|--:|");
    let mut rows = |name: &str, of: &[Samples; 3], value: fn(&Samples) -> &[f64], scale: f64| {
        let [direct, proxy, gateway] = of.each_ref().map(value);
        let shown = |values: &[f64]| match median(values) * scale {
            value if value.is_nan() => "–".to_owned(),
            value if value >= 100.0 => format!("{value:.0}"),
            value => format!("{value:.1}"),
        };
        let ratio = format!("{:.2}", ratio(gateway, proxy));
        report.row([name, &shown(direct), &shown(proxy), &shown(gateway), &ratio]);
    };
    let chunks = CHUNKS as f64;
    rows("requests/s, 16 connections", busy, |it| &it.rate, 1.0);
    rows("p50, 16 connections (µs)", busy, |it| &it.p50, 1.0);
    rows("p99, 16 connections (µs)", busy, |it| &it.p99, 1.0);
    rows("CPU per request (µs)", busy, |it| &it.cpu, 1.0);
    rows("p50, 1 connection (µs)", idle, |it| &it.p50, 1.0);
    rows("p99, 1 connection (µs)", idle, |it| &it.p99, 1.0);
    rows("chunks/s, 16 streams", streams, |it| &it.rate, chunks);
    rows("CPU per chunk (µs)", streams, |it| &it.cpu, 1.0 / chunks);
    report.line("");

    let [_, proxy, gateway] = busy;
    let [same_format, translated] = failing;
    report.row(["failing over", "to the same format", "to Anthropic's"]);
    report.line("|---|--:|--:|");
    let cpu = failing.each_ref().map(|it| median(&it.cpu));
    report.row([
        "CPU per request (µs)".to_owned(),
        format!("{:.0}", cpu[0]),
        format!("{:.0}", cpu[1]),
    ]);
    let failover = ratio(&same_format.cpu, &gateway.cpu);
    report.row([
        "times that of an answer without a failure".to_owned(),
        format!("{failover:.2}"),
        format!("{:.2}", ratio(&translated.cpu, &gateway.cpu)),
    ]);
    report.line("");

    report.row(["going on with a stream that broke", "p50", "p99"]);
    report.line("|---|--:|--:|");
    report.row([
        "from the break to the next request (µs)".to_owned(),
        format!("{:.0}", resumes.quantile(0.5)),
        format!("{:.0}", resumes.quantile(0.99)),
    ]);
    report.line("");

    let throughput = ratio(&gateway.rate, &proxy.rate);
    let cpu = ratio(&gateway.cpu, &proxy.cpu);
    let (p50, p99) = (decisions.quantile(0.5), decisions.quantile(0.99));
    report.gates(&[
        Gate {
            what: "requests/s, gateway to proxy",
            bound: "≥ 0.6",
            measured: format!("{throughput:.2}"),
            passed: throughput >= 0.6,
        },
        Gate {
            what: "CPU per request, gateway to proxy",
            bound: "≤ 1.8",
            measured: format!("{cpu:.2}"),
            passed: cpu <= 1.8,
        },
        Gate {
            what: "CPU per request, failing over to not",
            bound: "≤ 1.8",
            measured: format!("{failover:.2}"),
            passed: failover <= 1.8,
        },
        Gate {
            what: "from a failed answer to the next attempt, p99 (p50)",
            bound: "≤ 1 ms",
            measured: format!("{p99:.0} µs ({p50:.0} µs)"),
            passed: p99 <= 1000.0,
        },
        Gate {
            what: "attempts held back while failing over",
            bound: "none",
            measured: decisions.delayed.to_string(),
            passed: decisions.delayed == 0,
        },
        Gate {
            what: "attempts held back while going on with a stream",
            bound: "none",
            measured: resumes.delayed.to_string(),
            passed: resumes.delayed == 0,
        },
    ]);
    report
}
