//! What the kernel tells about the machine: `enable_host_metrics`.

use std::{collections::HashMap, fs, path::PathBuf};

use metrics::gauge;

use crate::process::kilobytes;

/// Measures the machine; processors are compared with the time before.
#[derive(Debug)]
pub(crate) struct Host {
    /// A path on the disk that is of interest.
    disk: Option<PathBuf>,
    processors: HashMap<String, Times>,
}

/// How long a processor did what, since the start of the machine.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    user: f64,
    system: f64,
    idle: f64,
    waiting: f64,
    all: f64,
}

impl Host {
    pub(crate) fn new(disk: Option<PathBuf>) -> Self {
        Self { disk, processors: HashMap::new() }
    }

    /// Sets all gauges.
    pub(crate) fn measure(&mut self) {
        self.measure_processors(&fs::read_to_string("/proc/stat").unwrap_or_default());
        measure_memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        if let Some(seconds) = uptime.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()) {
            gauge!("host.uptime").set(seconds.floor());
        }
        self.measure_disk();
    }

    fn measure_processors(&mut self, stat: &str) {
        for (processor, now) in stat.lines().filter_map(times) {
            let before = self.processors.insert(processor.to_owned(), now).unwrap_or_default();
            let all = now.all - before.all;
            if all <= 0.0 {
                continue;
            }
            let percent = |name: &'static str, spent: f64| {
                gauge!(name, "cpu" => processor.to_owned()).set(spent / all * 100.0);
            };
            percent("host.cpu.user", now.user - before.user);
            percent("host.cpu.system", now.system - before.system);
            percent("host.cpu.idle", now.idle - before.idle);
            percent("host.cpu.iowait", now.waiting - before.waiting);
            percent("host.cpu.total", all - (now.idle - before.idle));
        }
    }

    fn measure_disk(&self) {
        let Some(path) = &self.disk else { return };
        let Ok(disk) = nix::sys::statvfs::statvfs(path) else { return };
        let set =
            |name: &'static str, value: f64| gauge!(name, "path" => path.display().to_string()).set(value);
        let block = disk.fragment_size() as f64;
        let (size, free) = (disk.blocks() as f64 * block, disk.blocks_free() as f64 * block);
        let available = disk.blocks_available() as f64 * block;
        set("host.disk.size", size);
        set("host.disk.used", size - free);
        set("host.disk.available", available);
        set("host.disk.used_percent", share(size - free, size - free + available));
        let (inodes, free) = (disk.files() as f64, disk.files_free() as f64);
        set("host.disk.inodes_percent", share(inodes - free, inodes));
    }
}

/// A line `cpu0 user nice system idle iowait irq softirq steal …`.
fn times(line: &str) -> Option<(&str, Times)> {
    let (processor, rest) = line.split_once(' ')?;
    if processor.strip_prefix("cpu").is_none_or(|number| number.parse::<u32>().is_err()) {
        return None;
    }
    let spent: Vec<f64> = rest.split_whitespace().filter_map(|text| text.parse().ok()).take(8).collect();
    let [user, nice, system, idle, waiting, ..] = spent[..] else { return None };
    Some((processor, Times { user: user + nice, system, idle, waiting, all: spent.iter().sum() }))
}

fn measure_memory(lines: &str) {
    let bytes = |name| kilobytes(lines, name).map_or(0.0, |kilobytes| kilobytes * 1024.0);
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    gauge!("host.memory.total").set(total);
    gauge!("host.memory.available").set(available);
    gauge!("host.memory.free").set(bytes("MemFree"));
    gauge!("host.memory.used").set(total - available);
    gauge!("host.memory.used_percent").set(share(total - available, total));
}

/// A part in percent of a whole.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_one_by_one() {
        let lines = ["cpu  1 1 1 1 1 1 1 1 0 0", "cpu1 10 5 20 60 5 0 0 0 0 0", "intr 12 3"];
        let found: Vec<_> = lines.into_iter().filter_map(times).collect();
        let [(name, times)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((*name, times.user, times.idle, times.all), ("cpu1", 15.0, 60.0, 100.0));
        assert_eq!(share(1.0, 0.0), 0.0);
    }
}
