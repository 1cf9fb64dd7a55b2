//! Where this node is in the space of round trips.
//!
//! Each sign of life to the registry is a round trip that [`vivaldi`] learns from. The registry is told where the node is
//! once that is known, and again only when it has moved for good: an idle fleet writes nothing.

pub mod vivaldi;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use registry_wire::coordinate::{Coordinate, NodeCoordinate};
use tokio::time::{sleep, timeout};

use self::vivaldi::Vivaldi;
use crate::backend::{Backend, Unavailable};

/// How often it is looked whether there is something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How many looks in a row must find that the node has moved: a busy minute moves nobody.
const LOOKS: u32 = 3;
/// How long a telling may take.
const TELL_LIMIT: Duration = Duration::from_secs(10);
/// Shorter moves are not told, in seconds.
const MOVE_MIN: f64 = 0.0005;
/// Nor are moves that are less than this part of the distance to the registry.
const MOVE_PART: f64 = 0.2;

/// This node's place. Shared by the lease, the task that tells the registry, and the API.
#[derive(Default)]
pub(crate) struct Coordinates(Mutex<State>);

#[derive(Default)]
struct State {
    vivaldi: Vivaldi,
    /// What the registry was last told.
    told: Option<Coordinate>,
    /// How many looks in a row found another place than that.
    moved: u32,
}

impl Coordinates {
    /// A round trip to the registry, which is there; `located` says whether the catalog knows where this node is.
    pub(crate) fn measured(&self, registry: &Coordinate, located: bool, trip: Duration) {
        let mut state = self.state();
        state.vivaldi.measured(registry, trip);
        if !located {
            state.told = None;
        }
    }

    /// Where this node is, as far as is known.
    pub(crate) fn now(&self) -> Coordinate {
        self.state().vivaldi.coordinate().clone()
    }

    /// What the registry has to be told now, if anything.
    fn due(&self) -> Option<Coordinate> {
        let state = &mut *self.state();
        let here = state.vivaldi.settled()?;
        let moved = state.told.as_ref().is_none_or(|told| has_moved(told, here));
        state.moved = if moved { state.moved + 1 } else { 0 };
        (state.told.is_none() || state.moved >= LOOKS).then(|| here.clone())
    }

    fn told(&self, coordinate: Coordinate) {
        let mut state = self.state();
        (state.told, state.moved) = (Some(coordinate), 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a place is so far from another that it is worth a write.
fn has_moved(from: &Coordinate, to: &Coordinate) -> bool {
    let between = from.raw_distance(to) - from.height - to.height + (from.height - to.height).abs();
    between > MOVE_MIN.max(MOVE_PART * from.raw_distance(&Coordinate::origin()))
}

/// Tells the registry where the node is, rarely, until shutdown.
pub(crate) async fn tell(
    coordinates: Arc<Coordinates>,
    node: String,
    backend: Arc<dyn Backend>,
    shutdown: Shutdown,
) {
    let telling = async {
        loop {
            sleep(LOOK_EVERY.mul_f64(rand::random_range(0.75..1.25))).await;
            let Some(coord) = coordinates.due() else { continue };
            let shown = NodeCoordinate { node: node.clone(), segment: String::new(), coord: coord.clone() };
            match update(&*backend, &shown).await {
                Ok(StatusCode::OK) => coordinates.told(coord),
                Ok(status) => tracing::debug!(target: "agent", %status, "the registry takes no coordinate"),
                Err(error) => tracing::debug!(target: "agent", %error, "cannot tell where this node is"),
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = shutdown.requested() => {}
    }
}

async fn update(backend: &dyn Backend, coordinate: &NodeCoordinate) -> Result<StatusCode, Unavailable> {
    let sent = serde_json::to_vec(coordinate).expect("a coordinate is plain data");
    let request = Request::put("/v1/coordinate/update").body(body::full(sent)).expect("a fixed target");
    let asked = timeout(TELL_LIMIT, backend.call(request)).await;
    asked.unwrap_or(Err(Unavailable::NoServers)).map(|answer: Response<Body>| answer.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(coordinates: &Coordinates, seconds: u32, trip_us: u64) -> usize {
        let located = coordinates.state().told.is_some();
        for second in 0..seconds {
            // A tenth of jitter, and every seventh trip a slow one.
            let jitter = u64::from(second % 3) * trip_us / 20;
            let slow = if second % 7 == 0 { 3000 } else { 0 };
            let trip = Duration::from_micros(trip_us + jitter + slow);
            coordinates.measured(&Coordinate::origin(), located, trip);
        }
        let due = coordinates.due();
        let count = usize::from(due.is_some());
        due.into_iter().for_each(|coordinate| coordinates.told(coordinate));
        count
    }

    #[test]
    fn an_idle_node_is_told_once_and_one_that_moved_once_more() {
        let coordinates = Coordinates::default();
        assert_eq!(live(&coordinates, 10, 400), 0, "too early");
        let hour: usize = (0..180).map(|_| live(&coordinates, 20, 400)).sum();
        assert_eq!(hour, 1);
        let next: usize = (0..180).map(|_| live(&coordinates, 20, 30_000)).sum();
        assert!((1..=3).contains(&next), "{next}");
        let trip = coordinates.now().distance(&Coordinate::origin());
        assert!((0.025..0.04).contains(&trip), "{trip}");
    }

    #[test]
    fn a_registry_that_does_not_know_the_node_is_told_again() {
        let coordinates = Coordinates::default();
        assert_eq!(live(&coordinates, 60, 400), 1);
        assert_eq!(live(&coordinates, 60, 400), 0);
        coordinates.measured(&Coordinate::origin(), false, Duration::from_micros(400));
        assert_eq!(live(&coordinates, 1, 400), 1);
    }
}
