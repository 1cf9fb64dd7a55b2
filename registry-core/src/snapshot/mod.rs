//! Snapshots for people: the archive of `GET` and `PUT /v1/snapshot`, and how one is taken over.
//!
//! `archive` is the file: gzip around a tar with `meta.json`, `state.bin` and `SHA256SUMS`; `docs/snapshot-format.md`
//! says what each holds. `restore` sends a verified one through the log. The registry's own files are in `storage`.

mod archive;
mod restore;

pub use archive::{ArchiveError, Meta, Summary, check, pack};
pub use restore::RestoreError;
