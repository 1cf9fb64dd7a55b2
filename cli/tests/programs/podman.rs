//! The container source with a real engine. Needs root, podman with runc and netavark, and a static busybox:
//! `apt install podman runc netavark busybox-static`.

use std::{fs, process::Command};

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage, run},
};

/// podman with a place of its own in the stage's folder.
struct Podman<'a>(&'a Stage);

impl Podman<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let folder = self.0.folder();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            folder.join("graph"),
            folder.join("run")
        );
        fs::write(folder.join("storage.conf"), storage).unwrap();
        let engine = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                      [containers]\nlog_driver = \"k8s-file\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\n";
        fs::write(folder.join("containers.conf"), engine).unwrap();
        let mut command = Command::new("podman");
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

fn services(node: &Node, wanted: &str) {
    until(LONG, &format!("the services are {wanted}"), || {
        let text = node.try_get("/v1/catalog/services")?.text;
        if text.trim() == wanted { Ok(()) } else { Err(text) }
    });
}

#[test]
#[ignore = "needs root, podman, runc, netavark and a static busybox"]
fn podmans_containers_become_services_and_go() {
    let stage = Stage::new();
    let (podman, node, socket) = (Podman(&stage), stage.registry(), stage.folder().join("podman.sock"));
    fs::create_dir_all(stage.folder().join("image/bin")).unwrap();
    fs::copy("/bin/busybox", stage.folder().join("image/bin/busybox")).unwrap();
    let (image, archive) = (stage.folder().join("image"), stage.folder().join("image.tar"));
    run(Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(&archive).arg("."));
    let archive = archive.display().to_string();
    let start = "CMD [\"/bin/busybox\",\"sleep\",\"1000\"]";
    podman.must(&["import", "--change", start, "--change", "EXPOSE 80", &archive, "localhost/web:1"]);
    let serve = || {
        let place = format!("unix://{}", socket.display());
        Process::start(
            &mut podman.command(&["system", "service", "--time=0", &place]),
            &stage.folder().join("service.log"),
        )
    };
    let source = format!("container_source {{\n enabled = true\n socket = {socket:?}\n}}\n");
    node.write("ryo.d/containers.hcl", &source);

    let service = serve();
    podman.run("web", &["--publish", "80"]);
    let agent = node.start_and_wait();
    services(&node, r#"{"consul":[],"web":[]}"#);
    podman.run("two", &["--publish", "80", "--publish", "53/udp", "--env", "SERVICE_TAGS=a,b"]);
    services(&node, r#"{"consul":[],"web":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);
    podman.must(&["stop", "--time", "0", "web"]);
    services(&node, r#"{"consul":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);

    // What happens while the engine's service is away is found afterwards; an agent that was killed leaves no ghost.
    drop(service);
    agent.kill();
    podman.must(&["rm", "--force", "--time", "0", "two"]);
    podman.must(&["start", "web"]);
    let agent = node.start_and_wait();
    services(&node, r#"{"consul":[],"web-53":["a","b","udp"],"web-80":["a","b"]}"#);
    let _service = serve();
    services(&node, r#"{"consul":[],"web":[]}"#);
    agent.stop(nix::sys::signal::Signal::SIGTERM);
    node.write("ryo.d/containers.hcl", "");
    let _agent = node.start_and_wait();
    services(&node, r#"{"consul":[]}"#);
}
