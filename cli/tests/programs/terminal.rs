//! What people see in a terminal: `top`, `doctor`, completion and the manual's pages, `--json`.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
};

use nix::pty::{Winsize, openpty};
use serde_json::Value;

use crate::{
    ask::{LONG, until},
    stage::{Stage, run, ryo},
};

#[test]
fn top_shows_the_fleet_in_a_terminal_and_ends_with_q() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    registry.put_ok(
        "/v1/agent/service/register",
        r#"{"Name":"shop","Port":1,"Check":{"TTL":"10m","Notes":"x"}}"#,
    );
    let size = Winsize { ws_row: 40, ws_col: 140, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).unwrap();
    let side = || Stdio::from(terminal.slave.try_clone().unwrap());
    let address = registry.http().to_string();
    let mut command = ryo();
    command.args(["top", "-interval=500ms"]).env("CONSUL_HTTP_ADDR", address).env("TERM", "xterm");
    let mut top = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    drop(command);
    drop(terminal.slave);
    let mut keys = File::from(terminal.master.try_clone().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, mut screen) = (seen.clone(), File::from(terminal.master));
    let reader = thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            sink.lock().unwrap().extend_from_slice(&piece[..count]);
        }
    });
    until(LONG, "the screen shows the fleet", || {
        let text = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        let parts = ["ryo top", "Nodes", "registry", "shop", "critical"];
        if parts.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
    });
    keys.write_all(b"q").unwrap();
    assert!(top.wait().unwrap().success());
    reader.join().unwrap();
    let text = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    assert!(text.contains("\x1b[?1049h") && text.contains("\x1b[?1049l"), "the screen is given back: {text}");
}

#[test]
fn without_a_terminal_top_prints_once_on_demand() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    assert_eq!(registry.ryo(&["top"]), (1, "top needs a terminal; ryo top -once prints it once\n".into()));
    let (code, text) = registry.ryo(&["top", "-once"]);
    assert!(code == 0 && text.contains("registry") && !text.contains('\x1b'), "{text}");
    let (code, text) = registry.ryo(&["top", "--json"]);
    let model: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &model["Nodes"][0]["Name"]), (0, &"registry".into()));
}

#[test]
fn doctor_finds_what_is_wrong_and_names_what_mends_it() {
    let stage = Stage::new();
    let registry = stage.registry();
    let folder = format!("-config-dir={}", registry.folder.join("ryo.d").display());
    let (code, text) = run(ryo().args(["doctor", &folder]));
    assert!(code == 1 && text.contains("no agent answers") && text.contains("systemctl start ryo"), "{text}");

    let process = registry.start_and_wait();
    let (code, text) = run(ryo().args(["doctor", &folder, "--json"]));
    let findings: Value = serde_json::from_str(&text).unwrap();
    let wrong: Vec<&Value> = findings.as_array().unwrap().iter().filter(|f| f["Grade"] == "wrong").collect();
    assert!(code == 0 && wrong.is_empty(), "{text}");

    let (code, text) = run(ryo().args(["doctor", &folder, "-http-addr=127.0.0.1:1"]));
    let mend = format!("mend it: export CONSUL_HTTP_ADDR={}", registry.http());
    assert!(code == 1 && text.contains(&mend), "{text}");

    registry.put_ok("/v1/agent/check/register", r#"{"Name":"disks","TTL":"10m"}"#);
    let (code, text) = run(ryo().args(["doctor", &folder]));
    assert!(code == 1 && text.contains("disks of the node is critical"), "{text}");
    drop(process);

    registry.write("ryo.d/bad.hcl", "recusors = []\n");
    let (code, text) = run(ryo().args(["doctor", &folder]));
    assert!(code == 1 && text.contains("recusors") && text.contains("mend it: ryo validate"), "{text}");
}

/// The agent's address may stand in its flags, where no file says it.
#[test]
fn doctor_asks_dns_where_the_agent_serves_it() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    let http = format!("-http-addr={}", registry.http());
    let empty = stage.folder().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let (code, text) = run(ryo().args(["doctor", &http, "--json", "-config-dir"]).arg(empty));
    let findings: Value = serde_json::from_str(&text).unwrap();
    let dns = findings.as_array().unwrap().iter().find(|finding| finding["Subject"] == "dns").unwrap();
    let said = dns["Text"].as_str().unwrap();
    assert!(said.contains(&registry.dns_server().to_string()) && dns["Grade"] != "wrong", "{code} {text}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _taken = std::net::UdpSocket::bind(registry.dns_server()).unwrap();
    let folder = format!("-config-dir={}", registry.folder.join("ryo.d").display());
    let (code, text) = run(ryo().args(["doctor", &folder]));
    assert!(code == 1 && text.contains("another program has it") && text.contains("sport = :8600"), "{text}");
}

#[test]
fn shells_and_man_learn_the_commands() {
    let (code, text) = run(ryo().args(["completion", "bash"]));
    assert!(code == 0 && text.contains("force-leave"), "{text}");
    assert_eq!(run(ryo().args(["completion", "tcsh"])).0, 1);
    let stage = Stage::new();
    let folder = stage.folder().join("man1");
    let (code, text) = run(ryo().arg("man").arg(&folder));
    assert!(code == 0 && text.contains("pages in"), "{text}");
    let page = std::fs::read_to_string(folder.join("ryo-kv-get.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("recurse"), "{page}");
}

#[test]
fn autocomplete_is_put_into_the_shells_file_and_taken_out() {
    let stage = Stage::new();
    let file = stage.folder().join(".bash_completion");
    std::fs::write(&file, "mine\n").unwrap();
    for _ in 0..2 {
        assert_eq!(run(ryo().arg("-autocomplete-install").env("HOME", stage.folder())).0, 0);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("mine\n") && text.matches("# begin of").count() == 1, "{text}");
    assert_eq!(run(ryo().arg("-autocomplete-uninstall").env("HOME", stage.folder())).0, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
}
