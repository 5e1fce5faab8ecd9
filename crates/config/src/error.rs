//! What can be wrong with the settings.

use std::fmt;
use std::path::PathBuf;

/// One wrong setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as `section.name`.
    pub key: String,
    /// Where it was set: file and line, environment variable or flag; `None` for a default.
    pub origin: Option<String>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(formatter, "{} ({origin}): {}", self.key, self.message),
            None => write!(formatter, "{}: {}", self.key, self.message),
        }
    }
}

/// All that is wrong at once; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}  {problem}")?;
        }
        Ok(())
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file can't be read.
    #[error("can't read the settings file {}: {source}; name an existing one, or leave --config out for the defaults", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings file is no TOML. The text around the error is left out: it may hold a secret.
    #[error("{}, line {line}, column {column}: not valid TOML: {message}", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// Settings that are not allowed.
    #[error("wrong settings:\n{0}")]
    Invalid(Problems),
    /// The settings passed every check and still don't fit: a defect of the rules.
    #[error("the settings can't be used: {0}; please report this")]
    Unusable(String),
    /// The working directory, to which relative paths refer, can't be found out.
    #[error("can't find the absolute path of {path}: {source}; give an absolute path")]
    NoAbsolutePath {
        /// The relative path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A path that can't be written as a URI.
    #[error("{} is not UTF-8, which catalog and warehouse locations must be; choose another lake.data_dir", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
}
