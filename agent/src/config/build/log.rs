//! The keys of the log.

use std::{path::Path, time::Duration};

use daemon::logs::{Facility, LogFile};

use super::Reader;
use crate::config::settings::Log;

/// How long a log file is written where nothing is said.
const ROTATE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read(r: &mut Reader<'_>) -> Log {
    let default_level = if r.dev() { "DEBUG" } else { "INFO" };
    Log {
        level: r.text("log_level").unwrap_or(default_level).to_owned(),
        json: r.bool("log_json", false),
        file: file(r),
        syslog: r.bool("enable_syslog", false).then(|| facility(r)),
    }
}

fn file(r: &mut Reader<'_>) -> Option<LogFile> {
    let (rotate_bytes, rotate_after, keep) = (
        r.number("log_rotate_bytes", 0),
        r.duration("log_rotate_duration", ROTATE_AFTER),
        r.number("log_rotate_max_files", 0),
    );
    let path = r.text("log_file").filter(|path| !path.is_empty())?;
    Some(LogFile { rotate_bytes, rotate_after, keep, ..LogFile::at(Path::new(path), "consul") })
}

fn facility(r: &mut Reader<'_>) -> Facility {
    let name = r.text("syslog_facility").filter(|name| !name.is_empty()).unwrap_or("LOCAL0");
    name.parse().unwrap_or_else(|error| {
        r.error(format!("syslog_facility: {error}"));
        Facility::LOCAL0
    })
}
