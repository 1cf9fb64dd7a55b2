//! Maps. A map is shared: what is set in it shows wherever it is held.

use std::collections::BTreeMap;
use std::sync::Arc;

use go_template::{Key, List, Map, Signature, Type, Value};

use super::MANY_ANY;
use super::list::anys;
use crate::functions::group::merge_into;
use crate::functions::{Context, Row};

const MAP: Type = Type::ANY_MAP;
const MAP_AND_TEXT: Signature = Signature::new(&[MAP, Type::Str], Type::Any);
const MAP_AND_TEXTS: Signature = Signature::variadic(&[MAP, Type::Str], MAP);
const MAPS: Signature = Signature::variadic(&[MAP, MAP], Type::Any);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure("sprig_dict", Signature::variadic(&[Type::Any], MAP), "`KEY VALUE ...`: a map.", dict)
        .example(r#"{{ $d := sprig_dict "a" 1 }}{{ $d.a }}"#, "1"),
    Row::pure("sprig_get", MAP_AND_TEXT, "`MAP KEY`: the value, or empty text.", |_, a| {
        Ok(entry(&a[0], &a[1]).unwrap_or_else(|| Value::from("")))
    })
    .example(r#"{{ sprig_get (sprig_dict "a" 1) "a" }}"#, "1"),
    Row::pure(
        "sprig_hasKey",
        Signature::new(&[MAP, Type::Str], Type::Bool),
        "`MAP KEY`: whether it is there.",
        |_, a| Ok(Value::Bool(entry(&a[0], &a[1]).is_some())),
    )
    .example(r#"{{ sprig_hasKey (sprig_dict "a" 1) "b" }}"#, "false"),
    Row::pure(
        "sprig_set",
        Signature::new(&[MAP, Type::Str, Type::Any], MAP),
        "`MAP KEY VALUE`: sets it.",
        |_, a| {
            if let Value::Map(map) = &a[0] {
                if map.nil {
                    return Err("assignment to entry in nil map".to_owned());
                }
                map.entries_mut().insert(key(&a[1]), a[2].clone());
            }
            Ok(a[0].clone())
        },
    )
    .example(r#"{{ sprig_set (sprig_dict "a" 1) "b" 2 }}"#, "map[a:1 b:2]"),
    Row::pure("sprig_unset", Signature::new(&[MAP, Type::Str], MAP), "`MAP KEY`: takes it out.", |_, a| {
        if let Value::Map(map) = &a[0] {
            map.entries_mut().remove(&key(&a[1]));
        }
        Ok(a[0].clone())
    })
    .example(r#"{{ sprig_unset (sprig_dict "a" 1 "b" 2) "b" }}"#, "map[a:1]"),
    Row::pure("sprig_keys", Signature::variadic(&[MAP], Type::STRINGS), "All keys of the maps.", |_, a| {
        let keys = a.iter().flat_map(|map| copy(map).into_keys());
        Ok(Value::list(&Type::Str, keys.map(|key| key.value(Type::Str)).collect()))
    })
    .example(r#"{{ sprig_keys (sprig_dict "a" 1) }}"#, "[a]"),
    Row::pure("sprig_values", Signature::new(&[MAP], Type::ANYS), "All values of the map.", |_, a| {
        Ok(anys(copy(&a[0]).into_values().collect()))
    })
    .example(r#"{{ sprig_values (sprig_dict "a" 1) }}"#, "[1]"),
    Row::pure("sprig_pick", MAP_AND_TEXTS, "`MAP KEY ...`: a map of these.", |_, a| {
        let mut entries = copy(&a[0]);
        entries.retain(|known, _| a[1..].iter().any(|wanted| key(wanted) == *known));
        Ok(Value::map(MAP, entries))
    })
    .example(r#"{{ sprig_pick (sprig_dict "a" 1 "b" 2) "a" }}"#, "map[a:1]"),
    Row::pure("sprig_omit", MAP_AND_TEXTS, "`MAP KEY ...`: a map without these.", |_, a| {
        let mut entries = copy(&a[0]);
        entries.retain(|known, _| !a[1..].iter().any(|gone| key(gone) == *known));
        Ok(Value::map(MAP, entries))
    })
    .example(r#"{{ sprig_omit (sprig_dict "a" 1 "b" 2) "a" }}"#, "map[b:2]"),
    Row::pure(
        "sprig_pluck",
        Signature::variadic(&[Type::Str, MAP], Type::ANYS),
        "`KEY MAP ...`: its value in each map.",
        |_, a| Ok(anys(a[1..].iter().filter_map(|map| entry(map, &a[0])).collect())),
    )
    .example(r#"{{ sprig_pluck "a" (sprig_dict "a" 1) (sprig_dict "a" 2) }}"#, "[1 2]"),
    Row::pure("sprig_merge", MAPS, "Adds the others to the first; what is there stays.", |_, a| {
        merged(a, false)
    })
    .example(r#"{{ sprig_merge (sprig_dict "a" 1) (sprig_dict "a" 2 "b" 3) }}"#, "map[a:1 b:3]"),
    Row::pure("sprig_mergeOverwrite", MAPS, "Adds the others to the first; the last one wins.", |_, a| {
        merged(a, true)
    })
    .example(r#"{{ sprig_mergeOverwrite (sprig_dict "a" 1) (sprig_dict "a" 2 "b" 3) }}"#, "map[a:2 b:3]"),
    Row::pure("sprig_dig", MANY_ANY, "`KEY ... DEFAULT MAP`: a value in maps in maps.", dig)
        .example(r#"{{ sprig_dig "a" "b" "none" (sprig_dict "a" (sprig_dict "b" 1)) }}"#, "1"),
    Row::pure("sprig_deepCopy", Signature::new(&[Type::Any], Type::Any), "A value of its own.", |_, a| {
        match &a[0] {
            Value::Nil => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
            value => Ok(deep_copy(value, 0)),
        }
    })
    .example(r#"{{ sprig_deepCopy (sprig_dict "a" 1) }}"#, "map[a:1]"),
];

fn key(value: &Value) -> Key {
    Key::text(go_template::fmt::print(std::slice::from_ref(value)))
}

fn copy(value: &Value) -> BTreeMap<Key, Value> {
    match value {
        Value::Map(map) => map.entries().clone(),
        _ => BTreeMap::new(),
    }
}

fn entry(map: &Value, name: &Value) -> Option<Value> {
    match map {
        Value::Map(map) => map.entries().get(&key(name)).cloned(),
        _ => None,
    }
}

fn dict(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let pairs =
        args.chunks(2).map(|pair| (key(&pair[0]), pair.get(1).cloned().unwrap_or_else(|| Value::from(""))));
    Ok(Value::map(MAP, pairs.collect()))
}

fn merged(args: &[Value], overwrite: bool) -> Result<Value, String> {
    if let Value::Map(nil) = &args[0]
        && nil.nil
    {
        let base = [Value::Map(Arc::new(Map::new(nil.ty, BTreeMap::new())))];
        return if args.len() > 1 {
            merged(&[&base, &args[1..]].concat(), overwrite)
        } else {
            Ok(args[0].clone())
        };
    }
    if let Value::Map(base) = &args[0] {
        for other in &args[1..] {
            if let Value::Map(other) = other {
                merge_into(base, other, overwrite);
            }
        }
    }
    Ok(args[0].clone())
}

fn dig(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let [keys @ .., default, map] = args else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let wrong = |value: &Value, wanted: &str| {
        let found = if matches!(value, Value::Nil) { "nil".to_owned() } else { value.ty().to_string() };
        Err(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
    };
    if map.ty() != MAP {
        return wrong(map, "map[string]interface {}");
    }
    if let Some(key) = keys.iter().find(|key| key.as_bytes().is_none()) {
        return wrong(key, "string");
    }
    let mut found = map.clone();
    for (position, name) in keys.iter().enumerate() {
        match entry(&found, name) {
            Some(next) if position + 1 < keys.len() && next.ty() != MAP => {
                return wrong(&next, "map[string]interface {}");
            }
            Some(next) => found = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(found)
}

/// How deep a copy goes; a map may hold itself.
const DEPTH_MAX: usize = 100;

fn deep_copy(value: &Value, depth: usize) -> Value {
    match value {
        Value::Map(map) if depth < DEPTH_MAX && !map.nil => {
            let entries = copy(value).into_iter().map(|(key, value)| (key, deep_copy(&value, depth + 1)));
            Value::Map(Arc::new(Map::new(map.ty, entries.collect())))
        }
        Value::List(list) if depth < DEPTH_MAX => {
            let items = list.items.iter().map(|item| deep_copy(item, depth + 1)).collect();
            Value::List(Arc::new(List { ty: list.ty, items, nil: list.nil }))
        }
        other => other.clone(),
    }
}
