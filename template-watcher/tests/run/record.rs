//! What a registry answered once is a fixture that answers the same.

use std::fs;

use daemon::Exit;

use crate::registry::Registry;

fn run(words: &[&str]) -> Exit {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    template_watcher::main("ryo-watch", &words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_template_is_tested_without_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::with(&[("app/name", "shop"), ("app/port", "80")]).await;
    fs::write(folder.path().join("a.tmpl"), "{{ range ls \"app\" }}{{ .Key }}={{ key .Path }} {{ end }}")
        .unwrap();
    let (path, address) = (folder.path().to_str().unwrap().to_owned(), registry.address());
    let recorded =
        tokio::task::spawn_blocking(move || run(&["test", "-record", "-consul-addr", &address, &path]));
    assert_eq!(recorded.await.unwrap(), Exit::Success);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("a.expected"), "name=shop port=80 ");
    assert_eq!(read("a.fixture.yaml"), "kv:\n  app/name: shop\n  app/port: \"80\"\n");
    drop(registry);
    let path = folder.path().to_str().unwrap().to_owned();
    assert_eq!(tokio::task::spawn_blocking(move || run(&["test", &path])).await.unwrap(), Exit::Success);
}
