//! The container image, made by podman from `packaging/oci` and the static program. Nothing runs in it while it is made.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, ensure};

use crate::{place::Place, run, say};

/// Where Debian's package ca-certificates has Mozilla's list, a file each.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";
/// The names that the program has in the image.
const NAMES: [&str; 6] = ["consul", "consul-template", "ryo-agent", "ryo-entry", "ryo-registry", "ryo-watch"];

/// Makes `ryo-oci.tar` of the program that lies in the folder.
pub(crate) fn build(place: &Place) -> anyhow::Result<()> {
    ensure!(place.binary().exists(), "{} is not there: package binary first", place.binary().display());
    let stage = place.stage("image")?;
    let from = place.root.join("packaging/oci");
    fs::copy(from.join("Containerfile"), stage.join("Containerfile"))?;
    fill(place, &stage.join("root"), &from)?;
    let archive = place.out.join("ryo-oci.tar");
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    let tag = format!("localhost/ryo:{}", place.version);
    let built = make(place, &stage, &tag, &archive);
    // What podman wrote belongs to other users when it was not root that called it.
    let _ = podman(&stage)?.args(["unshare", "rm", "-rf"]).arg(stage.join("graph")).output();
    built?;
    fs::remove_dir_all(&stage)?;
    say(&format!("{}: {tag}, {} bytes", archive.display(), fs::metadata(&archive)?.len()));
    Ok(())
}

fn make(place: &Place, stage: &Path, tag: &str, archive: &Path) -> anyhow::Result<()> {
    let mut build = podman(stage)?;
    build.args(["build", "--quiet", "--format", "oci", "--timestamp", &place.epoch, "--tag", tag]);
    build.args(["--label", &format!("org.opencontainers.image.version={}", place.version)]);
    run::output(build.arg(stage)).context("podman has to be installed (apt-get install podman)")?;
    let mut save = podman(stage)?;
    run::output(save.args(["save", "--quiet", "--format", "oci-archive", "--output"]).arg(archive).arg(tag))?;
    Ok(())
}

/// podman with a place of its own, which leaves the machine's images alone.
fn podman(stage: &Path) -> anyhow::Result<Command> {
    let storage = stage.join("storage.conf");
    let (graph, state) = (stage.join("graph"), stage.join("state"));
    fs::write(
        &storage,
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = {graph:?}\nrunroot = {state:?}\n"),
    )?;
    let mut command = Command::new("podman");
    command.env("CONTAINERS_STORAGE_CONF", storage);
    Ok(command)
}

/// What the image holds.
fn fill(place: &Place, root: &Path, from: &Path) -> anyhow::Result<()> {
    for folder in ["bin", "config", "consul", "data", "etc/ryo", "etc/ssl/certs", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(place.binary(), root.join("bin/ryo"))?;
    for name in NAMES {
        symlink("ryo", root.join("bin").join(name))?;
    }
    // Where Docker's image has them.
    for folder in ["config", "data"] {
        symlink(format!("/{folder}"), root.join("consul").join(folder))?;
    }
    fs::copy(from.join("image.hcl"), root.join("etc/ryo/image.hcl"))?;
    fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), authorities()?)?;
    // Whatever the caller's umask makes of them.
    run::run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root))?;
    run::run(Command::new("chmod").arg("1777").arg(root.join("tmp")))
}

/// Who vouches for the web's certificates, in one file. Not the machine's own list, to which somebody may have added.
fn authorities() -> anyhow::Result<String> {
    let files = fs::read_dir(AUTHORITIES)
        .context("ca-certificates has to be installed (apt-get install ca-certificates)")?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    files.sort();
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        all += text.trim_end();
        all.push('\n');
    }
    Ok(all)
}
