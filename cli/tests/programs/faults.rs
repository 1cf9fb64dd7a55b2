//! What befalls an agent: kills while it writes, torn files, a full disk, a registry that restarts or stands still.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    ask::{LONG, Page, http, pause, until},
    process::Process,
    stage::{Node, Stage, list, not_run, run, ryo},
};

/// A service with two checks, of which one is reported by the service itself.
fn service(id: &str, port: usize) -> String {
    let ttl = json!({"CheckID": format!("{id}-beat"), "TTL": "1h"});
    let port_check = json!({"CheckID": format!("{id}-port"), "TTL": "1h", "Status": "passing"});
    json!({"ID": id, "Name": "web", "Port": port, "Checks": [ttl, port_check]}).to_string()
}

/// What one writer was told: each id's last acknowledged port, or that it is gone.
#[derive(Default)]
struct Told {
    ports: BTreeMap<String, Option<usize>>,
    /// The id whose last request was not answered: it may be as before or as asked.
    open: BTreeSet<String>,
}

/// Registers, changes and removes services until the agent is gone.
fn change_until_it_ends(node: &Node, writer: usize, over: &AtomicBool, mut told: Told) -> Told {
    for port in 1.. {
        let id = format!("w{writer}-{}", rand::random_range(0..4));
        let asked = (rand::random_range(0..4) > 0).then_some(port);
        let (path, body) = match asked {
            Some(port) => ("/v1/agent/service/register".to_owned(), service(&id, port)),
            None => (format!("/v1/agent/service/deregister/{id}"), String::new()),
        };
        match http(node.http(), "PUT", &path, body.as_bytes()) {
            // 404: there was nothing to remove.
            Ok(Page { status: 200 | 404, .. }) => {
                told.open.remove(&id);
                told.ports.insert(id.clone(), asked);
                if asked.is_some() {
                    let _ = http(node.http(), "PUT", &format!("/v1/agent/check/pass/{id}-beat"), b"");
                }
            }
            Ok(page) => panic!("{path}: {page:?}"),
            Err(_) if over.load(Relaxed) => {
                told.open.insert(id);
                return told;
            }
            Err(_) => {
                told.open.insert(id);
            }
        }
    }
    unreachable!("numbers do not end")
}

/// What an agent has must be what was acknowledged, and each service must have both its checks.
fn has_what_was_acknowledged(node: &Node, told: &Told) {
    let services = node.get("/v1/agent/services").json();
    let checks = node.get("/v1/agent/checks").json();
    for (id, port) in told.ports.iter().filter(|(id, _)| !told.open.contains(*id)) {
        let has = services.get(id).map(|service| service["Port"].as_u64().unwrap() as usize);
        assert_eq!(has, *port, "{id}: {services}");
    }
    for id in services.as_object().unwrap().keys() {
        for check in ["beat", "port"] {
            assert!(checks.get(format!("{id}-{check}")).is_some(), "{id} lacks a check: {checks}");
        }
    }
    let of_none = |check: &&Value| services.get(check["ServiceID"].as_str().unwrap()).is_none();
    let ghosts: Vec<_> = checks.as_object().unwrap().values().filter(of_none).collect();
    assert!(ghosts.is_empty(), "{ghosts:?}");
}

#[test]
fn an_agent_that_is_killed_while_it_changes_has_all_that_it_acknowledged() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 12;
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let mut all: Vec<Told> = (0..WRITERS).map(|_| Told::default()).collect();
    for _ in 0..ROUNDS {
        let agent = web.start_and_wait();
        all.iter().for_each(|told| has_what_was_acknowledged(&web, told));
        let over = AtomicBool::new(false);
        let (web, over) = (&web, &over);
        all = std::thread::scope(|threads| {
            let start = |(writer, told)| threads.spawn(move || change_until_it_ends(web, writer, over, told));
            let writers: Vec<_> = all.into_iter().enumerate().map(start).collect();
            pause(Duration::from_millis(rand::random_range(50..400)));
            over.store(true, Relaxed);
            agent.kill();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
    }
    let _agent = web.start_and_wait();
    all.iter().for_each(|told| has_what_was_acknowledged(&web, told));
    let acknowledged: usize = all.iter().map(|told| told.ports.len()).sum();
    assert!(acknowledged > WRITERS, "only {acknowledged} ids were ever changed: the test saw too little");
    assert_eq!(left_overs(&web), Vec::<PathBuf>::new());
    // The catalog follows.
    let own = web.get("/v1/agent/services").json();
    let mut ids: Vec<&str> = own.as_object().unwrap().keys().map(String::as_str).collect();
    ids.sort_unstable();
    registry.wait_for_instances("web", &ids);
}

/// Files of writes that were cut short.
fn left_overs(node: &Node) -> Vec<PathBuf> {
    let folders = ["services", "checks", "checks/state"].map(|name| node.data().join(name));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let mut found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some());
    found
}

