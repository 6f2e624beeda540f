//! `cargo xtask bench [layers|ledgers|gateway] [--write-readme]`: what the layers, the ledgers and the gateway cost.
//!
//! Times are reported; what passes or fails are ratios and counts, which hold on any machine. Tables in Markdown go
//! to stdout, everything else to stderr.

mod gateway;
mod layers;
mod ledgers;
mod machine;

use crate::workspace::Workspace;
use crate::{Result, process};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::process::{Command, Stdio};

const START: &str = "<!-- bench:start -->\n";
const END: &str = "<!-- bench:end -->";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let (mut part, mut write) = (None, false);
    for argument in arguments {
        match &**argument {
            "layers" | "ledgers" | "gateway" if part.is_none() => part = Some(&**argument),
            "--write-readme" => write = true,
            other => return Err(format!("unexpected argument `{other}`").into()),
        }
    }
    if write && part.is_some() {
        return Err("`--write-readme` writes all tables, so it measures all".into());
    }

    let mut text = machine::line();
    let mut passed = true;
    let parts: [(&str, fn(&Workspace) -> Result<Tables>); 3] = [
        ("layers", layers::run),
        ("ledgers", ledgers::run),
        ("gateway", gateway::run),
    ];
    for (name, run) in parts {
        if part.is_none_or(|part| part == name) {
            let tables = run(workspace)?;
            text += "\n";
            text += &tables.text;
            passed &= tables.passed;
        }
    }
    println!("{text}");
    if write {
        let readme = workspace.root.join("README.md");
        fs::write(
            &readme,
            between_markers(&fs::read_to_string(&readme)?, &text)?,
        )?;
    }
    if passed {
        Ok(())
    } else {
        Err("a gate has failed".into())
    }
}

/// Tables, and whether every gate in them has passed.
struct Tables {
    text: String,
    passed: bool,
}

/// The page with `text` in place of what stands between its markers.
fn between_markers(page: &str, text: &str) -> Result<String> {
    let parts = page.split_once(START).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or("README.md has no `bench:start` and `bench:end` markers")?;
    Ok(format!("{before}{START}\n{text}\n{END}{after}"))
}

/// Cargo, whose output is no part of the tables.
fn cargo<I>(arguments: I) -> Command
where
    I: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut command = process::cargo(arguments);
    command.stdout(io::stderr());
    command
}

/// Runs a command to its end and gives what it wrote to stdout.
fn output(command: &mut Command) -> Result<(String, bool)> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", process::shown(command)))?;
    Ok((String::from_utf8(output.stdout)?, output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_between_the_markers() {
        let page = format!("a\n{START}old\n{END}\nb\n");
        let written = between_markers(&page, "new").expect("markers");
        assert_eq!(written, format!("a\n{START}\nnew\n{END}\nb\n"));
        assert_eq!(between_markers(&written, "new").expect("markers"), written);
        between_markers("a", "new").expect_err("no markers");
    }
}
