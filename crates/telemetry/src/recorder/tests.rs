use metrics::with_local_recorder;

use super::*;

fn counted(count: impl FnOnce()) -> Recorder {
    let recorder = Recorder::new();
    with_local_recorder(&recorder, count);
    recorder
}

#[test]
fn an_interval_sums_up_what_happened() {
    let recorder = counted(|| {
        for milliseconds in [1.0, 2.0, 3.0] {
            metrics::histogram!("kvs.apply").record(milliseconds);
        }
        metrics::counter!("health.service.query", "service" => "web").increment(1);
        metrics::gauge!("members.servers", "datacenter" => "dc1").set(3.0);
    });
    let first = serde_json::to_value(recorder.report()).unwrap();
    recorder.turn();
    let whole = serde_json::to_value(recorder.report()).unwrap();
    for report in [first, whole] {
        assert_eq!(
            report["Samples"],
            serde_json::json!([{ "Name": "consul.kvs.apply", "Count": 3, "Rate": 0.6, "Sum": 6, "Min": 1, "Max": 3,
                "Mean": 2, "Stddev": 1, "Labels": {} }])
        );
        assert_eq!(report["Counters"][0]["Labels"], serde_json::json!({ "service": "web" }));
        let gauge = serde_json::json!([{ "Name": "consul.members.servers", "Value": 3, "Labels": { "datacenter": "dc1" } }]);
        assert_eq!(report["Gauges"], gauge);
        assert_eq!(report["Points"], serde_json::json!([]));
    }
    recorder.turn();
    assert!(recorder.report().samples.is_empty() && recorder.report().counters.is_empty());
    assert_eq!(recorder.report().gauges.len(), 1, "a gauge keeps its value");
}

#[test]
fn hosts_stand_in_gauges_and_filters_hold() {
    let recorder = counted(|| {
        metrics::gauge!("runtime.alloc_bytes").set(5.0);
        metrics::counter!("rpc.query").increment(2);
        metrics::counter!("rpc.request").increment(1);
    });
    let filters = crate::Filters {
        rules: vec![("my.rpc".into(), false), ("my.rpc.query".into(), true)],
        otherwise: true,
    };
    recorder.configure(Settings {
        prefix: "my".into(),
        hostname: Some("web1".into()),
        filters,
        ..Settings::default()
    });
    let report = recorder.report();
    assert_eq!(report.gauges[0].name, "my.web1.runtime.alloc_bytes");
    let counters: Vec<_> = report.counters.iter().map(|counter| (&*counter.name, counter.sum)).collect();
    assert_eq!(counters, [("my.rpc.query", 2.0)]);
}

#[test]
fn series_that_rest_are_forgotten_and_their_number_is_bounded() {
    let recorder = counted(|| {
        for number in 0..SERIES_MAX + 10 {
            metrics::counter!("health.service.query", "service" => number.to_string()).increment(1);
        }
    });
    assert_eq!(recorder.series(Kind::Counter).len(), SERIES_MAX);
    (0..=RESTING_MAX).for_each(|_| recorder.turn());
    assert_eq!(recorder.series(Kind::Counter).len(), 0);
}

#[test]
fn prometheus_reads_totals_and_quantiles() {
    let recorder = Recorder::new();
    assert_eq!(recorder.prometheus(), None);
    recorder.configure(Settings { prometheus_retention: Duration::from_secs(60), ..Settings::default() });
    with_local_recorder(&recorder, || {
        for milliseconds in 1..=100 {
            metrics::histogram!("api.http", "method" => "GET", "path" => "v1_kv_").record(milliseconds);
        }
        metrics::counter!("serf.events.consul:event:a-b").increment(4);
    });
    let text = recorder.prometheus().unwrap();
    for line in [
        "# TYPE consul_api_http summary",
        "consul_api_http_count 0",
        r#"consul_api_http{method="GET",path="v1_kv_",quantile="0.9"} 90"#,
        r#"consul_api_http_sum{method="GET",path="v1_kv_"} 5050"#,
        r#"consul_api_http_count{method="GET",path="v1_kv_"} 100"#,
        "consul_serf_events_consul:event:a_b 4",
        "consul_rpc_request 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn statsd_gets_every_event() {
    let listener = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (recorder, shutdown) = (Recorder::new(), Shutdown::default());
    let tasks = recorder.start(Settings { statsd: Some(address), ..Settings::default() }, &shutdown);
    with_local_recorder(&recorder, || {
        metrics::counter!("rpc.request").increment(1);
        metrics::counter!("serf.member.failed", "network" => "lan").increment(1);
    });
    let mut datagram = [0; 1500];
    let length = listener.recv(&mut datagram).await.unwrap();
    let sent = std::str::from_utf8(&datagram[..length]).unwrap();
    assert_eq!(sent, "consul.rpc.request:1.000000|c\nconsul.serf.member.failed.lan:1.000000|c\n");
    shutdown.request();
    for task in tasks {
        task.await.unwrap();
    }
}
