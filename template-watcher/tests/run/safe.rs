//! What keeps the last good file: roll-back, guards, and commands that are not forgotten.

use std::{fs, time::Duration};

use daemon::Shutdown;
use template_watcher::run;
use tokio::time::sleep;

use crate::Stage;

/// Long enough for a watcher to do what it must not do.
const STILL: Duration = Duration::from_millis(400);

#[tokio::test]
async fn after_a_failed_reload_the_bytes_before_return() {
    let stage = Stage::with(&[("a", "good 1")]).await;
    stage.write("t", "{{ key \"a\" }}");
    let run = stage.start(
        "template { source = \"@t\" destination = \"@out\" rollback = true \
         command = \"cat @out >> @log; echo >> @log; grep -q good @out\" }",
    );
    stage.becomes("log", "good 1\n").await;
    stage.registry.put("a", "bad");
    stage.becomes("log", "good 1\nbad\ngood 1\n").await;
    stage.becomes("out", "good 1").await;
    stage.becomes("out.rejected", "bad").await;
    stage.registry.put("a", "good 2");
    stage.becomes("log", "good 1\nbad\ngood 1\ngood 2\n").await;
    stage.becomes("out", "good 2").await;
    assert!(!stage.path("out.rejected").exists(), "a good file is in place");
    stage.end(run).await;
}

#[tokio::test]
async fn a_refused_candidate_is_kept_aside_with_the_files_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::with(&[("a", "good")]).await;
    stage.write("t", "{{ key \"a\" }}");
    let run = stage.start(
        "template { source = \"@t\" destination = \"@out\" perms = \"0600\" check = \"grep -q good {}\" }",
    );
    stage.becomes("out", "good").await;
    stage.registry.put("a", "secret");
    stage.becomes("out.rejected", "secret").await;
    let mode = fs::metadata(stage.path("out.rejected")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    stage.becomes("out", "good").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_command_that_did_not_work_runs_after_a_restart() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    let text =
        "template { source = \"@t\" destination = \"@out\" command = \"echo try >> @log; test -e @ready\" }";
    let shutdown = Shutdown::default();
    let first = tokio::spawn(run(stage.config(text, &[]), shutdown.clone()));
    stage.becomes("log", "try\n").await;
    shutdown.request();
    first.await.unwrap().unwrap();
    assert!(stage.path(".out.pending").exists());
    stage.write("ready", "");
    let second = stage.start(text);
    stage.becomes("log", "try\ntry\n").await;
    while stage.path(".out.pending").exists() {
        sleep(Duration::from_millis(10)).await;
    }
    stage.end(second).await;
}

#[tokio::test]
async fn with_once_a_failure_is_told_and_not_kept() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    let text = "template { source = \"@t\" destination = \"@out\" command = \"exit 3\" }";
    let said = run(stage.config(text, &["-once"]), Shutdown::default()).await.unwrap_err().to_string();
    assert!(said.starts_with("1 error occurred:"), "{said}");
    assert!(!stage.path(".out.pending").exists());
    run(stage.config(text, &["-once"]), Shutdown::default()).await.unwrap();
}

