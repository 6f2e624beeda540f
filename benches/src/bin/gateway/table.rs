//! The numbers as tables, and the gates.

use backstop_benches::report::{Gate, Report, median, ratio};

use crate::records::Decisions;
use crate::{CHUNKS, Samples};

/// What was measured; of three targets, the simulator itself, the proxy and the gateway.
pub(crate) struct Numbers {
    pub(crate) busy: [Samples; 3],
    pub(crate) unrecorded: Samples,
    /// The proxy and the gateway, on the same cores as the load.
    pub(crate) together: [Samples; 2],
    pub(crate) idle: [Samples; 3],
    pub(crate) streams: [Samples; 3],
    pub(crate) failing: [Samples; 2],
    pub(crate) decisions: Decisions,
    pub(crate) resumes: Decisions,
}

impl Numbers {
    pub(crate) fn report(&self) -> Report {
        let Self {
            busy,
            unrecorded,
            together,
            idle,
            streams,
            failing,
            decisions,
            resumes,
        } = self;
        let mut report = Report::default();
        report.row(["", "direct", "hyper proxy", "gateway", "gateway / proxy"]);
        report.line("|---|--:|--:|--:|--:|");
        let mut rows =
            |name: &str, of: [&Samples; 3], value: fn(&Samples) -> &[f64], scale: f64| {
                let [direct, proxy, gateway] = of.map(value);
                let shown = |values: &[f64]| match median(values) * scale {
                    value if value.is_nan() => "–".to_owned(),
                    value if value >= 100.0 => format!("{value:.0}"),
                    value => format!("{value:.1}"),
                };
                let ratio = format!("{:.2}", ratio(gateway, proxy));
                report.row([name, &shown(direct), &shown(proxy), &shown(gateway), &ratio]);
            };
        let chunks = CHUNKS as f64;
        let [busy, idle, streams] = [busy, idle, streams].map(|three| three.each_ref());
        rows("requests/s, 16 connections", busy, |it| &it.rate, 1.0);
        rows("p50, 16 connections (µs)", busy, |it| &it.p50, 1.0);
        rows("p99, 16 connections (µs)", busy, |it| &it.p99, 1.0);
        rows("CPU per request (µs)", busy, |it| &it.cpu, 1.0);
        let cpu = [&Samples::default(), busy[1], unrecorded];
        rows("the same, without records (µs)", cpu, |it| &it.cpu, 1.0);
        let [proxy, gateway] = together;
        let cpu = [&Samples::default(), proxy, gateway];
        rows(
            "the same, on cores shared with the load (µs)",
            cpu,
            |it| &it.cpu,
            1.0,
        );
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
}
