//! A change of what a template has not read evaluates nothing.

use std::{env, fs, process::Stdio, time::Duration};

use tokio::{process::Command, time::sleep};

use crate::Stage;

/// Each evaluation writes a line.
const TEMPLATE: &str =
    "{{ range ls \"p/\" }}{{ .Key }} {{ end }}{{ keyExists \"k\" }} {{ key \"a\" }}{{ plugin \"@count\" }}";

impl Stage {
    async fn counting() -> Self {
        let stage = Self::with(&[("p/b", "1"), ("k", "1"), ("a", "1")]).await;
        let folder = format!("{}/", stage.path("").display());
        stage.write("count", &format!("#!/bin/sh\necho >> {folder}log\n"));
        fs::set_permissions(stage.path("count"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        stage.write("t", &TEMPLATE.replace('@', &folder));
        stage
    }

    /// Changes that no line of the template shows, and then one that it does.
    async fn change_what_is_not_read(&self) {
        self.becomes("out", "b true 1").await;
        self.registry.put("p/deep/c", "1");
        self.registry.put("p/b", "2");
        self.registry.put("k", "2");
        // Long enough for a watcher that evaluates to have done so.
        sleep(Duration::from_millis(300)).await;
        self.registry.put("a", "2");
        self.becomes("out", "b true 2").await;
    }

    fn evaluations(&self) -> usize {
        fs::read_to_string(self.path("log")).unwrap().lines().count()
    }
}

#[tokio::test]
async fn what_a_template_has_not_read_evaluates_nothing() {
    let stage = Stage::counting().await;
    let run = stage.start("template { source = \"@t\" destination = \"@out\" }");
    stage.change_what_is_not_read().await;
    assert_eq!(stage.evaluations(), 2);
    stage.end(run).await;
    // The same beside consul-template, where its path is given: any change evaluates everything.
    let Some(peer) = env::var_os("CONSUL_TEMPLATE") else { return };
    let stage = Stage::counting().await;
    let argument = format!("{}:{}", stage.path("t").display(), stage.path("out").display());
    let mut peer = Command::new(peer)
        .args(["-consul-addr", &stage.registry.address(), "-template", &argument])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    stage.change_what_is_not_read().await;
    assert!(stage.evaluations() > 2, "it evaluates more often");
    peer.kill().await.unwrap();
}
