//! A folder as `NAME.tar.gz`, for its owner's eyes only.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

/// Packs the folder and removes it. Errors leave the folder as it is.
pub(super) fn pack(folder: &Path, archive: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(archive)?;
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    tar.append_dir_all(name, folder)?;
    tar.into_inner()?.finish()?.sync_all()?;
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_folder_becomes_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("o");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("index.json"), "{}").unwrap();
        let archive = dir.path().join("o.tar.gz");
        super::pack(&folder, &archive).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
        let read = flate2::read::GzDecoder::new(fs::File::open(&archive).unwrap());
        let names: Vec<String> = tar::Archive::new(read)
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(names.contains(&"o/index.json".to_owned()), "{names:?}");
        assert!(super::pack(dir.path(), &archive).is_err(), "it is never written over");
    }
}
