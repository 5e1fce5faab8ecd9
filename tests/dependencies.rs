//! What the engine must not depend on (docs/adr/0005): a newcomer's build and the memory of the stream hang on it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn the_engine_is_free_of_datafusion() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "pulselake", "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let packages = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(packages.lines().any(|line| line.starts_with("iceberg ")), "this is no tree:\n{packages}");
    let heavy: Vec<&str> = packages.lines().filter(|line| line.starts_with("datafusion")).collect();
    assert!(heavy.is_empty(), "{heavy:?}");
}
