//! What a running watcher tells of itself.

use std::{fs, path::Path, process::Command, time::Duration};

use daemon::Exit;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep},
};

use crate::registry::Registry;

async fn get(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Asks until an answer has some words.
async fn until(socket: &Path, path: &str, words: &str) -> String {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = get(socket, path).await.unwrap_or_default();
        if answer.contains(words) {
            return answer;
        }
        assert!(Instant::now() < end, "{path}: no {words:?} in {answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn run(words: &[&str]) -> Exit {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    template_watcher::main("ryo-watch", &words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_health_and_metrics_of_a_watcher() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::with(&[("a", "1")]).await;
    let (socket, out) = (folder.path().join("sock"), folder.path().join("out"));
    fs::write(folder.path().join("t"), "{{ key \"a\" }} password={{ key \"b\" }}\n").unwrap();
    let pid_file = folder.path().join("pid");
    let address = format!("unix://{}", socket.display());
    let config = format!(
        "status_address = {address:?}\npid_file = {pid_file:?}\nlog_level = \"err\"\nkill_signal = \"SIGUSR2\"\nconsul {{ address = {:?} }}\ntemplate {{\n  source = {:?}\n  destination = {out:?}\n  command = \"exit 3\"\n}}\n",
        registry.address(),
        folder.path().join("t")
    );
    fs::write(folder.path().join("c.hcl"), config).unwrap();
    let path = folder.path().join("c.hcl").to_str().unwrap().to_owned();
    let watcher = tokio::task::spawn_blocking(move || run(&["-config", &path]));
    until(&socket, "/readyz", "503 ").await;
    until(&socket, "/v1/status", "\"answer\":\"absent\"").await;
    until(&socket, "/healthz", "200 OK").await;
    registry.put("b", "hunter2");
    until(&socket, "/readyz", "200 OK").await;
    let status = until(&socket, "/v1/status", "\"state\":\"failed\"").await;
    assert!(status.contains("\"state\":\"in_place\"") && status.contains("exit status 3"), "{status}");
    assert!(!status.contains("hunter2"));
    until(&socket, "/metrics", "ryo_watch_commands_failed_total 1").await;
    registry.put("b", "hunter3");
    let diff = until(&socket, "/v1/diff", "+1 password=").await;
    assert!(!diff.contains("hunter") && diff.contains("+1 password=********"), "{diff}");
    assert!(get(&socket, "/nope").await.unwrap().starts_with("HTTP/1.1 404"));
    let explain = |file: &str| {
        let (address, file) = (address.clone(), file.to_owned());
        tokio::task::spawn_blocking(move || run(&["explain", "-diff", "-status-address", &address, &file]))
    };
    assert_eq!(explain("out").await.unwrap(), Exit::Success);
    assert_eq!(explain("nope").await.unwrap(), Exit::RunFailed);
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert!(Command::new("kill").args(["-USR2", &pid]).status().unwrap().success());
    assert_eq!(watcher.await.unwrap(), Exit::Interrupted);
    assert!(!socket.exists(), "the socket goes with the watcher");
    assert_eq!(explain("out").await.unwrap(), Exit::RunFailed);
}
