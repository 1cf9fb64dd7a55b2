//! Programs as handlers: the data on standard input, the index in `CONSUL_INDEX`.

use std::{process::ExitStatus, time::Duration};

use daemon::{
    Tail,
    child::{self, Child},
};
use tokio::time::timeout;

use super::OUTPUT_BYTES_MAX;

/// Consul sets no limit; a program that never ends must not keep its watch quiet for ever.
const LIMIT: Duration = Duration::from_secs(3600);

/// Runs a program to its end; `name` is how the log calls it.
pub(super) async fn run(args: &[String], name: String, input: &[u8], index: u64) {
    let variables = [("CONSUL_INDEX", index.to_string())];
    let mut said = Tail::new(OUTPUT_BYTES_MAX);
    let child = Child { args, variables: &variables, input };
    let failure = match timeout(LIMIT, child.run(&mut said)).await {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(ended(status)),
        Ok(Err(error)) => Some(child::reason(args.first().map_or("", String::as_str), &error)),
        Err(_) => Some(format!("did not end within {}s and was killed", LIMIT.as_secs())),
    };
    if let Some(error) = failure {
        tracing::error!(target: "agent", watch_handler = name, error, "Failed to run watch handler");
    }
    tracing::debug!(target: "agent", watch_handler = name, output = said.into_text(), "watch handler output");
}

/// How a program ended that did not succeed, as Go says it.
fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".into(),
        (None, Some(15)) => "signal: terminated".into(),
        (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
    }
}
