//! Speaking with systemd (sd_notify(3)). Outside of it nobody listens, and nothing is sent.

use tokio::time::{MissedTickBehavior, interval};

pub use sd_notify::NotifyState as State;

/// Tells the supervisor all of this at once.
pub fn tell(what: &[State<'_>]) {
    // Fails only where nobody listens, and then nobody wants to know.
    let _ = sd_notify::notify(what);
}

/// Tells that the configuration is read again; READY ends it.
pub fn tell_reloading() {
    // Without the time systemd would not take the message; it is there on every Linux.
    if let Ok(now) = State::monotonic_usec_now() {
        tell(&[State::Reloading, now]);
    }
}

/// Shows twice in each of the watchdog's periods that the tasks of this runtime still turn. Never returns; without a watchdog it
/// does nothing.
pub async fn keep_watchdog_quiet() {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = interval(period / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[State::Watchdog]);
    }
}
