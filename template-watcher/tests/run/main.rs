//! The watcher from registry to file and command, as another program embeds it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod dirty;
mod fan;
mod observe;
mod record;
mod registry;
mod safe;
mod status;

use std::{fs, path::PathBuf, time::Duration};

use daemon::{Exit, Shutdown};
use registry::Registry;
use template_watcher::{
    RunError,
    config::{Config, Invocation, invocation},
    run,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How long anything may take; it takes milliseconds, and the longest pause is three seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// A folder with templates, and the watcher that runs on it.
struct Stage {
    folder: tempfile::TempDir,
    registry: Registry,
    shutdown: Shutdown,
}

impl Stage {
    async fn with(keys: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, registry: Registry::with(keys).await, shutdown: Shutdown::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The configuration of a text in which `@` is the folder.
    fn config(&self, text: &str, more: &[&str]) -> Config {
        self.write("c.hcl", &text.replace('@', &format!("{}/", self.folder.path().display())));
        let mut words = vec!["-consul-addr".to_owned(), self.registry.address(), "-config".to_owned()];
        words.push(self.path("c.hcl").display().to_string());
        words.extend(more.iter().map(|word| (*word).to_owned()));
        match invocation("ryo-watch", &words).unwrap() {
            Invocation::Run(config) => *config,
            other => panic!("{other:?}"),
        }
    }

    fn start(&self, text: &str) -> JoinHandle<Result<Exit, RunError>> {
        tokio::spawn(run(self.config(text, &[]), self.shutdown.clone()))
    }

    async fn becomes(&self, name: &str, expected: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let found = fs::read_to_string(self.path(name)).unwrap_or_default();
            if found == expected {
                return;
            }
            assert!(Instant::now() < end, "{name} is {found:?}, not {expected:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self, run: JoinHandle<Result<Exit, RunError>>) {
        self.shutdown.request();
        assert_eq!(run.await.unwrap(), Ok(Exit::Interrupted));
    }
}

#[tokio::test]
async fn a_change_reaches_file_and_command() {
    let stage = Stage::with(&[("a", "1")]).await;
    stage.write("t", "{{ key \"a\" }}");
    let run =
        stage.start("template { source = \"@t\" destination = \"@out\" command = \"cat @out >> @log\" }");
    stage.becomes("log", "1").await;
    stage.registry.put("a", "2");
    stage.becomes("log", "12").await;
    stage.end(run).await;
}

#[tokio::test]
async fn keys_below_a_listed_prefix_share_its_question() {
    let stage = Stage::with(&[("acl/a/host", "x"), ("acl/b/host", "y"), ("acl/a", ""), ("acl/b", "")]).await;
    let text = "{{ range ls \"acl\" }}{{ .Key }}={{ key (print \"acl/\" .Key \"/host\") }}\
                {{ if keyExists (print \"acl/\" .Key \"/path\") }}!{{ end }} {{ end }}{{ if keyExists \"z\" }}{{ key \"z\" }}{{ end }}";
    stage.write("t", text);
    let run = stage.start("template { source = \"@t\" destination = \"@out\" }");
    stage.becomes("out", "a=x b=y ").await;
    stage.registry.put("acl/b/path", "/p");
    stage.becomes("out", "a=x b=y! ").await;
    stage.registry.put("z", "1");
    stage.becomes("out", "a=x b=y! 1").await;
    assert_eq!(stage.registry.asked(), ["/v1/kv/acl", "/v1/kv/z"]);
    stage.end(run).await;
}

#[tokio::test]
async fn many_access_lists_cost_a_handful_of_questions() {
    let names: Vec<String> = (0..45).map(|i| format!("acl-{i:02}")).collect();
    let keys = names.iter().flat_map(|name| {
        [(format!("service/haproxy/deny/{name}"), ""), (format!("service/haproxy/acl/{name}/host"), "h")]
    });
    let keys: Vec<(String, &str)> = keys.collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let stage = Stage::with(&keys).await;
    let text = "{{ range ls \"service/haproxy/deny\" }}{{ $acl := print \"service/haproxy/acl/\" .Key }}\
                {{ if keyExists (print $acl \"/host\") }}{{ key (print $acl \"/host\") }}{{ end }}\
                {{ if keyExists (print $acl \"/path\") }}{{ key (print $acl \"/path\") }}{{ end }}{{ end }}";
    stage.write("t", text);
    let run = stage.start("template { source = \"@t\" destination = \"@out\" }");
    stage.becomes("out", &"h".repeat(45)).await;
    // consul-template asks one or two questions for each of the 90 keys.
    assert_eq!(stage.registry.asked(), ["/v1/kv/service/haproxy/acl/", "/v1/kv/service/haproxy/deny"]);
    stage.registry.put("service/haproxy/acl/acl-44/path", "/p");
    stage.becomes("out", &("h".repeat(45) + "/p")).await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_refused_candidate_leaves_the_old_file() {
    let stage = Stage::with(&[("a", "good 1")]).await;
    stage.write("t", "{{ key \"a\" }}");
    let run = stage.start(
        "template { source = \"@t\" destination = \"@out\" command = \"cat @out >> @log\" \
         check = \"echo checked >> @checks; grep -q good {}\" }",
    );
    stage.becomes("log", "good 1").await;
    stage.registry.put("a", "bad");
    stage.becomes("checks", "checked\nchecked\n").await;
    stage.registry.put("a", "good 2");
    stage.becomes("log", "good 1good 2").await;
    stage.becomes("checks", "checked\nchecked\nchecked\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_refused_candidate_is_checked_again() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    let run = stage.start(
        "template { source = \"@t\" destination = \"@out\" command = \"cat @out >> @log\" \
         check = \"echo checked >> @checks; test -e @allowed\" }",
    );
    stage.becomes("checks", "checked\n").await;
    stage.write("allowed", "");
    stage.becomes("log", "x").await;
    stage.end(run).await;
}

#[tokio::test]
async fn once_ends_after_the_last_command() {
    let stage = Stage::with(&[]).await;
    stage.write("early", "x");
    stage.write("late", "{{ key \"a\" }}");
    let config = stage.config(
        "template { source = \"@early\" destination = \"@out1\" \
         command = \"echo 1 >> @log; until test -e @go; do sleep 0.02; done\" } \
         template { source = \"@late\" destination = \"@out2\" command = \"echo 2 >> @log\" }",
        &["-once"],
    );
    let run = tokio::spawn(run(config, stage.shutdown.clone()));
    stage.becomes("log", "1\n").await;
    stage.registry.put("a", "y");
    stage.becomes("out2", "y").await;
    stage.write("go", "");
    assert_eq!(run.await.unwrap(), Ok(Exit::Success));
    stage.becomes("log", "1\n2\n").await;
}

#[tokio::test]
async fn a_failing_command_is_tried_until_it_works() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    let run = stage.start(
        "template { source = \"@t\" destination = \"@out\" \
         command = \"echo try >> @log; test $(wc -l < @log) -ge 3 && echo done > @done\" }",
    );
    stage.becomes("done", "done\n").await;
    stage.becomes("log", "try\ntry\ntry\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_failing_template_does_not_end_a_daemon() {
    let stage = Stage::with(&[("n", "1"), ("a", "1")]).await;
    stage.write("bad", "{{ key \"n\" | parseInt }}");
    stage.write("good", "{{ key \"a\" }}");
    let run = stage.start(
        "template { source = \"@bad\" destination = \"@out1\" } template { source = \"@good\" destination = \"@out2\" }",
    );
    stage.becomes("out1", "1").await;
    stage.registry.put("n", "no number");
    stage.registry.put("a", "2");
    stage.becomes("out2", "2").await;
    stage.becomes("out1", "1").await;
    stage.registry.put("n", "3");
    stage.becomes("out1", "3").await;
    stage.end(run).await;
}

#[tokio::test]
async fn an_outage_leaves_files_and_a_sudden_emptiness_is_not_believed() {
    let mut stage = Stage::with(&[("p/a", "1"), ("k", "1")]).await;
    stage.write("t", "{{ range ls \"p/\" }}{{ .Key }}{{ end }} {{ keyOrDefault \"k\" \"none\" }}");
    let text = "consul { retry { backoff = \"10ms\" max_backoff = \"50ms\" } } \
                template { source = \"@t\" destination = \"@out\" command = \"cat @out >> @log\" }";
    let run = stage.start(text);
    stage.becomes("log", "a 1").await;
    stage.registry.holds(2).await;
    stage.registry.down().await;
    stage.registry.clear();
    stage.registry.up().await;
    stage.registry.put("k", "2");
    stage.becomes("log", "a 1a 2").await;
    stage.registry.put("p/b", "1");
    stage.becomes("log", "a 1a 2b 2").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_limit_of_attempts_ends_a_daemon_that_was_given_one() {
    let mut stage = Stage::with(&[("a", "1")]).await;
    stage.write("t", "{{ key \"a\" }}");
    let run = stage.start(
        "consul { retry { attempts = 2 backoff = \"10ms\" } } template { source = \"@t\" destination = \"@out\" }",
    );
    stage.becomes("out", "1").await;
    stage.registry.down().await;
    let said = run.await.unwrap().unwrap_err().to_string();
    assert!(said.starts_with("kv.get(a): "), "{said}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let stage = Stage::with(&[]).await;
    let failed = async |text: &str, more: &[&str]| {
        run(stage.config(text, more), Shutdown::default()).await.unwrap_err().to_string()
    };
    let folder = format!("{}/", stage.folder.path().display());
    let said = failed("template { source = \"@no\" destination = \"@out\" }", &[]).await.replace(&folder, "");
    assert_eq!(said, "failed to read template: open no: no such file or directory");
    stage.write("t", "a\n{{ if }}x");
    let said = failed("template { source = \"@t\" destination = \"@out\" }", &[]).await;
    assert!(said.contains("/t: parse: ") && said.contains(":2"), "{said}");
    stage.write("t", "x");
    let said =
        failed("template { source = \"@t\" destination = \"@out\" command = \"exit 3\" }", &["-once"]).await;
    assert!(
        said.starts_with("1 error occurred:\n\t* failed to execute command \"[\\\"exit 3\\\"]\""),
        "{said}"
    );
    let said = failed("template { source = \"@t\" }", &[]).await;
    assert!(said.ends_with("failed writing file: missing destination"), "{said}");
}
