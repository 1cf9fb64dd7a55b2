//! What befalls a watcher: kills, full and read-only disks, commands that hang, a registry that is killed at any moment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, pause, until},
    process::Process,
    stage::{not_run, run, ryo},
    watcher::Scene,
};

const TEMPLATE: &str = "template {\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@DIR@/a\"\n";

#[test]
fn a_watcher_that_is_killed_before_its_command_worked_runs_it_when_it_comes_back() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    // The shell's parent is the watcher, and the file is in place already.
    let file = format!(
        "{TEMPLATE}  command = \"test -e @DIR@/go || {{ kill -9 $PPID; exit 1; }}; cat @DIR@/a >> @DIR@/ran\"\n}}\n"
    );
    scene.watch(&file).ended();
    scene.wait_for("a", "1");
    assert!(scene.read("ran").is_err());
    scene.write("go", "");
    let mut watcher = scene.watch(&file);
    scene.wait_for("ran", "1");
    watcher.must_run();
    until(LONG, "nothing is left to do", || {
        if scene.folder.join(".a.pending").exists() { Err("the note is there".into()) } else { Ok(()) }
    });
    assert_eq!(watcher.stop(Signal::SIGTERM), 12);
    let watcher = scene.watch(&file);
    pause(Duration::from_secs(1));
    drop(watcher);
    assert_eq!(scene.read("ran").unwrap(), "1", "it ran although it had worked");
}

#[test]
fn a_command_that_hangs_is_ended_with_all_it_started_and_holds_nobody_up() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    let mut watcher = scene.watch(&format!(
        "{TEMPLATE}  command = \"test -e @DIR@/go || {{ sleep 1000 & echo $! >> @DIR@/hanging; wait; }}; echo ran >> @DIR@/ran\"\n  \
         command_timeout = \"1s\"\n}}\n\
         template {{\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@DIR@/b\"\n  command = \"cat @DIR@/b >> @DIR@/other\"\n}}\n"
    ));
    scene.wait_for("other", "1");
    scene.registry.put_ok("/v1/kv/a", "2");
    scene.wait_for("other", "12");
    scene.write("go", "");
    until(LONG, "the command has run", || scene.read("ran"));
    watcher.must_run();
    for id in scene.read("hanging").unwrap().lines() {
        until(LONG, "what hung is gone", || match fs::read_to_string(format!("/proc/{id}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        });
    }
}

/// A watcher whose folder `disk` is a file system of 64 kB that only it sees; `None`, which is counted, where none may be made.
fn on_a_small_disk(scene: &Scene, file: &str) -> Option<(Process, PathBuf)> {
    let disk = scene.folder.join("disk");
    fs::create_dir(&disk).unwrap();
    after_mounting(scene, "mount -t tmpfs -o size=64k none \"$0\"", &disk, file)
}

/// A watcher in a mount namespace of its own, in which a script did something to a place before; and that place as it sees it.
fn after_mounting(scene: &Scene, script: &str, place: &Path, file: &str) -> Option<(Process, PathBuf)> {
    if !nix::unistd::getuid().is_root() {
        not_run("mounting is root's");
        return None;
    }
    scene.write("watch.hcl", &format!("consul {{\n  address = \"{}\"\n}}\n{file}", scene.registry.http()));
    let script = format!("{script} || exit 99; exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(place);
    command.arg(ryo().get_program()).args(["template", "-config"]).arg(scene.folder.join("watch.hcl"));
    let watcher = Process::start(&mut command, &scene.folder.join("log"));
    let seen = Path::new("/proc").join(watcher.id().to_string()).join("root");
    Some((watcher, seen.join(place.strip_prefix("/").unwrap())))
}

fn becomes(file: &Path, text: &str) {
    until(LONG, &format!("{} is {text:?}", file.display()), || match fs::read_to_string(file) {
        Ok(now) if now == text => Ok(()),
        other => Err(format!("{:.100}", format!("{other:?}"))),
    });
}

#[test]
fn a_full_disk_and_one_that_is_read_only_leave_the_last_good_file() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    let file = "template {\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@DIR@/disk/a\"\n  \
                command = \"cat @DIR@/disk/a >> @DIR@/ran; echo >> @DIR@/ran\"\n}\n";
    let Some((mut watcher, disk)) = on_a_small_disk(&scene, file) else { return };
    let told = |watcher: &Process, what: &str| {
        until(LONG, &format!("the log says {what}"), || {
            if watcher.log().contains(what) { Ok(()) } else { Err(watcher.log()) }
        });
    };
    scene.wait_for("ran", "1\n");

    scene.registry.put_ok("/v1/kv/a", &"x".repeat(200_000));
    told(&watcher, "no space left on device");
    becomes(&disk.join("a"), "1");
    let left: Vec<_> = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a"], "a part of a candidate takes the room of others");
    scene.registry.put_ok("/v1/kv/a", "2");
    scene.wait_for("ran", "1\n2\n");
    told(&watcher, "is in order again");

    let remount = |how: &str| {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &watcher.id().to_string()]);
        let (code, said) = run(command.args(["mount", "-o", how]).arg(scene.folder.join("disk")));
        assert_eq!(code, 0, "{said}");
    };
    remount("remount,ro");
    scene.registry.put_ok("/v1/kv/a", "3");
    told(&watcher, "read-only file system");
    becomes(&disk.join("a"), "2");
    remount("remount,rw");
    // Without another change: it is tried again.
    scene.wait_for("ran", "1\n2\n3\n");
    watcher.must_run();
}

