//! From the paths in the settings to the list of files: directories, patterns, kinds, and the list's name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::SourceError;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Lines,
    GzipLines,
    ZstdLines,
    Parquet,
}

/// One file of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    /// Size when the source was opened, bytes.
    pub(super) size_bytes: u64,
}

/// The kind of a file by its name; `None` if it is not one that can be read.
pub(super) fn kind_of(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    if name.ends_with(".parquet") {
        return Some(FileKind::Parquet);
    }
    let (stem, kind) = if let Some(stem) = name.strip_suffix(".gz") {
        (stem, FileKind::GzipLines)
    } else if let Some(stem) = name.strip_suffix(".zst") {
        (stem, FileKind::ZstdLines)
    } else {
        (name.as_str(), FileKind::Lines)
    };
    [".ndjson", ".jsonl", ".json"].iter().any(|suffix| stem.ends_with(suffix)).then_some(kind)
}

/// All files behind the paths, sorted by name, each once.
///
/// A path is a file, a directory (all readable files below it; others are passed over) or a pattern.
pub(super) fn expand(paths: &[String]) -> Result<Vec<InputFile>, SourceError> {
    let mut found = Found::default();
    for path in paths {
        // A name that is there is taken as it stands, even if it could be read as a pattern.
        let literal = Path::new(path);
        if literal.exists() {
            add(literal, true, &mut found)?;
            continue;
        }
        let matches = glob::glob(path).map_err(|error| SourceError::Settings {
            setting: "files.paths".to_owned(),
            detail: format!("{path:?} is not a pattern: {error}"),
        })?;
        let mut is_matched = false;
        for entry in matches {
            let entry = entry.map_err(|error| unreadable(error.path(), error.error()))?;
            add(&entry, true, &mut found)?;
            is_matched = true;
        }
        if !is_matched {
            return Err(SourceError::Settings {
                setting: "files.paths".to_owned(),
                detail: format!("{path:?} is neither a file nor a directory with files, and matches none"),
            });
        }
    }
    if found.paths.is_empty() {
        return Err(SourceError::Settings {
            setting: "files.paths".to_owned(),
            detail: "names no .ndjson, .jsonl, .json (also .gz, .zst) or .parquet file".to_owned(),
        });
    }
    found.paths.into_iter().map(described).collect()
}

/// The files found so far, and where they really lie: `a`, `./a` and a link to it are one file.
#[derive(Default)]
struct Found {
    paths: BTreeSet<PathBuf>,
    real_paths: BTreeSet<PathBuf>,
}

fn add(path: &Path, is_named: bool, found: &mut Found) -> Result<(), SourceError> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        for entry in entries {
            add(&entry.map_err(|error| unreadable(path, &error))?.path(), false, found)?;
        }
        return Ok(());
    }
    if kind_of(path).is_some() {
        let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        if found.real_paths.insert(real) {
            found.paths.insert(path.to_path_buf());
        }
        return Ok(());
    }
    if is_named {
        return Err(SourceError::File {
            path: path.to_path_buf(),
            detail: "is of no kind that can be read: .ndjson, .jsonl, .json (plain, .gz, .zst) or .parquet"
                .to_owned(),
        });
    }
    tracing::debug!(path = %path.display(), "not an input file, passed over");
    Ok(())
}

fn described(path: PathBuf) -> Result<InputFile, SourceError> {
    let size_bytes = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
    let kind = kind_of(&path).unwrap_or(FileKind::Lines);
    Ok(InputFile { path, kind, size_bytes })
}

/// The error of a file that can't be opened or read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> SourceError {
    SourceError::File { path: path.to_path_buf(), detail: format!("can't be read: {error}") }
}

/// A name for exactly this list: the files' names below their common directory, and their sizes.
pub(super) fn fingerprint(files: &[InputFile]) -> String {
    let mut common: PathBuf =
        files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new("")).into();
    while !files.iter().all(|file| file.path.starts_with(&common)) {
        common.pop();
    }
    let mut text = String::new();
    for file in files {
        let name = file.path.strip_prefix(&common).unwrap_or(&file.path);
        text.push_str(&format!("{}\u{0}{}\n", name.display(), file.size_bytes));
    }
    format!("files:{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(directory: &Path, name: &str, bytes: &[u8]) {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn names(directory: &Path, files: &[InputFile]) -> Vec<String> {
        files.iter().map(|file| file.path.strip_prefix(directory).unwrap().display().to_string()).collect()
    }

    #[test]
    fn directories_and_patterns_give_each_readable_file_once_in_order() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.ndjson", "a.jsonl.gz", "deep/c.parquet", "notes.txt", "d.json.zst"] {
            touch(root.path(), name, b"x");
        }
        let path = |name: &str| root.path().join(name).display().to_string();
        let all = expand(&[path(""), path("*.ndjson"), path("deep/../b.ndjson")]).unwrap();
        assert_eq!(names(root.path(), &all), ["a.jsonl.gz", "b.ndjson", "d.json.zst", "deep/c.parquet"]);
        let kinds: Vec<FileKind> = all.iter().map(|file| file.kind).collect();
        assert_eq!(kinds, [FileKind::GzipLines, FileKind::Lines, FileKind::ZstdLines, FileKind::Parquet]);
        assert_eq!(names(root.path(), &expand(&[path("**/*.parquet")]).unwrap()), ["deep/c.parquet"]);
    }

    #[test]
    fn what_names_nothing_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "notes.txt", b"x");
        let path = |name: &str| root.path().join(name).display().to_string();
        for wrong in [path("missing.ndjson"), path("*.ndjson"), path("notes.txt")] {
            let error = expand(std::slice::from_ref(&wrong)).unwrap_err();
            assert!(error.to_string().contains(&wrong), "{error}");
        }
        assert!(expand(&[path("")]).unwrap_err().to_string().contains("files.paths"));
        assert!(expand(&[]).is_err());
    }

    #[test]
    fn the_fingerprint_follows_names_and_sizes_but_not_the_place() {
        let of = |name: &str, bytes: &[u8]| {
            let root = tempfile::tempdir().unwrap();
            touch(root.path(), name, bytes);
            touch(root.path(), "z.ndjson", b"z");
            fingerprint(&expand(&[root.path().display().to_string()]).unwrap())
        };
        assert_eq!(of("a.ndjson", b"1"), of("a.ndjson", b"2"));
        assert_ne!(of("a.ndjson", b"1"), of("a.ndjson", b"12"));
        assert_ne!(of("a.ndjson", b"1"), of("b.ndjson", b"1"));
    }
}