/// The only file of a folder.
fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}

#[test]
fn torn_files_cost_only_what_they_held() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let mut agent = web.start_and_wait();
    web.put_ok("/v1/agent/service/register", &service("torn", 1));
    let file = only_file(&web.data().join("services"));
    let whole = fs::read(&file).unwrap();
    web.put_ok("/v1/agent/service/register", &service("good", 2));
    for torn in [&whole[..0], &whole[..1], &whole[..whole.len() - 1], b"\0\0\0\0\0\0\0\0", b"{\"Service\":7}"]
    {
        agent.kill();
        let said = fs::read_to_string(web.folder.join("log")).unwrap().len();
        fs::write(&file, torn).unwrap();
        agent = web.start_and_wait();
        let services = web.get("/v1/agent/services").json();
        let ids: Vec<_> = services.as_object().unwrap().keys().cloned().collect();
        assert_eq!(ids, ["good"], "{torn:?}");
        let log = agent.log()[said..].to_owned();
        let told = log.matches("Ignoring a file that cannot be read").count();
        assert!(told == 1 && log.contains(&file.display().to_string()), "{log}");
        registry.wait_for_instances("web", &["good"]);
        // It takes the place of the torn one.
        web.put_ok("/v1/agent/service/register", &service("torn", 1));
    }
    // Whatever the checks' files and last words are, too.
    web.put_ok("/v1/agent/check/pass/good-beat", "");
    agent.kill();
    for folder in ["checks", "checks/state"] {
        for file in fs::read_dir(web.data().join(folder)).unwrap().map(|file| file.unwrap().path()) {
            if file.is_file() {
                fs::write(file, "{").unwrap();
            }
        }
    }
    fs::write(web.data().join("node-id"), "").unwrap();
    let _agent = web.start_and_wait();
    assert_eq!(web.get("/v1/agent/checks").json(), json!({}));
    assert_eq!(web.get("/v1/agent/services").json().as_object().unwrap().len(), 2);
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_costs_nothing_else() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    fs::create_dir_all(web.data()).unwrap();
    let fill = web.data().join("fill");
    if !mounts() {
        return;
    }
    // A disk of the agent's own, which is full as long as a file stands beside it.
    let full = stage.folder().join("full");
    let script = format!(
        "mount -t tmpfs -o size=200k tmpfs {} || exit 7\n\
         (while [ -d /proc/$$ ]; do\n if [ -e {full} ]; then cat /dev/zero > {fill}; else rm -f {fill}; fi\n sleep 0.1\n\
         done) 2>/dev/null &\nexec \"$@\"\n",
        web.data().display(),
        full = full.display(),
        fill = fill.display(),
    );
    let _registry = registry.start_and_wait();
    let program = ryo().get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(program).args(["agent", "-config-dir"]);
    let mut agent = Process::start(command.arg(web.folder.join("ryo.d")), &web.folder.join("log"));
    web.wait_for_registry(&mut agent);
    web.put_ok("/v1/agent/service/register", &service("before", 1));
    fs::write(&full, "").unwrap();
    let refused = until(LONG, "a registration is refused", || {
        let page = web.put("/v1/agent/service/register", &service("while", 2));
        if page.status == 200 {
            web.put_ok("/v1/agent/service/deregister/while", "");
            return Err(format!("{page:?}"));
        }
        Ok(page)
    });
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.text.contains("No space left on device"), "{refused:?}");
    let ids = || -> Vec<String> {
        web.get("/v1/agent/services").json().as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(ids(), ["before"]);
    // What needs no place goes on: words about checks, DNS, and taking things away.
    web.put_ok("/v1/agent/check/pass/before-beat", "");
    registry.wait_for_instances("web?passing", &["before"]);
    web.put_ok("/v1/agent/service/deregister/before", "");
    registry.wait_for_instances("web", &[]);
    fs::remove_file(&full).unwrap();
    until(LONG, "there is room again", || {
        match web.put("/v1/agent/service/register", &service("after", 3)) {
            Page { status: 200, .. } => Ok(()),
            page => Err(format!("{page:?}")),
        }
    });
    assert_eq!(ids(), ["after"]);
    registry.wait_for_instances("web", &["after"]);
    let (code, _) = web.ryo(&["leave"]);
    assert_eq!((code, agent.ended()), (0, 0));
}

