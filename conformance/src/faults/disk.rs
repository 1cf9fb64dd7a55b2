//! A small file system for each server, which can be filled, and slowed down by the kernel's limit for block devices.
//!
//! It is an ext4 in a file, without a journal: the kernel would write that in its own name, past the limit.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::Context as _;

use super::run_program;

/// Room for the log between two snapshots, and for two of those.
const DISK_BYTES: u64 = 256 << 20;
/// How many writes a second a slow disk makes; a flush takes three.
const SLOW_WRITES: u32 = 15;
/// The folder of control groups that limit block devices.
const LIMITS: &str = "/sys/fs/cgroup/blkio";
const GROUP: &str = "ryo-faults-";

/// A server's file system. It is gone when the run's namespaces are.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// Its block device, as limits name it.
    device: String,
}

impl Disk {
    /// Makes one and mounts it there.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let image = tempfile::NamedTempFile::new()?;
        image.as_file().set_len(DISK_BYTES)?;
        run_program(
            Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(image.path()),
        )?;
        run_program(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(folder))?;
        // The file is nobody's but the mount's from here on.
        drop(image);
        let device = device(folder)?;
        Ok(Self { folder: folder.to_owned(), device })
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Takes all room there is.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.filler())?;
        let mut piece = vec![1; 1 << 20];
        while !piece.is_empty() {
            match file.write_all(&piece).and_then(|()| file.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub(super) fn empty(&self) {
        // One that was not filled has no such file.
        let _ = fs::remove_file(self.filler());
    }
}

/// The device a folder is mounted from, as `7:0`.
fn device(folder: &Path) -> anyhow::Result<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.get(4).is_some_and(|at| Path::new(at) == folder));
    Ok(found.context("it was mounted")?[2].to_owned())
}

/// The group of processes whose writes to disks can be slowed down. Removed when it is dropped, or by the next run.
#[derive(Debug)]
pub(super) struct Limits(PathBuf);

impl Limits {
    /// `None` where this kernel has none.
    pub(super) fn new() -> Option<Self> {
        let groups = fs::read_dir(LIMITS).ok()?.flatten();
        for left in groups.filter(|group| group.file_name().to_string_lossy().starts_with(GROUP)) {
            // One with processes in it is another run's, and stays.
            let _ = fs::remove_dir(left.path());
        }
        let group = Path::new(LIMITS).join(format!("{GROUP}{:08x}", rand::random::<u32>()));
        fs::create_dir(&group).ok()?;
        let limits = Self(group);
        limits.file().exists().then_some(limits)
    }

    fn file(&self) -> PathBuf {
        self.0.join("blkio.throttle.write_iops_device")
    }

    pub(super) fn take_in(&self, process: &Child) -> anyhow::Result<()> {
        Ok(fs::write(self.0.join("cgroup.procs"), process.id().to_string())?)
    }

    pub(super) fn slow_down(&self, disk: &Disk) -> anyhow::Result<()> {
        self.set(disk, SLOW_WRITES)
    }

    pub(super) fn lift(&self, disk: &Disk) -> anyhow::Result<()> {
        self.set(disk, 0)
    }

    fn set(&self, disk: &Disk, writes: u32) -> anyhow::Result<()> {
        let limit = format!("{} {writes}", disk.device);
        fs::write(self.file(), &limit).with_context(|| format!("the kernel takes no limit {limit}"))
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        // Processes that end just now keep it; then the next run removes it.
        let _ = fs::remove_dir(&self.0);
    }
}
