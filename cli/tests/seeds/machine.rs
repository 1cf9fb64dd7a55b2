//! Machines of a test's own: this computer's programs and files, with a network, a name, processes and changes that end with
//! them. `tools/machine` is their first process; `tools/docker` is there as `docker`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::stage::{not_run, run, ryo};

/// One machine; it ends, with all that runs on it, when this is dropped or the test ends in any way.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: String,
    starter: Child,
    _life: ChildStdin,
    first_process: String,
}

/// Puts the tools where machines look for them, below the folder that is `/stage` there.
pub(crate) fn lay_out(stage: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/tools");
    let (code, said) = run(Command::new("cp").arg("-r").arg(from).arg(stage.join("tools")));
    assert_eq!(code, 0, "{said}");
}

impl Machine {
    /// A machine without a network yet; `hosts` are lines for its `/etc/hosts`. `None`, which is counted, where none may be made.
    pub(crate) fn new(stage: &Path, name: &str, address: &str, hosts: &str) -> Option<Self> {
        if !nix::unistd::getuid().is_root() {
            not_run("a machine with files and a network of its own is root's");
            return None;
        }
        let place = stage.join(format!("machine-{name}"));
        let mut command = Command::new("setsid");
        command.args(["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "sh"]);
        command.arg(stage.join("tools/machine")).arg(name).arg(place);
        command.env("RYO", ryo().get_program()).env("STAGE", stage).env("HOSTS", hosts).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut starter = command.spawn().unwrap();
        let life = starter.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(starter.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "ready\n" {
            starter.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            starter.wait().unwrap();
            not_run(&format!("no machine can be made here: {said}"));
            return None;
        }
        let id = starter.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let first_process = children.trim().to_owned();
        let machine =
            Self { name: name.to_owned(), address: address.to_owned(), starter, _life: life, first_process };
        Some(machine)
    }

    /// A command that runs on it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first_process, "-m", "-u", "-n", "-p", "-r", "-w"]).args(words);
        for name in ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command
            .env("HOME", "/root")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        command
    }

    /// Runs a line of the shell on it, which must work.
    pub(crate) fn must(&self, line: &str) -> String {
        let (code, said) = run(&mut self.command(&["sh", "-c", line]));
        assert_eq!(code, 0, "{}: {line}: {said}", self.name);
        said
    }

    /// Puts it on a network: `eth0` with its address, on a bridge of the machine `hub`.
    pub(crate) fn join(&self, hub: &Self, number: usize) {
        let port = format!("port{number}");
        let mut link = Command::new("nsenter");
        link.args(["-t", &hub.first_process, "-n", "ip", "link", "add", &port, "type", "veth", "peer"]);
        let (code, said) = run(link.args(["name", "eth0", "netns", &self.first_process]));
        assert_eq!(code, 0, "{said}");
        hub.must(&format!("ip link set {port} master lan up"));
        self.must(&format!("ip address add {}/24 dev eth0 && ip link set eth0 up", self.address));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = "tail -n 40 /run/docker/*/log 2>/dev/null";
            println!("---- {}\n{}", self.name, run(&mut self.command(&["sh", "-c", logs])).1);
        }
        // Its first process goes with its starter, and all others with that.
        let _ = self.starter.kill();
        let _ = self.starter.wait();
    }
}
