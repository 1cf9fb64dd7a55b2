//! Extended attributes: access lists, labels of the security modules, and what operators note on their files.

use std::path::Path;

use rustix::{
    fs::{XattrFlags, getxattr, listxattr, setxattr},
    io::Errno,
};

/// The most that Linux lets a list of names, or a value, be.
const BYTES_MAX: usize = 64 * 1024;

/// Gives a new file the attributes of the present one, as far as this process may.
pub(super) fn copy(from: &Path, to: &Path) {
    let mut names = vec![0; BYTES_MAX];
    // A file system without them has nothing to copy.
    let Ok(length) = listxattr(from, &mut names) else { return };
    names.truncate(length);
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if let Err(error) = copy_one(from, to, name) {
            let (path, name) = (from.display(), String::from_utf8_lossy(name));
            tracing::debug!(target: "runner", %path, %name, %error, "cannot keep an attribute of the present file");
        }
    }
}

fn copy_one(from: &Path, to: &Path, name: &[u8]) -> Result<(), Errno> {
    let mut value = vec![0; BYTES_MAX];
    let length = getxattr(from, name, &mut value)?;
    setxattr(to, name, &value[..length], XattrFlags::empty())
}
