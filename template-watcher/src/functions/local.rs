//! Functions that look at this machine: environment, clock, programs, files.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use go_template::{Signature, Type, Value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Group, Pid, Uid, User};

use super::{Context, Kind, Row, bytes, layout::in_layout, string};

const fn local(
    name: &'static str,
    signature: Signature,
    help: &'static str,
    call: fn(&Context<'_>, &[Value]) -> Result<Value, String>,
) -> Row {
    Row::new(name, Kind::Local, signature, help, call)
}

pub(super) const ROWS: &[Row] = &[
    local(
        "env",
        Signature::new(&[Type::Str], Type::Str),
        "An environment variable; empty when unset.",
        |context, args| Ok(variable(context, &args[0]).unwrap_or_else(|| Value::from(""))),
    )
.example(r#"{{ env "REGION" }}"#, "eu"),
    local(
        "mustEnv",
        Signature::new(&[Type::Str], Type::Str),
        "An environment variable; an error when unset or empty.",
        |context, args| {
            variable(context, &args[0])
                .filter(|value| value.truth())
                .ok_or_else(|| format!("required environment variable {} is empty", string(&args[0])))
        },
    )
.example(r#"{{ mustEnv "REGION" }}"#, "eu"),
    local(
        "envOrDefault",
        Signature::new(&[Type::Str, Type::Str], Type::Str),
        "An environment variable, or the second argument when unset.",
        |context, args| Ok(variable(context, &args[0]).unwrap_or_else(|| args[1].clone())),
    )
.example(r#"{{ envOrDefault "REGION" "-" }} {{ envOrDefault "NOT_SET" "-" }}"#, "eu -"),
    local(
        "item",
        Signature::new(&[], Type::Str),
        "What this file is made for, in a template with `for_each`.",
        |context, _| {
            let item = context.scope.surroundings().item.as_deref();
            item.map(Value::from).ok_or_else(|| "there is an item only in a template with for_each".to_owned())
        },
    )
    .example("{{ item }}", "blog"),
    local(
        "timestamp",
        Signature::variadic(&[Type::Str], Type::Str),
        "The time as RFC 3339, as seconds with `\"unix\"`, or in a layout of Go's.",
        timestamp,
    )
.example(r#"{{ timestamp }} {{ timestamp "Jan _2, 3:04PM" }}"#, "2026-03-07T09:05:01Z Mar  7, 9:05AM"),
    local(
        "plugin",
        Signature::variadic(&[Type::Str, Type::Any], Type::Str),
        "What a program prints, blanks around left out; 30 seconds at most.",
        plugin,
    )
.example(r#"{{ plugin "echo" "a" "b" }}"#, "a b"),
    local(
        "writeToFile",
        Signature::variadic(&[Type::Str, Type::Str, Type::Str, Type::Str, Type::Str], Type::Str),
        "`writeToFile PATH USER GROUP MODE [FLAGS] CONTENT`; flags are `append` and `newline`.",
        write_to_file,
    )
.example(r#"{{ key "app/name" | writeToFile "/run/name" "" "" "0600" "newline" }}"#, ""),
    local(
        "sockaddr",
        Signature::new(&[Type::Str], Type::Str),
        "This machine's addresses: `sockaddr \"GetInterfaceIP \\\"eth0\\\"\"`; the functions are go-sockaddr's.",
        |_, args| {
            let machine = sockaddr::Machine::here().map_err(|error| error.to_string())?;
            let template = format!("{{{{ {} }}}}", string(&args[0]));
            sockaddr::expand(&template, &machine).map(Value::from).map_err(|error| error.to_string())
        },
    )
.example(r#"{{ sockaddr "GetAllInterfaces | include \"name\" \"lo\" | limit 1 | attr \"name\"" }}"#, "lo"),
    local(
        "executeTemplate",
        Signature::variadic(&[Type::Str, Type::Any], Type::Str),
        "What a defined template prints on the second argument; Go templates only.",
        |_, _| {
            Err("only a Go template has templates to execute; in Jinja write {% include %} or a macro"
                .to_owned())
        },
    )
.example(r#"{{ define "row" }}<{{ . }}>{{ end }}{{ executeTemplate "row" 1 | toUpper }}"#, "<1>"),
];

/// A variable from the watcher's own list, or of the process.
fn variable(context: &Context<'_>, name: &Value) -> Option<Value> {
    let name = string(name);
    let own = context.scope.surroundings().environment.iter().find(|(known, _)| *known == name);
    match own {
        Some((_, value)) => Some(Value::from(value.as_str())),
        None if context.scope.surroundings().offline.is_some() => None,
        None if name.is_empty() || name.contains(['=', '\0']) => None,
        None => std::env::var_os(name).map(|value| Value::from(value.as_bytes())),
    }
}

fn timestamp(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let given = context.scope.surroundings().offline.as_ref().and_then(|offline| offline.time);
    let now = given.unwrap_or_else(chrono::Utc::now);
    match args {
        [] => Ok(Value::from(now.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
        [layout] if bytes(layout) == b"unix" => Ok(Value::from(now.timestamp().to_string())),
        [layout] => Ok(Value::from(in_layout(&now, bytes(layout)))),
        _ => Err(format!("timestamp: wrong number of arguments, expected 0 or 1, but got {}", args.len())),
    }
}

const PLUGIN_LIMIT: Duration = Duration::from_secs(30);

/// Runs a program. Nothing runs while data is missing: its arguments would be wrong.
fn plugin(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    use std::os::unix::process::CommandExt as _;
    if let Some(stand_in) = context.scope.hold_back() {
        return Ok(Value::from(stand_in));
    }
    if context.scope.is_missing() {
        return Ok(Value::from(""));
    }
    let name = string(&args[0]);
    confined(context, Path::new(&name), Path::new(&name))?;
    let words = args[1..].iter().map(|arg| super::shown(arg).trim().to_owned()).filter(|arg| !arg.is_empty());
    let child = Command::new(&name)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("exec {name:?}: {error}"))?;
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(|error| format!("exec {name:?}: {error}"))?);
    let (sender, receiver) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        // the receiver may have given up
        _ = sender.send(child.wait_with_output());
    });
    let output = receiver.recv_timeout(PLUGIN_LIMIT);
    if output.is_err() {
        // it may have ended at this moment
        _ = killpg(group, Signal::SIGKILL);
        return Err(format!("exec {name:?}: did not finish in {}s", PLUGIN_LIMIT.as_secs()));
    }
    _ = waiter.join();
    let output =
        output.map_err(|error| error.to_string())?.map_err(|error| format!("exec {name:?}: {error}"))?;
    if output.status.success() {
        return Ok(Value::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let status = match output.status.code() {
        Some(code) => format!("exit status {code}"),
        None => output.status.to_string(),
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("exec {name:?}: {status}\n\nstdout:\n\n{out}\n\nstderr:\n\n{err}"))
}

/// Writes a file beside the rendered one; nothing is written while data is missing.
fn write_to_file(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let [path, user, group, mode, rest @ ..] = args else {
        return Err("writeToFile: wrong number of arguments".to_owned());
    };
    let (flags, content) = match rest {
        [content] => (String::new(), content),
        [flags, content] => (string(flags), content),
        _ => {
            return Err(format!(
                "writeToFile: wrong number of arguments, expected 5 or 6, but got {}",
                args.len()
            ));
        }
    };
    let mode_text = string(mode);
    let mode = u32::from_str_radix(&mode_text, 8)
        .map_err(|_| format!("strconv.ParseUint: parsing {mode_text:?}: invalid syntax"))?;
    let owner = owner(&string(user), &string(group))?;
    let waits = context.scope.hold_back().is_some() || context.scope.is_missing();
    if waits || context.scope.surroundings().offline.is_some() {
        return Ok(Value::from(""));
    }
    let path = string(path);
    let path = Path::new(&path);
    // The file need not exist, and its folders need not; the part that does decides.
    let there = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("."));
    confined(context, path, there)?;
    let fails = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink()) {
        return Err(format!("{} is a symbolic link; writeToFile does not follow links", path.display()));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fails)?;
    }
    let append = flags.contains("append");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .mode(mode)
        .open(path)
        .map_err(fails)?;
    file.write_all(bytes(content)).map_err(fails)?;
    if flags.contains("newline") {
        file.write_all(b"\n").map_err(fails)?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(fails)?;
    if let (uid, gid) = owner
        && (uid.is_some() || gid.is_some())
    {
        nix::unistd::chown(path, uid, gid).map_err(|error| fails(error.into()))?;
    }
    Ok(Value::from(""))
}

/// Refuses what lies outside of a strict sandbox; `there` is the part of the path that exists.
fn confined(context: &Context<'_>, path: &Path, there: &Path) -> Result<(), String> {
    let surroundings = context.scope.surroundings();
    let Some(sandbox) = surroundings.sandbox.as_deref().filter(|_| surroundings.is_strict) else {
        return Ok(());
    };
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    let outside = || format!("'{}' is outside of sandbox", path.display());
    if climbs { Err(outside()) } else { super::data::inside(sandbox, there).map_err(|_| outside()) }
}

/// The ids of a user and a group, each a name or a number, or empty for no change.
fn owner(user: &str, group: &str) -> Result<(Option<Uid>, Option<Gid>), String> {
    let uid = match (user, user.parse()) {
        ("", _) => None,
        (_, Ok(uid)) => Some(Uid::from_raw(uid)),
        _ => match User::from_name(user) {
            Ok(Some(found)) => Some(found.uid),
            _ => return Err(format!("user: unknown user {user}")),
        },
    };
    let gid = match (group, group.parse()) {
        ("", _) => None,
        (_, Ok(gid)) => Some(Gid::from_raw(gid)),
        _ => match Group::from_name(group) {
            Ok(Some(found)) => Some(found.gid),
            _ => return Err(format!("group: unknown group {group}")),
        },
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_strict_sandbox_keeps_files_and_programs_inside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(at("box")).unwrap();
        let surroundings = crate::answers::Surroundings {
            sandbox: Some(folder.path().join("box")),
            is_strict: true,
            ..Default::default()
        };
        let scope = crate::answers::Scope::new(Arc::default(), Arc::new(surroundings));
        let call = |name: &str, args: &[&str]| {
            let args: Vec<Value> = args.iter().map(|arg| Value::from(*arg)).collect();
            super::super::find(name).unwrap().call(&scope, &Arc::default(), &args).map(drop)
        };
        let write = |path: String| call("writeToFile", &[&path, "", "", "0600", "x"]);
        assert_eq!(write(at("box/new/file")), Ok(()));
        assert_eq!(std::fs::read_to_string(at("box/new/file")).unwrap(), "x");
        for path in [at("file"), at("box/../file"), at("box/new/../../../file")] {
            assert_eq!(write(path.clone()), Err(format!("'{path}' is outside of sandbox")));
        }
        assert_eq!(call("plugin", &["/bin/true"]), Err("'/bin/true' is outside of sandbox".to_owned()));
        assert!(call("plugin", &["true"]).is_err(), "a name that is looked for in PATH");
    }
}
