//! The scripts of `tests/tools`, which know how services are started and stopped.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Names the directory where the scripts are, where no flag does; `with-kafka.sh` and `with-services.sh` set it.
pub const TOOLS_VARIABLE: &str = "PULSELAKE_TEST_TOOLS";
/// Where they are in the repository.
const IN_THE_REPOSITORY: &str = "tests/tools";
/// The one by which the directory is known.
const KNOWN_BY: &str = "kafka-up.sh";

/// The directory of the scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// The directory that is `named`, else the one of [`TOOLS_VARIABLE`], else `tests/tools` of the repository that this
    /// program or the current directory is in.
    ///
    /// # Errors
    /// When the scripts are not there; the message says what was looked at.
    pub fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let variable = std::env::var_os(TOOLS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(directory) = named.map(Path::to_owned).or(variable) {
            ensure!(
                directory.join(KNOWN_BY).is_file(),
                "{} holds no {KNOWN_BY}: --tools and {TOOLS_VARIABLE} name the directory {IN_THE_REPOSITORY} of the repository",
                directory.display()
            );
            return Ok(Self { directory: std::path::absolute(directory)? });
        }
        let program = std::env::current_exe().unwrap_or_default();
        let here = std::env::current_dir().context("the current directory is gone")?;
        Self::above(&[&here, &program]).with_context(|| {
            format!(
                "the scripts that start Kafka, S3, PostgreSQL and REST catalogs were not found above {} or {}: \
                 run this in the repository, or name its {IN_THE_REPOSITORY} by --tools or {TOOLS_VARIABLE}",
                here.display(),
                program.display()
            )
        })
    }

    fn above(places: &[&Path]) -> Option<Self> {
        let candidates = places.iter().flat_map(|place| place.ancestors());
        let mut directories = candidates.map(|directory| directory.join(IN_THE_REPOSITORY));
        directories.find(|directory| directory.join(KNOWN_BY).is_file()).map(|directory| Self { directory })
    }

    /// Where a script is.
    pub fn script(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a script to its end; what it wrote to standard output. `still_starting` is a named pipe that counts as open
    /// while the script runs; what the script starts does not hold it (the scripts close descriptor 9 for that).
    pub(super) fn run(
        &self,
        name: &str,
        arguments: &[impl AsRef<OsStr>],
        still_starting: &Path,
    ) -> anyhow::Result<String> {
        let mut command = Command::new("bash");
        command.args(["-c", "exec 9>\"$1\" && shift && exec bash \"$@\"", name]).arg(still_starting);
        command.arg(self.script(name)).args(arguments);
        said_by(command, name)
    }

    /// A port that is free, and so is the next one.
    pub(super) fn free_port(&self) -> anyhow::Result<u16> {
        let mut command = Command::new("bash");
        command.args(["-c", ". \"$1/lib.sh\" && . \"$1/services.sh\" && free_port", "free_port"]);
        let port = said_by(command_with(command, &self.directory), "free_port of services.sh")?;
        port.parse().with_context(|| format!("{port:?} is no port"))
    }
}

fn command_with(mut command: Command, argument: &Path) -> Command {
    command.arg(argument);
    command
}

/// Runs a command to its end; what it wrote to standard output, without blanks around it.
///
/// # Errors
/// When it ended badly, with what it said.
fn said_by(mut command: Command, name: &str) -> anyhow::Result<String> {
    // In a group of its own: ^C reaches the load test alone, which then stops what has come up.
    command.process_group(0).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("can't run {name}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} ended with {}: {}", output.status, complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Sends a signal by its name, such as STOP.
pub(crate) fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let kill = format!("kill -{name} {pid}");
    let output = Command::new("sh").args(["-c", &kill]).output().context("can't run sh")?;
    ensure!(output.status.success(), "{kill} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_the_scripts_is_refused_by_name() {
        let empty = tempfile::tempdir().unwrap();
        let error = Tools::find(Some(empty.path())).unwrap_err().to_string();
        assert!(error.contains(&empty.path().display().to_string()) && error.contains("--tools"), "{error}");
    }

    #[test]
    fn the_repository_is_found_from_anywhere_in_it() {
        let repository = tempfile::tempdir().unwrap();
        let tools = repository.path().join(IN_THE_REPOSITORY);
        std::fs::create_dir_all(&tools).unwrap();
        let deep = repository.path().join("target/debug/deps");
        assert_eq!(Tools::above(&[&deep]), None);
        std::fs::write(tools.join(KNOWN_BY), "").unwrap();
        assert_eq!(Tools::above(&[Path::new("/"), &deep]), Some(Tools { directory: tools }));
    }

    #[test]
    fn what_a_script_complains_of_is_handed_on() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no Java >&2; exit 3"]);
        let error = said_by(command, "kafka-up.sh").unwrap_err().to_string();
        assert!(error.contains("kafka-up.sh") && error.contains("no Java") && error.contains('3'), "{error}");
    }
}
