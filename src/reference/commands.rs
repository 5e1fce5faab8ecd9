//! docs/commands.md: every command and option, as clap knows them.

use clap_markdown::{MarkdownOptions, help_markdown_custom};

use super::golden::{NOTE, assert_page};
use crate::cli::Cli;

const TITLE: &str = "Commands of pulselake";
const ABOUT: &str = "\
`pulselake` is the engine and all that goes with it. `sql`, `views`, `batch`, `drift` and `query-serve` are carried out by \
`pulselake-query`, whose options are [on a page of their own](commands-query.md). `--config`, `--data-dir`, `--catalog`, \
`--warehouse` and `--set` are the same everywhere; what can be set is in [Settings](settings.md). The variable `PULSELAKE_CONFIG` \
stands for `--config`.

Exit codes: 0 it was done; 1 it failed, or a check did not hold; 2 the command line or a setting is wrong.
";

#[test]
fn the_page_of_commands_is_what_clap_says() {
    let options = MarkdownOptions::new().show_footer(false).show_aliases(true);
    let text = help_markdown_custom::<Cli>(&options);
    // Before its overview clap-markdown says what kind of page this is.
    let (_, overview) = text.split_once("**Command Overview:**").unwrap();
    assert_page("docs/commands.md", &format!("# {TITLE}\n\n{NOTE}\n\n{ABOUT}\n{}\n", overview.trim()));
}
