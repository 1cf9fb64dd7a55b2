//! The helpers of the Sprig library, under `sprig_`, in its argument order.

use super::Row;

/// The rows of each topic.
pub(super) const TOPICS: &[&[Row]] = &[];
