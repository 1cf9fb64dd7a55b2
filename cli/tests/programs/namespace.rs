//! Network namespaces: interfaces, addresses and ports of a test's own.

use std::{
    fs::{self, File},
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sched::{CloneFlags, setns};

use crate::{
    process::Process,
    stage::{Node, not_run, run, ryo},
};

/// A network namespace with a resolver of its own, which `ip netns exec` puts in place.
pub(crate) struct Namespace(String);

impl Namespace {
    /// `None`, which is counted, where none may be made.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::getuid().is_root() {
            not_run("a network namespace is root's");
            return None;
        }
        let name = format!("ryo-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (code, said) = run(Command::new("ip").args(["netns", "add", &name]));
        if code != 0 {
            not_run(&format!("no network namespace may be made here: {said}"));
            return None;
        }
        let namespace = Self(name);
        namespace.ip("link set lo up");
        fs::create_dir_all(namespace.files()).unwrap();
        fs::write(namespace.files().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        Some(namespace)
    }

    /// Runs `ip` with these words inside.
    pub(crate) fn ip(&self, words: &str) {
        let (code, said) = run(Command::new("ip").args(["-n", &self.0]).args(words.split(' ')));
        assert_eq!(code, 0, "ip {words}: {said}");
    }

    /// An interface that is up, with these addresses, `10.1.0.5/24`.
    pub(crate) fn interface(&self, name: &str, addresses: &[&str]) {
        self.ip(&format!("link add {name} type bridge"));
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            self.ip(&format!("address add {address} dev {name}{nodad}"));
        }
        self.ip(&format!("link set {name} up"));
    }

    /// Joins this namespace to a bridge of another, as a host does with a container: `eth0`, with an address there.
    pub(crate) fn plug_into(&self, host: &Self, bridge: &str, address: &str) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let plug = format!("veth{}", COUNT.fetch_add(1, Ordering::Relaxed));
        host.ip(&format!("link add {plug} type veth peer name eth0 netns {}", self.0));
        host.ip(&format!("link set {plug} master {bridge} up"));
        self.ip(&format!("address add {address} dev eth0"));
        self.ip("link set eth0 up");
    }

    /// Does something in a thread that sees this namespace's network.
    pub(crate) fn within<T: Send>(&self, ask: impl FnOnce() -> T + Send) -> T {
        let place = File::open(Path::new("/run/netns").join(&self.0)).unwrap();
        let inside = || {
            setns(&place, CloneFlags::CLONE_NEWNET).unwrap();
            ask()
        };
        std::thread::scope(|all| all.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn files(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.0)
    }

    /// A command that runs inside.
    pub(crate) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }

    /// Starts a node's agent inside and returns at once.
    pub(crate) fn start(&self, node: &Node) -> Process {
        let mut command = self.inside(ryo().get_program());
        command.args(["agent", "-config-dir"]).arg(node.folder.join("ryo.d"));
        Process::start(&mut command, &node.folder.join("log"))
    }

    /// Runs one of the operator's commands inside, against an address.
    pub(crate) fn ryo(&self, address: &str, words: &[&str]) -> (i32, String) {
        run(self.inside(ryo().get_program()).args(words).env("CONSUL_HTTP_ADDR", address))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left over is the namespace alone, without a process in it.
        let _ = fs::remove_dir_all(self.files());
        let _ = run(Command::new("ip").args(["netns", "del", &self.0]));
    }
}
