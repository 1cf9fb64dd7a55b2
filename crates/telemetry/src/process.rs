//! What the kernel tells about this process.

use std::{
    fmt::Write as _,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use metrics::gauge;

/// In which unit `/proc` counts processor time: hundredths of a second, on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Sets the gauges that Consul has for Go's runtime, as far as they mean something here.
pub(crate) fn measure() {
    let status = status();
    gauge!("runtime.alloc_bytes").set(status.of("RssAnon"));
    gauge!("runtime.sys_bytes").set(status.of("VmRSS"));
    let tasks =
        tokio::runtime::Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
    gauge!("runtime.num_goroutines").set(tasks as f64);
    // Memory is given back where it is no longer needed: nothing ever pauses to collect it.
    gauge!("runtime.total_gc_pause_ns").set(0.0);
    gauge!("runtime.total_gc_runs").set(0.0);
}

/// The figures that Prometheus knows for every process.
pub(crate) fn prometheus(out: &mut String) {
    let status = status();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold blanks; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
            .expect("a string takes all text");
    };
    let seconds = (field(14) + field(15)) / TICKS_A_SECOND;
    put("process_cpu_seconds_total", "counter", "User and system processor time in seconds.", seconds);
    put("process_max_fds", "gauge", "How many file descriptors may be open.", max_files());
    put("process_open_fds", "gauge", "How many file descriptors are open.", open as f64);
    put("process_resident_memory_bytes", "gauge", "Resident memory in bytes.", status.of("VmRSS"));
    let started = boot_seconds() + field(22) / TICKS_A_SECOND;
    put("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", started);
    put("process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.", status.of("VmSize"));
}

/// Lines of `/proc/self/status`.
struct Status(String);

fn status() -> Status {
    Status(fs::read_to_string("/proc/self/status").unwrap_or_default())
}

impl Status {
    /// A size in bytes; 0 where the kernel does not tell it.
    fn of(&self, name: &str) -> f64 {
        kilobytes(&self.0, name).map_or(0.0, |kilobytes| kilobytes * 1024.0)
    }
}

/// The number of a line `Name:   123 kB`.
pub(crate) fn kilobytes(lines: &str, name: &str) -> Option<f64> {
    let line =
        lines.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn max_files() -> f64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0.0)
}

fn boot_seconds() -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let up: f64 = uptime.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64() - up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_files() {
        let mut text = String::new();
        prometheus(&mut text);
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= 3.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((0.0..3600.0).contains(&(now - value("process_start_time_seconds"))));
    }
}
