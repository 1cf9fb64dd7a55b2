//! Images: what is made once and started many times.

use std::process::Command;

use crate::{
    process::Process,
    stage::{Node, Stage, run},
};

/// A container of the image: a copy of its files, with a name and an address of its own.
fn container(stage: &Stage, image: &Node, name: &str, host: u8) -> Node {
    let folder = stage.folder().join(name);
    let (code, said) = run(Command::new("cp").arg("-r").arg(&image.folder).arg(&folder));
    assert_eq!(code, 0, "{said}");
    Node { name: name.to_owned(), address: stage.address(host), folder }
}

fn start(node: &Node) -> Process {
    let (address, data) = (node.address, node.data());
    let mut command = node.command();
    command.arg(format!("-node={}", node.name)).arg(format!("-data-dir={}", data.display()));
    command.arg(format!("-bind={address}")).arg(format!("-client={address}"));
    let mut process = Process::start(&mut command, &node.folder.join("log"));
    node.wait_for_registry(&mut process);
    process
}

fn id(node: &Node) -> String {
    node.get("/v1/agent/self").json()["Config"]["NodeID"].as_str().unwrap().to_owned()
}

#[test]
fn two_containers_of_one_image_are_two_nodes_and_one_that_restarts_is_itself() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    let image = stage.agent("image", 11);
    image.write("ryo.d/web.hcl", "service {\n  name = \"web\"\n  port = 80\n}\n");
    let (one, two) = (container(&stage, &image, "one", 21), container(&stage, &image, "two", 22));
    let first = start(&one);
    let _second = start(&two);
    registry.wait_for_instances("web?passing", &["web", "web"]);
    let before = id(&one);
    assert_ne!(before, id(&two));
    first.kill();
    let _again = start(&one);
    assert_eq!(id(&one), before);
}
