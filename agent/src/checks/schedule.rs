//! When a check runs.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};

use super::{Probe, Report, threshold::Thresholds};

/// How a check is repeated.
pub(super) struct Plan {
    pub(super) interval: Duration,
    pub(super) thresholds: Thresholds,
    pub(super) turns: Arc<Semaphore>,
}

/// Runs the probe for ever, an interval after its last end; the first time at a random moment of the first interval, so
/// that an agent's checks do not all run at once.
pub(super) async fn run(mut plan: Plan, probe: Probe, report: Report) {
    sleep(plan.interval.mul_f64(rand::random_range(0.0..1.0))).await;
    loop {
        let observed = {
            let _turn = plan.turns.acquire().await.expect("the semaphore is never closed");
            probe.run().await
        };
        if let Some(counts) = plan.thresholds.judge(observed) {
            report(counts);
        }
        sleep(plan.interval).await;
    }
}
