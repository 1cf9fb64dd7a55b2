//! Transactions that only read.

use crate::{
    Index, Outcome, State, Topic, Topics, TxnError, TxnOp, TxnResult,
    read::Read,
    state::{Change, START},
};

/// Operations that all read ([`TxnOp::is_read`]): answered like any other read, without a write.
///
/// An operation that would write is tried on a copy and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The operations.
    pub ops: Vec<TxnOp>,
}

impl Read for Transaction {
    type Output = Result<Vec<TxnResult>, Vec<TxnError>>;

    fn topics(&self) -> Vec<Topic> {
        Vec::new()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let mut change = Change { index: state.index + 1, at_ms: 0, topics: Topics::default() };
        let answer = match state.clone().txn(&mut change, &self.ops) {
            Outcome::Txn(results) => Ok(results),
            Outcome::TxnFailed(errors) => Err(errors),
            other => unreachable!("a transaction gives results or errors, not {other:?}"),
        };
        (answer, START)
    }
}
