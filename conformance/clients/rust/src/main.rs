//! The rounds of three Rust clients of Consul against the server at `CONSUL_HTTP_ADDR`, a line a step.

mod consul_crate;
mod consulrs_crate;
mod rs_consul_crate;

use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

/// What a step ends with; any error fails it.
type Step = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The name of the node that the server was started with.
const NODE: &str = "clients";

/// Longer than any step takes.
const STEP_TIME_MAX: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let mut tally = Tally::default();
    rs_consul_crate::round(&mut tally).await;
    consul_crate::round(&mut tally).await;
    consulrs_crate::round(&mut tally).await;
    println!("{} of {} steps pass", tally.steps - tally.failed, tally.steps);
    ExitCode::from(u8::from(tally.failed > 0))
}

#[derive(Default)]
struct Tally {
    steps: u32,
    failed: u32,
}

impl Tally {
    /// Plays a step in a task of its own, so that one that panics fails alone.
    async fn step(&mut self, name: &str, run: impl Future<Output = Step> + Send + 'static) {
        let start = Instant::now();
        let outcome = match tokio::time::timeout(STEP_TIME_MAX, tokio::spawn(run)).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| format!("{error:?}")),
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(late) => Err(late.to_string()),
        };
        self.steps += 1;
        self.failed += u32::from(outcome.is_err());
        let verdict = if outcome.is_ok() { "ok  " } else { "FAIL" };
        println!("{verdict} {name} ({:.1} s)", start.elapsed().as_secs_f64());
        if let Err(error) = outcome {
            println!("     {error}");
        }
    }
}
