//! Several watchers of a fleet: one asks for all, and one reloads after the other.

use std::{fs, path::PathBuf};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::ryo,
    watcher::Scene,
};

/// The watcher of one machine: a folder of its own, and the common template.
fn machine(scene: &Scene, name: &str, file: &str) -> (Process, PathBuf) {
    let folder = scene.folder.join(name);
    fs::create_dir_all(&folder).unwrap();
    let here = |text: &str| text.replace("@HERE@", &folder.display().to_string());
    scene.write(&format!("{name}/watch.hcl"), &here(file));
    let mut command = ryo();
    command.args(["template", "-consul-addr", &scene.registry.http().to_string(), "-log-level", "debug"]);
    command.arg("-config").arg(folder.join("watch.hcl"));
    (Process::start(&mut command, &folder.join("log")), folder)
}

#[test]
fn one_watcher_asks_for_all_and_another_takes_its_place() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }} {{ range service \"consul\" }}{{ .Name }}{{ end }}");
    let file = "clean_exit = true\ndeduplicate {\n  enabled = true\n}\n\
                template {\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@HERE@/a\"\n}\n";
    let (first, one) = machine(&scene, "one", file);
    let becomes = |name: &str, text: &str| scene.wait_for(&format!("{name}/a"), text);
    becomes("one", "1 consul");
    until(LONG, "somebody leads", || {
        if first.log().contains("this watcher leads for consul-template/dedup/") {
            Ok(())
        } else {
            Err(first.log())
        }
    });
    let (mut second, _) = machine(&scene, "two", file);
    becomes("two", "1 consul");
    scene.registry.put_ok("/v1/kv/a", "2");
    becomes("one", "2 consul");
    becomes("two", "2 consul");
    assert!(!second.log().contains("adding "), "it asked by itself:\n{}", second.log());

    assert_eq!(first.stop(Signal::SIGTERM), 0);
    scene.registry.put_ok("/v1/kv/a", "3");
    becomes("two", "3 consul");
    assert!(second.log().contains("adding kv.get(a)"), "{}", second.log());
    second.must_run();
    assert_eq!(fs::read_to_string(one.join("a")).unwrap(), "2 consul");
}

#[test]
fn machines_reload_one_after_the_other() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    let file = "action \"reload\" {\n  command = \"echo begin >> @DIR@/log; sleep 0.3; echo end >> @DIR@/log\"\n  \
                lock_key = \"locks/reload\"\n}\n\
                template {\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@HERE@/a\"\n  command = \"reload\"\n}\n";
    let _all: Vec<_> = ["one", "two", "three"].map(|name| machine(&scene, name, file)).into();
    let expected = "begin\nend\n";
    scene.wait_for("log", &expected.repeat(3));
    scene.registry.put_ok("/v1/kv/a", "2");
    scene.wait_for("log", &expected.repeat(6));
    until(LONG, "the lock is given back", || {
        let held = scene.registry.get("/v1/kv/locks/reload").json()[0]["Session"].clone();
        if held.is_null() { Ok(()) } else { Err(held.to_string()) }
    });
}