#[tokio::test]
async fn a_list_that_shrinks_too_much_leaves_the_file() {
    let stage = Stage::with(&[("p/a", "1"), ("p/b", "1"), ("p/c", "1"), ("p/d", "1")]).await;
    stage.write("t", "{{ range ls \"p/\" }}{{ .Key }}\n{{ end }}");
    let text = "template { source = \"@t\" destination = \"@out\" max_shrink = 50 }";
    let run = stage.start(text);
    stage.becomes("out", "a\nb\nc\nd\n").await;
    stage.registry.remove("p/a");
    stage.becomes("out", "b\nc\nd\n").await;
    stage.registry.remove("p/b");
    stage.becomes("out", "c\nd\n").await;
    stage.registry.clear();
    sleep(STILL).await;
    stage.becomes("out", "c\nd\n").await;
    stage.registry.put("p/e", "1");
    stage.becomes("out", "e\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_restarted_watcher_still_knows_what_the_file_was_like() {
    let stage = Stage::with(&[("p/a", "1")]).await;
    stage.write("t", "{{ range ls \"p/\" }}{{ .Key }}\n{{ end }}");
    stage.write("out", "a\nb\nc\n");
    let run =
        stage.start("template { source = \"@t\" destination = \"@out\" max_shrink = 50 guard_for = \"2s\" }");
    sleep(STILL).await;
    stage.becomes("out", "a\nb\nc\n").await;
    // The limit that the configuration sets for the doubt.
    stage.becomes("out", "a\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn an_empty_list_is_waited_for() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "{{ range ls \"p\" }}{{ .Key }}{{ end }}!");
    let text = "template { source = \"@t\" destination = \"@out\" guard \"p\" { not_empty = true } }";
    let once = tokio::spawn(run(stage.config(text, &["-once"]), Shutdown::default()));
    sleep(STILL).await;
    assert!(!stage.path("out").exists());
    stage.registry.put("p/a", "1");
    once.await.unwrap().unwrap();
    stage.becomes("out", "a!").await;
}

#[tokio::test]
async fn a_group_reloads_once_all_its_files_are_written() {
    let stage = Stage::with(&[("a", "1")]).await;
    stage.write("early", "{{ key \"a\" }}");
    stage.write("late", "{{ key \"b\" }}");
    let run = stage.start(
        "action \"proxy\" { command = \"cat @out1 @out2 >> @log\" all_members = true } \
         template { source = \"@early\" destination = \"@out1\" command = \"proxy\" } \
         template { source = \"@late\" destination = \"@out2\" command = \"proxy\" }",
    );
    stage.becomes("out1", "1").await;
    sleep(STILL).await;
    assert!(!stage.path("log").exists(), "a member is not written yet");
    stage.registry.put("b", "2");
    stage.becomes("log", "12").await;
    stage.end(run).await;
}

#[tokio::test]
async fn a_file_lock_keeps_reloads_apart() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    let held = fs::File::create(stage.path("lock")).unwrap();
    held.lock().unwrap();
    let run = stage.start(
        "action \"one\" { command = \"echo ran >> @log\" lock_file = \"@lock\" } \
         template { source = \"@t\" destination = \"@out\" command = \"one\" } \
         process \"child\" { command = \"cat @log2 > @child; exec sleep 100\" kill_signal = \"SIGTERM\" } \
         template { source = \"@t\" destination = \"@out2\" command = \"echo other >> @log2\" }",
    );
    stage.becomes("log2", "other\n").await;
    // It waits for the command that runs, and not for the one that waits itself.
    stage.becomes("child", "other\n").await;
    sleep(STILL).await;
    assert!(!stage.path("log").exists());
    drop(held);
    stage.becomes("log", "ran\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn processes_are_told_by_their_templates_and_started_again() {
    let stage = Stage::with(&[("a", "1"), ("b", "1")]).await;
    stage.write("ta", "{{ key \"a\" }}");
    stage.write("tb", "{{ key \"b\" }}");
    let run = stage.start(
        "process \"one\" { command = \"cat @outa >> @one; exec sleep 100\" kill_signal = \"SIGTERM\" } \
         process \"two\" { command = \"cat @outb >> @two; trap 'echo told >> @two' HUP; while :; do sleep 0.05; done\" \
         reload_signal = \"SIGHUP\" } \
         process \"three\" { command = \"echo x >> @three; exit 1\" } \
         template { source = \"@ta\" destination = \"@outa\" command = \"one\" } \
         template { source = \"@tb\" destination = \"@outb\" command = \"two\" }",
    );
    stage.becomes("one", "1").await;
    stage.becomes("two", "1").await;
    stage.registry.put("a", "2");
    stage.becomes("one", "12").await;
    stage.becomes("two", "1").await;
    stage.registry.put("b", "2");
    stage.becomes("two", "1told\n").await;
    stage.becomes("one", "12").await;
    stage.becomes("three", "x\nx\n").await;
    stage.end(run).await;
}

#[tokio::test]
async fn the_token_stays_here_when_it_shall() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "{{ env \"CONSUL_HTTP_TOKEN\" }}!");
    let text = "template { source = \"@t\" destination = \"@out\" \
                command = \"echo $CONSUL_HTTP_TOKEN:$CONSUL_HTTP_ADDR > @log\" }";
    let more = ["-once", "-consul-token", "secret"];
    let address = stage.registry.address();
    run(stage.config(text, &more), Shutdown::default()).await.unwrap();
    stage.becomes("log", &format!("secret:{address}\n")).await;
    stage.becomes("out", "secret!").await;
    run(stage.config(&format!("export_token = false {text}"), &more), Shutdown::default()).await.unwrap();
    stage.becomes("log", &format!(":{address}\n")).await;
    stage.becomes("out", "!").await;
}

#[tokio::test]
async fn a_command_may_run_although_its_file_is_as_it_should_be() {
    let stage = Stage::with(&[]).await;
    stage.write("t", "x");
    stage.write("out", "x");
    let text = "template { source = \"@t\" destination = \"@out\" command = \"echo ran >> @log\" ";
    run(stage.config(&format!("{text} }}"), &["-once"]), Shutdown::default()).await.unwrap();
    assert!(!stage.path("log").exists(), "as consul-template");
    run(stage.config(&format!("{text} run_on_start = true }}"), &["-once"]), Shutdown::default())
        .await
        .unwrap();
    stage.becomes("log", "ran\n").await;
}
