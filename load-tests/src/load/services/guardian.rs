//! A shell that outlives the load test: whatever becomes of the load test (an error, a panic, kill -9), the engines and
//! services that it has started are ended, and their directory is removed. Nothing else does that for a process that was
//! killed: destructors don't run, and a child's parent-death signal follows threads, not processes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use parking_lot::Mutex;

const SCRIPT: &str = include_str!("guardian.sh");
const PIPE: &str = "guardian.pipe";

/// The guardian of one load test.
#[derive(Debug)]
pub struct Guardian {
    directory: PathBuf,
    /// Directories that were handed out.
    directories: AtomicU32,
    /// `None` once the load test is over.
    orders: Mutex<Option<File>>,
    shell: Mutex<Child>,
}

impl Guardian {
    /// Starts one, with a new directory below `parent` for everything that is started under it. PostgreSQL runs as
    /// another user when root starts it, so others have to be able to reach `parent`, as they can `/tmp`.
    ///
    /// # Errors
    /// When the directory, the named pipe in it or the shell can't be made.
    pub fn below(parent: &Path) -> anyhow::Result<Arc<Self>> {
        let directory = tempfile::Builder::new().prefix("pulselake-load-").tempdir_in(parent);
        let directory =
            directory.with_context(|| format!("can't make a directory in {}", parent.display()))?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711))?;
        let pipe = directory.path().join(PIPE);
        let made = Command::new("mkfifo").arg(&pipe).status().context("can't run mkfifo")?;
        ensure!(made.success(), "mkfifo {} failed", pipe.display());
        let mut shell = Command::new("bash");
        shell.args(["-c", SCRIPT, "guardian"]).arg(&pipe).arg(directory.path());
        shell.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = shell.spawn().context("can't start bash")?;
        // Opening waits for the shell to read.
        let orders = OpenOptions::new().write(true).open(&pipe)?;
        Ok(Arc::new(Self {
            directory: directory.keep(),
            directories: AtomicU32::new(0),
            orders: Mutex::new(Some(orders)),
            shell: Mutex::new(shell),
        }))
    }

    /// Where everything that is started has its files. It is removed in the end.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in [`Self::directory`] that nothing else has.
    pub(super) fn new_path(&self, name: &str) -> PathBuf {
        let number = self.directories.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{name}-{number}"))
    }

    /// The named pipe: what holds it open counts as a part of the load test.
    pub(super) fn pipe(&self) -> PathBuf {
        self.directory.join(PIPE)
    }

    /// A child of this process, to be killed in the end.
    ///
    /// # Errors
    /// When the child has ended and was waited for, or the guardian is gone.
    pub fn guard_process(&self, pid: u32) -> anyhow::Result<()> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} has ended"))?;
        let start = start_of(&stat).with_context(|| format!("/proc/{pid}/stat can't be read: {stat:?}"))?;
        self.order(&format!("kill\t{pid}\t{start}"))
    }

    /// Services in a directory, to be ended by `script DIRECTORY`.
    pub(super) fn guard_services(&self, script: &Path, directory: &Path) -> anyhow::Result<()> {
        self.order(&format!("down\t{}\t{}", script.display(), directory.display()))
    }

    /// A service of somebody else that the load test stops by a signal: in the end it goes on.
    pub(super) fn guard_sleep(&self, pid_file: &Path) -> anyhow::Result<()> {
        self.order(&format!("wake\t{}", pid_file.display()))
    }

    fn order(&self, line: &str) -> anyhow::Result<()> {
        let mut orders = self.orders.lock();
        let pipe = orders.as_mut().context("the guardian has ended")?;
        // At once, in one piece: it is shorter than a pipe's atomic write.
        pipe.write_all(format!("{line}\n").as_bytes()).context("the guardian has ended")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.orders.lock().take());
        // It has ended, or ends when everything else has.
        let _ = self.shell.lock().wait();
    }
}

/// When a process was started, in ticks since the machine's start.
fn start_of(stat: &str) -> Option<&str> {
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn is_running(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
    }

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn its_end_is_the_end_of_processes_services_and_files() {
        let parent = tempfile::tempdir().unwrap();
        let guardian = Guardian::below(parent.path()).unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        guardian.guard_process(child.id()).unwrap();
        let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
        // A process that got the pid of one that is gone has another start.
        guardian.order(&format!("kill\t{}\t1", stranger.id())).unwrap();
        let script = parent.path().join("down.sh");
        std::fs::write(&script, "touch \"$1.stopped\"").unwrap();
        let service = parent.path().join("service");
        guardian.guard_services(&script, &service).unwrap();
        let directory = guardian.directory().to_owned();
        assert!(directory.is_dir());
        drop(guardian);
        wait_until("the child is killed", || !is_running(child.id()));
        assert!(is_running(stranger.id()), "the stranger was killed");
        assert!(parent.path().join("service.stopped").exists());
        assert!(!directory.exists());
        child.wait().unwrap();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn a_start_that_is_under_way_is_waited_for() {
        let parent = tempfile::tempdir().unwrap();
        let guardian = Guardian::below(parent.path()).unwrap();
        let (script, marker) = (parent.path().join("down.sh"), parent.path().join("up"));
        std::fs::write(&script, "test -e \"$1\" && touch \"$1.stopped\"").unwrap();
        guardian.guard_services(&script, &marker).unwrap();
        let up = format!("exec 9>{}; sleep 0.5; touch {}", guardian.pipe().display(), marker.display());
        let mut starter = Command::new("bash").args(["-c", &up]).spawn().unwrap();
        // It holds the pipe as soon as it has opened it.
        let descriptor = format!("/proc/{}/fd/9", starter.id());
        wait_until("the script has begun", || Path::new(&descriptor).exists());
        drop(guardian);
        assert!(parent.path().join("up.stopped").exists());
        starter.wait().unwrap();
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 900 0 0 0 1234 56 0 0 20 0 12 0 4711 200 300";
        assert_eq!(start_of(stat), Some("4711"));
        assert_eq!(start_of("77 nothing"), None);
    }
}
