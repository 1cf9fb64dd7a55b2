//! The first process of a container: who is given every orphan, and must take its status away.
//!
//! A program whose children start others would fill the table of processes with the dead. So the first process only passes
//! signals on and collects; the program itself runs as its child, with the same words.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Command, id},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use signal_hook::iterator::Signals;

use crate::Exit;

/// Signals that the kernel sends because of this process, or that nobody can catch.
const OWN: &[Signal] = &[
    Signal::SIGCHLD,
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGSEGV,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGURG,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGTSTP,
];

/// As the first process, runs this program again as a child, and gives its end; `None` for every other process, which goes
/// on by itself.
///
/// Call it before anything else: no thread and no runtime may be there yet. Errors when the program cannot be started again.
pub fn as_first_process() -> Option<io::Result<Exit>> {
    (id() == 1).then(run)
}

fn run() -> io::Result<Exit> {
    let wanted = Signal::iterator().filter(|signal| !OWN.contains(signal)).map(|signal| signal as i32);
    // Before the child is there: a signal meanwhile must not be lost.
    let mut signals = Signals::new(wanted)?;
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let child = Command::new("/proc/self/exe").arg0(name).args(words).spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    thread::Builder::new().name("signals".into()).stack_size(64 * 1024).spawn(move || {
        for number in signals.forever() {
            if let Ok(signal) = Signal::try_from(number) {
                // Fails only when it has ended, and then this process is about to.
                let _ = kill(main, signal);
            }
        }
    })?;
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => {
                return Ok(Exit::Child(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                return Ok(Exit::Child(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
