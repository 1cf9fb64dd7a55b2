//! Many files from one template.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use daemon::Shutdown;
use template_watcher::{
    config::{Config, Invocation, invocation},
    run,
};
use tokio::time::{Instant, sleep};

use crate::registry::Registry;

fn config(folder: &Path, address: &str, once: bool) -> Config {
    let text = format!(
        "consul {{ address = {address:?} }}
once = {once}
template {{
  contents    = \"{{{{ item }}}}={{{{ key (print \\\"sites/\\\" item) }}}}\"
  for_each    = \"{{{{ range ls \\\"sites/\\\" }}}}{{{{ .Key }}}} perms={{{{ keyOrDefault (print \\\"perms/\\\" .Key) \\\"0644\\\" }}}}\\n{{{{ end }}}}\"
  destination = \"{folder}/{{}}.conf\"
  prune       = true
  command     = \"echo x >> {folder}/commands\"
}}
",
        folder = folder.display()
    );
    let path = folder.join("watch.hcl");
    fs::write(&path, text).unwrap();
    match invocation("ryo-watch", &["-config".to_owned(), path.display().to_string()]).unwrap() {
        Invocation::Run(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".conf")).collect();
    names.sort();
    names
}

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it does not come");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn files_come_and_go_with_their_items() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let registry = Registry::with(&[("sites/a", "1"), ("sites/b", "2"), ("perms/b", "0600")]).await;
    let shutdown = Shutdown::default();
    let watcher = tokio::spawn(run(config(folder.path(), &registry.address(), false), shutdown.clone()));
    until(|| fs::read_to_string(at("b.conf")).is_ok_and(|text| text == "b=2")).await;
    until(|| fs::read_to_string(at("a.conf")).is_ok_and(|text| text == "a=1")).await;
    assert_eq!(fs::metadata(at("b.conf")).unwrap().permissions().mode() & 0o777, 0o600);
    registry.put("sites/c", "3");
    until(|| files(folder.path()) == ["a.conf", "b.conf", "c.conf"]).await;
    registry.clear();
    until(|| files(folder.path()).is_empty()).await;
    registry.put("sites/d", "4");
    until(|| files(folder.path()) == ["d.conf"]).await;
    until(|| fs::read_to_string(at("commands")).is_ok_and(|text| text.lines().count() >= 4)).await;
    shutdown.request();
    watcher.await.unwrap().unwrap();
    // What goes while nobody watches is pruned at the next start.
    registry.clear();
    registry.put("sites/e", "5");
    run(config(folder.path(), &registry.address(), true), Shutdown::default()).await.unwrap();
    assert_eq!(files(folder.path()), ["e.conf"]);
}

#[test]
fn a_destination_names_the_item() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.hcl");
    fs::write(&path, "template { contents = \"x\" for_each = \"a\" destination = \"/tmp/out\" }").unwrap();
    let error = invocation("ryo-watch", &["-config".to_owned(), path.display().to_string()]).unwrap_err();
    assert!(error.to_string().contains("a destination with {} in it"), "{error}");
}
