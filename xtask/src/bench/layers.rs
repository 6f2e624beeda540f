//! Each layer and the whole stack: time by criterion, allocations, and instructions where valgrind is there.

use super::{Tables, cargo, output};
use crate::workspace::Workspace;
use crate::{Result, process};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PACKAGE: [&str; 2] = ["-p", "backstop-benches"];

/// What one run of a case costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: f64,
    allocations: u64,
    /// Only where valgrind is installed.
    instructions: Option<u64>,
}

impl Cost {
    /// That of a case which stands on no other.
    fn none() -> Self {
        Self {
            instructions: Some(0),
            ..Self::default()
        }
    }
}

/// What decides whether a deployment may be asked: each with what it stands on, and how many allocations and
/// instructions it may add to that.
const RULES: [(&str, Option<&str>, f64, f64); 4] = [
    ("fit", Some("bare service inside a stack"), 0.0, 500.0),
    (
        "residency, no rule holds",
        Some("bare service inside a stack"),
        0.0,
        2_500.0,
    ),
    (
        "residency, a rule holds",
        Some("bare service inside a stack"),
        10.0,
        9_000.0,
    ),
    // The legs of the reservation, and itself.
    (
        "reserve and settle, four accounts in memory",
        None,
        2.0,
        20_000.0,
    ),
];

struct Case {
    name: String,
    /// The case that this one stands on.
    over: Option<String>,
}

pub(super) fn run(workspace: &Workspace) -> Result<Tables> {
    process::run(cargo(["bench"]).args(PACKAGE).args(["--bench", "layers"]))?;
    let mut allocations = process::cargo(["bench"]);
    allocations.args(PACKAGE).args(["--bench", "allocations"]);
    let (allocations, _) = output(&mut allocations)?;

    let mut build = cargo(["build", "--release"]);
    process::run(build.args(PACKAGE).args(["--bin", "bench-instructions"]))?;
    let program = workspace.target.join("release/bench-instructions");
    let cases = cases(&program)?;
    let valgrind = has_valgrind();
    if !valgrind {
        eprintln!("valgrind is not installed: instructions are not counted");
    }

    let mut costs = HashMap::new();
    for Case { name, .. } in &cases {
        let cost = Cost {
            nanoseconds: nanoseconds(&workspace.target, name)?,
            allocations: allocated(&allocations, name)?,
            instructions: valgrind.then(|| instructions(&program, name)).transpose()?,
        };
        costs.insert(&**name, cost);
    }
    Ok(tables(&cases, &costs))
}

fn cases(program: &Path) -> Result<Vec<Case>> {
    let (list, _) = output(&mut Command::new(program))?;
    let case = |line: &str| {
        let (name, over) = line.split_once('\t').ok_or("a list with another form")?;
        let over = Some(over.to_owned()).filter(|over| !over.is_empty());
        let name = name.to_owned();
        Ok(Case { name, over })
    };
    list.lines().map(case).collect()
}

/// The median that criterion has found.
fn nanoseconds(target: &Path, name: &str) -> Result<f64> {
    let file = target
        .join("criterion")
        .join(name)
        .join("new/estimates.json");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or_else(|| format!("{} has no median", file.display()).into())
}

fn allocated(lines: &str, name: &str) -> Result<u64> {
    lines
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .find(|(of, _)| *of == name)
        .and_then(|(_, counts)| counts.split('\t').next()?.parse().ok())
        .ok_or_else(|| format!("no allocations of `{name}`").into())
}

fn has_valgrind() -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Two runs of different length: what they have in common is no part of it.
fn instructions(program: &Path, name: &str) -> Result<u64> {
    const RUNS: u64 = 200;
    let total = |runs: u64| -> Result<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args([name, &runs.to_string()])
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let collected = text
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        Ok(collected
            .ok_or("callgrind has counted nothing")?
            .1
            .trim()
            .parse()?)
    };
    eprintln!("counting the instructions of `{name}`");
    Ok(total(2 * RUNS)?.saturating_sub(total(RUNS)?) / RUNS)
}

fn tables(cases: &[Case], costs: &HashMap<&str, Cost>) -> Tables {
    let mut text = String::new();
    text += "| | what it adds to | ns | allocations | instructions |\n|---|---|--:|--:|--:|\n";
    for Case { name, over } in cases {
        let (cost, base) = (costs[&**name], over.as_deref().map(|over| costs[over]));
        let base = base.unwrap_or_else(Cost::none);
        let instructions = cost.instructions.zip(base.instructions).map_or_else(
            || "–".to_owned(),
            |(own, base)| (own as i64 - base as i64).to_string(),
        );
        let _ = writeln!(
            text,
            "| {name} | {} | {:.0} | {} | {instructions} |",
            over.as_deref().unwrap_or("–"),
            cost.nanoseconds - base.nanoseconds,
            cost.allocations as i64 - base.allocations as i64,
        );
    }

    text += "\n| gate | bound | measured | |\n|---|---|---|---|\n";
    let mut passed = true;
    let mut gate = |what: &str, bound: f64, unit: &str, measured: f64| {
        let holds = measured <= bound;
        passed &= holds;
        let verdict = if holds { "PASS" } else { "FAIL" };
        let measured = (measured * 100.0).round() / 100.0;
        let _ = writeln!(
            text,
            "| {what} | ≤ {bound}{unit} | {measured}{unit} | {verdict} |"
        );
    };
    let of = |name: &str| costs[name];
    let stack = of("every layer").allocations - of("bare service").allocations;
    gate("a stack of every layer", 20.0, " allocations", stack as f64);
    for (name, over, allocations, instructions) in RULES {
        let base = over.map_or_else(Cost::none, of);
        let own = of(name);
        let allocated = own.allocations as f64 - base.allocations as f64;
        gate(name, allocations, " allocations", allocated);
        if let (Some(own), Some(base)) = (own.instructions, base.instructions) {
            gate(
                name,
                instructions,
                " instructions",
                own as f64 - base as f64,
            );
        }
    }
    let count = |name: &str| of(name).instructions.map(|count| count as f64);
    let failover = || {
        let bare = count("bare service")?;
        let own = count("every layer, the first deployment fails")?
            - bare
            - count("bare service that fails")?;
        Some(own / (count("every layer")? - bare))
    };
    if let Some(ratio) = failover() {
        gate(
            "instructions of failing over to those of an answer",
            1.8,
            "",
            ratio,
        );
    }
    let forward = || Some(count("forward, 100 KiB")? / count("parse, 100 KiB")?);
    if let Some(ratio) = forward() {
        gate(
            "instructions of forwarding 100 KiB to those of parsing them",
            0.15,
            "",
            ratio,
        );
    }
    Tables { text, passed }
}
