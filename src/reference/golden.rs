//! A page that is made from the code against the committed one. Other crates' tests include this file by its path.

use std::path::{Path, PathBuf};

/// Set: pages are written instead of compared.
const WRITE: &str = "PULSELAKE_WRITE_REFERENCE";

/// What every made page says of itself, below its title.
pub(crate) const NOTE: &str =
    "*Made from the code by `make reference`; a test fails where the two differ. Don't edit this page.*";

/// Compares the page with the file (as seen from the repository's root), or writes it.
///
/// # Panics
/// Where they differ, with the first line that does.
pub(crate) fn assert_page(file: &str, page: &str) {
    let path = repository().join(file);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == page {
        return;
    }
    let same = committed.lines().zip(page.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end of the page)").to_owned();
    panic!(
        "{file} is not what the code says, from line {}:\n  page: {}\n  code: {}\nrun `make reference` and commit it",
        same + 1,
        line(&committed),
        line(page)
    );
}

/// The repository's root: where book.toml is.
pub(crate) fn repository() -> PathBuf {
    let is_root = |directory: &&Path| directory.join("book.toml").is_file();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(is_root);
    root.expect("book.toml lies in a directory above this crate").to_path_buf()
}

/// A text as a cell of a table: one line, no bar that would end it.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
