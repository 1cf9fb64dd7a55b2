//! Where things lie, and what they are called.

use std::{
    env::{self, consts::ARCH},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::run;

/// One run's folders, target and version.
#[derive(Debug)]
pub(crate) struct Place {
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// Where the binary goes and is taken from: `target/package`.
    pub(crate) package: PathBuf,
    /// Where packages and image go: the same, unless said otherwise.
    pub(crate) out: PathBuf,
    /// The version of what is made.
    pub(crate) version: String,
    /// Seconds since 1970 that every file inside is dated: the last commit's, or `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: String,
}

impl Place {
    /// Finds them. Errors when the folder has no commit to take the date from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => run::output(Command::new("git").current_dir(&root).args(["log", "-1", "--format=%ct"]))
                .context("not a git checkout: set SOURCE_DATE_EPOCH")?,
        };
        let target = root.join(target);
        let package = target.join("package");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { root, target, out: package.clone(), package, version, epoch })
    }

    /// The static program.
    pub(crate) fn binary(&self) -> PathBuf {
        self.package.join("ryo")
    }

    /// An empty folder of this name for what is on its way.
    pub(crate) fn stage(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.package.join("stage").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }
}

/// The target that the program is built for: this machine's processor, musl's C library.
pub(crate) fn target() -> String {
    format!("{ARCH}-unknown-linux-musl")
}

/// What Debian calls this machine's processor.
pub(crate) fn debian_arch() -> anyhow::Result<&'static str> {
    Ok(match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("{other}: packages are made for x86_64 and aarch64"),
    })
}
