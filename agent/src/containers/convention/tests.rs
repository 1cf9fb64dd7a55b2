use super::*;

fn rules() -> Rules {
    Rules {
        host: "host1".into(),
        node_address: [10, 0, 0, 4].into(),
        host_address: None,
        internal: false,
        explicit: false,
        tags: Vec::new(),
    }
}

/// A container as Docker describes it: its image, name, published ports (`8080:80/tcp`; without the first only exposed)
/// and environment.
fn container(image: &str, name: &str, ports: &[&str], environment: &[&str]) -> Container {
    let mut published = Map::new();
    for port in ports {
        let (host, inside) = port.split_once(':').unwrap_or(("", port));
        let bindings = match host {
            "" => Json::Null,
            host => json!([{"HostIp": "0.0.0.0", "HostPort": host}, {"HostIp": "::", "HostPort": host}]),
        };
        published.insert(inside.to_owned(), bindings);
    }
    let exposed: Map<String, Json> = published.keys().map(|port| (port.clone(), json!({}))).collect();
    serde_json::from_value(json!({
        "Id": "0123456789abcdef0123456789abcdef", "Name": format!("/{name}"), "State": {"Running": true},
        "Config": {"Image": image, "Env": environment, "Labels": null, "ExposedPorts": exposed},
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {
            "IPAddress": "", "Ports": published,
            "Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": "fd00::2"}},
        },
    }))
    .unwrap()
}

fn only(container: &Container, rules: &Rules) -> ServiceDefinition {
    let (mut services, faults) = services(container, None, rules);
    assert_eq!((services.len(), faults), (1, Vec::new()));
    services.remove(0)
}

/// `id name address:port [tags]` of each service.
fn shown(container: &Container, rules: &Rules) -> Vec<String> {
    let (services, faults) = services(container, None, rules);
    assert!(faults.is_empty(), "{faults:?}");
    let line = |s: ServiceDefinition| {
        let s = s.service;
        format!("{} {} {}:{} {:?}", s.id, s.service, s.address, s.port, s.tags.unwrap_or_default())
    };
    services.into_iter().map(line).collect()
}

#[test]
fn one_published_port_gives_the_images_name_several_add_theirs() {
    let redis = container("progrium/redis:3", "redis.0", &["10000:6379/tcp", "9999/tcp"], &[]);
    assert_eq!(shown(&redis, &rules()), ["host1:redis.0:6379 redis :10000 []"]);
    let nginx =
        container("localhost:5000/web/nginx@sha256:00", "nginx.0", &["4443:443/tcp", "8000:80/tcp"], &[]);
    let lines = ["host1:nginx.0:80 nginx-80 :8000 []", "host1:nginx.0:443 nginx-443 :4443 []"];
    assert_eq!(shown(&nginx, &rules()), lines);
    let consul =
        container("progrium/consul", "consul", &["8400:8400/tcp", "8500:8500/tcp", "53:53/udp"], &[]);
    let lines = [
        "host1:consul:53:udp consul-53 :53 [\"udp\"]",
        "host1:consul:8400 consul-8400 :8400 []",
        "host1:consul:8500 consul-8500 :8500 []",
    ];
    assert_eq!(shown(&consul, &rules()), lines);
    let nameless = container("sha256:0011", "c1", &["1:1"], &[]);
    assert_eq!(shown(&nameless, &rules()), ["host1:c1:1 c1 :1 []"]);
}

#[test]
fn metadata_overrides_names_ids_and_tags_and_the_rest_is_meta() {
    let environment = [
        "SERVICE_443_NAME=https",
        "SERVICE_443_ID=https.12345",
        "SERVICE_443_SNI=enabled",
        "SERVICE_NAME=web",
        "SERVICE_TAGS=www,a\\,b",
        "SERVICE_8080_IGNORE=yes",
    ];
    let web = container("nginx", "nginx.0", &["4443:443/tcp", "8000:80/tcp", "1:8080/tcp"], &environment);
    let rules = Rules { tags: vec!["docker".into()], ..rules() };
    let lines = [
        "host1:nginx.0:80 web-80 :8000 [\"www\", \"a,b\", \"docker\"]",
        "https.12345 https :4443 [\"www\", \"a,b\", \"docker\"]",
    ];
    assert_eq!(shown(&web, &rules), lines);
    let (services, _) = services(&web, None, &rules);
    let metas: Vec<_> = services.into_iter().map(|s| s.service.meta.unwrap_or_default()).collect();
    assert_eq!(metas[0].len(), 0);
    assert_eq!(metas[1].get("sni").map(String::as_str), Some("enabled"));
}

#[test]
fn addresses_are_the_hosts_or_the_containers_own() {
    let web = container("web", "web", &["8000:80/tcp", "81/tcp"], &[]);
    let forced = Rules { host_address: Some("2001:db8::1".parse().unwrap()), ..rules() };
    assert_eq!(shown(&web, &forced), ["host1:web:80 web 2001:db8::1:8000 []"]);
    let internal = Rules { internal: true, ..rules() };
    let lines = ["host1:web:80 web-80 172.17.0.2:80 []", "host1:web:81 web-81 172.17.0.2:81 []"];
    assert_eq!(shown(&web, &internal), lines);

    let mut bound = web.clone();
    bound.network_settings.ports =
        serde_json::from_value(json!({"80/tcp": [{"HostIp": "192.168.7.1", "HostPort": "8000"}]})).unwrap();
    assert_eq!(only(&bound, &rules()).service.address, "192.168.7.1");

    let mut v6 = web.clone();
    v6.network_settings.networks =
        serde_json::from_value(json!({"n": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}})).unwrap();
    assert_eq!(shown(&v6, &internal)[0], "host1:web:80 web-80 fd00::2:80 []");
}

