//! docs/configuration.md, made of the table of keys and of `words.txt` beside it.
//!
//! `RYO_WRITE_DOCS=1 cargo test -p agent --lib config::reference` writes the page anew.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use super::{
    Flags, load,
    schema::{CHECK, Key, ROOT, SERVICE, Shape, Use},
};

const WORDS: &str = include_str!("reference/words.txt");
const HEAD: &str = include_str!("reference/head.txt");
const TAIL: &str = include_str!("reference/tail.txt");

/// What `words.txt` says of a key.
#[derive(Clone, Copy)]
struct Words {
    default: &'static str,
    is_duration: bool,
    does: &'static str,
}

impl Words {
    /// The default as a configuration has it, when it is a value: `4096`, `"10m"`.
    fn literal(self, shape: Shape) -> Option<String> {
        let value = self.default.strip_prefix('`')?.strip_suffix('`').filter(|value| !value.contains('`'))?;
        match shape {
            Shape::Text => Some(format!("{value:?}")),
            Shape::Bool | Shape::Int | Shape::Float | Shape::Texts | Shape::TextMap => Some(value.to_owned()),
            _ => None,
        }
    }
}

/// All of `words.txt`, by path: `dns_config.soa.retry`.
fn words() -> BTreeMap<&'static str, Words> {
    let lines = WORDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows = lines.map(|line| {
        let [path, default, does] = line.splitn(3, " |").collect::<Vec<_>>()[..] else {
            panic!("a line of words.txt needs three parts: {line}")
        };
        let default = default.trim();
        let (is_duration, default) = match default.strip_prefix("duration ") {
            Some(default) => (true, default),
            None => (false, default),
        };
        (path.trim(), Words { default, is_duration, does: does.trim() })
    });
    rows.collect()
}

/// One table of the page: a block, and where its keys' words are.
struct Block {
    title: String,
    path: String,
    keys: &'static [Key],
}

/// The page.
fn page() -> String {
    let words = words();
    let mut page = HEAD.to_owned();
    let root = Block { title: "Top level".into(), path: String::new(), keys: ROOT };
    let mut blocks = vec![root];
    blocks.extend(below("", ROOT));
    for block in &blocks {
        table(&mut page, block, &words);
    }
    for (title, name, keys) in [("Services", "service", &SERVICE[..]), ("Checks", "check", &CHECK[..])] {
        let own = Block { title: title.into(), path: format!("{name}."), keys };
        table(&mut page, &own, &words);
        for block in below(&own.path, keys) {
            table(&mut page, &block, &words);
        }
    }
    page += TAIL;
    idle(&mut page);
    page
}

/// The blocks in these keys, and those in them, that have an effect.
fn below(path: &str, keys: &'static [Key]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for key in keys.iter().filter(|key| key.used == Use::Used) {
        let (Shape::Object(inner) | Shape::ObjectMap(inner)) = key.shape else { continue };
        // Services and checks have tables of their own; a proxy's block is kept as it is.
        let is_listed = matches!(key.name, "service" | "check" | "sidecar_service" | "proxy");
        if is_listed || key.name.starts_with("auto_") && key.name != "auto_reload_config" {
            continue;
        }
        let named = if matches!(key.shape, Shape::ObjectMap(_)) { ".NAME" } else { "" };
        let path = format!("{path}{}{named}.", key.name);
        blocks.push(Block {
            title: format!("`{}`", path.trim_end_matches('.')),
            path: path.clone(),
            keys: inner,
        });
        blocks.extend(below(&path, inner));
    }
    blocks
}

fn table(page: &mut String, block: &Block, words: &BTreeMap<&str, Words>) {
    let used: Vec<&Key> = block.keys.iter().filter(|key| key.used == Use::Used).collect();
    if used.is_empty() {
        return;
    }
    write!(page, "\n## {}\n\n| Key | Type | Default | Does |\n| --- | --- | --- | --- |\n", block.title)
        .expect("a text takes all");
    for key in used {
        let path = format!("{}{}", block.path, key.name);
        let Some(words) = words.get(path.as_str()) else { panic!("{path} needs a line in words.txt") };
        let ours = if key.name == "container_source" { " **ryo**" } else { "" };
        let second = key.alias.map_or_else(String::new, |alias| format!(", `{alias}`"));
        let (kind, default, does) = (kind(key.shape, words.is_duration), words.default, words.does);
        writeln!(page, "| `{}`{second}{ours} | {kind} | {default} | {does} |", key.name)
            .expect("a text takes all");
    }
}

