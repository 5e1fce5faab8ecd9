//! docs/commands-query.md: every command and option of `pulselake-query`, as clap knows them.

use clap_markdown::{MarkdownOptions, help_markdown_custom};

use super::Cli;

#[path = "../../../src/reference/golden.rs"]
#[allow(dead_code)]
mod golden;

use golden::{NOTE, assert_page};

const TITLE: &str = "Commands of pulselake-query";
const ABOUT: &str = "\
`pulselake sql`, `views`, `batch`, `drift` and `query-serve` (here: `serve`) run this program, and hand everything behind the command's name on to it. \
`make query` builds it.

Exit codes: 0 it was done; 1 it failed; 2 the command line or a setting is wrong; 3 of `batch run` and `batch reconcile`: the reconciliation is CRIT.
";

#[test]
fn the_page_of_commands_is_what_clap_says() {
    let options = MarkdownOptions::new().show_footer(false).show_aliases(true);
    let text = help_markdown_custom::<Cli>(&options);
    // Before its overview clap-markdown says what kind of page this is.
    let (_, overview) = text.split_once("**Command Overview:**").unwrap();
    assert_page("docs/commands-query.md", &format!("# {TITLE}\n\n{NOTE}\n\n{ABOUT}\n{}\n", overview.trim()));
}
