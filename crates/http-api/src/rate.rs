//! How many of something may come in a second.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A rate with a burst: a bucket of tokens that fills at the rate, from which each takes one.
#[derive(Debug)]
pub struct Rate {
    a_second: f64,
    burst: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// So many a second, and so many at once; an infinite rate lets everything through.
    pub fn new(a_second: f64, burst: f64) -> Self {
        Self { a_second, burst, bucket: Mutex::new(Bucket { tokens: burst, filled: Instant::now() }) }
    }

    /// Whether one more may come now.
    pub fn admits(&self) -> bool {
        self.a_second.is_infinite() || self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.filled = now;
        bucket.tokens = (bucket.tokens + passed * self.a_second).min(self.burst);
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (rate, start) = (Rate::new(2.0, 3.0), Instant::now());
        let admitted = |at: f64| rate.admits_at(start + Duration::from_secs_f64(at));
        assert_eq!([admitted(0.0), admitted(0.0), admitted(0.0), admitted(0.0)], [true, true, true, false]);
        assert_eq!([admitted(0.5), admitted(0.6), admitted(1.0)], [true, false, true]);
        assert!((0..3).all(|_| admitted(100.0)) && !admitted(100.0), "no more than a burst is saved up");
        assert!((0..1000).all(|_| Rate::new(f64::INFINITY, 1.0).admits()));
    }
}