/// Whether a process may have a disk of its own here.
fn mounts() -> bool {
    let (code, said) =
        run(Command::new("unshare").args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]));
    if code != 0 {
        not_run(&format!("a mount namespace, which root may make, is needed: {said}"));
    }
    code == 0
}

#[test]
fn a_restarted_registry_is_told_nothing_that_it_knows() {
    const SERVICES: usize = 100;
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let mut process = registry.start_and_wait();
    let _agent = web.start_and_wait();
    for n in 0..SERVICES {
        web.put_ok("/v1/agent/service/register", &service(&format!("s{n:03}"), n + 1));
        web.put_ok(&format!("/v1/agent/check/pass/s{n:03}-beat"), "");
    }
    let all: Vec<String> = (0..SERVICES).map(|n| format!("s{n:03}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    registry.wait_for_instances("web?passing", &all);
    let written = || -> Vec<Value> {
        let found = registry.get("/v1/health/service/web").json();
        list(&found).iter().map(|entry| json!([entry["Service"]["ModifyIndex"], entry["Checks"]])).collect()
    };
    let before = written();
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        process.stop(end);
        process = registry.start();
        // It has them from its own disk, and the agent has nothing to tell: no index moves.
        registry.wait_for_registry(&mut process);
        registry.wait_for_instances("web?passing", &all);
        web.put_ok("/v1/kv/attached", end.as_str());
        assert_eq!(written(), before, "{end}");
    }
    // On an empty folder it has none, and is told all.
    process.kill();
    fs::remove_dir_all(registry.data()).unwrap();
    let start = Instant::now();
    let _process = registry.start_and_wait();
    registry.wait_for_instances("web?passing", &all);
    println!("an empty registry had {SERVICES} services after {:?}", start.elapsed());
}

#[test]
fn a_registry_that_stands_still_is_waited_for() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let process = registry.start_and_wait();
    let mut agent = web.start_and_wait();
    web.put_ok("/v1/agent/service/register", &service("one", 80));
    web.put_ok("/v1/agent/check/pass/one-beat", "");
    registry.wait_for_instances("web?passing", &["one"]);
    let answers = |name: &str| web.dns(name, RecordType::A).answers;
    assert_eq!(answers("web.service.consul."), [web.address.to_string()]);

    process.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    let mut slowest = Duration::ZERO;
    while stopped.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        assert_eq!(
            answers("web.service.consul."),
            [web.address.to_string()],
            "after {:?}",
            stopped.elapsed()
        );
        slowest = slowest.max(asked.elapsed());
        // The agent's own calls need no registry.
        assert_eq!(web.get("/v1/agent/services").status, 200);
        pause(Duration::from_millis(200));
    }
    println!("the slowest answer of DNS took {slowest:?}");
    web.put_ok("/v1/agent/service/register", &service("two", 81));
    web.put_ok("/v1/agent/check/pass/two-beat", "");
    process.signal(Signal::SIGCONT);
    agent.must_run();
    registry.wait_for_instances("web?passing", &["one", "two"]);
    until(LONG, "nothing is critical", || {
        let page = registry.try_get("/v1/health/state/critical")?;
        if page.text.trim() == "[]" { Ok(()) } else { Err(page.text) }
    });
    let log = agent.log();
    assert!(log.matches("no registry answers").count() <= 1, "more than a line for one absence:\n{log}");
}
