//! What the kernel knows of a process.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// A size in bytes.
pub(crate) type Bytes = u64;

/// Resident memory, counted page by page.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Bytes> {
    // The sum in `status` lags behind on machines with several processors; this one is counted when it is read.
    Ok(field(pid, "smaps_rollup", "Rss:")? * 1024)
}

/// Bytes it has caused to be written to disks since its start.
pub(crate) fn written(pid: u32) -> anyhow::Result<Bytes> {
    field(pid, "io", "write_bytes:")
}

/// Processor time it has used, of all threads, ended ones too.
pub(crate) fn processor(pid: u32) -> anyhow::Result<Duration> {
    // USER_HZ, which is 100 on all architectures that Rust's standard library knows.
    const TICK: Duration = Duration::from_millis(10);
    let stat = read(pid, "stat")?;
    // The second field is the program's name, in parentheses, and may hold blanks.
    let (_, fields) = stat.rsplit_once(')').context("stat without a name")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u32>().ok()).context("stat is too short");
    let (user, system) = (ticks()?, ticks()?);
    Ok(TICK * (user + system))
}

fn field(pid: u32, file: &str, name: &str) -> anyhow::Result<u64> {
    let text = read(pid, file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = value.and_then(|value| value.split_ascii_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).with_context(|| format!("/proc/{pid}/{file} has no {name}"))
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_that_runs_has_memory_and_time() {
        let pid = std::process::id();
        assert!(super::memory(pid).unwrap() > 100_000);
        assert!(super::processor(pid).is_ok());
    }
}