#[test]
fn on_the_hosts_network_exposed_ports_count_and_on_anothers_that_ones_address() {
    let text = |mode: &str| {
        json!({
            "Id": "c2", "Name": "side", "State": {"Running": true}, "HostConfig": {"NetworkMode": mode},
            "Config": {"Image": "side", "ExposedPorts": {"9000/tcp": {}}}, "NetworkSettings": {"Ports": {}},
        })
    };
    let on_host: Container = serde_json::from_value(text("host")).unwrap();
    assert_eq!(shown(&on_host, &rules()), ["host1:side:9000 side :9000 []"]);
    let beside: Container = serde_json::from_value(text("container:c1")).unwrap();
    assert_eq!(beside.network_of(), Some("c1"));
    let (services, faults) = services(&beside, Some(&container("web", "web", &[], &[])), &rules());
    assert!(faults.is_empty());
    assert_eq!((services[0].service.address.as_str(), services[0].service.port), ("172.17.0.2", 9000));
}

#[test]
fn checks_are_made_of_their_metadata() {
    let run = |environment: &[&str]| {
        let checked = container("web", "web", &["8000:80/tcp"], environment);
        only(&checked, &rules()).checks.pop().map(|check| check.runs)
    };
    assert_eq!(run(&["SERVICE_CHECK_INTERVAL=1s", "SERVICE_CHECK_TCP=false"]), None);
    let http = run(&[
        "SERVICE_80_CHECK_HTTP=/health",
        "SERVICE_80_CHECK_HTTP_METHOD=HEAD",
        "SERVICE_CHECK_INTERVAL=15s",
        "SERVICE_CHECK_TIMEOUT=1s",
        "SERVICE_CHECK_INITIAL_STATUS=passing",
        "SERVICE_CHECK_DEREGISTER_AFTER=10m",
    ])
    .unwrap();
    assert_eq!((http.http.as_str(), http.method.as_str()), ("http://10.0.0.4:8000/health", "HEAD"));
    assert_eq!((http.interval.0, http.timeout.0), (15_000_000_000, 1_000_000_000));
    assert_eq!(
        (http.status.as_str(), http.deregister_critical_service_after.0),
        ("passing", 600_000_000_000)
    );

    let https = run(&["SERVICE_CHECK_HTTPS=ok", "SERVICE_CHECK_TLS_SKIP_VERIFY=true"]).unwrap();
    assert_eq!((https.http.as_str(), https.tls_skip_verify), ("https://10.0.0.4:8000/ok", true));
    assert_eq!(https.interval.0, 10_000_000_000);
    assert_eq!(run(&["SERVICE_CHECK_TCP=true"]).unwrap().tcp, "10.0.0.4:8000");
    assert_eq!(run(&["SERVICE_CHECK_TTL=30s"]).unwrap().ttl.0, 30_000_000_000);
    let grpc = run(&["SERVICE_CHECK_GRPC=true", "SERVICE_CHECK_GRPC_USE_TLS=true"]).unwrap();
    assert_eq!((grpc.grpc.as_str(), grpc.grpc_use_tls), ("10.0.0.4:8000", true));

    let script = run(&["SERVICE_CHECK_SCRIPT=nc $SERVICE_IP $SERVICE_PORT | grep OK"]).unwrap();
    assert_eq!(script.script_args.unwrap(), ["/bin/sh", "-c", "nc 10.0.0.4 8000 | grep OK"]);
    let docker = run(&["SERVICE_CHECK_DOCKER=curl localhost"]).unwrap();
    assert_eq!(docker.docker_container_id, "0123456789ab");
    assert_eq!(docker.script_args.unwrap(), ["/bin/sh", "-c", "curl localhost"]);
    let command = run(&["SERVICE_CHECK_CMD=/check.sh"]).unwrap();
    assert_eq!(command.script_args.unwrap(), ["/bin/sh", "-c", "check-cmd 0123456789ab 80 /check.sh"]);
}

#[test]
fn an_ipv6_address_stands_in_brackets_in_a_check() {
    let rules = Rules { host_address: Some("2001:db8::1".parse().unwrap()), ..rules() };
    let web = container("web", "web", &["8000:80/tcp"], &["SERVICE_CHECK_HTTP=/"]);
    assert_eq!(only(&web, &rules).checks[0].runs.http, "http://[2001:db8::1]:8000/");
}

#[test]
fn what_cannot_be_registered_is_named_and_what_is_not_wanted_is_not() {
    let (found, faults) =
        services(&container("web", "web", &["80:80/tcp"], &["SERVICE_CHECK_TTL=soon"]), None, &rules());
    assert!(found.is_empty());
    assert_eq!(faults, ["host1:web:80: time: invalid duration \"soon\""]);
    let explicit = Rules { explicit: true, ..rules() };
    assert!(shown(&container("web", "web", &["80:80/tcp"], &[]), &explicit).is_empty());
    assert!(shown(&container("web", "web", &["80:80/tcp"], &["SERVICE_IGNORE=true"]), &rules()).is_empty());
    let odd = container("web", "web", &["80:80/tcp"], &["SERVICE_BAD.KEY=x", "SERVICE_GOOD=y"]);
    let meta = only(&odd, &rules()).service.meta.unwrap();
    assert_eq!(meta.into_iter().collect::<Vec<_>>(), [("good".to_owned(), "y".to_owned())]);
}
