//! openraft's own tests of what it is given: that our log and state machine keep its contract.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::{
    kinds::Kinds,
    log::Log,
    machine::{Enough, Machine},
};
use crate::{
    storage::{Disk, snapshots::Snapshots},
    store::Store,
};

/// Makes an empty log and machine on a folder of their own.
struct Empty;

impl StoreBuilder<Kinds, Log, Machine, TempDir> for Empty {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<Kinds>> {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("log"), Disk::default()).unwrap();
        let snapshots = Snapshots::open(folder.path().join("snapshots")).unwrap();
        let enough = Enough { entries: u64::MAX, bytes: usize::MAX };
        let (store, full) = (Arc::new(Store::default()), Arc::new(Notify::new()));
        let machine = Machine::open(store, snapshots, log.purged(), Disk::default(), enough, full).unwrap();
        Ok((folder, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_machine_keep_the_engines_contract() {
    Suite::test_all(Empty).await.unwrap();
}
