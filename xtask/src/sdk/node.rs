//! Node's part of the SDK checks: the packages that `tests/sdk/node` pins, and its tests by Node's own runner.

use crate::process::{run, shown};
use crate::workspace::Workspace;
use crate::{Result, packages};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Node whose test runner has the reporter that is asked for.
const OLDEST: (u32, u32) = (18, 15);

/// The command that runs the checks.
pub(super) fn tests(workspace: &Workspace, sources: &Path) -> Result<Command> {
    let directory = environment(workspace, sources)?;
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec"])
        .current_dir(directory);
    Ok(command)
}

/// A folder with the checks beside exactly the packages of their lock file: Node looks for packages above the file
/// that names them, and nothing may be installed among the sources.
fn environment(workspace: &Workspace, sources: &Path) -> Result<PathBuf> {
    let directory = workspace.target.join("sdk-node");
    let lock = "package-lock.json";
    let wanted = fs::read_to_string(sources.join(lock))?;
    // npm's own copy of what it has installed is written last.
    let marker = directory.join("node_modules").join(lock);
    let installed = fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted);

    fs::create_dir_all(&directory)?;
    for old in fs::read_dir(&directory)? {
        let old = old?.path();
        if old.is_file() {
            fs::remove_file(old)?;
        }
    }
    for source in fs::read_dir(sources)? {
        let source = source?;
        if source.file_type()?.is_file() {
            fs::copy(source.path(), directory.join(source.file_name()))?;
        }
    }

    if !(is_recent() && packages::can_run("npm")) {
        packages::install("the SDK checks need Node 18 and npm", &["nodejs", "npm"])?;
        if !is_recent() {
            return Err(format!(
                "the SDK checks need Node {}.{} or newer; install it first",
                OLDEST.0, OLDEST.1
            )
            .into());
        }
    }
    if !installed {
        let package: Value = serde_json::from_slice(&fs::read(sources.join("package.json"))?)?;
        println!("installing into {} from npm:", directory.display());
        for (name, version) in package["dependencies"].as_object().into_iter().flatten() {
            println!("{name}@{}", version.as_str().unwrap_or_default());
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&directory);
        run(&mut npm).map_err(|error| format!("{error}\nrepeat it with: {}", shown(&npm)))?;
        fs::write(marker, wanted)?;
    }
    Ok(directory)
}

fn is_recent() -> bool {
    let output = Command::new("node")
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|version| version_of(&version))
        .is_some_and(|version| version >= OLDEST)
}

/// `v18.20.4` is (18, 20).
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn versions_are_read() {
        assert_eq!(version_of("v18.20.4\n"), Some((18, 20)));
        assert_eq!(version_of("v22.1.0"), Some((22, 1)));
        assert_eq!(version_of("18"), None);
    }
}
