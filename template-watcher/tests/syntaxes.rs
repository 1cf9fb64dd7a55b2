//! Both languages on the same functions and the same data.

use std::collections::BTreeMap;
use std::sync::Arc;

use template_watcher::answers::{Answer, Answers, HealthService, KeyAnswer, KeyPair, Scope};
use template_watcher::query::Query;
use template_watcher::syntax::{Options, RenderError, Syntax, Template};

const KEYS: &[(&str, &str)] = &[
    ("app/json", r#"{"port":8080,"ratio":0.5,"on":true,"none":null,"list":[1,"two"]}"#),
    ("service/haproxy/acl/admin/host", "a.example.org"),
    ("service/haproxy/acl/admin/path", "/admin"),
    ("service/haproxy/acl/site/host", "www.example.org"),
    ("service/haproxy/acl/api/path", "/api"),
    ("service/haproxy/backends/no-ssl/site", ""),
    ("service/haproxy/backends/rendered/api", ""),
    ("service/haproxy/deny/admin", ""),
    ("service/haproxy/redirect/old", "https://new.example.org"),
    ("service/haproxy/use-backend/api", "api"),
    ("service/haproxy/use-backend/site", "site"),
];

fn answer(query: &Query) -> Answer {
    let pair = |path: &str, key: &str, value: &str| KeyPair {
        path: path.into(),
        key: key.into(),
        value: value.into(),
        ..KeyPair::default()
    };
    match query {
        Query::Key { path, .. } => {
            let now = KEYS.iter().find(|(key, _)| key == path).map(|(key, value)| pair(key, key, value));
            Answer::Key(KeyAnswer { last: now.clone(), now })
        }
        Query::Prefix { prefix, .. } => {
            let below = KEYS.iter().filter(|(key, _)| key.starts_with(prefix.as_str()));
            let relative = |key: &'static str| key[prefix.len()..].trim_start_matches('/');
            Answer::Pairs(below.map(|(key, value)| pair(key, relative(key), value)).collect())
        }
        Query::Service { name, .. } => {
            let instance = |number: i64| HealthService {
                node: format!("node-{number}"),
                address: format!("10.0.0.{number}"),
                port: 8000 + number,
                name: name.clone(),
                tags: vec!["primary".into(), "v1".into()],
                service_meta: Some(BTreeMap::from([("weight".into(), "10".into())])),
                ..HealthService::default()
            };
            Answer::Instances((1..=2).map(instance).collect())
        }
        other => panic!("no answer to {other}"),
    }
}

/// Renders until all questions are answered.
fn render_with(syntax: Syntax, source: &str, options: &Options) -> Result<String, String> {
    let template =
        Template::compile(syntax, source.as_bytes(), "t", options).map_err(|error| error.to_string())?;
    let mut answers = Answers::default();
    loop {
        let result = template.render(&Scope::new(Arc::new(answers.clone()), Arc::default()));
        let asked = match &result {
            Ok(rendered) => rendered.asked.clone(),
            Err(RenderError::Execute { asked, .. }) => (**asked).clone(),
            Err(RenderError::Parse { .. }) => unreachable!("it was read before"),
        };
        if asked.missing.is_empty() {
            let text = |rendered: template_watcher::syntax::Rendered| {
                String::from_utf8(rendered.bytes).expect("UTF-8 in, UTF-8 out")
            };
            return result.map(text).map_err(|error| error.to_string());
        }
        for query in asked.missing {
            let answer = answer(&query);
            answers.put(query, answer);
        }
    }
}

fn jinja(source: &str) -> Result<String, String> {
    render_with(Syntax::Jinja, source, &Options::default())
}

fn go(source: &str) -> Result<String, String> {
    render_with(Syntax::Go, source, &Options::default())
}

#[test]
fn the_proxy_template_gives_the_same_bytes_in_both() {
    let in_go = go(include_str!("../../examples/ingress-proxy/files/haproxy.cfg.tmpl")).unwrap();
    let in_jinja = jinja(include_str!("../../examples/ingress-proxy/files/haproxy.cfg.j2")).unwrap();
    assert_eq!(in_go, in_jinja);
    for line in [
        "    http-request deny if { hdr(host) -i a.example.org } { path_beg /admin }\n",
        "    use_backend api if { path_beg /api }\n",
        "    use_backend site if { hdr(host) -i www.example.org }\n",
        "    server node-2 10.0.0.2:8002\n",
    ] {
        assert!(in_go.contains(line), "{line} in {in_go}");
    }
}

#[test]
fn jinja_prints_for_configuration_files() {
    let json = r#"{% set c = key("app/json") | parseJSON %}"#;
    for (source, expected) in [
        ("{{ c.port }} {{ c.ratio }} {{ c.on }} [{{ c.none }}]", "8080 0.5 true []"),
        ("{{ c.list }} {{ [1, true, none] }}", "[1,\"two\"] [1,true,null]"),
        ("{% for item in c.list %}{{ item }};{% endfor %}", "1;two;"),
        ("{% for k, v in c | items %}{{ k }} {% endfor %}", "list none on port ratio "),
        ("{{ \"<b>&\" }}\n", "<b>&\n"),
        ("{{ c.list | length }} {{ c.absent | default('d') }} {{ c.absent is defined }}", "2 d false"),
        ("{{ c | toJSON }}", r#"{"list":[1,"two"],"none":null,"on":true,"port":8080,"ratio":0.5}"#),
    ] {
        assert_eq!(jinja(&format!("{json}{source}")).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn jinja_calls_every_kind_of_function() {
    for (source, expected) in [
        (
            "{% for s in service('web') %}{{ s.Address }}:{{ s.Port }} {% endfor %}",
            "10.0.0.1:8001 10.0.0.2:8002 ",
        ),
        ("{{ (service('web') | byTag).v1 | length }}", "2"),
        ("{{ (service('web') | first).ServiceMeta.weight }}", "10"),
        ("{{ (tree('service/haproxy/acl') | explode).admin.path }}", "/admin"),
        ("{{ replaceAll('.', '-', 'a.b') }} {{ 'a.b' | replaceAll('.', '-') }}", "a-b a-b"),
        ("{{ add(1, 2) }} {{ 10 | divide(2) }} {{ join('+', split(',', 'a,b')) }}", "3 5 a+b"),
        ("{{ ['a', 'b'] | join('-') }} {{ toUpper('x') }} {{ 'x' | toUpper }}", "a-b X X"),
        ("{% do scratch().Set('a', 1) %}{{ scratch().Get('a') }}", "1"),
        ("{{ keyExists('nope') }} {{ keyOrDefault('nope', 'd') }}", "false d"),
    ] {
        assert_eq!(jinja(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn jinja_errors_have_a_place() {
    for (source, expected) in [
        ("a\n{{ nosuch }}", "t: execute: template: t:2: "),
        (
            "a\n\n{{ key(1) }}",
            "t: execute: template: t:3: invalid operation: argument 1 of key must be string, not int",
        ),
        ("{{ key() }}", "t: execute: template: t:1: invalid operation: key takes 1 arguments, not 0"),
        ("{{ parseInt('x') }}", "t: execute: template: t:1: invalid operation: parseInt: parseInt: strconv"),
        ("a\n{% if %}", "t: parse: template: t:2: syntax error"),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
            "t: execute: ",
        ),
    ] {
        let error = jinja(source).unwrap_err();
        assert!(error.starts_with(expected), "{source}: {error}");
    }
}

#[test]
fn jinja_includes_come_from_the_folder_of_the_template() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("part.j2"), "<{{ key('service/haproxy/acl/api/path') }}>").unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let include = |name: &str| render_with(Syntax::Jinja, &format!("{{% include '{name}' %}}"), &options);
    assert_eq!(include("part.j2").as_deref(), Ok("</api>"));
    assert!(include("../part.j2").is_err());
}

#[test]
fn jinja_imports_macros_and_names_the_file_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("macros.j2", "{% macro line(s) %}server {{ s.Node }} {{ s.Address }}:{{ s.Port }}{% endmacro %}");
    write("wrong.j2", "fine\n{{ key(1) }}");
    write("base.j2", "<{% block body %}{% endblock %}>");
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let render = |source: &str| render_with(Syntax::Jinja, source, &options);
    let imported =
        "{% from 'macros.j2' import line %}{% for s in service('web') %}{{ line(s) }};{% endfor %}";
    assert_eq!(render(imported).as_deref(), Ok("server node-1 10.0.0.1:8001;server node-2 10.0.0.2:8002;"));
    let extended = "{% extends 'base.j2' %}{% block body %}{{ '<' | upper }}&{% endblock %}";
    assert_eq!(render(extended).as_deref(), Ok("<<&>"), "nothing is escaped");
    let error = render("a\n{% include 'wrong.j2' %}").unwrap_err();
    assert!(error.contains("wrong.j2:2") && error.contains("argument 1 of key must be string"), "{error}");
    let error = render("{% include 'nope.j2' %}").unwrap_err();
    assert!(error.contains("nope.j2"), "{error}");
}

#[test]
fn jinja_has_its_own_filters_beside_the_functions() {
    for (source, expected) in [
        ("{{ ['b', 'a'] | sort | join(',') }} {{ 'x' | upper }} {{ [1, 2] | sum }}", "a,b X 3"),
        ("{{ service('web') | map(attribute='Port') | join(' ') }}", "8001 8002"),
        ("{{ service('web') | selectattr('Port', 'gt', 8001) | map(attribute='Node') | first }}", "node-2"),
        (
            "{% set n = namespace(total=0) %}{% for s in service('web') %}{% set n.total = n.total + s.Port %}{% endfor %}{{ n.total }}",
            "16003",
        ),
        ("{% for s in service('web') if 'v1' in s.Tags %}{{ loop.index }}{% endfor %}", "12"),
        ("{{ (key('app/json') | parseJSON).list | toJSON }} {{ sprig_add(1, 2) }}", "[1,\"two\"] 3"),
        ("{%- if keyExists('nope') %}x{% else %}y{% endif -%}", "y"),
    ] {
        assert_eq!(jinja(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn go_errors_name_the_source_and_the_place() {
    for (source, expected) in [
        ("a\n{{ end }}", "t: parse: template: t:2: unexpected {{end}}"),
        (
            "{{ keyexist \"a\" }}",
            "t: parse: template: t:1: function \"keyexist\" not defined; the nearest is keyExists",
        ),
        (
            "{{ len 5 }}",
            "t: execute: template: t:1:3: executing \"t\" at <len 5>: error calling len: len of type int",
        ),
    ] {
        assert_eq!(go(source).unwrap_err(), expected, "{source}");
    }
}
