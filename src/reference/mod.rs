//! The reference pages of the book, made from the code: docs/commands.md, docs/settings.md and docs/tables.md.
//!
//! Each test makes one page and compares it with the committed one, so that no page can say what the program does not.
//! `make reference` writes them. The metrics' page is made beside the metrics (`crates/telemetry/src/reference.rs`), the
//! commands of `pulselake-query` beside theirs (`query/src/cli/reference.rs`).

mod column_words;
mod commands;
mod golden;
mod settings;
mod table_words;
mod tables;
