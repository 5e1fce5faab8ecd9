//! Completion in the shell: keywords, functions, and the lake's own names.

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::statement::is_complete;
use crate::QueryEngine;
use crate::catalog::SERVING;

const KEYWORDS: [&str; 44] = [
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS JOIN",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "FROM",
    "FULL JOIN",
    "GROUP BY",
    "HAVING",
    "IN",
    "INTERVAL",
    "IS NULL",
    "JOIN",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER BY",
    "OVER",
    "PARTITION BY",
    "SELECT",
    "SHOW COLUMNS FROM",
    "SHOW FUNCTIONS",
    "SHOW TABLES",
    "THEN",
    "TIMESTAMP",
    "UNION ALL",
    "USING",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Everything that can be completed.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    names: Vec<String>,
}

impl Words {
    /// The names of the lake as it is now. What can't be read is not completed; the statement that names it says why.
    pub(super) async fn load(engine: &QueryEngine) -> Self {
        let mut names: Vec<String> = engine.function_names();
        let Ok(listing) = engine.listing().await else { return Self { names } };
        let views = listing.views.into_iter().map(|name| (SERVING.to_owned(), name));
        for (schema, name) in listing.tables.into_iter().chain(views) {
            if let Ok(Some(columns)) = engine.columns(&schema, &name).await {
                names.extend(columns.fields().iter().map(|field| field.name().clone()));
            }
            names.push(format!("{schema}.{name}"));
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// Where the word before `cursor` begins, and what it may become.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let is_of_name =
            |character: char| character.is_alphanumeric() || character == '_' || character == '.';
        let before = &line[..cursor];
        let start = before
            .rfind(|character| !is_of_name(character))
            .map_or(0, |place| place + before[place..].chars().next().map_or(0, char::len_utf8));
        let word = &before[start..];
        if word.is_empty() {
            return (start, Vec::new());
        }
        let is_begun = |candidate: &str| {
            candidate.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
        };
        let keywords = KEYWORDS.iter().copied().filter(|keyword| is_begun(keyword)).map(ToOwned::to_owned);
        let names = self.names.iter().filter(|name| is_begun(name)).cloned();
        (start, keywords.chain(names).collect())
    }
}

/// What the line editor asks.
pub(super) struct SqlHelper {
    words: Words,
}

impl SqlHelper {
    pub(super) fn new(words: Words) -> Self {
        Self { words }
    }
}

impl Helper for SqlHelper {}

impl Highlighter for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.words.candidates(line, cursor);
        let pairs = words.into_iter().map(|word| Pair { display: word.clone(), replacement: word });
        Ok((start, pairs.collect()))
    }
}

impl Validator for SqlHelper {
    /// A statement goes on over lines until its semicolon; a command is one line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_command =
            text.starts_with('\\') || matches!(text.to_ascii_lowercase().as_str(), "exit" | "quit");
        match is_command || is_complete(text) {
            true => Ok(ValidationResult::Valid(None)),
            false => Ok(ValidationResult::Incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_cursor_is_completed() {
        let words = Words { names: ["gold.rt_video_stats_1min", "video_id"].map(ToOwned::to_owned).to_vec() };
        assert_eq!(words.candidates("SELECT vid", 10), (7, vec!["video_id".to_owned()]));
        assert_eq!(words.candidates("FROM gold.r", 11), (5, vec!["gold.rt_video_stats_1min".to_owned()]));
        assert_eq!(words.candidates("sel", 3), (0, vec!["SELECT".to_owned()]));
        assert_eq!(words.candidates("SELECT ", 7), (7, Vec::new()));
        assert_eq!(words.candidates("grö", "grö".len()), (0, Vec::new()));
    }
}
