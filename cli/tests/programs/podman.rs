//! With a real container engine: the container source, and checks that run in a container. Root's; `./test` installs podman
//! with runc and netavark, and a static busybox.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    ask::{LONG, until},
    checks::becomes,
    process::{Process, installed},
    stage::{Node, Stage, not_run, run},
};

/// podman with a place of its own in the stage's folder.
struct Podman<'a>(&'a Stage);

impl<'a> Podman<'a> {
    /// An engine with the image `localhost/web:1`, which sleeps. `None`, which is counted, where no container runs.
    fn new(stage: &'a Stage) -> Option<Self> {
        if !nix::unistd::getuid().is_root() {
            not_run("containers with a place of their own are root's");
            return None;
        }
        let podman = Self(stage);
        let (image, archive) = (stage.folder().join("image"), stage.folder().join("image.tar"));
        fs::create_dir_all(image.join("bin")).unwrap();
        fs::copy(installed("busybox", "busybox-static"), image.join("bin/busybox")).unwrap();
        run(Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(&archive).arg("."));
        let start = "CMD [\"/bin/busybox\",\"sleep\",\"1000\"]";
        let archive = archive.display().to_string();
        podman.must(&["import", "--change", start, "--change", "EXPOSE 80", &archive, "localhost/web:1"]);
        let (code, said) =
            run(&mut podman.command(&["run", "--rm", "localhost/web:1", "/bin/busybox", "true"]));
        if code != 0 {
            not_run(&format!("no container can be run here: {said}"));
        }
        (code == 0).then_some(podman)
    }

    fn socket(&self) -> PathBuf {
        self.0.folder().join("podman.sock")
    }

    /// Docker's API, as long as it is kept.
    fn serve(&self) -> Process {
        let place = format!("unix://{}", self.socket().display());
        let log = self.0.folder().join("service.log");
        Process::start(&mut self.command(&["system", "service", "--time=0", &place]), &log)
    }

    fn command(&self, words: &[&str]) -> Command {
        let folder = self.0.folder();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            folder.join("graph"),
            folder.join("run")
        );
        fs::write(folder.join("storage.conf"), storage).unwrap();
        // Without the delay a process stays for five minutes after each program that was run over the API.
        let engine = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nexit_command_delay = 1\n\
                      [containers]\nlog_driver = \"k8s-file\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\n";
        fs::write(folder.join("containers.conf"), engine).unwrap();
        let mut command = Command::new(installed("podman", "podman"));
        command.args(words).env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"));
        command.env("CONTAINERS_CONF", folder.join("containers.conf"));
        command
    }

    fn must(&self, words: &[&str]) {
        let (code, said) = run(&mut self.command(words));
        assert_eq!(code, 0, "podman {words:?}: {said}");
    }

    fn run(&self, name: &str, more: &[&str]) {
        self.must(&[&["run", "--detach", "--name", name], more, &["localhost/web:1"]].concat());
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let _ = run(&mut self.command(&["rm", "--all", "--force", "--time", "0"]));
    }
}

fn services_are(node: &Node, wanted: &str) {
    until(LONG, &format!("the services are {wanted}"), || {
        let text = node.try_get("/v1/catalog/services")?.text;
        if text.trim() == wanted { Ok(()) } else { Err(text) }
    });
}

#[test]
fn podmans_containers_become_services_and_go() {
    let stage = Stage::new();
    let Some(podman) = Podman::new(&stage) else { return };
    let (node, socket) = (stage.registry(), podman.socket());
    let source = format!("container_source {{\n enabled = true\n socket = {socket:?}\n}}\n");
    node.write("ryo.d/containers.hcl", &source);

    let service = podman.serve();
    podman.run("web", &["--publish", "80"]);
    let agent = node.start_and_wait();
    services_are(&node, r#"{"consul":[],"web":[]}"#);
    podman.run("two", &["--publish", "80", "--publish", "53/udp", "--env", "SERVICE_TAGS=a,b"]);
    services_are(&node, r#"{"consul":[],"web":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);
    podman.must(&["stop", "--time", "0", "web"]);
    services_are(&node, r#"{"consul":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);

    // What happens while the engine's service is away is found afterwards; an agent that was killed leaves no ghost.
    drop(service);
    agent.kill();
    podman.must(&["rm", "--force", "--time", "0", "two"]);
    podman.must(&["start", "web"]);
    let agent = node.start_and_wait();
    services_are(&node, r#"{"consul":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);
    let _service = podman.serve();
    services_are(&node, r#"{"consul":[],"web":[]}"#);
    agent.stop(nix::sys::signal::Signal::SIGTERM);
    node.write("ryo.d/containers.hcl", "");
    let _agent = node.start_and_wait();
    services_are(&node, r#"{"consul":[]}"#);
}

#[test]
fn a_check_runs_in_its_container_and_dns_follows_it() {
    let stage = Stage::new();
    let Some(podman) = Podman::new(&stage) else { return };
    let node = stage.registry();
    // What the program in the container says, and ends with, stands in a file there.
    let shell = "/bin/busybox cat /says; exit $(/bin/busybox cat /code)";
    node.write(
        "ryo.d/web.hcl",
        &format!(
            "enable_local_script_checks = true\ncheck_update_interval = \"0s\"\nservice {{\n name = \"web\"\n port = 80\n check {{\n  docker_container_id = \"web\"\n  \
             args = [\"/bin/busybox\", \"sh\", \"-c\", {shell:?}]\n  interval = \"1s\"\n }}\n}}\n"
        ),
    );
    let engine = format!("unix://{}", podman.socket().display());
    let mut agent = Process::start(node.command().env("DOCKER_HOST", &engine), &node.folder.join("log"));
    node.wait_for_registry(&mut agent);
    let output_is = |words: &str| {
        until(LONG, words, || {
            let checks = node.get("/v1/health/checks/web").json();
            let output = checks[0]["Output"].as_str().unwrap_or_default();
            if output.starts_with(words) { Ok(()) } else { Err(output.to_owned()) }
        });
    };
    // Neither an engine nor a container is there yet.
    becomes(&node, "web", "critical");
    let _service = podman.serve();
    output_is("create exec failed for unknown container web");
    podman.run("web", &[]);
    for (code, status) in [("0", "passing"), ("1", "warning"), ("2", "critical"), ("0", "passing")] {
        let change = format!("echo says {code} > /says; echo {code} > /code");
        podman.must(&["exec", "web", "/bin/busybox", "sh", "-c", &change]);
        becomes(&node, "web", status);
        output_is(&format!("says {code}\n"));
    }
    podman.must(&["stop", "--time", "0", "web"]);
    becomes(&node, "web", "critical");
    output_is("create exec failed for container web");
}
