//! Settings as a flat map from dotted key to value, and back: the form in which layers are checked and merged.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

/// The one section with free keys, which contain dots themselves.
pub(crate) const FREE_PREFIX: &str = "kafka.librdkafka.";

/// Splits a flat key into the path of nested tables that it names.
fn path_of(key: &str) -> Vec<&str> {
    if let Some(property) = key.strip_prefix(FREE_PREFIX) {
        return vec!["kafka", "librdkafka", property];
    }
    match key.split_once('.') {
        Some((section, name)) => vec![section, name],
        None => vec![key],
    }
}

/// Nests flat keys.
pub(crate) fn nest<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Dict {
    let mut root = Dict::new();
    for (key, value) in entries {
        insert(&mut root, &path_of(key), value);
    }
    root
}

fn insert(table: &mut Dict, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert((*first).to_owned(), value);
        return;
    }
    let entry = table.entry((*first).to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

/// Flattens nested tables; an empty table stays as a value of its own.
pub(crate) fn flatten(root: &Dict) -> BTreeMap<String, Value> {
    let mut entries = BTreeMap::new();
    collect("", root, &mut entries);
    entries
}

fn collect(prefix: &str, table: &Dict, entries: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => collect(&key, inner, entries),
            _ => {
                entries.insert(key, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_and_flattening_are_inverse() {
        let flat: BTreeMap<String, Value> = [
            ("engine.shards", Value::from(3)),
            ("kafka.brokers", Value::from("a:1")),
            ("kafka.librdkafka.security.protocol", Value::from("SSL")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        let nested = nest(flat.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let librdkafka = nested["kafka"].find_ref("librdkafka").unwrap().as_dict().unwrap();
        assert_eq!(librdkafka["security.protocol"].as_str(), Some("SSL"));
        assert_eq!(flatten(&nested), flat);
    }
}