#[test]
fn a_file_that_is_mounted_by_itself_is_written_in_place() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    // As a container gets one file of its host: nothing can be renamed over it.
    scene.write("of-the-host", "0");
    scene.write("a", "");
    let mount = format!("mount --bind '{}' \"$0\"", scene.folder.join("of-the-host").display());
    let file = format!("{TEMPLATE}  command = \"cat @DIR@/a >> @DIR@/ran\"\n}}\n");
    let Some((mut watcher, seen)) = after_mounting(&scene, &mount, &scene.folder.join("a"), &file) else {
        return;
    };
    scene.wait_for("of-the-host", "1");
    scene.registry.put_ok("/v1/kv/a", "a longer one");
    scene.registry.put_ok("/v1/kv/a", "2");
    scene.wait_for("of-the-host", "2");
    becomes(&seen, "2");
    watcher.must_run();
    assert_eq!(scene.read("a").unwrap(), "", "the file below the mount is nobody's");
    until(LONG, "the command has seen it", || match scene.read("ran") {
        Ok(ran) if ran.ends_with('2') => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_registry_killed_at_any_moment_leaves_whole_files_and_the_last_word_wins() {
    let mut scene = Scene::new();
    scene.registry.put_ok("/v1/kv/p/a", "0");
    scene.write("a.tmpl", "{{ range ls \"p\" }}{{ .Value }} end{{ end }}");
    let mut watcher = scene.watch(&format!("{TEMPLATE}  command = \"cat @DIR@/a >> @DIR@/ran\"\n}}\n"));
    scene.wait_for("a", "0 end");
    for round in 1..=6_u32 {
        scene.registry.put_ok("/v1/kv/p/a", &round.to_string());
        pause(Duration::from_millis(rand::random_range(0..60)));
        scene.process.take().expect("a registry runs").kill();
        let now = scene.read("a").unwrap();
        assert!(now.strip_suffix(" end").is_some_and(|n| n.parse::<u32>().is_ok()), "{now:?}");
        scene.process = Some(scene.registry.start_and_wait());
        scene.wait_for("a", &format!("{round} end"));
    }
    watcher.must_run();
    until(LONG, "each command saw a whole file", || {
        let ran = scene.read("ran")?;
        if ran.ends_with("6 end") && !ran.contains("endend") { Ok(()) } else { Err(ran) }
    });
}

#[test]
fn as_the_first_process_it_collects_what_its_commands_leave() {
    let scene = Scene::new();
    if !nix::unistd::getuid().is_root() {
        not_run("process namespaces are root's");
        return;
    }
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    // A grandchild that outlives its parent, and dies: the first process inherits it.
    let orphan = "command = \"(sleep 0.2 &) ; echo ran >> @DIR@/ran\"";
    scene.write(
        "watch.hcl",
        &format!("consul {{\n  address = \"{}\"\n}}\n{TEMPLATE}  {orphan}\n}}\n", scene.registry.http()),
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(ryo().get_program());
    command.args(["template", "-config"]).arg(scene.folder.join("watch.hcl"));
    let watcher = Process::start(&mut command, &scene.folder.join("log"));
    scene.wait_for("ran", "ran\n");
    let children =
        |id: &str| fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let first = children(&watcher.id().to_string());
    let first = first.trim();
    until(LONG, "only the program itself is left", || match children(first).split_whitespace().count() {
        1 => Ok(()),
        n => Err(format!("{n} children of {first}")),
    });
    run(Command::new("kill").args(["-TERM", first]));
    assert_eq!(watcher.ended(), 12);
}
