//! Several sources into one: later ones win, lists add up, maps merge key by key.

use serde_json::{Map, Value as Json};

/// Merges a later source into what the earlier ones gave.
///
/// A singular block of services or checks (`service`) becomes a member of the plural list: each file may have one.
pub(super) fn merge(into: &mut Map<String, Json>, mut later: Map<String, Json>) {
    for (one, many) in [("service", "services"), ("check", "checks")] {
        if let Some(block) = later.remove(one)
            && let Json::Array(list) = later.entry(many).or_insert_with(|| Json::Array(Vec::new()))
        {
            list.insert(0, block);
        }
    }
    merge_maps(into, later);
}

fn merge_maps(into: &mut Map<String, Json>, later: Map<String, Json>) {
    for (key, value) in later {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge_maps(old, new),
            (Some(Json::Array(old)), Json::Array(new)) => old.extend(new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_wins_lists_add_up_maps_merge() {
        let mut all = Map::new();
        for source in [
            json!({"node_name": "a", "service": {"name": "s1"}, "node_meta": {"a": "1", "b": "1"}, "recursors": ["x"]}),
            json!({"node_name": "b", "services": [{"name": "s2"}], "node_meta": {"b": "2"}, "recursors": ["y"]}),
            json!({"service": {"name": "s3"}}),
        ] {
            let Json::Object(source) = source else { unreachable!("an object") };
            merge(&mut all, source);
        }
        assert_eq!(
            Json::Object(all),
            json!({
                "node_name": "b",
                "services": [{"name": "s1"}, {"name": "s2"}, {"name": "s3"}],
                "node_meta": {"a": "1", "b": "2"},
                "recursors": ["x", "y"],
            })
        );
    }
}
