//! Templates of prepared queries: `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(1)}`, `${agent.segment}`.

use regex::Regex;
use registry_wire::prepared::{Definition, ServiceQuery};

/// The only kind of template.
const NAME_PREFIX_MATCH: &str = "name_prefix_match";

/// Whether a template can be filled in; the text says what is wrong with it, in Consul's words.
pub(super) fn vet(query: &Definition) -> Result<(), String> {
    if query.template.kind != NAME_PREFIX_MATCH {
        return Err(format!("Bad Template.Type '{}'", query.template.kind));
    }
    compiled(&query.template.regexp)?;
    fill(query, &query.name).map(drop)
}

/// The query that a template makes of a name.
pub(super) fn fill(query: &Definition, name: &str) -> Result<Definition, String> {
    let pattern = compiled(&query.template.regexp)?;
    let matches =
        pattern.as_ref().and_then(|pattern| pattern.captures(name)).map_or_else(Vec::new, |found| {
            found.iter().map(|part| part.map_or("", |part| part.as_str())).collect()
        });
    let prefix = query.name.as_str();
    let suffix = match name.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => &name[prefix.len()..],
        _ => name,
    };
    let known = Known { full: name, prefix, suffix, matches };
    let mut filled = query.clone();
    each_text(&mut filled.service, &mut |field, text| {
        let rendered = known.render(text).map_err(|why| format!("Bad format '{text}' in {field}: {why}"))?;
        *text = rendered;
        Ok(())
    })?;
    if query.template.remove_empty_tags
        && let Some(tags) = &mut filled.service.tags
    {
        tags.retain(|tag| !tag.is_empty());
    }
    Ok(filled)
}

fn compiled(pattern: &str) -> Result<Option<Regex>, String> {
    if pattern.is_empty() {
        return Ok(None);
    }
    let fault = |error: regex::Error| match error.to_string() {
        text if text.contains("unclosed character class") => {
            let from = pattern.rfind('[').unwrap_or_default();
            format!("missing closing ]: `{}`", &pattern[from..])
        }
        text if text.contains("unclosed group") => format!("missing closing ): `{pattern}`"),
        text => text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Regex::new(pattern).map(Some).map_err(|e| format!("Bad Regexp: error parsing regexp: {}", fault(e)))
}

/// Every text of a service query that may hold variables, with its name.
fn each_text(
    service: &mut ServiceQuery,
    visit: &mut impl FnMut(String, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    visit("Service.Service".to_owned(), &mut service.service)?;
    visit("Service.Near".to_owned(), &mut service.near)?;
    visit("Service.Peer".to_owned(), &mut service.peer)?;
    let lists = [
        ("Failover.Datacenters", &mut service.failover.datacenters),
        ("IgnoreCheckIDs", &mut service.ignore_check_ids),
        ("Tags", &mut service.tags),
    ];
    for (list, texts) in lists {
        for (at, text) in texts.iter_mut().flatten().enumerate() {
            visit(format!("Service.{list}[{at}]"), text)?;
        }
    }
    for (map, pairs) in [("NodeMeta", &mut service.node_meta), ("ServiceMeta", &mut service.service_meta)] {
        for (key, text) in pairs.iter_mut().flatten() {
            visit(format!("Service.{map}[{key}]"), text)?;
        }
    }
    Ok(())
}

struct Known<'a> {
    full: &'a str,
    prefix: &'a str,
    suffix: &'a str,
    matches: Vec<&'a str>,
}

impl Known<'_> {
    fn render(&self, text: &str) -> Result<String, String> {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let end = inner.find('}').ok_or_else(|| {
                format!(
                    "parse error at 1:{}: expected \"}}\" but found end of string",
                    text.chars().count() + 1
                )
            })?;
            out.push_str(self.value(inner[..end].trim())?);
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, variable: &str) -> Result<&str, String> {
        let number = variable.strip_prefix("match(").and_then(|rest| rest.strip_suffix(')'));
        match (variable, number.map(|number| number.trim().parse::<usize>())) {
            ("name.full", _) => Ok(self.full),
            ("name.prefix", _) => Ok(self.prefix),
            ("name.suffix", _) => Ok(self.suffix),
            // There are no segments: the answer is the default one, whose name is empty.
            ("agent.segment", _) => Ok(""),
            (_, Some(Ok(number))) => Ok(self.matches.get(number).copied().unwrap_or_default()),
            _ => Err(format!("unknown variable accessed: {variable}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, regexp: &str, service: &str) -> Definition {
        let mut query = Definition { name: name.into(), ..Definition::default() };
        query.template.kind = NAME_PREFIX_MATCH.into();
        query.template.regexp = regexp.into();
        query.service.service = service.into();
        query
    }

    #[test]
    fn a_name_fills_the_variables() {
        let service =
            |name, regexp, text, asked| fill(&template(name, regexp, text), asked).map(|q| q.service.service);
        let table = [
            ("", "", "${name.full}", "web", "web"),
            ("geo-db", "", "${name.prefix}|${name.suffix}", "geo-db-x", "geo-db|-x"),
            ("Geo-", "", "${name.suffix}", "gEO-X", "X"),
            (
                "geo-",
                r"^geo-(.*?)-([^\-]+?)$",
                "${match(1)}.${match( 2 )}${match(3)}",
                "geo-web-v2",
                "web.v2",
            ),
            ("geo-", "^x$", "a${match(0)}", "geo-", "a"),
            ("", "", "$${name.full}", "web", "${name.full}"),
        ];
        for (name, regexp, text, asked, wanted) in table {
            assert_eq!(service(name, regexp, text, asked).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_told() {
        let open = vet(&template("a", "", "${nope"));
        let wanted = r#"Bad format '${nope' in Service.Service: parse error at 1:7: expected "}" but found end of string"#;
        assert_eq!(open, Err(wanted.to_owned()));
        let pattern = vet(&template("a", "[", "web"));
        assert_eq!(pattern, Err("Bad Regexp: error parsing regexp: missing closing ]: `[`".to_owned()));
    }
}
