//! A number of clients, each with one request under way at any time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use mio::{Events, Poll};

use super::{Connection, connection::READ_MAX};

/// How long no answer at all may come.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What to send, and for how long.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) clients: usize,
    pub(crate) time: Duration,
    /// Sent in turn, over and over.
    pub(crate) requests: Vec<Vec<u8>>,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) per_second: f64,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    /// Answers with another status than 200.
    pub(crate) refused: u64,
}

impl Load {
    /// Runs it to its end.
    ///
    /// Errors when a connection fails or the server stays silent for ten seconds.
    pub(crate) fn run(&self) -> anyhow::Result<Speed> {
        let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(256));
        let mut requests = self.requests.iter().cycle();
        let mut next = || requests.next().expect("a load has requests");
        let mut clients = Vec::with_capacity(self.clients);
        for client in 0..self.clients {
            clients.push((Connection::open(self.address, poll.registry(), client)?, Instant::now()));
        }
        let (start, mut times_us, mut refused) = (Instant::now(), Vec::new(), 0);
        for (connection, sent) in &mut clients {
            *sent = Instant::now();
            connection.send(next())?;
        }
        let mut scratch = Box::new([0; READ_MAX]);
        while start.elapsed() < self.time {
            poll.poll(&mut events, Some(SILENCE_MAX))?;
            ensure!(!events.is_empty(), "no answer came for {} s", SILENCE_MAX.as_secs());
            for event in &events {
                let (connection, sent) = &mut clients[event.token().0];
                if let Some(answer) = connection.receive(&mut scratch)? {
                    times_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
                    refused += u64::from(answer.status != 200);
                    *sent = Instant::now();
                    connection.send(next())?;
                }
            }
        }
        Ok(speed(times_us, refused, start.elapsed()))
    }
}

fn speed(mut times_us: Vec<u32>, refused: u64, took: Duration) -> Speed {
    times_us.sort_unstable();
    let at = |part: f64| {
        let place = (times_us.len() as f64 * part) as usize;
        times_us.get(place).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    };
    Speed {
        per_second: times_us.len() as f64 / took.as_secs_f64(),
        median_ms: at(0.5),
        p99_ms: at(0.99),
        refused,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn the_slowest_hundredth_is_told() {
        let times_us = (1..=1000).rev().collect();
        let speed = super::speed(times_us, 3, Duration::from_secs(2));
        assert_eq!((speed.per_second, speed.median_ms, speed.p99_ms), (500.0, 0.501, 0.991));
        assert_eq!(speed.refused, 3);
    }
}
