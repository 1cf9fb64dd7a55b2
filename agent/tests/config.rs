//! Configuration files from disk: what is accepted, what is refused, and in which words.

use std::{fs, time::Duration};

use agent::config::{Config, ConfigError, Flags, load};

/// Writes the files into a folder and reads it, the folder's name taken out of the outcome.
fn read(files: &[(&str, &str)], more: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let mut words: Vec<String> = Vec::new();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::write(&path, text.replace("{dir}", &dir.path().display().to_string()))
            .expect("a file for the test");
        words.push(format!("-config-file={}", path.display()));
    }
    words.extend(more.iter().map(|word| (*word).to_owned()));
    let folder = format!("{}/", dir.path().display());
    load(&Flags::parse(words).expect("the test's own flags"))
        .map_err(|error: ConfigError| error.to_string().replace(&folder, ""))
}

/// A file with the two keys that each needs, and these.
fn refused(name: &str, keys: &str) -> String {
    let text = match name.ends_with(".json") {
        true => format!(r#"{{"data_dir":"{{dir}}/d","bind_addr":"127.0.0.1",{keys}}}"#),
        false => format!("data_dir = \"{{dir}}/d\"\nbind_addr = \"127.0.0.1\"\n{keys}\n"),
    };
    read(&[(name, &text)], &[]).map_or_else(|error| error, |_| "fine".into())
}

#[test]
fn single_values_that_cannot_be() {
    let list = |line: &str| format!("1 error occurred:\n\t* {line}\n\n");
    for (keys, text) in [
        (r#""ports":{"http":70000}"#, list("ports.http: invalid port: 70000")),
        (
            r#""dns_config":{"node_ttl":"5x"}"#,
            list(r#"dns_config.node_ttl: invalid duration: "5x": time: unknown unit "x" in duration "5x""#),
        ),
        (
            r#""check":{"id":"c","tcp":"x:1","interval":"60"}"#,
            list(r#"check[c].interval: invalid duration: "60": time: missing unit in duration "60""#),
        ),
        (
            r#""service":{"name":"x","weights":{"passing":0,"warning":1}}"#,
            list("Invalid weight definition for service x: Passing must be greater than 0"),
        ),
        (
            r#""performance":{"raft_multiplier":11}"#,
            "performance.raft_multiplier cannot be 11. Must be between 1 and 10".to_owned(),
        ),
        (
            r#""autopilot":{"max_trailing_logs":-1}"#,
            "autopilot.max_trailing_logs cannot be -1. Must be greater than or equal to zero".to_owned(),
        ),
        (r#""nosuch":1"#, format!("failed to parse a.json: {}", list("invalid config key nosuch"))),
        (
            r#""check":{"name":"c","script":"true","interval":"5s"}"#,
            format!("failed to parse a.json: {}", list("invalid config key check.script")),
        ),
        (
            r#""ports":{"rpc":8400}"#,
            format!("failed to parse a.json: {}", list("invalid config key ports.rpc")),
        ),
    ] {
        assert_eq!(refused("a.json", keys), text, "{keys}");
    }
}

#[test]
fn a_configuration_that_cannot_work_as_a_whole() {
    for (keys, text) in [
        (
            r#""datacenter":"a b""#,
            r#"datacenter can only contain lowercase alphanumeric, - or _ characters. received: "a b""#,
        ),
        (r#""bootstrap":true"#, "'bootstrap = true' requires 'server = true'"),
        (r#""bootstrap_expect":3"#, "'bootstrap_expect > 0' requires 'server = true'"),
        (
            r#""server":true,"bootstrap":true,"bootstrap_expect":3"#,
            "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive",
        ),
        (r#""check":{"name":"c"}"#, r#"check "c": TTL must be > 0 for TTL checks"#),
        (
            r#""check":{"name":"c","tcp":"x:1"}"#,
            r#"check "c": Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"#,
        ),
        (
            r#""service":{"name":"x","check":{"http":"http://x/"}}"#,
            r#"service "x": check "": Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"#,
        ),
        (r#""advertise_addr":"0.0.0.0""#, "Advertise address cannot be 0.0.0.0, :: or [::]"),
        (r#""encrypt":"short""#, "encrypt has invalid key: illegal base64 data at input byte 4"),
        (
            r#""node_meta":{"bad key":"x"}"#,
            "node_meta invalid: Couldn't load metadata pair ('bad key', 'x'): Key contains invalid characters",
        ),
        (r#""service":{"port":80}"#, "fine"),
        (r#""watches":[{"key":"x"}]"#, "fine"),
        (r#""recursors":["x y"]"#, "fine"),
    ] {
        assert_eq!(refused("a.json", keys), text, "{keys}");
    }
    assert_eq!(refused("a.hcl", "bind_addr = \"not an ip\""), "bind_addr cannot be empty");
    assert_eq!(read(&[("a.json", "")], &[]).unwrap_err(), "data_dir cannot be empty");
}

#[test]
fn files_that_cannot_be_read() {
    let missing = load(&Flags::parse(["-config-dir=/no/such".to_owned()]).unwrap()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "config: Open failed on /no/such. open /no/such: no such file or directory"
    );
    assert_eq!(
        read(&[("x.conf", "{}")], &[]).unwrap_err(),
        "file x.conf has unknown extension; must be .hcl or .json, or config format must be set"
    );
    assert!(
        refused("a.json", r#""node_name":"x","#).starts_with("failed to parse a.json: invalid character '}'")
    );
    assert_eq!(
        refused("a.hcl", "node_name = upper(\"x\")"),
        "failed to parse a.hcl: At 3:13: Unknown token: 3:13 IDENT upper"
    );
    let error = read(&[], &["-dev", "-hcl=nosuch = 1"]).unwrap_err();
    assert_eq!(error, "failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid config key nosuch\n\n");
}

#[test]
fn everything_that_a_small_fleet_writes_is_understood() {
    let agent = r#"
        # an agent in a container
        datacenter = "host_1"
        data_dir = "{dir}/d"
        domain = "ryo"
        server = false
        client_addr = "[::]"
        bind_addr = "[::]"
        advertise_addr_ipv4 = "10.1.2.3"
        advertise_addr_ipv6 = "fd10::3"
        retry_join = [
          "fd10:10:10:1::1:1", # the bridge
        ]
        retry_interval = "10s"
        reconnect_timeout_wan = "170880h"
        ui_config = { enabled = true }
        dns_config = { enable_truncate = true  a_record_limit = 100 }
    "#;
    let services = r#"
        services { name = "gitea-http" tags = ["git"] port = 3000 }
        services { name = "gitea-ssh" port = 3022 }
    "#;
    let config = read(&[("a.hcl", agent), ("b.hcl", services)], &[]).unwrap();
    assert_eq!(config.retry_join, ["fd10:10:10:1::1:1"]);
    assert_eq!(config.reconnect_timeout_wan, Some(Duration::from_secs(170_880 * 3600)));
    assert_eq!(config.http_listen, [agent::config::Listen::Tcp("[::]:8500".parse().unwrap())]);
    assert_eq!(config.tagged_addresses["lan_ipv4"], "10.1.2.3");
    assert_eq!(config.tagged_addresses["lan_ipv6"], "fd10::3");
    assert!(config.ui.enabled && config.dns.enable_truncate && config.leave_on_terminate);
    assert_eq!(config.dns.a_record_limit, 100);
    let names: Vec<_> = config.services.iter().map(|service| service.service.id.as_str()).collect();
    assert_eq!(names, ["gitea-http", "gitea-ssh"]);
    assert!(config.warnings.is_empty() && config.notices.is_empty());
}

#[test]
fn old_spellings_work_with_consuls_warning_and_what_has_no_effect_is_named() {
    let keys = r#""start_join":["10.0.0.1"],"acl_datacenter":"dc1","ui":true,"connect":{"enabled":true}"#;
    let text = format!(r#"{{"data_dir":"{{dir}}/d","bind_addr":"127.0.0.1",{keys}}}"#);
    let config = read(&[("a.json", &text)], &[]).unwrap();
    assert_eq!(
        config.warnings,
        [
            "The 'acl_datacenter' field is deprecated. Use the 'primary_datacenter' field instead.",
            "The 'start_join' field is deprecated. Use the 'retry_join' field instead.",
            "The 'ui' field is deprecated. Use the 'ui_config.enabled' field instead.",
        ]
    );
    assert_eq!(config.retry_join, ["10.0.0.1"]);
    assert_eq!(
        config.notices,
        [
            "configuration key connect has no effect: there is no service mesh, only a root certificate for those who ask for one"
        ]
    );
}

#[test]
fn servers_join_other_datacenters_and_an_agent_says_that_it_does_not() {
    let server = r#"{"data_dir":"{dir}/d","bind_addr":"127.0.0.1","server":true,"retry_join_wan":["fd10::1"],
        "retry_interval_wan":"10s","retry_max_wan":3,"reconnect_timeout_wan":"170880h"}"#;
    let config = read(&[("a.json", server)], &[]).unwrap();
    assert_eq!((config.notices.len(), config.retry_join_wan), (0, vec!["fd10::1".to_owned()]));
    assert_eq!((config.retry_interval_wan.as_secs(), config.retry_max_wan), (10, 3));
    assert_eq!(config.reconnect_timeout_wan.unwrap().as_secs(), 170_880 * 3600);
    let agent =
        read(&[("a.json", r#"{"data_dir":"{dir}/d","bind_addr":"127.0.0.1"}"#)], &["-join-wan=fd10::1"]);
    let said =
        "configuration key retry_join_wan has no effect on an agent: its servers join other datacenters";
    assert_eq!(agent.unwrap().notices, [said]);
}

#[test]
fn later_files_and_flags_win_and_fragments_win_over_all() {
    let base = r#"{"data_dir":"{dir}/d","bind_addr":"127.0.0.1","node_name":"first","retry_join":["file"],
        "node_meta":{"a":"1","b":"1"},"service":{"name":"single"}}"#;
    let later = "node_name = \"later\"\nnode_meta { b = \"2\" }\nservice { name = \"second\" }";
    let flags = ["-retry-join=flag", "-datacenter=flag", "-hcl=datacenter = \"fragment\""];
    let config = read(&[("a.json", base), ("b.hcl", later)], &flags).unwrap();
    assert_eq!((config.node_name.as_str(), config.datacenter.as_str()), ("later", "fragment"));
    assert_eq!(config.retry_join, ["flag", "file"]);
    assert_eq!((config.node_meta["a"].as_str(), config.node_meta["b"].as_str()), ("1", "2"));
    assert_eq!(config.services.len(), 2);
}

#[test]
fn warnings_of_a_server_are_consuls() {
    let said = |keys: &str| {
        let text = format!(r#"{{"data_dir":"{{dir}}/d","bind_addr":"127.0.0.1","server":true,{keys}}}"#);
        read(&[("a.json", &text)], &[]).unwrap().warnings
    };
    assert_eq!(
        said(r#""bootstrap_expect":1"#),
        [
            "BootstrapExpect is set to 1; this is the same as Bootstrap mode.",
            "bootstrap = true: do not enable unless necessary",
        ]
    );
    assert_eq!(said(r#""bootstrap_expect":2"#)[1], "bootstrap_expect > 0: expecting 2 servers");
}

#[test]
fn what_dns_may_give_again_follows_allow_stale_and_max_stale() {
    let last_known = |keys: &str| {
        let text = format!("data_dir = \"{{dir}}/d\"\nbind_addr = \"127.0.0.1\"\ndns_config {{ {keys} }}\n");
        read(&[("a.hcl", &text)], &[]).expect("a configuration that works").dns_last_known
    };
    assert_eq!(last_known(""), Duration::from_secs(600));
    assert_eq!(last_known("max_stale = \"2s\""), Duration::from_secs(2));
    assert_eq!(last_known("allow_stale = false\nmax_stale = \"2s\""), Duration::ZERO);
}

#[test]
fn proxies_and_sidecars_are_judged_as_the_api_judges_them() {
    let list = |line: &str| format!("1 error occurred:\n\t* {line}\n\n");
    let of_p = |line: &str| format!("service \"p\": {}", list(line));
    for (keys, text) in [
        (
            r#"kind = "connect-proxy" port = 1"#,
            of_p("Proxy.DestinationServiceName must be non-empty for Connect proxy services"),
        ),
        (
            r#"kind = "connect-proxy" proxy { destination_service_name = "web" }"#,
            of_p("Port or SocketPath must be set for a connect-proxy"),
        ),
        (
            r#"kind = "connect-proxy" port = 1 proxy { destination_service_name = "x" mode = "zz" }"#,
            list("Invalid Proxy Mode: \"zz\""),
        ),
        (
            r#"proxy { upstreams { local_bind_socket_mode = "9" mesh_gateway { mode = "zz" } } }"#,
            "2 errors occurred:\n\t* local_bind_socket_mode: invalid mode: 9\n\t* Invalid Mesh Gateway Mode: \"zz\"\n\n".to_owned(),
        ),
        (
            r#"port = 1 kind = "terminating-gateway" connect { sidecar_service {} }"#,
            of_p("A terminating-gateway cannot have a sidecar service defined"),
        ),
        (r#"connect { sidecar_service { id = "x" } }"#, list("sidecar_service can't specify an ID")),
        (
            r#"connect { sidecar_service { connect { sidecar_service {} } } }"#,
            list("sidecar_service can't have a nested sidecar_service"),
        ),
        (
            r#"connect { sidecar_service { meta { "a b" = "c" } } }"#,
            list("invalid meta for service : Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters"),
        ),
        (
            r#"meta { "a b" = "c" }"#,
            list("invalid meta for service p: Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters"),
        ),
        (
            r#"proxy { acces_logs {} }"#,
            format!("failed to parse a.hcl: {}", list("invalid config key service.proxy.acces_logs")),
        ),
        (
            r#"proxy { local_service_port = "x" }"#,
            "failed to parse a.hcl: 1 error(s) decoding:\n\n* 'service.proxy.local_service_port' expected type 'int', got unconvertible type 'string', value: 'x'".to_owned(),
        ),
        (r#"kind = "Connect-Proxy""#, "fine".to_owned()),
        (r#"connect { native = true } port = 1"#, "fine".to_owned()),
        (r#"check {}"#, "service \"p\": check \"\": TTL must be > 0 for TTL checks".to_owned()),
    ] {
        assert_eq!(refused("a.hcl", &format!("service {{\n name = \"p\"\n {keys}\n}}")), text, "{keys}");
    }
    assert_eq!(
        refused("a.hcl", "ports { sidecar_min_port = 29000 }"),
        "sidecar_min_port must be less than sidecar_max_port. To disable, set both to zero."
    );
}

#[test]
fn a_proxy_of_a_file_is_the_one_of_the_api() {
    let text = r#"service { name = "p" id = "p1" port = 20 kind = "connect-proxy" proxy {
        destination_service_name = "web" local_service_port = 90 transparent_proxy { outbound_listener_port = 5 }
        config { snake_case { inner_key = 1 } }
        upstreams { destination_name = "db" local_bind_port = 1 }
        upstreams { destination_type = "prepared_query" destination_name = "q" local_bind_port = 2 }
        expose { paths { path = "/h" listener_port = 3 } } } }"#;
    let config = read(&[("a.hcl", text)], &["-dev", "-bind=127.0.0.1"]).expect("a good file");
    assert_eq!(
        config.services[0].service.proxy,
        serde_json::json!({
            "DestinationServiceName": "web", "LocalServicePort": 90, "Mode": "", "MeshGateway": {},
            "TransparentProxy": {"OutboundListenerPort": 5},
            "Config": {"snake_case": {"inner_key": 1}},
            "Expose": {"Paths": [{"ListenerPort": 3, "Path": "/h"}]},
            "Upstreams": [
                {"DestinationType": "service", "DestinationName": "db", "Datacenter": "", "LocalBindPort": 1, "MeshGateway": {}},
                {"DestinationType": "prepared_query", "DestinationName": "q", "Datacenter": "", "LocalBindPort": 2, "MeshGateway": {}},
            ],
        })
    );
}

#[test]
fn an_address_that_a_template_does_not_give_yet_can_be_waited_for() {
    let none = r#"{{ GetInterfaceIP \"nosuch9\" }}"#;
    let dir = tempfile::tempdir().expect("a folder for the test");
    let awaited = |key: &str, template: &str| {
        let fragment = format!("{key} = \"{template}\"");
        let mut words = vec![format!("-data-dir={}", dir.path().display())];
        words.extend(Some("-bind=127.0.0.1".to_owned()).filter(|_| key != "bind_addr"));
        words.push(format!("-hcl={fragment}"));
        match load(&Flags::parse(words).expect("the test's own flags")) {
            Ok(config) => config.awaited,
            Err(error) => Some(error.awaited().unwrap_or("refused").to_owned()),
        }
    };
    for key in ["bind_addr", "client_addr", "advertise_addr"] {
        let said = awaited(key, none).expect(key);
        assert!(said.starts_with(key) && said.ends_with("gives no address"), "{said}");
    }
    // Consul takes another address then, and so does this: nothing says that a public one is to come.
    assert_eq!(awaited("advertise_addr", "{{ GetPublicIP }}"), None);
    assert_eq!(awaited("client_addr", "127.0.0.1 {{ GetInterfaceIP \\\"nosuch9\\\" }}"), None);
    assert_eq!(awaited("bind_addr", "").as_deref(), Some("refused"));
}

#[test]
fn what_servers_are_told_of_each_other() {
    let text = r#"{"data_dir":"{dir}/d","bind_addr":"127.0.0.1","server":true,
        "autopilot":{"cleanup_dead_servers":false,"server_stabilization_time":"7s"},"performance":{"raft_multiplier":3}}"#;
    let config = read(&[("a.json", text)], &[]).expect("fits");
    assert_eq!(config.raft_multiplier, 3);
    let autopilot = config.autopilot.expect("given");
    assert!(!autopilot.cleanup_dead_servers);
    assert_eq!(autopilot.server_stabilization_time, Duration::from_secs(7));
    assert_eq!(autopilot.last_contact_threshold, Duration::from_millis(200), "Consul's default");
    let usual = read(&[("a.json", r#"{"data_dir":"{dir}/d","bind_addr":"127.0.0.1"}"#)], &[]).expect("fits");
    assert_eq!((usual.raft_multiplier, usual.autopilot), (1, None));
}
