//! Clients that take a lock, hold it for a while and give it back: never two at a time.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::StatusCode;
use tokio::time::sleep;

use crate::caller::Caller;

/// The key that is locked.
const KEY: &str = "/v1/kv/lock";

/// Who holds the lock, and for how often it was held.
#[derive(Default)]
pub(crate) struct Lock {
    holder: Option<usize>,
    pub(crate) held: usize,
}

/// Takes the lock again and again until the clock says `until`; errors when another one holds it.
pub(crate) async fn work(
    number: usize,
    mut caller: Caller,
    lock: Rc<RefCell<Lock>>,
    until: Duration,
) -> Result<(), String> {
    let session = session(&mut caller).await;
    while turmoil::elapsed() < until {
        let acquired = answers(&mut caller, &format!("{KEY}?acquire={session}")).await;
        // Without an answer it may be ours or not: then it is not used, and asked for again.
        if acquired.as_deref() == Some("true") {
            take(number, &lock)?;
            sleep(Duration::from_millis(rand::random_range(1..300))).await;
            // From the first attempt on it may be given back.
            lock.borrow_mut().holder = None;
            caller.put(&format!("{KEY}?release={session}"), "").await;
        }
        sleep(Duration::from_millis(rand::random_range(10..200))).await;
    }
    Ok(())
}

fn take(number: usize, lock: &RefCell<Lock>) -> Result<(), String> {
    let mut lock = lock.borrow_mut();
    if let Some(other) = lock.holder.replace(number) {
        return Err(format!("clients {other} and {number} hold the lock at {:?}", turmoil::elapsed()));
    }
    lock.held += 1;
    Ok(())
}

/// A session that ends by nothing but its own end; waits until it is made.
async fn session(caller: &mut Caller) -> String {
    let lasting = r#"{"Node":"server0","NodeChecks":[],"LockDelay":"0s"}"#;
    loop {
        let made = caller.call("PUT", "/v1/session/create", lasting.to_owned()).await;
        if let Some(made) = made.filter(|made| made.status == StatusCode::OK) {
            let made: serde_json::Value = serde_json::from_str(&made.text).unwrap();
            return made["ID"].as_str().unwrap().to_owned();
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn answers(caller: &mut Caller, target: &str) -> Option<String> {
    let answer = caller.call("PUT", target, String::new()).await;
    if answer.is_none() {
        sleep(Duration::from_millis(50)).await;
    }
    answer.filter(|answer| answer.status == StatusCode::OK).map(|answer| answer.text.trim().to_owned())
}