fn kind(shape: Shape, is_duration: bool) -> &'static str {
    match shape {
        Shape::Text if is_duration => "duration",
        Shape::Text => "text",
        Shape::Bool => "truth",
        Shape::Int => "number",
        Shape::Float => "number, with a point",
        Shape::Texts => "list of texts",
        Shape::TextMap => "texts by name",
        Shape::TextsMap => "lists by name",
        Shape::Object(_) => "block",
        Shape::Objects(_) => "blocks",
        Shape::ObjectMap(_) => "blocks by name",
        Shape::Opaque | Shape::Any => "any",
    }
}

/// The keys that have no effect, with their reasons, and the old ones.
fn idle(page: &mut String) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut enterprise = Vec::new();
    let mut old = Vec::new();
    let mut gone = Vec::new();
    let mut note = |path: &str, key: &Key| match key.used {
        Use::Used => {}
        Use::Without(why) => reasons.entry(why).or_default().push(format!("`{path}`")),
        Use::Enterprise => enterprise.push(format!("`{path}`")),
        Use::Old(today) => old.push(format!("| `{path}` | `{today}` |")),
        Use::Gone(_) => gone.push(format!("`{path}`")),
    };
    walk("", ROOT, &mut note);
    *page += "\n## Without effect\n\nRead and checked, so that a slip in them is found; a notice names each that is set.\n\n";
    *page += "| Because | Keys, with all that is in them |\n| --- | --- |\n";
    for (why, keys) in &reasons {
        writeln!(page, "| {why} | {} |", keys.join(", ")).expect("a text takes all");
    }
    writeln!(
        page,
        "| they belong to Consul Enterprise, and have no effect in Consul either | {} |",
        enterprise.join(", ")
    )
    .expect("a text takes all");
    writeln!(page, "| they are old, and have no effect in Consul either | {} |", gone.join(", "))
        .expect("a text takes all");
    *page += "\n## Old names\n\nThey work, and a warning names today's.\n\n| Old | Today |\n| --- | --- |\n";
    *page += &(old.join("\n") + "\n");
}

/// Every key once; those in a block without effect are not looked at.
fn walk(path: &str, keys: &'static [Key], note: &mut impl FnMut(&str, &Key)) {
    for key in keys {
        let path = format!("{path}{}", key.name);
        note(&path, key);
        if let (Shape::Object(inner), Use::Used) = (key.shape, key.used)
            && !matches!(key.name, "service" | "check")
        {
            walk(&format!("{path}."), inner, note);
        }
    }
}

#[test]
fn the_page_is_what_the_table_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("RYO_WRITE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let how = "write the page with RYO_WRITE_DOCS=1 cargo test -p agent --lib config::reference";
    assert!(fs::read_to_string(&path).unwrap_or_default() == page(), "{how}");
}

#[test]
fn every_line_of_words_is_of_a_key_with_an_effect() {
    let mut known = Vec::new();
    let mut note = |prefix: &str, keys: &'static [Key]| {
        known.extend(
            keys.iter().filter(|key| key.used == Use::Used).map(|key| format!("{prefix}{}", key.name)),
        );
    };
    note("", ROOT);
    below("", ROOT).iter().for_each(|block| note(&block.path, block.keys));
    for (prefix, keys) in [("service.", &SERVICE[..]), ("check.", &CHECK[..])] {
        note(prefix, keys);
        below(prefix, keys).iter().for_each(|block| note(&block.path, block.keys));
    }
    let strays: Vec<&str> = words().into_keys().filter(|path| !known.iter().any(|key| key == path)).collect();
    assert!(strays.is_empty(), "no such keys: {strays:?}");
}

/// What is said of a key's default is what its absence means.
#[test]
fn a_default_that_is_set_changes_nothing() {
    let words = words();
    let mut wrong = Vec::new();
    let mut seen = 0;
    let unset = configuration(String::new());
    let mut blocks = vec![Block { title: String::new(), path: String::new(), keys: ROOT }];
    blocks.extend(below("", ROOT));
    for block in blocks {
        for key in block.keys {
            let path = format!("{}{}", block.path, key.name);
            let Some(literal) = words.get(&*path).and_then(|words| words.literal(key.shape)) else {
                continue;
            };
            seen += 1;
            let (open, close): (String, String) =
                block.path.split_terminator('.').map(|step| (format!("{step} {{\n"), "}\n")).unzip();
            let set = configuration(format!("{open}{} = {literal}\n{close}", key.name));
            if set != unset {
                wrong.push(format!("{path} = {literal}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not the defaults: {wrong:#?}");
    assert!(seen > 50, "only {seen} defaults are values");
}

/// What an agent with this fragment goes by, as text.
fn configuration(fragment: String) -> String {
    let mut flags = Flags::parse(["-data-dir=/nowhere".to_owned()]).unwrap();
    flags.fragments.push(fragment.clone());
    let mut config = load(&flags).unwrap_or_else(|error| panic!("{fragment}: {error}"));
    config.flags = Flags::default();
    config.https.places.clear();
    format!("{config:#?}")
}
