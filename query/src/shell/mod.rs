//! The interactive shell: statements that end with a semicolon, a history, completion, and a few commands.

mod completion;
mod statement;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;

use crate::output::OutputFormat;
use crate::{QueryEngine, QueryError, QueryLimits};

pub use statement::{is_complete, split};

use completion::{SqlHelper, Words};

/// Statements that the history keeps.
const HISTORY_ENTRIES: usize = 2_000;
const PROMPT: &str = "pulselake> ";

const HELP: &str = "\
  SELECT … ;         runs a statement; it ends with a semicolon and may have several lines
  \\d                 lists tables and views
  \\d TABLE           lists a table's columns
  \\format FORMAT     table, json, ndjson or csv
  \\q, Ctrl-D         leaves; Ctrl-C stops a running query
";

/// Reads statements and shows their results until the user leaves.
///
/// # Errors
/// When the terminal can't be used.
pub fn run(
    runtime: &Runtime,
    engine: &QueryEngine,
    limits: QueryLimits,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let words = runtime.block_on(Words::load(engine));
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<SqlHelper, FileHistory> =
        Editor::with_config(config).context("can't use the terminal")?;
    editor.set_max_history_size(HISTORY_ENTRIES).context("can't keep a history")?;
    editor.set_helper(Some(SqlHelper::new(words)));
    let history = history_file();
    if let Some(path) = &history {
        // There is none before the first session.
        let _ = editor.load_history(path);
    }
    println!("Read-only SQL on the lake. \\? explains the commands, \\q leaves.");
    let mut shown_as = format;
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("can't read from the terminal"),
        };
        let statement = line.trim();
        if statement.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(statement);
        match Input::of(statement) {
            Input::Leave => break,
            Input::Help => print!("{HELP}"),
            Input::Format(chosen) => shown_as = chosen,
            Input::Unknown(command) => {
                println!("there is no command {command}; \\? explains those there are");
            }
            Input::Sql(sql) => {
                if let Err(error) = runtime.block_on(show(engine, &sql, limits, shown_as)) {
                    eprint!("{}", error_text(&sql, &error));
                }
            }
        }
    }
    if let Some(path) = &history {
        save_history(&mut editor, path);
    }
    Ok(())
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    Sql(String),
    Format(OutputFormat),
    Help,
    Leave,
    Unknown(String),
}

impl Input {
    fn of(line: &str) -> Self {
        let plain = line.trim_end_matches(';').trim();
        if matches!(plain.to_ascii_lowercase().as_str(), "exit" | "quit") {
            return Self::Leave;
        }
        let Some(command) = line.strip_prefix('\\') else { return Self::Sql(plain.to_owned()) };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = rest.trim().trim_end_matches(';');
        match (name, argument) {
            ("q", _) => Self::Leave,
            ("?" | "h" | "help", _) => Self::Help,
            ("d", "") => Self::Sql(
                "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY 1, 2"
                    .to_owned(),
            ),
            ("d", table) => Self::Sql(format!("DESCRIBE {table}")),
            ("format", name) => match <OutputFormat as clap::ValueEnum>::from_str(name, true) {
                Ok(format) if format != OutputFormat::Arrow => Self::Format(format),
                _ => Self::Unknown(format!("\\format {name}")),
            },
            (name, _) => Self::Unknown(format!("\\{name}")),
        }
    }
}

/// Runs one statement; Ctrl-C ends it.
async fn show(
    engine: &QueryEngine,
    sql: &str,
    limits: QueryLimits,
    format: OutputFormat,
) -> Result<(), QueryError> {
    let mut writer = format.writer(std::io::stdout());
    tokio::select! {
        end = engine.run(sql, limits, &mut *writer) => end.map(|_| ()),
        _ = tokio::signal::ctrl_c() => Err(QueryError::Execution("stopped by Ctrl-C".to_owned())),
    }
}

/// The error, and where in the statement it is.
pub fn error_text(sql: &str, error: &QueryError) -> String {
    let mut text = format!("error: {error}\n");
    if let Some(at) = error.position() {
        let line = usize::try_from(at.line).ok().and_then(|line| sql.lines().nth(line.checked_sub(1)?));
        if let Some(line) = line {
            let indent = usize::try_from(at.column.saturating_sub(1)).unwrap_or(0).min(line.chars().count());
            text.push_str(&format!("  line {}: {line}\n", at.line));
            let before = format!("  line {}: ", at.line).chars().count() + indent;
            text.push_str(&format!("{}^\n", " ".repeat(before)));
        }
    }
    text
}

/// `$XDG_STATE_HOME/pulselake/sql_history`, or the same below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => std::env::home_dir()?.join(".local/state"),
    };
    Some(state.join("pulselake/sql_history"))
}

fn save_history(editor: &mut Editor<SqlHelper, FileHistory>, path: &PathBuf) {
    let saved = match path.parent().map(std::fs::create_dir_all) {
        Some(Err(error)) => Err(error.to_string()),
        _ => editor.save_history(path).map_err(|error| error.to_string()),
    };
    if let Err(error) = saved {
        // The session was fine: not worth more than a word.
        let _ = writeln!(std::io::stderr(), "the history was not kept in {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Position;

    #[test]
    fn lines_are_statements_or_commands() {
        assert_eq!(Input::of("SELECT 1;"), Input::Sql("SELECT 1".to_owned()));
        assert_eq!(
            Input::of("\\d gold.rt_video_stats_1min"),
            Input::Sql("DESCRIBE gold.rt_video_stats_1min".to_owned())
        );
        assert_eq!(Input::of("\\format csv"), Input::Format(OutputFormat::Csv));
        assert_eq!(Input::of("\\format arrow"), Input::Unknown("\\format arrow".to_owned()));
        assert_eq!(Input::of("EXIT;"), Input::Leave);
        assert_eq!(Input::of("\\x"), Input::Unknown("\\x".to_owned()));
    }

    #[test]
    fn an_error_points_at_its_place() {
        let error = QueryError::BadSql {
            message: "no such column".to_owned(),
            position: Some(Position { line: 2, column: 3 }),
        };
        let text = error_text("SELECT\n  nope\nFROM t", &error);
        assert_eq!(text, "error: no such column\n  line 2:   nope\n            ^\n");
    }
}
