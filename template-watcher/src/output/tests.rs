//! Files in place: bytes, modes, owners, links, backups and attributes.

use std::os::unix::fs::symlink;

use super::*;

fn target(path: &Path) -> Target<'_> {
    Target { path, perms: None, secret: None, user: None, group: None, backups: 0, create_dirs: true }
}

fn write(target: &Target<'_>, text: &str) -> bool {
    let differs = present(target, text.as_bytes()).unwrap() != Present::Same;
    if differs {
        prepare(target, text.as_bytes()).unwrap().commit().unwrap();
    }
    differs
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_new_file_gets_0644_and_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/out");
    assert!(write(&target(&path), "x"));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("x", 0o644));
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no candidate is left behind");
}

#[test]
fn mode_is_kept_unless_another_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
    assert!(write(&target(&path), "new"));
    assert_eq!(mode(&path), 0o770);
    let private = Target { perms: Some(0o600), ..target(&path) };
    assert!(!write(&private, "new"), "a mode alone is not repaired");
    assert!(write(&private, "newer"));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_new_secret_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let secret = |perms| Target { secret: Some(true), perms, ..target(&path) };
    assert!(write(&secret(None), "a"));
    assert_eq!(mode(&path), 0o600);
    assert!(write(&secret(Some(0o640)), "b"));
    assert_eq!(mode(&path), 0o640);
    assert!(write(&secret(None), "c"));
    assert_eq!(mode(&path), 0o640, "what its operator chose is kept");
}

#[test]
fn equal_bytes_leave_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "same").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    assert!(!write(&target(&path), "same"));
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn owner_is_kept_and_set_where_permitted() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    chown(&path, Some(12), Some(34)).unwrap();
    assert!(write(&target(&path), "new"));
    let owner = |path: &Path| fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
    assert_eq!(owner(&path), (12, 34));
    let other = Target { user: Some("123"), group: Some("root"), ..target(&path) };
    assert!(write(&other, "new"), "another owner is a change");
    assert_eq!(owner(&path), (123, 0));
}

#[test]
fn a_link_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, real) = (folder.path().join("out"), folder.path().join("real"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &path).unwrap();
    assert!(write(&target(&path), "new"));
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read_to_string(&real).unwrap(), "old");
}

#[test]
fn a_backup_holds_the_file_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let kept = folder.path().join("out.bak");
    let target = Target { backups: 1, ..target(&path) };
    write(&target, "1");
    assert!(!kept.exists());
    write(&target, "2");
    write(&target, "3");
    assert_eq!(fs::read_to_string(kept).unwrap(), "2");
}

#[test]
fn several_backups_are_kept_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let target = Target { backups: 2, ..target(&path) };
    for text in ["1", "2", "3", "4"] {
        write(&target, text);
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
    assert_eq!(read("out.bak").as_deref(), Some("3"));
    assert_eq!(read("out.bak.2").as_deref(), Some("2"));
    assert_eq!(read("out.bak.3"), None);
}

#[test]
fn links_are_followed_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("b", at("a")).unwrap();
    symlink(at("c"), at("b")).unwrap();
    assert_eq!(followed(&at("a")), at("c"));
    assert_eq!(followed(&at("c")), at("c"), "it need not exist");
    symlink("loop", at("loop")).unwrap();
    assert_eq!(followed(&at("loop")), at("loop"));
}

#[test]
fn attributes_of_the_present_file_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    let name = "user.origin";
    if rustix::fs::setxattr(&path, name, b"ops", rustix::fs::XattrFlags::empty()).is_err() {
        return; // a file system without them
    }
    assert!(write(&target(&path), "new"));
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&path, name, &mut value).unwrap();
    assert_eq!(&value[..length], b"ops");
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = present(&target(folder.path()), b"x").unwrap_err().to_string();
    assert!(said.starts_with("failed reading file: read ") && said.ends_with(": is a directory"), "{said}");
    let path = folder.path().join("no/out");
    let nowhere = Target { create_dirs: false, ..target(&path) };
    assert!(prepare(&nowhere, b"x").unwrap_err().to_string().contains("parent directory is missing"));
    let path = folder.path().join("out");
    let nobody = Target { user: Some("no such user"), ..target(&path) };
    assert!(prepare(&nobody, b"x").unwrap_err().to_string().contains("unknown user no such user"));
    assert!(!path.exists());
}
