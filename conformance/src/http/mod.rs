//! The HTTP suite.
use crate::{case::Case, options::Options};
/// The suite's scenarios.
pub fn cases(_: &Options) -> anyhow::Result<Vec<Case>> {
    anyhow::bail!("this suite is not there yet")
}
