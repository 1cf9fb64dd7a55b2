//! `/v1/agent/host`: the machine as its kernel shows it, in the names of the library that Consul asks.

use std::{
    collections::BTreeMap,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use http_api::{Answer, ApiError, Call};
use serde_json::{Map, Value, json};

use super::Context;

/// The files that are read are small; what cannot be read is shown as empty or 0.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `GET /v1/agent/host`.
pub(super) async fn host(_: Context, _: Call) -> Result<Answer, ApiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let shown = tokio::task::spawn_blocking(move || {
        json!({
            "Memory": memory(&read("/proc/meminfo")),
            "CPU": processors(&read("/proc/cpuinfo")),
            "Host": machine(now.as_secs()),
            "Disk": disk("/"),
            "CollectionTime": u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            "Errors": null,
        })
    });
    let shown = shown.await.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Answer::json(&shown))
}

/// Names of the answer, and of lines in `/proc/meminfo`; empty where Linux has no such line.
const MEMORY: &[(&str, &str)] = &[
    ("total", "MemTotal"),
    ("available", "MemAvailable"),
    ("free", "MemFree"),
    ("active", "Active"),
    ("inactive", "Inactive"),
    ("wired", ""),
    ("laundry", ""),
    ("buffers", "Buffers"),
    ("writeBack", "Writeback"),
    ("dirty", "Dirty"),
    ("writeBackTmp", "WritebackTmp"),
    ("shared", "Shmem"),
    ("slab", "Slab"),
    ("sreclaimable", "SReclaimable"),
    ("sunreclaim", "SUnreclaim"),
    ("pageTables", "PageTables"),
    ("swapCached", "SwapCached"),
    ("commitLimit", "CommitLimit"),
    ("committedAS", "Committed_AS"),
    ("highTotal", "HighTotal"),
    ("highFree", "HighFree"),
    ("lowTotal", "LowTotal"),
    ("lowFree", "LowFree"),
    ("swapTotal", "SwapTotal"),
    ("swapFree", "SwapFree"),
    ("mapped", "Mapped"),
    ("vmallocTotal", "VmallocTotal"),
    ("vmallocUsed", "VmallocUsed"),
    ("vmallocChunk", "VmallocChunk"),
    ("hugePagesTotal", "HugePages_Total"),
    ("hugePagesFree", "HugePages_Free"),
    ("hugePagesRsvd", "HugePages_Rsvd"),
    ("hugePagesSurp", "HugePages_Surp"),
    ("hugePageSize", "Hugepagesize"),
];

fn memory(meminfo: &str) -> Value {
    let lines: BTreeMap<&str, u64> = meminfo
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let mut words = rest.split_whitespace();
            let number: u64 = words.next()?.parse().ok()?;
            // Lines without a unit count pages.
            Some((name, if words.next() == Some("kB") { number * 1024 } else { number }))
        })
        .collect();
    let of = |name: &str| lines.get(name).copied().unwrap_or_default();
    let mut shown: Map<String, Value> =
        MEMORY.iter().map(|(name, line)| ((*name).to_owned(), of(line).into())).collect();
    let cached = of("Cached") + of("SReclaimable");
    let used = of("MemTotal").saturating_sub(of("MemFree") + of("Buffers") + cached);
    shown.insert("cached".into(), cached.into());
    shown.insert("used".into(), used.into());
    shown.insert("usedPercent".into(), percent(used, of("MemTotal")).into());
    Value::Object(shown)
}

/// The processors, an object each.
fn processors(cpuinfo: &str) -> Vec<Value> {
    let blocks = cpuinfo.split("\n\n").map(|block| {
        block.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()))
    });
    let blocks = blocks.map(Iterator::collect::<BTreeMap<&str, &str>>);
    blocks
        .filter_map(|block| {
            let text = |name: &str| block.get(name).copied().unwrap_or_default();
            let number = |name: &str| text(name).split(' ').next().and_then(|n| n.parse::<i64>().ok());
            let flags: Vec<&str> = text("flags").split_whitespace().collect();
            Some(json!({
                "cpu": number("processor")?,
                "vendorId": text("vendor_id"),
                "family": text("cpu family"),
                "model": text("model"),
                "stepping": number("stepping").unwrap_or_default(),
                "physicalId": text("physical id"),
                "coreId": text("core id"),
                "cores": 1,
                "modelName": text("model name"),
                "mhz": text("cpu MHz").parse::<f64>().unwrap_or_default(),
                "cacheSize": number("cache size").unwrap_or_default(),
                "flags": flags,
                "microcode": text("microcode"),
            }))
        })
        .collect()
}

