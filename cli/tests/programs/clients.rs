//! Well-known clients against an agent, call by call: a proxy that routes to what the catalog has, and applications that
//! register themselves and read their settings. What such libraries do with the answers is named where it is relied on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    ask::{LONG, Page, http, pause, until},
    stage::{Node, Stage, list},
};

/// A registry, and an agent beside the client.
fn fleet(stage: &Stage) -> (Node, Node) {
    (stage.registry(), stage.agent("host1", 11))
}

/// Traefik's provider for the catalog: names and their tags first, then each service twice.
#[test]
fn a_proxy_gets_each_instance_with_its_tags_and_its_health() {
    let stage = Stage::new();
    let (registry, host) = fleet(&stage);
    let other = stage.agent("host0", 12);
    let _processes = [&registry, &host, &other].map(|node| node.start_and_wait());
    let rule = "traefik.http.routers.shop.rule=Host(`shop.example.org`) && PathPrefix(`/a`)";
    let enabled = ["traefik.enable=true", rule];
    for (node, id, port, tags, status) in [
        (&host, "shop-2", 8002, &enabled[..], "passing"),
        (&host, "shop-1", 8001, &enabled, "critical"),
        (&other, "shop-3", 8003, &enabled, "warning"),
        (&other, "shop-4", 8004, &["plain"], "passing"),
        (&host, "hidden", 8005, &["traefik.enable=false"], "passing"),
    ] {
        let name = id.split('-').next().unwrap();
        let check = json!({"CheckID": format!("{id}-up"), "TTL": "1h", "Status": status});
        let address = if id == "shop-2" { "" } else { "10.20.0.1" };
        let body =
            json!({"ID": id, "Name": name, "Port": port, "Tags": tags, "Address": address, "Check": check});
        node.put_ok("/v1/agent/service/register", &body.to_string());
    }
    registry.wait_for_instances("shop", &["shop-3", "shop-4", "shop-1", "shop-2"]);

    for options in ["", "stale=", "consistent=", "cached="] {
        let services = host.get(&format!("/v1/catalog/services?{options}")).json();
        let mut shop: Vec<&str> = list(&services["shop"]).iter().map(|tag| tag.as_str().unwrap()).collect();
        shop.sort_unstable();
        assert_eq!(shop, ["plain", "traefik.enable=true", rule], "{options}");
        assert_eq!(services["hidden"], json!(["traefik.enable=false"]));

        let tag = "tag=traefik.enable%3Dtrue";
        let found = host.get(&format!("/v1/catalog/service/shop?{tag}&{options}")).json();
        let health = host.get(&format!("/v1/health/service/shop?{tag}&{options}")).json();
        // Older versions pair the two lists by position.
        let pairs: Vec<_> = list(&found)
            .iter()
            .zip(list(&health))
            .map(|(instance, entry)| {
                let (id, port) = (&instance["ServiceID"], &instance["ServicePort"]);
                assert_eq!((id, port), (&entry["Service"]["ID"], &entry["Service"]["Port"]), "{options}");
                assert_eq!(instance["ServiceTags"], json!(enabled));
                let address = match instance["ServiceAddress"].as_str().unwrap() {
                    "" => &instance["Address"],
                    _ => &instance["ServiceAddress"],
                };
                (id.as_str().unwrap(), address.as_str().unwrap().to_owned(), worst(&entry["Checks"]))
            })
            .collect();
        let own = host.address.to_string();
        let expected = [
            ("shop-3", "10.20.0.1".to_owned(), "warning"),
            ("shop-1", "10.20.0.1".to_owned(), "critical"),
            ("shop-2", own, "passing"),
        ];
        assert_eq!(pairs, expected, "{options}");
        assert_eq!(list(&found).len(), list(&health).len());
    }
    // Newer versions wait for names and for checks, and look again when either moves.
    for (path, change) in [
        ("/v1/catalog/services", "/v1/agent/service/deregister/hidden"),
        ("/v1/health/state/any", "/v1/agent/check/pass/shop-1-up"),
    ] {
        let index = host.get(path).index;
        let waits = format!("{path}?index={index}&wait=60s");
        let woken = std::thread::scope(|all| {
            let reader = all.spawn(|| host.get(&waits));
            pause(Duration::from_millis(200));
            assert!(!reader.is_finished(), "{path} did not wait");
            host.put_ok(change, "");
            reader.join().unwrap()
        });
        assert!(woken.index > index, "{path}");
    }
}

/// The worst of an instance's checks.
fn worst(checks: &Value) -> &'static str {
    let has = |status: &str| list(checks).iter().any(|check| check["Status"] == status);
    ["critical", "warning"].into_iter().find(|status| has(status)).unwrap_or("passing")
}

