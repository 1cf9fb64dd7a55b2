//! A client that counts upwards in a key and one that follows it by blocking queries: no step back, and the last one is seen.

use std::{cell::Cell, rc::Rc, time::Duration};

use http::StatusCode;
use tokio::time::sleep;

use crate::caller::Caller;

const KEY: &str = "/v1/kv/count";
/// How long a question is held.
const WAIT: Duration = Duration::from_secs(5);
/// How long the follower may take to see the last step.
const LATE: Duration = Duration::from_secs(30);

/// The last step that was acknowledged.
pub(crate) type Acknowledged = Rc<Cell<u64>>;

/// Counts until the clock says `until`.
pub(crate) async fn count(mut caller: Caller, acknowledged: Acknowledged, until: Duration) {
    for step in 1_u64.. {
        if turmoil::elapsed() >= until {
            return;
        }
        // One step after the other.
        caller.put(KEY, &step.to_string()).await;
        acknowledged.set(step);
        sleep(Duration::from_millis(rand::random_range(50..800))).await;
    }
}

/// Follows until the clock says `until` and the last step was seen.
pub(crate) async fn follow(
    mut caller: Caller,
    acknowledged: Acknowledged,
    until: Duration,
) -> Result<(), String> {
    caller.patience = 2 * WAIT;
    let (mut seen, mut index) = (0, 0);
    while turmoil::elapsed() < until || seen < acknowledged.get() {
        if turmoil::elapsed() > until + LATE {
            let last = acknowledged.get();
            return Err(format!("a follower has seen {seen} of {last} steps {LATE:?} after all was mended"));
        }
        let target = format!("{KEY}?raw&index={index}&wait={}s", WAIT.as_secs());
        let answer = caller.call("GET", &target, String::new()).await;
        let known = [StatusCode::OK, StatusCode::NOT_FOUND];
        let Some(answer) = answer.filter(|answer| known.contains(&answer.status)) else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let step = if answer.status == StatusCode::OK { answer.text.parse().unwrap() } else { 0 };
        if step < seen || answer.index < index {
            let now = turmoil::elapsed();
            return Err(format!(
                "a step back from {seen} at index {index} to {step} at {}, at {now:?}",
                answer.index
            ));
        }
        (seen, index) = (step, answer.index);
        if rand::random_ratio(1, 10) {
            caller.at = rand::random_range(0..caller.servers());
        }
    }
    Ok(())
}
