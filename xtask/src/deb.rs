//! Debian packages: the trees of `packaging/deb/`, what the program itself writes of its commands, and dpkg-deb.
//!
//! Every file gets the date of the last commit and root as its owner, so that two builds from one program are the same bytes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    place::{self, Place},
    run, say,
};

/// Names of the one program, by package.
const LINKS: [(&str, &[&str]); 2] =
    [("ryo", &["ryo-registry", "ryo-agent", "ryo-watch"]), ("ryo-consul", &["consul", "consul-template"])];
/// Pages of the manual under further names: package, name, page. `ryo-watch.1` is the command `ryo watch`.
const PAGES: [(&str, &str, &str); 4] = [
    ("ryo", "man8/ryo-registry.8.gz", "../man1/ryo-agent.1.gz"),
    ("ryo", "man8/ryo-watch.8.gz", "../man1/ryo-template.1.gz"),
    ("ryo-consul", "man1/consul.1.gz", "ryo.1.gz"),
    ("ryo-consul", "man1/consul-template.1.gz", "ryo-template.1.gz"),
];
/// What a shell completes, by where it looks for that.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/ryo"),
    ("zsh", "usr/share/zsh/vendor-completions/_ryo"),
    ("fish", "usr/share/fish/vendor_completions.d/ryo.fish"),
];

/// Makes both packages from the program that lies in the folder.
pub(crate) fn build(place: &Place) -> anyhow::Result<()> {
    ensure!(place.binary().exists(), "{} is not there: package binary first", place.binary().display());
    for (name, links) in LINKS {
        let root = place.stage(name)?;
        let tree = place.root.join("packaging/deb").join(name);
        copy(&tree.join("files"), &root)?;
        if name == "ryo" {
            program(place, &root)?;
        }
        for link in links {
            make_link("ryo", &root.join("usr/bin").join(link))?;
        }
        for (_, page, of) in PAGES.iter().filter(|(package, ..)| *package == name) {
            make_link(of, &root.join("usr/share/man").join(page))?;
        }
        documents(place, name, &root)?;
        let file = control(place, name, &tree, &root)?;
        dpkg_deb(place, &root, &file)?;
        fs::remove_dir_all(root)?;
    }
    Ok(())
}

/// The program, its pages, its completions, and whose libraries are in it.
fn program(place: &Place, root: &Path) -> anyhow::Result<()> {
    let binary = root.join("usr/bin/ryo");
    write(&binary, &fs::read(place.binary())?, 0o755)?;
    let man = root.join("usr/share/man/man1");
    run::output(Command::new(&binary).arg("man").arg(&man))?;
    for page in fs::read_dir(man)? {
        gzip(&page?.path())?;
    }
    for (shell, path) in COMPLETIONS {
        let script = run::output(Command::new(&binary).args(["completion", shell]))?;
        write(&root.join(path), format!("{script}\n").as_bytes(), 0o644)?;
    }
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(&place.root)
        .args(["tree", "--locked", "-p", "ryo", "-e", "normal", "--prefix", "none"]);
    cargo.args(["--target", &place::target(), "--format", "{p}: {l} {r}"]);
    let tree = run::output(&mut cargo)?;
    // Our own crates are named with their folder.
    let mut lines: Vec<&str> = tree.lines().filter(|line| !line.contains(" (/")).collect();
    lines.sort_unstable();
    lines.dedup();
    let list = root.join("usr/share/doc/ryo/third-party");
    write(&list, (lines.join("\n") + "\n").as_bytes(), 0o644)?;
    gzip(&list)
}

/// What every package says of itself: whose it is, its versions, and what lintian need not say.
fn documents(place: &Place, name: &str, root: &Path) -> anyhow::Result<()> {
    let doc = root.join("usr/share/doc").join(name);
    let from = place.root.join("packaging/deb");
    let licence = fs::read_to_string(place.root.join("LICENSE-MIT"))?;
    // Debian writes an empty line as a dot.
    let licence =
        licence.lines().skip(2).map(|line| if line.is_empty() { " .".into() } else { format!(" {line}") });
    let copyright = fs::read_to_string(from.join("copyright"))?;
    let copyright = copyright.replace("@MIT@", &licence.collect::<Vec<_>>().join("\n"));
    write(&doc.join("copyright"), copyright.as_bytes(), 0o644)?;
    let date = run::output(
        Command::new("date").args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", place.epoch)),
    )?;
    let changelog = format!(
        "{name} ({}) stable; urgency=medium\n\n  * What changed is told in the project's CHANGELOG.md.\n\n -- {}  {date}\n",
        place.version,
        maintainer(&from)?,
    );
    write(&doc.join("changelog"), changelog.as_bytes(), 0o644)?;
    gzip(&doc.join("changelog"))?;
    let overrides = from.join(name).join("lintian-overrides");
    if overrides.exists() {
        write(&root.join("usr/share/lintian/overrides").join(name), &fs::read(overrides)?, 0o644)?;
    }
    Ok(())
}

fn maintainer(from: &Path) -> anyhow::Result<String> {
    let control = fs::read_to_string(from.join("ryo/control"))?;
    let line = control.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    Ok(line.context("packaging/deb/ryo/control names a maintainer")?.to_owned())
}

/// Writes `DEBIAN/`; the package's file name.
fn control(place: &Place, name: &str, tree: &Path, root: &Path) -> anyhow::Result<PathBuf> {
    let sums = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 md5sum";
    let sums = run::output(Command::new("sh").current_dir(root).args(["-ec", sums]))?;
    let size = run::output(Command::new("du").args(["--apparent-size", "-sk"]).arg(root))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let text = fs::read_to_string(tree.join("control"))?
        .replace("@VERSION@", &place.version)
        .replace("@ARCH@", place::debian_arch()?)
        .replace("@SIZE@", size);
    write(&root.join("DEBIAN/control"), text.as_bytes(), 0o644)?;
    write(&root.join("DEBIAN/md5sums"), format!("{sums}\n").as_bytes(), 0o644)?;
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let from = tree.join(script);
        if from.exists() {
            write(&root.join("DEBIAN").join(script), &fs::read(from)?, 0o755)?;
        }
    }
    let arch =
        text.lines().find_map(|line| line.strip_prefix("Architecture: ")).context("control names it")?;
    Ok(place.out.join(format!("{name}_{}_{arch}.deb", place.version)))
}

fn dpkg_deb(place: &Place, root: &Path, file: &Path) -> anyhow::Result<()> {
    // Whatever folders the caller's umask makes.
    run::run(Command::new("find").arg(root).args(["-type", "d", "-exec", "chmod", "755", "{}", "+"]))?;
    let mut command = Command::new("dpkg-deb");
    // One thread: with several the bytes depend on how many there are.
    command.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]).arg(root).arg(file);
    run::output(command.env("SOURCE_DATE_EPOCH", &place.epoch))?;
    say(&format!("{}: {} bytes", file.display(), fs::metadata(file)?.len()));
    Ok(())
}

/// Copies a tree, with the modes of files that are only read.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            write(&target, &fs::read(entry.path())?, 0o644)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    make_parent(path)?;
    fs::write(path, bytes).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn make_link(to: &str, path: &Path) -> anyhow::Result<()> {
    make_parent(path)?;
    symlink(to, path).with_context(|| path.display().to_string())
}

fn make_parent(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())
}

/// Packs a file, with the mode of files that are only read: whoever wrote it may have kept it to himself.
fn gzip(path: &Path) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    run::run(Command::new("gzip").arg("-9n").arg(path))
}
