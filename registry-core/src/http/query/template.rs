//! Templates of prepared queries: `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(1)}`, `${agent.segment}`.

use regex::Regex;
use registry_wire::{
    prepared::{Definition, ServiceQuery},
    regexp,
};

use super::interpolation::{Variables, parse};

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
    let groups = pattern.as_ref().and_then(|pattern| pattern.captures(name));
    let groups = groups.iter().flat_map(|found| found.iter());
    let groups = groups.map(|part| part.map_or("", |part| part.as_str())).collect();
    let prefix = query.name.as_str();
    // Names are found without regard to case, but only this spelling is taken off them (as in Consul).
    let known = Known { full: name, prefix, suffix: name.strip_prefix(prefix).unwrap_or(name), groups };
    let mut filled = query.clone();
    each_text(&mut filled.service, &mut |field, text| {
        let parsed = parse(text).map_err(|why| format!("Bad format '{text}' in Service.{field}: {why}"))?;
        let value = parsed.text(&known);
        *text = value.map_err(|why| format!("Bad evaluation for '{text}' in Service.{field}: {why}"))?;
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
    regexp::compile(pattern).map(Some).map_err(|fault| format!("Bad Regexp: {fault}"))
}

/// What is done to a text, given the field it stands in.
type Visit<'a> = dyn FnMut(&str, &mut String) -> Result<(), String> + 'a;

/// Every text of a service query that may hold variables, in the order of the fields.
fn each_text(service: &mut ServiceQuery, visit: &mut Visit<'_>) -> Result<(), String> {
    visit("Service", &mut service.service)?;
    visit("SamenessGroup", &mut service.sameness_group)?;
    each_of_list("Failover.Datacenters", &mut service.failover.datacenters, visit)?;
    for (at, target) in service.failover.targets.iter_mut().flatten().enumerate() {
        visit(&format!("Failover.Targets[{at}].Peer"), &mut target.peer)?;
        visit(&format!("Failover.Targets[{at}].Datacenter"), &mut target.datacenter)?;
    }
    each_of_list("IgnoreCheckIDs", &mut service.ignore_check_ids, visit)?;
    visit("Near", &mut service.near)?;
    each_of_list("Tags", &mut service.tags, visit)?;
    for (map, pairs) in [("NodeMeta", &mut service.node_meta), ("ServiceMeta", &mut service.service_meta)] {
        for (key, text) in pairs.iter_mut().flatten() {
            visit(&format!("{map}[{key}]"), text)?;
        }
    }
    visit("Peer", &mut service.peer)
}

fn each_of_list(field: &str, texts: &mut Option<Vec<String>>, visit: &mut Visit<'_>) -> Result<(), String> {
    let mut texts = texts.iter_mut().flatten().enumerate();
    texts.try_for_each(|(at, text)| visit(&format!("{field}[{at}]"), text))
}

/// What the variables of a template stand for.
struct Known<'a> {
    full: &'a str,
    prefix: &'a str,
    suffix: &'a str,
    groups: Vec<&'a str>,
}

impl Variables for Known<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            "name.full" => Some(self.full),
            "name.prefix" => Some(self.prefix),
            "name.suffix" => Some(self.suffix),
            // There are no segments: the answer is the default one, whose name is empty.
            "agent.segment" => Some(""),
            _ => None,
        }
    }

    fn group(&self, number: i64) -> &str {
        usize::try_from(number).ok().and_then(|number| self.groups.get(number)).copied().unwrap_or_default()
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
            ("Geo-", "", "${name.suffix}", "gEO-X", "gEO-X"),
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
        let unknown = vet(&template("a", "", "${nope}"));
        let wanted = "Bad evaluation for '${nope}' in Service.Service: 1:3: unknown variable accessed: nope";
        assert_eq!(unknown, Err(wanted.to_owned()));
        let pattern = vet(&template("a", "[", "web"));
        assert_eq!(pattern, Err("Bad Regexp: error parsing regexp: missing closing ]: `[`".to_owned()));
    }
}
