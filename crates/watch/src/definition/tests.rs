//! What may stand in `watches`, and what is said of the rest; each row was asked of Consul 1.21.

use serde_json::{Value, json};

use super::*;

fn read(watch: &Value) -> Result<Watch, String> {
    let map = watch.as_object().unwrap().clone();
    Watch::read(map.into_iter().collect(), &mut Vec::new())
}

#[test]
fn what_is_refused_and_how() {
    let go =
        |rest: &str, why: &str| format!("Failed to parse watch (map[string]interface {{}}{{{rest}}}): {why}");
    let http = |config: Value| json!({"type": "key", "key": "x", "handler_type": "http", "http_handler_config": config});
    let t = json!(["true"]);
    for (watch, said) in [
        (
            json!({"key": "x", "args": t}),
            go(r#""args":"true", "handler_type":"script", "key":"x""#, "Watch type must be specified"),
        ),
        (
            json!({"type": "nosuch", "key": "x", "args": t}),
            go(r#""args":"true", "key":"x""#, "Unsupported watch type: nosuch"),
        ),
        (json!({"type": "key", "args": t}), go(r#""args":"true""#, "Must specify a single key to watch")),
        (json!({"type": "key", "key": "x"}), "Must define a watch handler".into()),
        (json!({"type": "key", "key": "x", "args": []}), "Must define a watch handler".into()),
        (
            json!({"type": "key", "key": "x", "args": t, "handler": "true"}),
            "Only one watch handler allowed".into(),
        ),
        (json!({"type": "key", "key": "x", "args": [1]}), "Watch args must be a list of strings".into()),
        (
            json!({"type": "key", "key": "x", "args": t, "prefix": "y"}),
            go(r#""prefix":"y""#, "Invalid parameters: [prefix]"),
        ),
        (
            json!({"type": "key", "key": 5, "args": t}),
            go(r#""args":"true", "key":5"#, "Expecting key to be a string"),
        ),
        (
            json!({"type": "key", "key": ["a", "b"], "args": t}),
            go(r#""args":"true", "key":[]interface {}{"a", "b"}"#, "Expecting key to be a string"),
        ),
        (
            json!({"type": "keyprefix", "args": t}),
            go(r#""args":"true""#, "Must specify a single prefix to watch"),
        ),
        (
            json!({"type": "service", "service": "w", "passingonly": "yes", "args": t}),
            go(r#""args":"true", "passingonly":"yes""#, "Expecting passingonly to be a boolean"),
        ),
        (
            json!({"type": "service", "service": "w", "tag": 5, "args": t}),
            go(r#""args":"true", "tag":5"#, "Expecting tag to be a string or []string"),
        ),
        (
            json!({"type": "checks", "service": "w", "state": "passing", "args": t}),
            go(r#""args":"true""#, "Cannot specify service and state"),
        ),
        (
            json!({"type": "key", "key": "x", "handler_type": "nosuch", "args": t}),
            "Handler type 'nosuch' not recognized".into(),
        ),
        (
            json!({"type": "key", "key": "x", "handler_type": "http"}),
            go(r#""key":"x""#, "Handler type 'http' requires 'http_handler_config' to be set"),
        ),
        (
            http(json!({"method": "POST"})),
            go(
                r#""http_handler_config":map[string]interface {}{"method":"POST"}, "key":"x""#,
                "Failed to parse 'http_handler_config': Requires 'path' to be set",
            ),
        ),
        (
            http(json!({"path": "http://x/", "timeout": "5x"})),
            go(
                r#""http_handler_config":map[string]interface {}{"path":"http://x/", "timeout":"5x"}, "key":"x""#,
                "Failed to parse 'http_handler_config': Failed to parse timeout: time: unknown unit \"x\" in duration \"5x\"",
            ),
        ),
        (
            http(json!("http://x/")),
            go(
                r#""http_handler_config":"http://x/", "key":"x""#,
                "Failed to parse 'http_handler_config': '' expected a map, got 'string'",
            ),
        ),
        (
            json!({"type": "connect_roots", "args": t}),
            "Watch type connect_roots is not allowed in agent config".into(),
        ),
        (
            json!({"type": "key", "key": "x", "token": 5, "args": t}),
            go(
                r#""args":"true", "handler_type":"script", "key":"x", "token":5, "type":"key""#,
                "Expecting token to be a string",
            ),
        ),
        (
            json!({"type": "key", "key": "x", "args": t, "timeout": "5s"}),
            go(r#""timeout":"5s""#, "Invalid parameters: [timeout]"),
        ),
    ] {
        assert_eq!(read(&watch), Err(said), "{watch}");
    }
}

#[test]
fn what_is_understood() {
    let watch = read(
        &json!({"type": "service", "service": "w", "tag": ["a", "b"], "passingonly": true, "stale": true,
        "datacenter": "dc2", "token": "t", "args": ["/bin/it", "-x"]}),
    )
    .unwrap();
    let subject = Subject::Service {
        service: "w".into(),
        tags: vec!["a".into(), "b".into()],
        passing_only: true,
        filter: String::new(),
    };
    let handler = Handler::Program(vec!["/bin/it".into(), "-x".into()]);
    assert_eq!(watch, Watch { subject, handler, datacenter: "dc2".into(), token: "t".into(), stale: true });
    assert_eq!(watch.subject.request().path_and_query(), "/v1/health/service/w?passing=1&tag=a&tag=b");
    for watch in [
        json!({"type": "key", "key": ["a"], "args": "true"}),
        json!({"type": "event", "handler": "cat"}),
        json!({"type": "checks", "state": "critical", "handler_type": "script", "args": ["true"]}),
        json!({"type": "agent_service", "service_id": "w", "args": ["true"]}),
        // As a block of HCL gives it.
        json!({"type": "nodes", "filter": "Node == a", "handler_type": "http",
            "http_handler_config": [{"path": "http://x/", "header": [{"X-A": ["1", "2"], "X-B": "3"}], "timeout": "1m"}]}),
    ] {
        assert!(read(&watch).is_ok(), "{watch}: {:?}", read(&watch));
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let mut notices = Vec::new();
    let block = json!({"path": "http://x/", "nosuch": 1});
    let watch = json!({"type": "nodes", "handler_type": "http", "http_handler_config": block});
    Watch::read(watch.as_object().unwrap().clone().into_iter().collect(), &mut notices).unwrap();
    assert_eq!(notices, ["http_handler_config.nosuch of a watch has no effect: there is no such key"]);
}