/// Spring Cloud Consul: an application without an agent in its own container registers at the host's.
#[test]
fn an_application_registers_beats_follows_the_catalog_and_reads_its_settings() {
    let stage = Stage::new();
    let (registry, host) = fleet(&stage);
    let _processes = [&registry, &host].map(|node| node.start_and_wait());
    // What it looks at to say whether the registry is well.
    assert_eq!(host.get("/v1/status/leader").json(), format!("{}:8300", registry.address));
    let own = host.get("/v1/agent/self").json();
    assert_eq!((&own["Config"]["Datacenter"], &own["Member"]["Name"]), (&json!("dc1"), &json!("host1")));

    let first = host.get("/v1/catalog/services?wait=2s").index;
    let id = "consuldemo-instance-1f2e3d";
    let body = json!({
        "ID": id, "Name": "consuldemo", "Tags": ["foo=bar", "baz"], "Address": "10.0.9.7", "Port": 8080,
        "Meta": {"secure": "false"}, "Check": {"TTL": "30s"},
    });
    host.put_ok("/v1/agent/service/register", &body.to_string());
    let seen = until(LONG, "the catalog's index has moved", || {
        let page = host.try_get(&format!("/v1/catalog/services?wait=2s&index={first}"))?;
        if page.json()["consuldemo"] == json!(["baz", "foo=bar"]) { Ok(page) } else { Err(page.text) }
    });
    assert!(seen.index > first);
    let passing = "/v1/health/service/consuldemo?passing=true&tag=foo%3Dbar";
    assert_eq!(host.get(passing).json(), json!([]), "critical until its first beat");
    host.put_ok(&format!("/v1/agent/check/pass/service:{id}"), "");
    let found = until(LONG, "the instance is healthy", || {
        let page = host.try_get(passing)?;
        if list(&page.json()).len() == 1 { Ok(page.json()) } else { Err(page.text) }
    });
    let service = &found[0]["Service"];
    assert_eq!((&service["Address"], &service["Port"]), (&json!("10.0.9.7"), &json!(8080)));
    assert_eq!(service["Meta"], json!({"secure": "false"}));
    assert_eq!(found[0]["Node"]["Node"], "host1");

    // Settings, and a reader that learns of a change.
    let settings = "/v1/kv/config/consuldemo/?recurse";
    assert_eq!(host.get(settings).status, 404);
    host.put_ok("/v1/kv/config/consuldemo/greeting", "hello");
    host.put_ok("/v1/kv/config/application/greeting", "of all");
    let page = host.get(settings);
    assert_eq!(list(&page.json()).len(), 1, "{page:?}");
    let waits = format!("{settings}&wait=55s&index={}", page.index);
    let changed = std::thread::scope(|all| {
        let reader = all.spawn(|| host.get(&waits));
        pause(Duration::from_millis(200));
        assert!(!reader.is_finished(), "it did not wait");
        registry.put_ok("/v1/kv/config/consuldemo/greeting", "bonjour");
        reader.join().unwrap()
    });
    assert_eq!(changed.json()[0]["Value"], "Ym9uam91cg==");

    // Events: a client computes the index of the last one that it knows from its id, and asks for later ones.
    let fired = host.put("/v1/event/fire/springCloudBus", r#"{"type":"refresh"}"#).json();
    let page: Page = until(LONG, "the event is listed", || {
        let page = host.try_get("/v1/event/list?wait=2s")?;
        if list(&page.json()).len() == 1 { Ok(page) } else { Err(page.text) }
    });
    assert_eq!(page.json()[0]["ID"], fired["ID"]);
    assert_eq!(page.index, index_of_event(fired["ID"].as_str().unwrap()));

    // Out of service by maintenance, back, and gone at the end.
    for (enable, healthy) in [("true", 0), ("false", 1)] {
        host.put_ok(&format!("/v1/agent/service/maintenance/{id}?enable={enable}"), "");
        until(LONG, &format!("maintenance is {enable}"), || {
            let page = host.try_get(passing)?;
            if list(&page.json()).len() == healthy { Ok(()) } else { Err(page.text) }
        });
    }
    host.put_ok(&format!("/v1/agent/service/deregister/{id}"), "");
    registry.wait_for_instances("consuldemo", &[]);
    let gone = http(host.http(), "PUT", &format!("/v1/agent/check/pass/service:{id}"), b"").unwrap();
    assert_eq!(gone.status, 404, "{gone:?}");
}

/// Both halves of the id, one upon the other.
fn index_of_event(id: &str) -> u64 {
    let digits = id.replace('-', "");
    let half = |text: &str| u64::from_str_radix(text, 16).unwrap();
    half(&digits[..16]) ^ half(&digits[16..])
}