fn machine(now: u64) -> Value {
    let uptime = read("/proc/uptime");
    let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok()).unwrap_or_default();
    let release = read("/etc/os-release");
    let distribution = setting(&release, "ID");
    let family = setting(&release, "ID_LIKE");
    let version = read("/etc/debian_version");
    let version =
        if distribution == "debian" { version.trim().to_owned() } else { setting(&release, "VERSION_ID") };
    json!({
        "hostname": read("/proc/sys/kernel/hostname").trim(),
        "uptime": uptime,
        "bootTime": now.saturating_sub(uptime),
        "procs": processes(),
        "os": std::env::consts::OS,
        "platform": distribution,
        "platformFamily": family.split(' ').next().filter(|like| !like.is_empty()).unwrap_or(&distribution),
        "platformVersion": version,
        "kernelVersion": read("/proc/sys/kernel/osrelease").trim(),
        "kernelArch": std::env::consts::ARCH,
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostId": read("/proc/sys/kernel/random/boot_id").trim(),
    })
}

/// A line `NAME=value` or `NAME="value"` of `/etc/os-release`.
fn setting(release: &str, name: &str) -> String {
    let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())).count()
}

/// The file system at a path; `null` when the kernel says nothing of it.
fn disk(path: &str) -> Value {
    let Ok(found) = nix::sys::statvfs::statvfs(path) else { return Value::Null };
    let block = found.fragment_size();
    let total = found.blocks() * block;
    let used = total.saturating_sub(found.blocks_free() * block);
    let free = found.blocks_available() * block;
    let (inodes, inodes_free) = (found.files(), found.files_free());
    let inodes_used = inodes.saturating_sub(inodes_free);
    json!({
        "path": path,
        "fstype": file_system(&read("/proc/self/mounts"), path),
        "total": total,
        "free": free,
        "used": used,
        "usedPercent": percent(used, used + free),
        "inodesTotal": inodes,
        "inodesUsed": inodes_used,
        "inodesFree": inodes_free,
        "inodesUsedPercent": percent(inodes_used, inodes),
    })
}

/// The kind of the file system that is mounted at a path: the last one of several.
fn file_system(mounts: &str, path: &str) -> String {
    let mut kinds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(path)).then(|| words.next().unwrap_or_default())
    });
    kinds.next_back().unwrap_or_default().to_owned()
}

/// A part in percent of a whole.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_bytes_but_pages_in_pages() {
        let meminfo = "MemTotal:  1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 200 kB\nSReclaimable: 50 kB\nHugePages_Total: 3\n";
        let shown = memory(meminfo);
        assert_eq!((shown["total"].as_u64(), shown["hugePagesTotal"].as_u64()), (Some(1_024_000), Some(3)));
        assert_eq!((shown["used"].as_u64(), shown["usedPercent"].as_f64()), (Some(614_400), Some(60.0)));
        assert_eq!(shown["wired"], 0);
    }

    #[test]
    fn each_processor_is_shown() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: X\nstepping\t: 7\n\
            cpu MHz\t\t: 2000.5\ncache size\t: 1024 KB\nflags\t\t: fpu sse\n\nprocessor\t: 1\n\n";
        let shown = processors(cpuinfo);
        assert_eq!(shown.len(), 2);
        assert_eq!((&shown[0]["model"], &shown[0]["cacheSize"]), (&json!("85"), &json!(1024)));
        assert_eq!((&shown[0]["flags"], &shown[0]["mhz"]), (&json!(["fpu", "sse"]), &json!(2000.5)));
    }

    #[test]
    fn names_and_mounts_are_found() {
        assert_eq!(setting("NAME=\"Debian\"\nID=debian\nID_LIKE=\"a b\"\n", "ID"), "debian");
        assert_eq!(file_system("none / rootfs rw 0 0\n/dev/vda / ext4 rw 0 0\n", "/"), "ext4");
        assert!(disk("/")["total"].as_u64() > Some(0));
    }
}
