//! A fleet of one test: its folder, its network, and the nodes on it.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use hickory_proto::rr::RecordType;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    ask::{self, LONG, Page, Records, until},
    process::Process,
};

/// A folder and a random 127.x.y network, so that tests run side by side on the standard ports.
pub(crate) struct Stage {
    folder: TempDir,
    network: [u8; 2],
}

/// One node: its name, its address, its folder with the configuration in `ryo.d`.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) folder: PathBuf,
}

/// The program under test.
pub(crate) fn ryo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
    for name in ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command
}

/// Says that a test, or a part of one, cannot run here: a line in the file that `RYO_TESTS_NOT_RUN` names, where `./test`
/// counts them.
pub(crate) fn not_run(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    println!("NOT RUN: {test}: {why}");
    if let Some(file) = std::env::var_os("RYO_TESTS_NOT_RUN") {
        let mut file = fs::File::options().create(true).append(true).open(file).unwrap();
        writeln!(file, "{test}: {}", why.trim()).unwrap();
    }
}

/// What a command printed, both streams, and its exit code.
pub(crate) fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ryo-test-").tempdir().unwrap();
        Self { folder, network: [rand::random_range(1..=254), rand::random_range(0..=255)] }
    }

    /// The folder of everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An address of this network.
    pub(crate) fn address(&self, host: u8) -> IpAddr {
        let [x, y] = self.network;
        Ipv4Addr::new(127, x, y, host).into()
    }

    fn node(&self, name: &str, host: u8, role: &str) -> Node {
        let address = self.address(host);
        self.node_with(name, host, &format!("bind_addr = \"{address}\"\nclient_addr = \"{address}\"\n{role}"))
    }

    /// A node whose addresses are in `keys`.
    pub(crate) fn node_with(&self, name: &str, host: u8, keys: &str) -> Node {
        let folder = self.folder().join(format!("{name}-{host}"));
        fs::create_dir_all(folder.join("ryo.d")).unwrap();
        let node = Node { name: name.to_owned(), address: self.address(host), folder };
        let file = format!(
            "datacenter = \"dc1\"\nnode_name = \"{name}\"\ndata_dir = \"{}\"\n{keys}\n",
            node.data().display(),
        );
        node.write("ryo.d/ryo.hcl", &file);
        node
    }

    /// The registry's node, with the configuration of one server.
    pub(crate) fn registry(&self) -> Node {
        self.node("registry", 10, "server = true\nbootstrap_expect = 1")
    }

    /// An agent's node that joins the registry at its static address.
    pub(crate) fn agent(&self, name: &str, host: u8) -> Node {
        let registry = self.address(10);
        self.node(name, host, &format!("retry_join = [\"{registry}\"]\nretry_interval = \"1s\""))
    }
}

impl Node {
    /// Where the node keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes a file of the node.
    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.folder.join(file);
        fs::write(&path, text).unwrap();
        path
    }

    /// The command that starts the node's agent.
    pub(crate) fn command(&self) -> Command {
        let mut command = ryo();
        command.args(["agent", "-config-dir"]).arg(self.folder.join("ryo.d"));
        command
    }

    /// Starts the node's agent and returns at once.
    pub(crate) fn start(&self) -> Process {
        Process::start(&mut self.command(), &self.folder.join("log"))
    }

    /// Starts the node's agent and returns once a registry answers through it.
    pub(crate) fn start_and_wait(&self) -> Process {
        let mut process = self.start();
        self.wait_for_registry(&mut process);
        process
    }

    /// Returns once a registry answers through this node and knows it.
    pub(crate) fn wait_for_registry(&self, process: &mut Process) {
        let path = format!("/v1/catalog/node/{}", self.name);
        until(LONG, "a registry answers and knows the node", || {
            process.must_run();
            let page = self.try_get(&path)?;
            if page.status == 200 && page.json()["Node"]["Address"] == self.address.to_string() {
                Ok(())
            } else {
                Err(format!("{page:?}"))
            }
        });
    }

    /// Where HTTP is served.
    pub(crate) fn http(&self) -> SocketAddr {
        (self.address, 8500).into()
    }

    /// Where DNS is served.
    pub(crate) fn dns_server(&self) -> SocketAddr {
        (self.address, 8600).into()
    }

    /// A GET that may fail while programs start.
    pub(crate) fn try_get(&self, path: &str) -> Result<Page, String> {
        ask::http(self.http(), "GET", path, b"")
    }

    /// A GET that must be answered.
    pub(crate) fn get(&self, path: &str) -> Page {
        self.try_get(path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// A PUT that must be answered.
    pub(crate) fn put(&self, path: &str, body: &str) -> Page {
        ask::http(self.http(), "PUT", path, body.as_bytes()).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// A PUT that must be answered with 200.
    pub(crate) fn put_ok(&self, path: &str, body: &str) {
        let page = self.put(path, body);
        assert_eq!(page.status, 200, "{path}: {page:?}");
    }

    /// A DNS question that must be answered.
    pub(crate) fn dns(&self, name: &str, kind: RecordType) -> Records {
        ask::dns(self.dns_server(), name, kind).unwrap()
    }

    /// Runs `ryo` against this node's agent.
    pub(crate) fn ryo(&self, words: &[&str]) -> (i32, String) {
        run(ryo().args(words).env("CONSUL_HTTP_ADDR", self.http().to_string()))
    }

    /// The ids of a service's instances; with `?passing`, of the healthy ones.
    pub(crate) fn instances(&self, query: &str) -> Vec<String> {
        let found = self.get(&format!("/v1/health/service/{query}")).json();
        list(&found).iter().map(|entry| entry["Service"]["ID"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the instances of a service are these.
    pub(crate) fn wait_for_instances(&self, query: &str, ids: &[&str]) {
        until(LONG, &format!("the instances of {query} are {ids:?}"), || {
            let page = self.try_get(&format!("/v1/health/service/{query}"))?;
            if page.status != 200 {
                return Err(format!("{page:?}"));
            }
            let now = self.instances(query);
            if now == ids { Ok(()) } else { Err(page.text) }
        });
    }
}

/// The elements of a JSON list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}
