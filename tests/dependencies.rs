//! What the engine must not depend on (docs/adr/0005): a newcomer's build and the memory of the stream hang on it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

/// The packages that `package` is built of, its own included.
fn packages_of(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", package, "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn the_engine_is_free_of_datafusion() {
    for package in ["pulselake", "pulselake-load"] {
        let packages = packages_of(package);
        assert!(packages.iter().any(|line| line.starts_with("iceberg ")), "this is no tree: {packages:?}");
        let is_heavy = |line: &&String| {
            ["datafusion", "arrow-flight", "sqlparser"].iter().any(|name| line.starts_with(name))
        };
        let heavy: Vec<&String> = packages.iter().filter(is_heavy).collect();
        assert!(heavy.is_empty(), "{package}: {heavy:?}");
    }
}

/// It reads tables by the engine's own reader: DataFusion's readers of files, and what they bring, would be dead weight.
#[test]
fn the_query_program_has_datafusion_without_what_it_does_not_use() {
    let packages = packages_of("pulselake-query");
    assert!(packages.iter().any(|line| line.starts_with("datafusion ")), "this is no tree: {packages:?}");
    let unused = [
        "datafusion-datasource-parquet",
        "datafusion-datasource-avro",
        "bzip2",
        "liblzma",
        "rdkafka",
        "actix ",
    ];
    let is_unused = |line: &&String| unused.iter().any(|name| line.starts_with(name));
    let found: Vec<&String> = packages.iter().filter(is_unused).collect();
    assert!(found.is_empty(), "{found:?}");
}
