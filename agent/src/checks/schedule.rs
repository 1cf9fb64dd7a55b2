//! When a check runs.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};

use super::{Observed, Report, threshold::Thresholds};

/// Something that looks at the world once.
pub(super) trait Look: Send + Sync {
    /// What it sees; dropping the future ends it.
    fn look(&self) -> impl Future<Output = Observed> + Send;
}

/// How a check is repeated.
pub(super) struct Plan {
    pub(super) interval: Duration,
    pub(super) thresholds: Thresholds,
    pub(super) turns: Arc<Semaphore>,
}

/// Runs the probe for ever, an interval after its last end; the first time at a random moment of the first interval, so
/// that an agent's checks do not all run at once.
pub(super) async fn run(mut plan: Plan, probe: impl Look, report: Report) {
    sleep(plan.interval.mul_f64(rand::random_range(0.0..1.0))).await;
    loop {
        let observed = {
            let _turn = plan.turns.acquire().await.expect("the semaphore is never closed");
            probe.look().await
        };
        if let Some(counts) = plan.thresholds.judge(observed) {
            report(counts);
        }
        sleep(plan.interval).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::time::Instant;

    use super::*;
    use crate::{checks::Status, definition::CheckType};

    /// Takes a second for each look, and remembers how many looked at once.
    #[derive(Clone, Default)]
    struct Slow {
        begun: Arc<Mutex<Vec<Instant>>>,
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Look for Slow {
        async fn look(&self) -> Observed {
            self.begun.lock().unwrap().push(Instant::now());
            self.most.fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(Duration::from_secs(1)).await;
            self.now.fetch_sub(1, Relaxed);
            Observed::new(Status::Passing, "")
        }
    }

    fn plan(turns: &Arc<Semaphore>) -> Plan {
        let thresholds = Thresholds::new(&CheckType::default());
        Plan { interval: Duration::from_secs(10), thresholds, turns: turns.clone() }
    }

    #[tokio::test(start_paused = true)]
    async fn first_runs_are_spread_and_the_next_come_an_interval_after_the_end() {
        let (turns, start, mut firsts) = (Arc::new(Semaphore::new(1000)), Instant::now(), Vec::new());
        let probes: Vec<Slow> = (0..200).map(|_| Slow::default()).collect();
        let running: Vec<_> = probes
            .iter()
            .map(|probe| tokio::spawn(run(plan(&turns), probe.clone(), Arc::new(|_: Observed| {}))))
            .collect();
        sleep(Duration::from_secs(40)).await;
        running.iter().for_each(|task| task.abort());
        for probe in &probes {
            let begun = probe.begun.lock().unwrap();
            assert!(begun.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(11)), "{begun:?}");
            assert!((3..=4).contains(&begun.len()), "{begun:?}");
            firsts.push(begun[0] - start);
        }
        assert!(firsts.iter().all(|first| *first <= Duration::from_secs(10)));
        for second in 0..10 {
            let within = |first: &&Duration| (second..=second + 1).contains(&first.as_secs());
            assert!(firsts.iter().filter(within).count() >= 5, "none near second {second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_run_at_once_and_none_is_forgotten() {
        let (turns, probe) = (Arc::new(Semaphore::new(3)), Slow::default());
        let reported = Arc::new(AtomicUsize::new(0));
        let running: Vec<_> = (0..60)
            .map(|_| {
                let reported = reported.clone();
                let report: Report = Arc::new(move |_: Observed| _ = reported.fetch_add(1, Relaxed));
                tokio::spawn(run(plan(&turns), probe.clone(), report))
            })
            .collect();
        sleep(Duration::from_secs(40)).await;
        running.iter().for_each(|task| task.abort());
        assert_eq!(probe.most.load(Relaxed), 3);
        // Three a second, from the first second on.
        assert!((90..=120).contains(&reported.load(Relaxed)), "{reported:?}");
    }
}
