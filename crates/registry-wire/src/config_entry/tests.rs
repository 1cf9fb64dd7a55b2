use super::*;

/// What is shown of a body without hash and indexes, or the error.
fn read(body: &str) -> String {
    match parse(body.as_bytes()) {
        Ok(entry) => String::from_utf8(entry.body).expect("JSON is UTF-8"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_entry_is_shown_with_what_it_leaves_open() {
    let web = r#"{"Kind":"service-defaults","Name":"web","Protocol":"HTTP","Meta":{"b":"2","a":1}}"#;
    assert_eq!(
        read(web),
        r#"{"Kind":"service-defaults","Name":"web","Protocol":"http","TransparentProxy":{},"MeshGateway":{},"Expose":{},"Meta":{"a":"1","b":"2"}}"#
    );
    assert_eq!(
        read(r#"{"kind":"proxy-defaults","config":{"n":1e3,"l":[{"x":["y"]}]},"Hash":5}"#),
        r#"{"Kind":"proxy-defaults","Name":"global","Config":{"l":{"x":"y"},"n":1000},"TransparentProxy":{},"MeshGateway":{},"Expose":{},"AccessLogs":{}}"#
    );
    let mesh = parse(br#"{"Kind":"mesh"}"#).unwrap();
    assert_eq!((mesh.kind.as_str(), mesh.name.as_str()), ("mesh", "mesh"));
    let shown = String::from_utf8(shown(&mesh.body, 3, 7)).unwrap();
    assert!(shown.ends_with(r#","CreateIndex":3,"ModifyIndex":7}"#), "{shown}");
    assert!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["Hash"].is_u64());
}

#[test]
fn values_are_read_loosely() {
    for (sent, shown) in [
        (
            r#""max_inbound_connections":"7","ExternalSNI":5"#,
            r#""ExternalSNI":"5","MaxInboundConnections":7"#,
        ),
        (r#""MaxInboundConnections":1.9"#, r#""MaxInboundConnections":1"#),
        (r#""Expose":[{"Checks":"true"}]"#, r#""Checks":true"#),
        (r#""Expose":{"Paths":{"Path":"/x"}}"#, r#""Paths":[{"Path":"/x"}]"#),
        (r#""Meta":[{"a":"b"},{"c":null}]"#, r#""Meta":{"a":"b","c":""}"#),
        (
            r#""upstream_config":{"defaults":{"passive_health_check":{"interval":"5s","max_failures":-1}}}"#,
            r#""Defaults":{"Peer":"","PassiveHealthCheck":{"Interval":5000000000,"MaxFailures":4294967295},"MeshGateway":{}}"#,
        ),
    ] {
        let read = read(&format!(r#"{{"Kind":"service-defaults","Name":"web",{sent}}}"#));
        assert!(read.contains(shown), "{sent}: {read}");
    }
}

#[test]
fn bodies_that_cannot_be_read_say_why() {
    let failed = "Request decoding failed: ";
    for (body, why) in [
        ("", "EOF"),
        ("{", "unexpected EOF"),
        ("[]", "'' expected a map, got 'slice'"),
        ("null", "Payload does not contain a kind/Kind key at the top level"),
        (r#"{"KIND":"mesh"}"#, "Payload does not contain a kind/Kind key at the top level"),
        (r#"{"Kind":5}"#, "Kind value in payload is not a string"),
        (r#"{"Kind":"Mesh"}"#, "invalid config entry kind: Mesh"),
        (r#"{"Kind":"mesh","Name":"mesh"}"#, "1 error occurred:\n\t* invalid config key \"Name\"\n\n"),
        (
            r#"{"Kind":"service-router","Routes":[{"Destination":{"Nope":1},"Match":{"Bad":1}}],"namespace":""}"#,
            "3 errors occurred:\n\t* invalid config key \"Routes[0].Match.Bad\"\n\t* invalid config key \
             \"Routes[0].Destination.Nope\"\n\t* invalid config key \"namespace\", namespaces are a consul enterprise \
             feature\n\n",
        ),
        (
            r#"{"Kind":"service-defaults","MaxInboundConnections":{"a":1},"Expose":5,"Protocol":["a","b"]}"#,
            "3 error(s) decoding:\n\n* 'Expose' expected a map, got 'float64'\n* 'MaxInboundConnections' expected type \
             'int', got unconvertible type 'map[string]interface {}', value: 'map[a:1]'\n* 'Protocol' expected type \
             'string', got unconvertible type '[]interface {}', value: '[a b]'",
        ),
        (
            r#"{"Kind":"service-resolver","ConnectTimeout":"bad","Subsets":{"v1":5}}"#,
            "2 error(s) decoding:\n\n* 'Subsets[v1]' expected a map, got 'float64'\n* error decoding 'ConnectTimeout': \
             time: invalid duration \"bad\"",
        ),
    ] {
        assert_eq!(read(body), format!("{failed}{why}"), "{body}");
    }
}

#[test]
fn each_kind_has_its_rules() {
    for (body, why) in [
        (r#""service-defaults""#, "Name is required"),
        (
            r#""service-defaults","Name":"a","Protocol":"x","Destination":{}"#,
            "3 errors occurred:\n\t* invalid value for protocol: x\n\t* Destination must contain at least one valid \
             address\n\t* Invalid Port number 0\n\n",
        ),
        (r#""proxy-defaults","Name":"x""#, "invalid name (\"x\"), only \"global\" is supported"),
        (
            r#""service-router","Name":"a","Routes":[{"Match":{"HTTP":{"PathExact":"a"}}}]"#,
            "Route[0] PathExact doesn't start with '/': \"a\"",
        ),
        (
            r#""service-splitter","Name":"a","Splits":[{"Weight":33.333,"Service":"y"},{"Weight":33.333,"Service":"x"},{"Weight":33.334}]"#,
            "the sum of all split weights must be 100, not 99.989998",
        ),
        (
            r#""service-resolver","Name":"a","Failover":{"*":{}}"#,
            "Bad Failover[\"*\"]: one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is \
             required",
        ),
        (
            r#""ingress-gateway","Name":"a","Listeners":[{"Port":8080}]"#,
            "No service declared for listener with port 8080",
        ),
        (
            r#""service-intentions","Name":"a","Sources":[{"Name":"b","Permissions":[{"Action":"allow","HTTP":{"Header":[{"Name":"x"}]}}]}]"#,
            "Sources[0].Permissions[0].HTTP.Header[0] should only contain one of Present, Exact, Prefix, Suffix, \
             Contains, or Regex",
        ),
        (
            r#""mesh","TLS":{"Incoming":{"TLSMinVersion":"x"}}"#,
            "error in incoming TLS configuration: no matching TLS version found for x, please specify one of [TLS_AUTO, \
             TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3]",
        ),
        (r#""bound-api-gateway","Name":"a""#, "Permission denied: only writeable by controller"),
    ] {
        assert_eq!(read(&format!(r#"{{"Kind":{body}}}"#)), why, "{body}");
    }
}

#[test]
fn intentions_stand_in_order_of_their_precedence() {
    let body = r#"{"Kind":"service-intentions","Name":"db","Sources":[{"Name":"*","Action":"deny"},{"Name":"web","Action":"allow"}]}"#;
    assert_eq!(
        read(body),
        r#"{"Kind":"service-intentions","Name":"db","Sources":[{"Name":"web","Action":"allow","Precedence":9,"Type":"consul"},{"Name":"*","Action":"deny","Precedence":8,"Type":"consul"}]}"#
    );
}
