use std::{path::Path, sync::Mutex};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::broadcast,
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{
    config::{self, Flags},
    definition::{ServiceDefinition, Source},
};

/// An engine of a test: its containers, and who listens to its events.
struct StandIn {
    containers: Mutex<BTreeMap<String, Json>>,
    /// All events so far: each of them is younger than anybody asks for.
    told: Mutex<Vec<String>>,
    events: broadcast::Sender<String>,
}

impl StandIn {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            containers: Mutex::default(),
            told: Mutex::default(),
            events: broadcast::channel(64).0,
        })
    }

    /// Answers at a socket until the handle is dropped, with all its connections.
    fn serve(self: &Arc<Self>, socket: &Path) -> JoinSet<()> {
        // A socket of a former life is in the way.
        let _ = std::fs::remove_file(socket);
        let (listener, engine) = (UnixListener::bind(socket).unwrap(), self.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let engine = engine.clone();
                // A client that has gone is no fault.
                connections.spawn(async move { drop(engine.converse(stream).await) });
            }
        });
        serving
    }

    async fn converse(&self, stream: UnixStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut request, mut line) = (String::new(), String::new());
            stream.read_line(&mut request).await?;
            while stream.read_line(&mut line).await? > 2 {
                line.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            if path.starts_with("/events?since=") {
                return self.tell_all(&mut stream).await;
            }
            let (status, body) = self.answer(path);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    fn answer(&self, path: &str) -> (&'static str, String) {
        let containers = self.containers.lock().unwrap();
        match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
            ["containers", "json"] => {
                let running = containers.iter().filter(|(_, c)| c["State"]["Running"] == true);
                ("200 OK", running.map(|(id, _)| json!({"Id": id})).collect::<Json>().to_string())
            }
            ["containers", id, "json"] => match containers.get(*id) {
                Some(container) => ("200 OK", container.to_string()),
                // As podman says it while it removes one; Docker says 404.
                None => ("500 Internal Server Error", r#"{"cause":"no such container"}"#.to_owned()),
            },
            _ => ("404 Not Found", String::new()),
        }
    }

    /// The events so far and those to come: all of them are younger than anybody asks for.
    async fn tell_all(&self, stream: &mut BufReader<UnixStream>) -> std::io::Result<()> {
        let (mut told, mut next) = {
            let told = self.told.lock().unwrap();
            (told.clone(), self.events.subscribe())
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        loop {
            for line in told.drain(..) {
                stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await?;
            }
            match next.recv().await {
                Ok(line) => told.push(line),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Runs a container with one published port; the events tell.
    fn run(&self, id: &str, name: &str, environment: &[&str]) {
        let container = json!({
            "Id": id, "Name": format!("/{name}"), "State": {"Running": true},
            "Config": {"Image": name, "Env": environment},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000"}]}},
        });
        self.containers.lock().unwrap().insert(id.into(), container);
        self.tell("start", id);
    }

    fn remove(&self, id: &str) {
        self.containers.lock().unwrap().remove(id);
        self.tell("destroy", id);
    }

    fn stop(&self, id: &str) {
        self.containers.lock().unwrap().get_mut(id).unwrap()["State"]["Running"] = false.into();
        self.tell("die", id);
    }

    fn tell(&self, action: &str, id: &str) {
        let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id}}).to_string() + "\n";
        let mut told = self.told.lock().unwrap();
        told.push(event.clone());
        // Nobody may be listening.
        let _ = self.events.send(event);
    }
}

/// An agent's services, kept in a folder.
fn local(folder: &Path, more: &[&str]) -> Arc<Local> {
    let mut words = vec!["-data-dir".to_owned(), folder.join("data").display().to_string()];
    words.extend(["-bind", "127.0.0.1", "-node", "host1", "-hcl"].map(str::to_owned));
    words.push("container_source { enabled = true }".to_owned());
    words.extend(more.iter().map(|word| (*word).to_owned()));
    let config = config::load(&Flags::parse(words).unwrap()).unwrap();
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    local
}

fn follow(local: &Arc<Local>, socket: &Path, cleanup: bool) -> (Shutdown, tokio::task::JoinHandle<()>) {
    let end = Shutdown::default();
    let follower = Follower {
        engine: Engine::new(Some(&format!("unix://{}", socket.display()))),
        rules: Rules {
            host: "host1".into(),
            node_address: [127, 0, 0, 1].into(),
            host_address: None,
            internal: false,
            explicit: false,
            tags: Vec::new(),
        },
        cleanup,
        resync: Duration::from_secs(300),
        local: local.clone(),
        owners: BTreeMap::new(),
        faults: BTreeMap::new(),
    };
    let task = tokio::spawn(follower.run(end.clone()));
    (end, task)
}

/// Waits until the services are these.
async fn services(local: &Local, ids: &[&str]) {
    let mut changes = local.changes();
    let there = || local.snapshot().services.into_keys().collect::<Vec<_>>();
    let waiting = async {
        while there() != ids {
            changes.changed().await.unwrap();
        }
    };
    if timeout(Duration::from_secs(20), waiting).await.is_err() {
        panic!("wanted {ids:?}, but there are {:?}", there());
    }
}

#[tokio::test]
async fn containers_come_and_go_and_a_successor_of_the_same_name_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine, local) = (folder.path().join("s"), StandIn::new(), local(folder.path(), &[]));
    engine.run("c1", "web", &[]);
    let _serving = engine.serve(&socket);
    let (end, task) = follow(&local, &socket, false);
    services(&local, &["host1:web:80"]).await;
    engine.run("c2", "db", &["SERVICE_NAME=sql"]);
    services(&local, &["host1:db:80", "host1:web:80"]).await;
    assert_eq!(local.snapshot().services["host1:db:80"].service, "sql");
    engine.stop("c2");
    services(&local, &["host1:web:80"]).await;

    // The name's new container is there before the old one's end is told.
    engine.run("c3", "web", &["SERVICE_TAGS=new"]);
    let mut changes = local.changes();
    while local.snapshot().services["host1:web:80"].tags.as_deref() != Some(&["new".to_owned()][..]) {
        changes.changed().await.unwrap();
    }
    engine.remove("c1");
    engine.run("c4", "last", &[]);
    services(&local, &["host1:last:80", "host1:web:80"]).await;
    end.request();
    task.await.unwrap();
}

