//! A log file that is set aside when it is full or old, as Consul does it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::Utc;

/// A log file and when it is rotated.
///
/// The current lines are always in `path`, readable by owner and group. A file set aside is renamed to hold the nanoseconds
/// since 1970: `consul.log` becomes `consul-1795250587664119937.log`, `foo` becomes `foo-….log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Sets the file aside when it holds this many bytes; 0 never does.
    pub rotate_bytes: u64,
    /// Sets the file aside this long after it was opened; zero never does. Only a line that comes later does it.
    pub rotate_after: Duration,
    /// How many files set aside are kept, the newest; 0 keeps all, a negative number none.
    pub keep: i64,
}

impl LogFile {
    /// The file of a program at a path as operators write it: one that ends in a slash is a folder, and the file in it
    /// is named after the program. It is never rotated.
    pub fn at(path: &Path, program: &str) -> Self {
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let path = if is_folder { path.join(format!("{program}.log")) } else { path.to_owned() };
        Self { path, rotate_bytes: 0, rotate_after: Duration::ZERO, keep: 0 }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o640).open(&self.path)
    }

    fn set_aside(&self) -> io::Result<()> {
        let (stem, end) = self.name();
        // Two in one nanosecond do not happen: a file holds a line at least.
        let nanos = Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX);
        fs::rename(&self.path, self.path.with_file_name(format!("{stem}-{nanos}{end}")))?;
        self.remove_old()
    }

    /// What stands before and after the time in the name of a file set aside.
    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let end = part(self.path.extension()).unwrap_or_else(|| "log".into());
        (part(self.path.file_stem()).unwrap_or_default(), format!(".{end}"))
    }

    fn remove_old(&self) -> io::Result<()> {
        if self.keep == 0 {
            return Ok(());
        }
        let mut aside = self.aside()?;
        let keep = usize::try_from(self.keep).unwrap_or(0);
        aside.truncate(aside.len().saturating_sub(keep));
        aside.iter().try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// The files set aside, the oldest first.
    fn aside(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let (stem, end) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(&stem).and_then(|name| name.strip_prefix('-')?.strip_suffix(&end));
            if let Some(time) = time.and_then(|time| time.parse().ok()) {
                found.push((time, entry.path()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Appends lines to a log file.
pub(super) struct Writer {
    settings: LogFile,
    current: Mutex<Current>,
}

struct Current {
    file: File,
    bytes: u64,
    opened: Instant,
}

impl Writer {
    pub(super) fn open(settings: LogFile) -> io::Result<Self> {
        let current = Mutex::new(Current::open(&settings)?);
        Ok(Self { settings, current })
    }

    /// Errors when the disk takes nothing. A file that cannot be set aside is written on.
    pub(super) fn write(&self, line: &str) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_over(&self.settings) {
            current.rotate(&self.settings);
        }
        current.file.write_all(line.as_bytes())?;
        current.bytes += line.len() as u64;
        Ok(())
    }
}

impl Current {
    fn open(settings: &LogFile) -> io::Result<Self> {
        let file = settings.open()?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, opened: Instant::now() })
    }

    fn is_over(&self, settings: &LogFile) -> bool {
        let full = settings.rotate_bytes > 0 && self.bytes >= settings.rotate_bytes;
        full || !settings.rotate_after.is_zero() && self.opened.elapsed() >= settings.rotate_after
    }

    fn rotate(&mut self, settings: &LogFile) {
        // What fails now is tried again when as many bytes, or as much time, have come once more: not at each line.
        (self.bytes, self.opened) = (0, Instant::now());
        // Old files that cannot be removed do not keep the new one from being opened.
        let _ = settings.set_aside();
        if let Ok(file) = settings.open() {
            self.file = file;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_set_aside_before_the_next_line_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consul.log");
        let others = ["consul-notes.log", "other-17.log", "consul.log.1"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        let settings = LogFile { rotate_bytes: 10, keep: 2, ..LogFile::at(&path, "consul") };
        let writer = Writer::open(settings.clone()).unwrap();
        for line in 0..9 {
            writer.write(&format!("line {line}\n")).unwrap();
        }
        // A line is seven bytes: the second of a file crosses the limit, the third goes to a new one.
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 8\n");
        let aside: Vec<String> =
            settings.aside().unwrap().iter().map(|(_, path)| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(aside, ["line 4\nline 5\n", "line 6\nline 7\n"]);
        assert_eq!(names(folder.path()).len(), 3 + others.len());
    }

    #[test]
    fn an_old_file_is_set_aside_and_a_found_one_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogFile {
            rotate_after: Duration::from_nanos(1),
            keep: -1,
            ..LogFile::at(&folder.path().join("foo"), "consul")
        };
        fs::write(&settings.path, "before\n").unwrap();
        Writer::open(LogFile { rotate_after: Duration::ZERO, ..settings.clone() })
            .unwrap()
            .write("a\n")
            .unwrap();
        assert_eq!(fs::read_to_string(&settings.path).unwrap(), "before\na\n");
        Writer::open(LogFile { keep: 0, ..settings.clone() }).unwrap().write("b\n").unwrap();
        assert_eq!(fs::read_to_string(&settings.path).unwrap(), "b\n");
        let [name, aside] = &names(folder.path())[..] else { panic!("{:?}", names(folder.path())) };
        assert!(name == "foo" && aside.starts_with("foo-") && aside.ends_with(".log"), "{name} {aside}");
        Writer::open(settings).unwrap().write("c\n").unwrap();
        assert_eq!(names(folder.path()), ["foo"], "none is kept");
    }

    #[test]
    fn a_folder_gets_a_file_named_after_the_program() {
        assert_eq!(LogFile::at(Path::new("/var/log/"), "consul").path, Path::new("/var/log/consul.log"));
        assert_eq!(LogFile::at(Path::new("/var/log"), "consul").path, Path::new("/var/log"));
    }
}
