//! Vivaldi: a place in a space whose distances are round trips, found by one measurement after the other.
//!
//! Dabek, Cox, Kaashoek, Morris: "Vivaldi: A Decentralized Network Coordinate System" (2004), §2.5 and §5.4 (heights);
//! the adjustment is that of Lee et al., "On Suitability of Euclidean Embedding for Host-Based Network Coordinate Systems"
//! (2010). Distances are seconds.

use std::{collections::VecDeque, time::Duration};

use registry_wire::coordinate::{Coordinate, DIMENSIONS, ERROR_MAX, HEIGHT_MIN};

/// How much of a new error counts, at most.
const ERROR_GAIN: f64 = 0.25;
/// How far towards the measured place one measurement moves, at most, as a part of the way.
const MOVE_GAIN: f64 = 0.25;
/// How many trips the median is taken of: one slow trip alone moves nothing.
const TRIPS: usize = 3;
/// How many trips the adjustment is made of.
const ADJUSTED_OVER: usize = 20;
/// How many measurements it takes until a place is worth telling.
const SETTLED_AFTER: u32 = 20;
/// A longer trip says more of the machine than of the network.
const TRIP_MAX: Duration = Duration::from_secs(10);
/// What counts as no distance and no error.
const NOTHING: f64 = 1e-6;
/// How sure the other side counts as being: it is the place from which all find theirs.
const ANCHOR_ERROR: f64 = 0.1;

/// A place and how it was found.
pub struct Vivaldi {
    coordinate: Coordinate,
    trips: VecDeque<f64>,
    misses: VecDeque<f64>,
    measurements: u32,
}

impl Default for Vivaldi {
    fn default() -> Self {
        Self {
            coordinate: Coordinate::origin(),
            trips: VecDeque::new(),
            misses: VecDeque::new(),
            measurements: 0,
        }
    }
}

impl Vivaldi {
    /// The place.
    pub fn coordinate(&self) -> &Coordinate {
        &self.coordinate
    }

    /// The place, once enough was measured.
    pub(super) fn settled(&self) -> Option<&Coordinate> {
        (self.measurements >= SETTLED_AFTER).then_some(&self.coordinate)
    }

    /// Learns from a round trip to another place; one that cannot be is left out.
    pub fn measured(&mut self, other: &Coordinate, trip: Duration) {
        if trip > TRIP_MAX || !other.is_valid() {
            return;
        }
        keep(&mut self.trips, TRIPS, trip.as_secs_f64());
        let trip = median(&self.trips).max(NOTHING);
        let mut next = self.coordinate.clone();
        step(&mut next, other, trip);
        keep(&mut self.misses, ADJUSTED_OVER, trip - next.raw_distance(other));
        next.adjustment = self.misses.iter().sum::<f64>() / (2.0 * ADJUSTED_OVER as f64);
        if next.is_valid() {
            self.coordinate = next;
        }
        self.measurements = self.measurements.saturating_add(1);
    }
}

/// Moves a place so that it fits a measured trip better.
fn step(here: &mut Coordinate, other: &Coordinate, trip: f64) {
    let distance = here.raw_distance(other);
    let weight = here.error / (here.error + ANCHOR_ERROR).max(NOTHING);
    let miss = (distance - trip).abs() / trip;
    here.error =
        (ERROR_GAIN * weight * miss + here.error * (1.0 - ERROR_GAIN * weight)).clamp(NOTHING, ERROR_MAX);
    let force = MOVE_GAIN * weight * (trip - distance);
    let (direction, apart) = direction(&here.vec, &other.vec);
    here.vec.iter_mut().zip(direction).for_each(|(at, unit)| *at += unit * force);
    if apart > NOTHING {
        here.height = ((here.height + other.height) * force / apart + here.height).max(HEIGHT_MIN);
    }
}

/// The unit vector from `to` to `from`, any one if both are at one place, and how far apart they are.
fn direction(from: &[f64], to: &[f64]) -> ([f64; DIMENSIONS], f64) {
    let mut vector = [0.0; DIMENSIONS];
    vector.iter_mut().zip(from.iter().zip(to)).for_each(|(v, (a, b))| *v = a - b);
    let apart = length(&vector);
    if apart > NOTHING {
        return (vector.map(|v| v / apart), apart);
    }
    let chance: [f64; DIMENSIONS] = std::array::from_fn(|_| rand::random_range(-1.0..1.0));
    let length = length(&chance).max(NOTHING);
    (chance.map(|v| v / length), 0.0)
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn keep(window: &mut VecDeque<f64>, most: usize, value: f64) {
    if window.len() == most {
        window.pop_front();
    }
    window.push_back(value);
}

fn median(window: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = window.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_becomes_the_measured_trip() {
        for trip_us in [50, 400, 5_000, 120_000] {
            let mut vivaldi = Vivaldi::default();
            for _ in 0..60 {
                vivaldi.measured(&Coordinate::origin(), Duration::from_micros(trip_us));
            }
            let found = vivaldi.coordinate().distance(&Coordinate::origin()) * 1e6;
            assert!((found / trip_us as f64 - 1.0).abs() < 0.1, "{trip_us} µs, found {found}");
        }
    }

    #[test]
    fn nonsense_moves_nothing() {
        let mut vivaldi = Vivaldi::default();
        vivaldi.measured(&Coordinate::default(), Duration::from_millis(1));
        vivaldi.measured(&Coordinate::origin(), Duration::from_secs(60));
        assert_eq!((vivaldi.coordinate(), vivaldi.settled()), (&Coordinate::origin(), None));
    }
}