#[tokio::test]
async fn after_a_lost_engine_everything_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine, local) = (folder.path().join("s"), StandIn::new(), local(folder.path(), &[]));
    let (end, task) = follow(&local, &socket, false);
    engine.run("c1", "web", &[]);
    engine.run("c2", "db", &[]);
    let serving = engine.serve(&socket);
    services(&local, &["host1:db:80", "host1:web:80"]).await;

    drop(serving);
    engine.stop("c1");
    engine.run("c3", "mail", &[]);
    assert_eq!(local.snapshot().services.len(), 2, "they stay while nobody knows");
    let _serving = engine.serve(&socket);
    services(&local, &["host1:db:80", "host1:mail:80"]).await;
    end.request();
    task.await.unwrap();
}

#[tokio::test]
async fn what_an_earlier_life_left_goes_and_what_others_registered_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine) = (folder.path().join("s"), StandIn::new());
    engine.run("c1", "web", &["SERVICE_CHECK_TTL=1h"]);
    engine.run("c2", "db", &[]);
    let _serving = engine.serve(&socket);
    let register = |local: &Local, id: &str| {
        let body = json!({"ID": id, "Name": "other"}).to_string();
        let service = ServiceDefinition::from_api(body.as_bytes()).unwrap();
        local.add_service(service, Source::Api, false).unwrap();
    };
    {
        let local = local(folder.path(), &[]);
        let (_, task) = follow(&local, &socket, false);
        services(&local, &["host1:db:80", "host1:web:80"]).await;
        for id in ["mine", "host1:old:80", "host2:old:80"] {
            register(&local, id);
        }
        // As killed: nothing is taken away.
        task.abort();
    }
    engine.stop("c2");
    let local = local(folder.path(), &[]);
    let restored = ["host1:db:80", "host1:old:80", "host1:web:80", "host2:old:80", "mine"];
    services(&local, &restored).await;
    let (end, task) = follow(&local, &socket, false);
    services(&local, &["host1:old:80", "host1:web:80", "host2:old:80", "mine"]).await;
    end.request();
    task.await.unwrap();

    let (end, task) = follow(&local, &socket, true);
    services(&local, &["host1:web:80", "host2:old:80", "mine"]).await;
    end.request();
    task.await.unwrap();
    assert_eq!(local.forget_containers(|_| false), 1);
}

#[tokio::test]
async fn without_the_source_nothing_of_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine) = (folder.path().join("s"), StandIn::new());
    engine.run("c1", "web", &["SERVICE_CHECK_TTL=1h"]);
    let _serving = engine.serve(&socket);
    {
        let local = local(folder.path(), &[]);
        let (_, task) = follow(&local, &socket, false);
        services(&local, &["host1:web:80"]).await;
        task.abort();
    }
    let local = local(folder.path(), &["-hcl", "container_source { enabled = false }"]);
    assert!(local.snapshot().services.is_empty() && local.snapshot().checks.is_empty());
}

#[tokio::test]
async fn a_files_service_and_scripts_that_are_not_allowed_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine) = (folder.path().join("s"), StandIn::new());
    let local = local(folder.path(), &["-hcl", r#"service { id = "host1:web:80" name = "own" port = 1 }"#]);
    engine.run("c1", "web", &[]);
    engine.run("c2", "script", &["SERVICE_CHECK_SCRIPT=true"]);
    engine.run("c3", "db", &[]);
    let _serving = engine.serve(&socket);
    let (end, task) = follow(&local, &socket, false);
    services(&local, &["host1:db:80", "host1:web:80"]).await;
    assert_eq!(local.snapshot().services["host1:web:80"].service, "own");
    engine.stop("c1");
    engine.stop("c3");
    services(&local, &["host1:web:80"]).await;
    end.request();
    task.await.unwrap();
}

#[test]
fn ids_of_registrators_are_known() {
    for (id, is) in [
        ("host1:web.0:80", true),
        ("host1:web:53:udp", true),
        ("host2:web:80", false),
        ("host1:web", false),
        ("host1:web:http", false),
        ("web", false),
    ] {
        assert_eq!(is_of_registrator(id, "host1"), is, "{id}");
    }
}
