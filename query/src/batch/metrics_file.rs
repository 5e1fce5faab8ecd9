//! Metrics in a file, for node_exporter's textfile collector.
//!
//! The file is written whole or not at all: readers see the one before, or this one.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Adds the lines that stand before a gauge's samples.
pub(super) fn head(text: &mut String, name: &str, help: &str) {
    // Writing to a text can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

/// Writes `text` to `path`, in place of what is there.
///
/// # Errors
/// When the directory can't be written.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = unfinished(path);
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, path)
}

/// Beside the file, with an ending that the collector does not read.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pulselake.prom");
        for content in ["first\n", "second\n"] {
            write(&path, content).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write(&directory.path().join("no/such/file.prom"), "").is_err());
    }
}
