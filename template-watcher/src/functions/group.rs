//! Lists and maps: grouping, exploding, merging, searching.

use std::collections::BTreeMap;
use std::sync::Arc;

use go_template::{Key, Map, Signature, Struct, StructType, Type, Value};

use super::{Context, Row, bytes, shapes, string};

const BY_KEY: Type = Type::Map(&Type::Str, &BY_KEY_INNER);
const BY_KEY_INNER: Type = Type::Map(&Type::Str, &Type::Pointer(&shapes::KEY_PAIR));
const INSTANCE: Type = Type::Pointer(&shapes::HEALTH_SERVICE);
const BY_TAG: Type = Type::Map(&Type::Str, &Type::ANYS);
const BY_PORT: Type = Type::Map(&Type::INT, &Type::ANYS);
const BY_META: Type = Type::Map(&Type::Str, &shapes::HEALTH_SERVICES);
const SEARCH: Signature = Signature::new(&[Type::ANYS, Type::Any], Type::Bool);
const MERGE: Signature = Signature::new(&[Type::ANY_MAP, Type::ANY_MAP], Type::ANY_MAP);

pub(super) const ROWS: &[Row] = &[
    Row::pure(
        "byKey",
        Signature::new(&[shapes::KEY_PAIRS], BY_KEY),
        "Keys by their first part, then by the rest.",
        by_key,
    )
.example(r#"{{ range $name, $pairs := tree "site" | byKey }}{{ $name }}:{{ range $key, $pair := $pairs }} {{ $key }}={{ $pair.Value }}{{ end }};{{ end }}"#, "blog: host=blog.example.org port=81;shop: host=shop.example.org;"),
    Row::pure("byTag", Signature::new(&[Type::Any], BY_TAG), "Services or instances by tag.", by_tag)
.example("{{ range $tag, $services := services | byTag }}{{ $tag }}:{{ range $services }} {{ .Name }}{{ end }};{{ end }}", "primary: db web;v1: web;v2: web;"),
    Row::pure("byPort", Signature::new(&[Type::Any], BY_PORT), "Instances by port.", by_port)
.example(r#"{{ range $port, $instances := service "web" | byPort }}{{ $port }}: {{ len $instances }};{{ end }}"#, "8080: 2;"),
    Row::pure(
        "byMeta",
        Signature::new(&[Type::Str, shapes::HEALTH_SERVICES], BY_META),
        "Instances by metadata: `\"a,b|int\"` names the keys, `|int` pads numbers so that they sort.",
        by_meta,
    )
.example(r#"{{ range $version, $instances := service "web" | byMeta "version|int" }}{{ $version }}: {{ len $instances }};{{ end }}"#, "00001: 1;00002: 1;"),
    Row::pure(
        "explode",
        Signature::new(&[shapes::KEY_PAIRS], Type::ANY_MAP),
        "Keys as maps in maps, cut at each slash.",
        explode,
    )
.example(r#"{{ with tree "site" | explode }}{{ .blog.host }}{{ end }}"#, "blog.example.org"),
    Row::pure(
        "explodeMap",
        Signature::new(&[Type::ANY_MAP], Type::ANY_MAP),
        "A map whose keys have slashes as maps in maps.",
        explode_map,
    )
.example(r#"{{ with explodeMap (sprig_dict "a/b" 1) }}{{ .a.b }}{{ end }}"#, "1"),
    Row::pure("mergeMap", MERGE, "Two maps in one; where both have a value the first's stays.", |_, args| {
        merge(args, false)
    })
.example(r#"{{ "{\"a\":2,\"b\":3}" | parseJSON | mergeMap (sprig_dict "a" 1) }}"#, "map[a:1 b:3]"),
    Row::pure(
        "mergeMapWithOverride",
        MERGE,
        "Two maps in one; where both have a value the second's wins.",
        |_, args| merge(args, true),
    )
.example(r#"{{ "{\"a\":2,\"b\":3}" | parseJSON | mergeMapWithOverride (sprig_dict "a" 1) }}"#, "map[a:2 b:3]"),
    Row::pure(
        "in",
        Signature::new(&[Type::Any, Type::Any], Type::Bool),
        "Whether a list has an element, or a text a part.",
        |_, args| holds(&args[0], &args[1]).map(Value::Bool),
    )
.example(r#"{{ in (split "," "a,b") "b" }} {{ in "abc" "bc" }}"#, "true true"),
    Row::pure(
        "contains",
        Signature::new(&[Type::Any, Type::Any], Type::Bool),
        "The same as in, the element first: `.Tags | contains \"a\"`.",
        |_, args| holds(&args[1], &args[0]).map(Value::Bool),
    )
.example(r#"{{ split "," "a,b" | contains "b" }}"#, "true"),
    Row::pure("containsAll", SEARCH, "Whether a list has all of these elements.", |_, args| {
        Ok(Value::Bool(!finds(&args[0], &args[1], false)?))
    })
.example(r#"{{ split "," "a,b,c" | containsAll (sprig_list "a" "b") }}"#, "true"),
    Row::pure("containsAny", SEARCH, "Whether a list has any of these elements.", |_, args| {
        Ok(Value::Bool(finds(&args[0], &args[1], true)?))
    })
.example(r#"{{ split "," "a,b,c" | containsAny (sprig_list "x" "b") }}"#, "true"),
    Row::pure("containsNone", SEARCH, "Whether a list has none of these elements.", |_, args| {
        Ok(Value::Bool(!finds(&args[0], &args[1], true)?))
    })
.example(r#"{{ split "," "a,b,c" | containsNone (sprig_list "x" "b") }}"#, "false"),
    Row::pure("containsNotAll", SEARCH, "Whether a list lacks any of these elements.", |_, args| {
        Ok(Value::Bool(finds(&args[0], &args[1], false)?))
    })
.example(r#"{{ split "," "a,b,c" | containsNotAll (sprig_list "x" "b") }}"#, "true"),
];

/// Fields of a record type that a function reads.
pub(super) type Reads = (&'static StructType, &'static [&'static str]);

/// What functions read of records where they do not read all; what they hand on, a template reads later.
static READS: &[(&str, &[Reads])] = &[
    ("byTag", &[(&shapes::HEALTH_SERVICE, &["Tags"]), (&shapes::CATALOG_SNIPPET, &["Tags"])]),
    ("byPort", &[(&shapes::HEALTH_SERVICE, &["Port"])]),
    ("byMeta", &[(&shapes::HEALTH_SERVICE, &["ServiceMeta"])]),
    ("byKey", &[(&shapes::KEY_PAIR, &["Key"])]),
    ("explode", &[(&shapes::KEY_PAIR, &["Key", "Value"])]),
];

/// What a function reads of records; none when it may read all.
pub(super) fn reads(name: &str) -> Option<&'static [Reads]> {
    READS.iter().find(|(known, _)| *known == name).map(|(_, reads)| *reads)
}

/// The elements of a list, none for anything else.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(list) => &list.items,
        _ => &[],
    }
}

/// Whether a list has an element, or a text a part. Where consul-template would compare nothing with a text, it fails.
fn holds(whole: &Value, part: &Value) -> Result<bool, String> {
    let is_text = |value: &Value| matches!(value, Value::Str(_));
    if matches!(part, Value::Nil) && (is_text(whole) || items(whole).iter().any(is_text)) {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    Ok(has(whole, part))
}

/// Whether any of some needles is there, or is not there; those after it are not looked at.
fn finds(needles: &Value, whole: &Value, there: bool) -> Result<bool, String> {
    for needle in items(needles) {
        if holds(whole, needle)? == there {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a list has an element of the same kind and value, or a text a part.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::List(list), part) => list.items.iter().any(|item| same(item, part)),
        (Value::Str(text), Value::Str(part)) => {
            part.is_empty() || text.windows(part.len()).any(|window| window == &part[..])
        }
        _ => false,
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        _ => false,
    }
}

fn records(value: &Value) -> impl Iterator<Item = (&Value, &Arc<Struct>)> {
    items(value).iter().filter_map(|item| item.as_record().map(|record| (item, record)))
}

fn by_key(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let mut groups: BTreeMap<Key, BTreeMap<Key, Value>> = BTreeMap::new();
    for (_, pair) in records(&args[0]) {
        let key = pair.get("Key").map(string).unwrap_or_default();
        let Some((top, rest)) = key.trim_matches('/').split_once('/') else { continue };
        let rest = rest.trim_matches('/');
        let mut fields = pair.fields.clone();
        if let Some(position) = pair.ty.field(b"Key") {
            fields[position] = Value::from(rest);
        }
        groups.entry(Key::text(top)).or_default().insert(Key::text(rest), Value::pointer(pair.ty, fields));
    }
    let inner = BY_KEY_INNER;
    Ok(Value::map(BY_KEY, groups.into_iter().map(|(top, group)| (top, Value::map(inner, group))).collect()))
}

fn grouped(ty: Type, groups: BTreeMap<Key, Vec<Value>>) -> Value {
    Value::map(ty, groups.into_iter().map(|(key, group)| (key, Value::list(&Type::Any, group))).collect())
}

fn by_tag(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let ty = args[0].ty();
    if !(matches!(args[0], Value::Nil) || ty == shapes::HEALTH_SERVICES || ty == shapes::CATALOG_SNIPPETS) {
        return Err(format!("byTag: wrong argument type {ty}"));
    }
    let mut groups: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
    for (service, record) in records(&args[0]) {
        for tag in record.get("Tags").map(items).unwrap_or_default() {
            groups.entry(Key::text(bytes(tag))).or_default().push(service.clone());
        }
    }
    Ok(grouped(BY_TAG, groups))
}

fn by_port(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let ty = args[0].ty();
    if !(matches!(args[0], Value::Nil) || ty == shapes::HEALTH_SERVICES) {
        return Err(format!("byPort: wrong argument type {ty}"));
    }
    let mut groups: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
    for (service, record) in records(&args[0]) {
        let port = record.get("Port").and_then(Key::of).unwrap_or(Key::Int(0));
        groups.entry(port).or_default().push(service.clone());
    }
    Ok(grouped(BY_PORT, groups))
}

fn by_meta(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let keys = string(&args[0]);
    let mut groups: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
    for (service, record) in records(&args[1]) {
        let parts: Result<Vec<_>, _> = keys.split(',').map(|key| meta_part(record, key)).collect();
        let group: String = parts?.join("_").chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        groups.entry(Key::text(group)).or_default().push(service.clone());
    }
    let list = |group| Value::list(&INSTANCE, group);
    Ok(Value::map(BY_META, groups.into_iter().map(|(key, group)| (key, list(group))).collect()))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// What one key of the metadata adds to the name of the group.
fn meta_part(record: &Struct, key: &str) -> Result<String, String> {
    let (key, number) = match key.strip_suffix("|int") {
        Some(key) => (key, true),
        None => (key, false),
    };
    let value = match record.get("ServiceMeta") {
        Some(Value::Map(meta)) => meta.entries().get(&Key::text(key)).map(string).filter(|v| !v.is_empty()),
        _ => None,
    };
    match (value, number) {
        (Some(value), false) => Ok(value),
        (Some(value), true) => {
            let number: i64 = value.parse().map_err(|_| {
                format!("cannot parse {value} as number : strconv.Atoi: parsing {value:?}: invalid syntax")
            })?;
            Ok(format!("{number:05}"))
        }
        (None, true) => Ok("00000".to_owned()),
        (None, false) => Ok(format!("_no_{key}_")),
    }
}

fn explode(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let root = Arc::new(Map::new(Type::ANY_MAP, BTreeMap::new()));
    for (_, pair) in records(&args[0]) {
        let key = pair.get("Key").map(string).unwrap_or_default();
        let value = pair.get("Value").cloned().unwrap_or(Value::Nil);
        put(&root, &key, value).map_err(|text| format!("{}: {text}", context.name))?;
    }
    Ok(Value::Map(root))
}

fn explode_map(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let root = Arc::new(Map::new(Type::ANY_MAP, BTreeMap::new()));
    let Value::Map(map) = &args[0] else { return Ok(Value::Map(root)) };
    for (key, value) in map.entries().iter() {
        let Key::Str(key) = key else { continue };
        put(&root, &String::from_utf8_lossy(key), value.clone())
            .map_err(|text| format!("{}: {text}", context.name))?;
    }
    Ok(Value::Map(root))
}

/// Puts a value where a path says, making the maps on the way.
fn put(root: &Arc<Map>, path: &str, value: Value) -> Result<(), String> {
    let parts: Vec<&str> = path.split('/').collect();
    let (last, folders) = parts.split_last().expect("a split gives at least one part");
    let mut map = Arc::clone(root);
    for folder in folders {
        let entry = map
            .entries_mut()
            .entry(Key::text(folder))
            .or_insert_with(|| Value::map(Type::ANY_MAP, BTreeMap::new()))
            .clone();
        let Some(inner) = open_map(&entry) else {
            let known = String::from_utf8_lossy(&go_template::fmt::sprintf(b"%q", &[entry])).into_owned();
            return Err(format!("not a map: {path:?}: {folder:?} already has value {known}"));
        };
        map = inner;
    }
    // a folder has a name and no value
    if !last.is_empty() {
        map.entries_mut().insert(Key::text(last), value);
    }
    Ok(())
}

/// A map that may hold anything; those of records, whose values have a type, are shared and stay as they are.
fn open_map(value: &Value) -> Option<Arc<Map>> {
    match value {
        Value::Map(map) if map.ty == Type::ANY_MAP => Some(Arc::clone(map)),
        _ => None,
    }
}

fn merge(args: &[Value], overlay_wins: bool) -> Result<Value, String> {
    if let (Value::Map(base), Value::Map(overlay)) = (&args[0], &args[1]) {
        let base = if base.nil { Arc::new(Map::new(base.ty, BTreeMap::new())) } else { Arc::clone(base) };
        merge_into(&base, overlay, overlay_wins);
        return Ok(Value::Map(base));
    }
    Ok(args[0].clone())
}

/// Adds the overlay's entries to the base, maps in maps too. What is nil there is not added unless the overlay wins.
pub(super) fn merge_into(base: &Arc<Map>, overlay: &Arc<Map>, overlay_wins: bool) {
    if Arc::ptr_eq(base, overlay) {
        return;
    }
    let entries: Vec<_> = overlay.entries().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (key, value) in entries {
        if value.is_nil() && !overlay_wins {
            continue;
        }
        let known = base.entries().get(&key).cloned();
        match (known, &value) {
            (Some(Value::Map(inner)), Value::Map(other)) if inner.ty == Type::ANY_MAP => {
                merge_into(&inner, other, overlay_wins);
            }
            (Some(known), _) if known.truth() && !overlay_wins => {}
            _ => {
                base.entries_mut().insert(key, value);
            }
        }
    }
}
