//! The request that is being answered: its id goes with the changes it makes, so that one which comes again is made once.

use std::cell::Cell;

use http::{HeaderMap, HeaderName};
use registry_state::{Action, RequestId};
use uuid::Uuid;

/// The id of a request that may come again, a UUID that whoever handed it on has chosen.
pub(crate) const REQUEST_HEADER: HeaderName = link::calls::REQUEST_HEADER;

tokio::task_local! {
    static ASKED: Asked;
}

/// A request while it is answered.
pub(crate) struct Asked {
    id: Uuid,
    /// How many changes it has made, and how many ids it was given.
    changes: Cell<u64>,
    ids: Cell<u64>,
}

/// The id that a request carries.
pub(crate) fn id_of(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(REQUEST_HEADER)?.to_str().ok()?.parse().ok()
}

/// Answers a request under its id.
pub(crate) async fn under<F: Future>(id: Uuid, answering: F) -> F::Output {
    ASKED.scope(Asked { id, changes: Cell::new(0), ids: Cell::new(0) }, answering).await
}

/// The action, marked with the request that makes it, if there is one.
pub(crate) fn marked(action: Action) -> Action {
    let request = ASKED.try_with(|asked| {
        let number = asked.changes.replace(asked.changes.get() + 1);
        let (high, low) = asked.id.as_u64_pair();
        RequestId(high, low.wrapping_add(number))
    });
    match request {
        Ok(request) => Action::Once { request, action: Box::new(action) },
        Err(_) => action,
    }
}

/// A random UUID; the same again when the same request comes again, for what it has made then has that id.
pub(crate) fn new_id() -> Uuid {
    let of_request = ASKED.try_with(|asked| {
        let number = asked.ids.replace(asked.ids.get() + 1);
        let (high, low) = asked.id.as_u64_pair();
        // Another one than the request's own, still as random, and a UUID of version 4.
        let bits = (u128::from(high.wrapping_add(number)) << 64) | u128::from(!low);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    });
    of_request.unwrap_or_else(|_| Uuid::new_v4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_request_has_the_same_marks_and_ids_again() {
        let id = Uuid::new_v4();
        let ask = async || {
            let marks = [(); 2].map(|()| marked(Action::ReapTombstones { up_to: 1 }));
            (marks, [(); 2].map(|()| new_id()))
        };
        let first = under(id, ask()).await;
        assert_eq!(under(id, ask()).await, first);
        let (marks, ids) = first;
        assert!(marks[0] != marks[1] && ids[0] != ids[1] && !ids.contains(&id));
        assert_eq!(ids[0].get_version_num(), 4);
        assert!(matches!(marked(Action::ReapTombstones { up_to: 1 }), Action::ReapTombstones { .. }));
        assert_ne!(new_id(), new_id());
    }
}
