//! Services and checks registered over HTTP by configuration management, call by call as its playbooks make them.

use serde_json::{Value, json};

use crate::{
    ask::{LONG, until},
    stage::Stage,
    web::Web,
};

#[test]
fn two_playbooks_see_the_lists_outputs_and_ids_they_know() {
    let stage = Stage::new();
    let demo = stage.registry();
    demo.write("ryo.d/scripts.hcl", "enable_script_checks = true\n");
    let _demo = demo.start_and_wait();
    let serving = Web::at((demo.address, 0).into(), "");
    let web = serving.address();
    let services = || demo.get("/v1/catalog/services").json();

    // The first: what is there, three services, what is there then.
    assert_eq!(services(), json!({"consul": []}));
    for service in [
        json!({"Name": "statsd", "Port": 8125}),
        json!({"Name": "web", "Port": web.port(),
               "Check": {"HTTP": format!("http://{web}/health_check"), "Interval": "1s"}}),
        json!({"Name": "cache", "Port": 11211, "Check": {"Args": ["echo", "STAT uptime 7"], "Interval": "1s"}}),
    ] {
        demo.put_ok("/v1/agent/service/register", &service.to_string());
    }
    until(LONG, "the catalog has all", || match services() {
        now if now == json!({"cache": [], "consul": [], "statsd": [], "web": []}) => Ok(()),
        now => Err(now.to_string()),
    });

    // The second: a check of the node beside the service's own.
    let check = |id: &str| demo.get("/v1/agent/checks").json()[id].clone();
    assert_eq!(check("service:web:status_code"), Value::Null);
    let status_code = json!({"ID": "service:web:status_code", "Name": "service:web:status_code",
                             "HTTP": format!("http://{web}"), "Interval": "1s"});
    demo.put_ok("/v1/agent/check/register", &status_code.to_string());
    let expected = |id: &str, name: &str, output: String, service: &str| {
        json!({"CheckID": id, "CreateIndex": 0, "ModifyIndex": 0, "Name": name, "Node": demo.name, "Notes": "",
               "Output": output, "ServiceID": service, "ServiceName": service, "Status": "passing"})
    };
    let http = |url: String| format!("HTTP GET {url}: 200 OK Output: ");
    for expected in [
        expected("service:web", "Service 'web' check", http(format!("http://{web}/health_check")), "web"),
        expected("service:web:status_code", "service:web:status_code", http(format!("http://{web}")), ""),
        expected("service:cache", "Service 'cache' check", "STAT uptime 7\n".into(), "cache"),
    ] {
        let id = expected["CheckID"].as_str().unwrap();
        until(LONG, &format!("{id} passes"), || {
            let found = check(id);
            let same = expected.as_object().unwrap().iter().all(|(field, value)| found[field] == *value);
            if same { Ok(()) } else { Err(format!("{found} instead of {expected}")) }
        });
    }
}

#[test]
fn the_old_field_for_scripts_is_refused_with_the_new_one_named() {
    let stage = Stage::new();
    let demo = stage.registry();
    demo.write("ryo.d/scripts.hcl", "enable_script_checks = true\n");
    let process = demo.start_and_wait();
    let script = json!({"Script": "echo stats | nc localhost 11211 | grep uptime", "Interval": "30s"});
    let mut alone = script.clone();
    alone["Name"] = "c".into();
    for (path, body) in [
        ("/v1/agent/service/register", json!({"Name": "cache", "Port": 11211, "Check": script})),
        ("/v1/agent/check/register", alone),
    ] {
        let page = demo.put(path, &body.to_string());
        assert_eq!(page.status, 400, "{path}: {page:?}");
        assert_eq!(page.text, "Request decode failed: json: unknown field \"Script\"", "{path}");
    }
    let hints = process.log().matches("a check with the field \"Script\" was refused; use \"Args\"").count();
    assert_eq!(hints, 2, "{}", process.log());
    assert_eq!(demo.get("/v1/catalog/services").json(), json!({"consul": []}));
}
