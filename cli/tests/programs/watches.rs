//! Watches in the configuration: who is told, when, and what a reload does to them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::mpsc,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Stage, run},
};

/// A handler that appends the index and what it was given to a file, a line each.
fn appends(file: &Path) -> Value {
    json!(["sh", "-c", format!("echo \"$CONSUL_INDEX $(cat)\" >> {}", file.display())])
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The data that a line's handler was given.
fn data(line: &str) -> Value {
    serde_json::from_str(line.split_once(' ').unwrap().1).unwrap()
}

#[test]
fn handlers_are_told_of_each_change_and_a_reload_leaves_the_others_alone() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let told = |name: &str| stage.folder().join(name);
    let watches = json!({"watches": [
        {"type": "key", "key": "app/port", "args": appends(&told("key"))},
        {"type": "service", "service": "web", "passingonly": true, "args": appends(&told("service"))},
        {"type": "event", "name": "deploy", "args": appends(&told("event"))},
        {"type": "agent_service", "service_id": "web", "args": appends(&told("own"))},
        {"type": "nodes", "handler": format!("cat > {}; exit 3", told("shell").display())},
    ]});
    web.write("ryo.d/watches.json", &watches.to_string());
    web.write(
        "ryo.d/web.hcl",
        "service {\n name = \"web\"\n port = 80\n check {\n  id = \"up\"\n  ttl = \"1h\"\n }\n}",
    );
    let _registry = registry.start_and_wait();
    let agent = web.start_and_wait();
    let wait = |name: &str, count: usize| {
        let file = told(name);
        until(LONG, &format!("{count} lines of {name}"), || {
            let now = lines(&file);
            if now.len() >= count { Ok(now) } else { Err(format!("{now:?}\n{}", agent.log())) }
        })
    };
    assert_eq!(data(&wait("key", 1)[0]), Value::Null);
    assert_eq!(data(&wait("service", 1)[0]), json!([]));
    assert_eq!(data(&wait("event", 1)[0]), json!([]));
    assert_eq!(data(&wait("own", 1)[0])["Port"], 80);

    registry.put_ok("/v1/kv/app/port", "8080");
    let entry = data(&wait("key", 2)[1]);
    assert_eq!((&entry["Key"], &entry["Value"]), (&json!("app/port"), &json!("ODA4MA==")));
    let index = entry["ModifyIndex"].to_string();
    assert!(lines(&told("key"))[1].starts_with(&index), "CONSUL_INDEX is the entry's: {index}");
    web.put_ok("/v1/agent/check/pass/up", "");
    let instances = data(wait("service", 2).last().unwrap());
    assert_eq!(instances[0]["Service"]["ID"], "web");
    web.put_ok("/v1/event/fire/deploy", "now");
    assert_eq!(data(&wait("event", 2)[1])[0]["Payload"], "bm93");
    until(LONG, "the failure of a handler is logged", || {
        let log = agent.log();
        if log.contains("Failed to run watch handler") && log.contains("exit status 3") {
            Ok(())
        } else {
            Err(log)
        }
    });

    // One watch goes, one comes, the others stay as they are: the key's handler is not run again.
    let changed = json!({"watches": [
        {"type": "key", "key": "app/port", "args": appends(&told("key"))},
        {"type": "keyprefix", "prefix": "app/", "args": appends(&told("prefix"))},
    ]});
    web.write("ryo.d/watches.json", &changed.to_string());
    agent.signal(Signal::SIGHUP);
    assert_eq!(data(&wait("prefix", 1)[0]).as_array().unwrap().len(), 1);
    web.put_ok("/v1/event/fire/deploy", "later");
    registry.put_ok("/v1/kv/app/port", "8081");
    assert_eq!(data(&wait("key", 3)[2])["Value"], "ODA4MQ==");
    assert_eq!(lines(&told("key")).len(), 3, "{:?}", lines(&told("key")));
    assert_eq!(lines(&told("event")).len(), 2, "a watch that is gone tells nobody");

    // A file that is wrong keeps what was, and says where.
    web.write("ryo.d/watches.json", r#"{"watches": [{"type": "nosuch", "args": ["true"]}]}"#);
    let (code, said) = web.ryo(&["reload"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("watches.json:1:14") && said.contains("Unsupported watch type: nosuch"), "{said}");
    registry.put_ok("/v1/kv/app/port", "8082");
    wait("key", 4);
    assert_eq!(agent.stop(Signal::SIGTERM), 0);
}

#[test]
fn an_agent_does_not_start_with_a_watch_that_is_wrong_and_says_where() {
    let stage = Stage::new();
    let web = stage.agent("web1", 11);
    web.write("ryo.d/watches.hcl", "watches = [\n  { type = \"key\"\n    key = \"a\" },\n]\n");
    let agent: Process = web.start();
    let log = stage.folder().join("web1-11/log");
    assert_eq!(agent.ended(), 1);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("watches.hcl:2:3: Must define a watch handler"), "{log}");
    let (code, said) = web.ryo(&["validate", &web.folder.join("ryo.d").display().to_string()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("watches.hcl:2:3: Must define a watch handler"), "{said}");
}

#[test]
fn a_url_is_told_with_the_configured_method_and_headers() {
    let stage = Stage::new();
    let (url, requests) = receiver();
    let node = stage.registry();
    node.write(
        "ryo.d/watches.hcl",
        &format!(
            "watches {{\n type = \"key\"\n key = \"a\"\n handler_type = \"http\"\n http_handler_config {{\n  path = \"{url}/told\"\n\
             method = \"PUT\"\n  timeout = \"5s\"\n  header {{ X-Team = [\"ops\"] }}\n }}\n}}\n"
        ),
    );
    let _node = node.start_and_wait();
    let first = requests.recv_timeout(LONG).unwrap();
    assert!(first.starts_with("PUT /told HTTP/1.1\r\n") && first.ends_with("\r\n\r\nnull\n"), "{first}");
    let lower = first.to_ascii_lowercase();
    assert!(lower.contains("x-team: ops\r\n") && lower.contains("x-consul-index: "), "{first}");
    assert!(lower.contains("content-type: application/json\r\n"), "{first}");
    node.put_ok("/v1/kv/a", "x");
    assert!(requests.recv_timeout(LONG).unwrap().contains(r#""Key":"a""#));
}

/// A server that hands out each request as it came and answers 200, and its URL.
pub(crate) fn receiver() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut text, mut length) = (String::new(), 0);
            while !text.ends_with("\r\n\r\n") && reader.read_line(&mut text).unwrap() > 0 {}
            for line in text.lines() {
                if let Some((_, value)) =
                    line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case("content-length"))
                {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            text += &String::from_utf8(body).unwrap();
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn the_example_tells_of_a_check_that_fails_and_recovers() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/failure-notices");
    let stage = Stage::new();
    let (url, requests) = receiver();
    let node = stage.registry();
    let mails = stage.folder().join("mails");
    let (state, script) = (stage.folder().join("seen"), example.join("files/notify"));
    // The example's own watch, with this test's places in its environment.
    let watch = fs::read_to_string(example.join("files/notices.hcl")).unwrap();
    node.write("ryo.d/notices.hcl", &watch.replace("/usr/local/bin/notify", &script.display().to_string()));
    node.write("ryo.d/web.hcl", "service {\n name = \"web\"\n port = 80\n check {\n  id = \"up\"\n  name = \"web answers\"\n  ttl = \"1h\"\n  status = \"passing\"\n }\n}");
    let mailer = stage.folder().join("sendmail");
    fs::write(&mailer, format!("#!/bin/sh\ncat >> {}\n", mails.display())).unwrap();
    assert_eq!(run(Command::new("chmod").arg("+x").arg(&mailer)).0, 0);
    let mut command = node.command();
    command.env("NOTIFY_MAIL", "ops@example.org").env("NOTIFY_SENDMAIL", &mailer);
    command.env("NOTIFY_URL", &url).env("NOTIFY_STATE", &state);
    let mut agent = Process::start(&mut command, &node.folder.join("log"));
    node.wait_for_registry(&mut agent);
    until(
        LONG,
        "the first run finds nothing wrong",
        || {
            if state.exists() { Ok(()) } else { Err(agent.log()) }
        },
    );
    assert!(!mails.exists(), "nothing has failed yet");

    node.put_ok("/v1/agent/check/fail/up", "");
    let posted = requests.recv_timeout(LONG).unwrap();
    assert!(posted.ends_with("FAILING  registry  web  web answers\n"), "{posted}");
    node.put_ok("/v1/agent/check/pass/up", "");
    let posted = requests.recv_timeout(LONG).unwrap();
    assert!(posted.ends_with("RECOVERED  registry  web  web answers\n"), "{posted}");
    let mails = until(LONG, "both mails", || {
        let mails = fs::read_to_string(&mails).unwrap_or_default();
        if mails.contains("RECOVERED") { Ok(mails) } else { Err(mails) }
    });
    assert!(mails.contains("To: ops@example.org\nSubject: 1 check has changed\n"), "{mails}");
    assert!(mails.contains("FAILING  registry  web  web answers\n"), "{mails}");
}
